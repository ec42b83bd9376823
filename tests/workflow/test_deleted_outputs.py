"""Deleted outputs are recomputed if a downstream stage needs them, and only then."""

import shutil
from pathlib import Path

import fsspec
import pytest

from attacca.config.load import load_configuration
from attacca.workflow.deleted_outputs import find_deleted_outputs, stages_to_repeat
from attacca.workflow.workflow import Workflow


@pytest.fixture
def finished(project):
    project.finish(*project.workflow.instances())
    return project


def product(project, stage: str, volume: str = "cube-c") -> Path:
    return Path(project.instance(stage, "first", volume).arrays(project.workflow.layout)[0])


def repeated(project, *run: str) -> list[str]:
    """Stages that run again because of their deleted outputs, if other stages run in any case."""
    deleted = find_deleted_outputs(project.workflow)
    found = stages_to_repeat(project.workflow, deleted, lambda stage: stage.stage.name in run)
    return [stage.stage.name for stage in project.workflow.instances() if stage in found]


def test_complete_results_have_no_missing_outputs(finished):
    assert find_deleted_outputs(finished.workflow) == {}
    assert repeated(finished, "fragments") == []


def test_a_segmentation_is_missed_always(finished):
    shutil.rmtree(product(finished, "relabel"))
    assert repeated(finished) == ["relabel"]


def test_what_it_is_made_of_is_missed_with_it_as_far_as_it_is_gone(finished):
    for stage in ("relabel", "fragments", "predict"):
        shutil.rmtree(product(finished, stage))
    assert repeated(finished) == ["predict", "fragments", "relabel"]
    finished.plan(finished.instance("fragments", "first", "cube-c"))
    assert repeated(finished) == ["relabel"]


def test_a_prediction_is_missed_by_a_stage_that_reads_it_and_by_no_other(finished):
    shutil.rmtree(product(finished, "predict"))
    assert list(find_deleted_outputs(finished.workflow)) == [finished.instance("predict", "first", "cube-c")]
    assert repeated(finished) == []
    assert repeated(finished, "relabel", "evaluate") == []
    assert repeated(finished, "graph") == ["predict"]


def test_checkpoints_are_missed_by_a_prediction_that_has_to_be_made_when_none_is_left(finished):
    checkpoints = finished.workflow.layout.training("first") / "checkpoints"
    (checkpoints / "best.json").write_text("{}")
    (checkpoints / "iteration_00000005.pt").touch()
    (checkpoints / "iteration_00000010.pt").unlink()
    assert find_deleted_outputs(finished.workflow) == {}
    (checkpoints / "iteration_00000005.pt").unlink()
    assert list(find_deleted_outputs(finished.workflow)) == [finished.instance("train", "first")]
    assert repeated(finished) == []
    assert repeated(finished, "fragments") == []
    assert repeated(finished, "predict") == ["train"]
    shutil.rmtree(product(finished, "predict"))
    assert repeated(finished) == []
    assert repeated(finished, "fragments") == ["train", "predict"]


def test_an_array_of_a_stage_that_is_only_planned_is_missed(finished):
    predict = finished.instance("predict", "first", "cube-c")
    predict.manifest(finished.workflow.layout).unlink()
    assert repeated(finished) == []
    shutil.rmtree(product(finished, "predict"))
    assert repeated(finished) == ["predict"]


def test_a_remaining_ledger_is_not_an_array(finished):
    place = product(finished, "relabel")
    (place / ".attacca").mkdir(exist_ok=True)
    for found in place.iterdir():
        if found.name != ".attacca":
            found.unlink()
    assert repeated(finished) == ["relabel"]


def test_a_look_up_table_and_a_graph_are_products_too(finished):
    layout = finished.workflow.layout
    layout.look_up_table("first", "cube-c").unlink()
    shutil.rmtree(layout.graph("first", "cube-c"))
    assert repeated(finished) == []
    assert repeated(finished, "relabel") == ["agglomerate", "graph"][::-1]


def test_a_volume_that_is_used_in_place_is_not_expected_among_the_results(finished):
    manifest = finished.instance("volume", volume="cube-c").manifest(finished.workflow.layout)
    text = manifest.read_text()
    arrays = '{"arrays": {"raw": {"dataset": "raw/s9", "in_place": %s}}}'
    manifest.write_text(text.replace('"result": {}', f'"result": {arrays % "true"}'))
    assert find_deleted_outputs(finished.workflow) == {}
    manifest.write_text(text.replace('"result": {}', f'"result": {arrays % "false"}'))
    assert list(find_deleted_outputs(finished.workflow)) == [finished.instance("volume", volume="cube-c")]


def test_every_stage_names_the_stages_that_read_it_after_it(finished):
    order = finished.workflow.instances()
    for position, stage in enumerate(order):
        for upstream in stage.inputs(finished.workflow.configuration).values():
            assert order.index(upstream) < position


def test_the_existence_of_arrays_in_an_object_store_is_checked_there(finished, bucket):
    finished.values = {"storage": f"{bucket}/project"}
    text = finished.path.read_text()
    finished.path.write_text(f"storage: {bucket}/project\n{text}")
    workflow = Workflow(load_configuration(finished.path), (finished.path, {}))
    store = fsspec.filesystem("s3", use_listings_cache=False)
    places = [
        place
        for stage in workflow.instances()
        for place in stage.arrays(workflow.layout)
        if place.startswith("s3://")
    ]
    for place in places:
        store.pipe_file(f"{place.removeprefix('s3://')}/zarr.json", b"{}")
    assert find_deleted_outputs(workflow) == {}
    segmentation = workflow.layout.image("first", "cube-c", "segmentation")
    store.rm(segmentation.removeprefix("s3://"), recursive=True)
    (lost,) = find_deleted_outputs(workflow)
    assert (lost.stage.name, lost.volume) == ("relabel", "cube-c")
    assert stages_to_repeat(workflow, [lost], lambda stage: False) == {lost}
