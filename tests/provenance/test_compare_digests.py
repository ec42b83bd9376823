"""Comparison of two directories of results by their digests."""

import copy
from pathlib import Path

import pytest

from attacca.atomic import write_json
from attacca.layout import Layout
from attacca.provenance.compare_digests import ResultKey, compare_digests


@pytest.fixture
def compare(project):
    keys = [
        ResultKey(item.stage.name, item.run, item.volume, item.manifest(Layout(Path())))
        for item in project.workflow.instances()
    ]

    def compare(first, second, known, again):
        return compare_digests(keys, (first, second), (known, again))

    return compare


def is_equal(result):
    return result.verdict != "differ"


def test_equal_digests_are_equal_whatever_else_the_files_say(compare, project, provenance):
    first = provenance()
    second = copy.deepcopy(first) | {"hardware": {"cores": 7}}
    for details in second["outputs"]["train"].values():
        details["fingerprint"] = "another"
    compared = compare(project.results, project.results, first, second)
    assert len(compared) == len(project.workflow.instances())
    assert all(map(is_equal, compared))


def test_the_first_difference_is_in_the_first_stage_that_the_seed_reaches(compare, project, provenance):
    compared = compare(project.results, project.results, provenance(), provenance(seed=1))
    different = [comparison.key.stage for comparison in compared if not is_equal(comparison)]
    assert different[0] == "train"
    assert "volume" not in different
    assert "targets" not in different


def test_the_reason_is_read_from_both_manifests(compare, project, provenance, tmp_path):
    train = project.instance("train", "first")
    project.finish_until(train)
    key = project.key(train)
    other = tmp_path / "other"
    for place, seed in ((project.results, 0), (other, 5)):
        parameters = dict(key.parameters) | {"seed": seed}
        write_json(place / "first" / "training.json", {"version": 1, "parameters": parameters})
    compared = compare(project.results, other, provenance(), provenance(seed=5))
    first = next(comparison for comparison in compared if not is_equal(comparison))
    assert (first.key.stage, first.key.run) == ("train", "first")
    assert any("seed was 0 and is 5" in text for text in first.differences)


def test_what_was_deleted_before_it_was_digested_is_not_called_equal(compare, project, provenance):
    first = provenance()
    first["outputs"]["predict"]["cube-c"] = {"fingerprint": "f"}
    compared = compare(project.results, project.results, first, provenance())
    verdicts = {(each.key.stage, each.key.label): each.verdict for each in compared}
    assert verdicts.pop(("predict", "first/cube-c")) == "no digest"
    assert set(verdicts.values()) == {"equal"}


def test_a_stage_that_is_missing_in_one_of_them_differs(compare, project, provenance):
    second = provenance()
    del second["outputs"]["tune"]
    compared = compare(project.results, project.results, provenance(), second)
    (different,) = [comparison for comparison in compared if not is_equal(comparison)]
    assert different.key.stage == "tune"
    assert "missing" in different.differences[0]


def read_in_place(provenance, content, files="1"):
    values = provenance()
    values["configuration"]["volumes"]["cube-a"] |= {
        "synthetic": None,
        "raw": {"path": "/data/cube.zarr", "dataset": "raw"},
    }
    raw = {"digest": content, "files": 9, "bytes": 99, "sample": 1, "read in place": True}
    values["outputs"]["volume"]["cube-a"] = {"fingerprint": "f", "raw": raw}
    return values | {"inputs": {"cube-a": files}}


def test_a_changed_input_that_is_used_in_place_is_the_first_difference(compare, project, provenance):
    first, second = read_in_place(provenance, "a"), read_in_place(provenance, "b")
    second["outputs"]["train"]["first"]["checkpoint digest"] = "another"
    different = [
        each for each in compare(project.results, project.results, first, second) if not is_equal(each)
    ]
    assert [each.key.stage for each in different] == ["volume", "train"]
    assert "the input differs: raw (/data/cube.zarr/raw)" in different[0].differences[0]


def test_files_that_moved_or_were_touched_and_hold_the_same_are_equal(compare, project, provenance):
    first, second = read_in_place(provenance, "a"), read_in_place(provenance, "a", files="2")
    assert all(is_equal(each) for each in compare(project.results, project.results, first, second))


def test_an_imported_volume_whose_files_have_changed_has_another_input(compare, project, provenance):
    first, second = read_in_place(provenance, "a"), read_in_place(provenance, "b", files="2")
    for values in (first, second):
        del values["outputs"]["volume"]["cube-a"]["raw"]["read in place"]
    different = [
        each for each in compare(project.results, project.results, first, second) if not is_equal(each)
    ]
    assert "the files of the volume have changed" in different[0].differences[0]
