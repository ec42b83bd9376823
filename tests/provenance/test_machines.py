"""Notes of the machines that computed results, and their reading for results that are still valid."""

import json

import pytest

from attacca.atomic import write_json
from attacca.manifest import read_manifest
from attacca.provenance.machines import (
    describe_machine,
    note_machine,
    read_machines,
    shard_note,
)
from attacca.stages.provenance import locate_machine_notes


@pytest.fixture
def noted(project):
    """Notes a machine of the training, or of a shard of the prediction of a volume, as its stage does."""
    layout = project.workflow.layout

    def note(name, volume="", shard=(0, 1)):
        stage = project.instance("predict" if volume else "train", "first", volume)
        project.finish_until(stage)
        project.finish(stage)
        place = (
            shard_note(layout, "first", volume, "predict", shard)
            if volume
            else layout.training_files("first").machines
        )
        note_machine(place, project.key(stage).fingerprint, {"processor": name})

    return note


def machines_of(project):
    return read_machines(
        locate_machine_notes(project.workflow.configuration, project.workflow.layout, "first")
    )


def test_a_machine_has_a_processor_gpus_and_the_device_of_the_network(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    found = describe_machine("cuda:0 (A100)")
    assert found["processor"] and isinstance(found["gpus"], list)
    assert (found["device"], found["visible gpus"]) == ("cuda:0 (A100)", "3")


def test_machines_of_training_and_shards_are_listed_once_each(project, noted):
    assert machines_of(project) == {}
    noted("gpu node")
    noted("gpu node")
    for shard, name in enumerate(("a", "b", "a")):
        noted(name, "cube-c", (shard, 3))
    assert machines_of(project) == {
        "train": [{"processor": "gpu node"}],
        "predict cube-c": [{"processor": "a"}, {"processor": "b"}],
    }


def test_a_training_that_was_continued_elsewhere_has_two_machines(project, noted):
    noted("first")
    noted("second")
    assert machines_of(project)["train"] == [
        {"processor": "first"},
        {"processor": "second"},
    ]


def test_machines_of_results_that_were_computed_again_are_dropped(project, noted):
    noted("old", "cube-c", (0, 2))
    path = project.instance("predict", "first", "cube-c").manifest(project.workflow.layout)
    values = json.loads(path.read_text())
    write_json(path, {**values, "parameters": {**values["parameters"], "dtype": "float16"}})
    assert machines_of(project) == {}


def test_a_manifest_is_the_same_wherever_a_result_was_computed(project, noted):
    noted("gpu node")
    path = project.instance("train", "first").manifest(project.workflow.layout)
    assert "gpu node" not in path.read_text()
    before = read_manifest(path).fingerprint
    noted("another node")
    assert read_manifest(path).fingerprint == before
