"""Comparison of two directories of results by their digests."""

import copy

from attacca.atomic import write_json
from attacca.provenance.comparison import compare
from attacca.workflow.catalogue import instances


def test_equal_digests_are_equal_whatever_else_the_files_say(project, provenance):
    first = provenance()
    second = copy.deepcopy(first) | {"hardware": {"cores": 7}}
    for details in second["outputs"]["train"].values():
        details["fingerprint"] = "another"
    compared = compare(project.results, project.results, first, second)
    assert len(compared) == len(instances(project.workflow))
    assert all(comparison.equal for comparison in compared)


def test_the_first_difference_is_in_the_first_stage_that_the_seed_reaches(project, provenance):
    compared = compare(project.results, project.results, provenance(), provenance(seed=1))
    different = [comparison.instance.stage.name for comparison in compared if not comparison.equal]
    assert different[0] == "train"
    assert "volume" not in different
    assert "targets" not in different


def test_the_reason_is_read_from_both_manifests(project, provenance, tmp_path):
    train = project.instance("train", "first")
    project.finish_until(train)
    key = project.key(train)
    other = tmp_path / "other"
    for place, seed in ((project.results, 0), (other, 5)):
        parameters = dict(key.parameters) | {"seed": seed}
        write_json(place / "first" / "training.json", {"version": 1, "parameters": parameters})
    compared = compare(project.results, other, provenance(), provenance(seed=5))
    first = next(comparison for comparison in compared if not comparison.equal)
    assert first.instance == train
    assert any("seed was 0 and is 5" in text for text in first.differences)


def test_what_was_deleted_before_it_was_digested_is_not_called_equal(project, provenance):
    first = provenance()
    first["outputs"]["predict"]["cube-c"] = {"fingerprint": "f"}
    compared = compare(project.results, project.results, first, provenance())
    verdicts = {(each.instance.stage.name, each.instance.label): each.verdict for each in compared}
    assert verdicts.pop(("predict", "first/cube-c")) == "no digest"
    assert set(verdicts.values()) == {"equal"}


def test_a_stage_that_is_missing_in_one_of_them_differs(project, provenance):
    second = provenance()
    del second["outputs"]["tune"]
    compared = compare(project.results, project.results, provenance(), second)
    (different,) = [comparison for comparison in compared if not comparison.equal]
    assert different.instance.stage.name == "tune"
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


def test_an_input_that_was_changed_where_it_stands_is_the_first_difference(project, provenance):
    first, second = read_in_place(provenance, "a"), read_in_place(provenance, "b")
    second["outputs"]["train"]["first"]["checkpoint digest"] = "another"
    different = [each for each in compare(project.results, project.results, first, second) if not each.equal]
    assert [each.instance.stage.name for each in different] == ["volume", "train"]
    assert "the input differs: raw (/data/cube.zarr/raw)" in different[0].differences[0]


def test_files_that_moved_or_were_touched_and_hold_the_same_are_equal(project, provenance):
    first, second = read_in_place(provenance, "a"), read_in_place(provenance, "a", files="2")
    assert all(each.equal for each in compare(project.results, project.results, first, second))


def test_an_imported_volume_whose_files_have_changed_is_said_to_have_another_input(project, provenance):
    first, second = read_in_place(provenance, "a"), read_in_place(provenance, "b", files="2")
    for values in (first, second):
        del values["outputs"]["volume"]["cube-a"]["raw"]["read in place"]
    different = [each for each in compare(project.results, project.results, first, second) if not each.equal]
    assert "the files that the volume is made of have changed" in different[0].differences[0]
