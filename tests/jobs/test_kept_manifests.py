"""Copies of manifests: restored under the same key, ignored under another key."""

import json

import pytest

from attacca.jobs.kept_manifests import keep_manifest, recall_manifest
from attacca.manifest import Manifest, read_manifest

KEY = {"parameters": {"bias": [0.3, 0.5]}, "inputs": {"prediction.chosen": "abc"}}


@pytest.fixture
def output(tmp_path):
    return tmp_path / "tuning.json"


@pytest.fixture
def manifest(output):
    made = Manifest("tune", 1, {"a": 1}, {"x": "1"}, {"chosen": {"bias": 0.3}})
    keep_manifest(made, output, KEY)
    made.write(output)
    return made


def test_nothing_is_recalled_before_something_was_kept(output):
    assert recall_manifest(output, KEY) is None


def test_work_under_the_same_key_is_recalled_after_snakemake_deleted_its_output(manifest, output):
    before = output.read_bytes()
    output.unlink()
    known = recall_manifest(output, json.loads(json.dumps(KEY)))
    assert known == manifest
    known.write(output)
    assert output.read_bytes() == before


@pytest.mark.parametrize("part", ["parameters", "inputs"])
def test_another_key_recalls_nothing(manifest, output, part):
    assert recall_manifest(output, {**KEY, part: {"other": 1}}) is None


def test_work_that_was_kept_later_takes_the_place_of_earlier_work(manifest, output):
    other = {**KEY, "inputs": {"prediction.chosen": "def"}}
    keep_manifest(Manifest("tune", 1, {"a": 2}, {"x": "2"}), output, other)
    assert recall_manifest(output, KEY) is None
    assert recall_manifest(output, other).parameters == {"a": 2}
    assert read_manifest(output) == manifest


def test_a_truncated_file_is_ignored(manifest, output):
    place = next(path for path in output.parent.iterdir() if path.name.startswith("."))
    place.write_text(place.read_text()[:40])
    assert recall_manifest(output, KEY) is None
