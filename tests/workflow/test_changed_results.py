"""Files of results that are not those whose digests ``provenance.json`` contains."""

import pytest

from attacca.atomic import write_json
from attacca.cli.main import main
from attacca.jobs.seals import write_seal
from attacca.manifest import read_values
from attacca.workflow.changed_results import list_changed_results


@pytest.fixture
def recorded(project, provenance):
    """A finished project with seals, whose provenance has the fingerprints of its manifests."""
    project.finish(*project.workflow.instances())
    values = provenance()
    for instance in project.workflow.instances():
        details = values["outputs"][instance.stage.name][instance.volume or instance.run]
        details["fingerprint"] = read_values(instance.manifest(project.workflow.layout))["fingerprint"]
        write_seal(instance, project.workflow.layout)
    project.provenance = {"first": values}
    write_json(project.workflow.layout.provenance("first"), values)
    return project


def test_results_as_they_were_digested_have_not_changed(recorded):
    assert list_changed_results(recorded.results, recorded.provenance) == []


def test_a_changed_file_is_named_with_its_stage(recorded):
    table = recorded.workflow.layout.object_table("first", "cube-c")
    table.write_text("id\n")
    assert list_changed_results(recorded.results, recorded.provenance) == [
        f"objects first/cube-c: {table} is changed"
    ]


def test_a_stage_that_was_computed_again_since_the_digests_is_named(recorded):
    manifest = recorded.instance("tune", "first").manifest(recorded.workflow.layout)
    write_json(manifest, {**read_values(manifest), "fingerprint": "of other settings"})
    assert list_changed_results(recorded.results, recorded.provenance) == [
        "tune first: it was computed again, with other settings or inputs"
    ]


def test_a_comparison_of_changed_results_does_not_end_with_success(recorded, tmp_path, provenance, capsys):
    other = tmp_path / "other"
    write_json(other / "first" / "provenance.json", recorded.provenance["first"])
    command = ["reproduce", str(recorded.results), "--into", str(other), "--compare-only"]
    assert main(command) == 0
    table = recorded.workflow.layout.object_table("first", "cube-c")
    table.write_text("id\n")
    capsys.readouterr()
    assert main(command) == 1
    output = " ".join(capsys.readouterr().out.split())
    assert "has changed since the workflow wrote provenance.json" in output
    assert "all recorded digests" in output and "their content is not compared" in output
