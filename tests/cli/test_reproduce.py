"""``attacca reproduce``: comparison of two directories of results by their digests."""

import copy
import json

import pytest
import yaml

from attacca.atomic import write_json
from attacca.cli.main import main
from attacca.cli.reproduce import compare, read_provenances, write_configuration
from attacca.config.load import load_configuration
from attacca.errors import ConfigurationError, MissingInputError
from attacca.stages.catalogue import instances
from attacca.stages.provenance import outputs, seeds
from attacca.stages.surroundings import hardware, package_versions, source_state


def provenance(project, seed=0):
    """What the provenance stage would write, with digests that depend on the seed from training on."""
    section = json.loads(project.workflow.section("provenance", "first"))
    section["run"]["seed"] = seed
    found = {}
    late = False
    for instance in instances(project.workflow):
        late = late or instance.stage.name == "train"
        details = {"fingerprint": "f", "checkpoint digest": f"{instance.label} {seed if late else 0}"}
        found.setdefault(instance.stage.name, {})[instance.volume or instance.run] = details
    return {
        "configuration": {"runs": {"first": section["run"]}, "volumes": section["volumes"]},
        "outputs": found,
    }


def test_equal_digests_are_equal_whatever_else_the_files_say(project):
    first = provenance(project)
    second = copy.deepcopy(first) | {"hardware": {"cores": 7}}
    for details in second["outputs"]["train"].values():
        details["fingerprint"] = "another"
    compared = compare(project.results, project.results, first, second)
    assert len(compared) == len(instances(project.workflow))
    assert all(comparison.equal for comparison in compared)


def test_the_first_difference_is_in_the_first_stage_that_the_seed_reaches(project):
    compared = compare(project.results, project.results, provenance(project), provenance(project, seed=1))
    different = [comparison.instance.stage.name for comparison in compared if not comparison.equal]
    assert different[0] == "train"
    assert "volume" not in different
    assert "targets" not in different


def test_the_reason_is_read_from_both_manifests(project, tmp_path):
    train = project.instance("train", "first")
    project.finish_until(train)
    key = project.key(train)
    other = tmp_path / "other"
    for place, seed in ((project.results, 0), (other, 5)):
        parameters = dict(key.parameters) | {"seed": seed}
        write_json(place / "first" / "training.json", {"version": 1, "parameters": parameters})
    compared = compare(project.results, other, provenance(project), provenance(project, seed=5))
    first = next(comparison for comparison in compared if not comparison.equal)
    assert first.instance == train
    assert any("seed was 0 and is 5" in text for text in first.differences)


def test_both_results_are_compared_on_the_command_line(project, tmp_path, capsys):
    other = tmp_path / "other"
    write_json(project.results / "first" / "provenance.json", provenance(project))
    write_json(other / "first" / "provenance.json", provenance(project))
    command = ["reproduce", str(project.results), "--into", str(other), "--compare-only"]
    assert main(command) == 0
    assert "all digests" in capsys.readouterr().out
    write_json(other / "first" / "provenance.json", provenance(project, seed=3))
    assert main(command) == 1
    assert "the first difference is in train of first" in capsys.readouterr().out


def test_results_are_not_reproduced_onto_themselves(project, capsys):
    assert main(["reproduce", str(project.results), "--into", str(project.results)]) == 2
    assert "another directory" in capsys.readouterr().err


def test_results_without_provenance_are_told_to_finish_first(project):
    with pytest.raises(MissingInputError, match="finish first"):
        read_provenances(project.results, None)


def test_the_configuration_comes_from_the_provenance_not_from_the_file(project, values, tmp_path):
    known = {"first": provenance(project)}
    changed = values()
    changed["runs"]["first"]["seed"] = 9
    project.write(changed)
    path = tmp_path / "again" / "config.yaml"
    path.parent.mkdir()
    write_configuration(path, known, project.results, None)
    again = load_configuration(path)
    assert again.runs["first"].seed == 0
    assert again.results == path.parent
    write_configuration(path, known, project.results, project.path)
    assert load_configuration(path).runs["first"].seed == 9


def test_another_configuration_must_have_the_runs(project, values, tmp_path):
    known = {"first": provenance(project)}
    renamed = values()
    renamed["runs"]["second"] = renamed["runs"].pop("first")
    path = tmp_path / "renamed.yaml"
    path.write_text(yaml.safe_dump(renamed))
    with pytest.raises(ConfigurationError, match="no run first"):
        write_configuration(tmp_path / "again.yaml", known, project.results, path)


def test_outputs_tell_digests_of_arrays_by_name(project):
    project.finish_until(project.instance("predict", "first", "cube-b"))
    found = outputs(project.workflow)
    assert found["volume"]["cube-a"]["raw"]["files"] == 1
    assert len(found["volume"]["cube-a"]["raw"]["digest"]) == 64
    assert "fingerprint" in found["train"]["first"]
    assert "predict" not in found


def test_seeds_versions_checkout_and_hardware_are_known(project):
    found = seeds(project.workflow.configuration, "first")
    assert found == {"run": 0, "volume cube-a": 0, "volume cube-b": 1, "volume cube-c": 2}
    versions = package_versions()
    assert versions["torch"] and versions["zarr"].startswith("2.")
    assert any(item.startswith("numpy==") for item in versions["environment"])
    assert hardware()["cores"] >= 1
    state = source_state()
    assert not state or len(state["commit"]) == 40
