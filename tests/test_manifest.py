"""Manifests and their fingerprints."""

import json

import pytest

from attacca.errors import AttaccaError, MissingInputError
from attacca.manifest import Manifest, read_manifest, read_values


def test_a_manifest_comes_back_as_it_was_written(tmp_path):
    manifest = Manifest("predict", 1, {"dtype": "uint8"}, {"training": "abc"}, {"blocks": 3})
    manifest.write(tmp_path / "prediction.json")
    assert read_manifest(tmp_path / "prediction.json") == manifest


def test_the_same_content_is_written_as_the_same_bytes(tmp_path):
    Manifest("s", 1, {"a": 1, "b": 2}, {}).write(tmp_path / "one.json")
    Manifest("s", 1, {"b": 2, "a": 1}, {}).write(tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


@pytest.mark.parametrize(
    "other",
    [
        Manifest("t", 1, {"a": 1}, {"x": "1"}),
        Manifest("s", 2, {"a": 1}, {"x": "1"}),
        Manifest("s", 1, {"a": 2}, {"x": "1"}),
        Manifest("s", 1, {"a": 1}, {"x": "2"}),
        Manifest("s", 1, {"a": 1}, {"x": "1"}, {"checkpoint_digest": "f"}),
    ],
)
def test_whatever_matters_changes_the_fingerprint(other):
    assert Manifest("s", 1, {"a": 1}, {"x": "1"}).fingerprint != other.fingerprint


def test_a_result_that_is_not_a_digest_does_not_change_the_fingerprint():
    assert Manifest("s", 1, {}, {}).fingerprint == Manifest("s", 1, {}, {}, {"blocks": 3}).fingerprint


def test_a_missing_manifest_is_reported_with_a_fix(tmp_path):
    with pytest.raises(MissingInputError, match="run the workflow again"):
        read_manifest(tmp_path / "prediction.json")


def test_a_file_that_is_not_a_manifest_is_named(tmp_path):
    (tmp_path / "prediction.json").write_text("[]")
    with pytest.raises(AttaccaError, match="is not a manifest of Attacca"):
        read_manifest(tmp_path / "prediction.json")


@pytest.mark.parametrize(
    "damage",
    [
        {"inputs": {"volume.cube": {}}},
        {"inputs": []},
        {"parameters": 7},
        {"result": None},
        {"fingerprint": {}},
    ],
)
def test_values_of_other_types_are_those_of_no_manifest(tmp_path, damage):
    path = tmp_path / "prediction.json"
    values = {
        "stage": "predict",
        "version": 1,
        "parameters": {},
        "inputs": {"volume.cube": "a"},
        "result": {},
    }
    path.write_text(json.dumps(values | {"fingerprint": "b"}))
    assert read_values(path) == values | {"fingerprint": "b"}
    path.write_text(json.dumps(values | {"fingerprint": "b"} | damage))
    assert read_values(path) is None
