"""Trigger files: inputs of rules that are newer than stale results."""

import json
import shutil
from pathlib import Path

import pytest

from attacca.fingerprint import digest
from attacca.report import write_report
from attacca.stages.provenance import PROVENANCE
from attacca.stages.report import REPORT
from attacca.stages.train import TRAIN
from attacca.workflow.rerun_triggers import RerunTriggers
from attacca.workflow.workflow import Workflow


def stale(project, stage: str, run: str = "", volume: str = "") -> bool:
    """Return whether a stage's trigger file is newer than its first file, as Snakemake sees it."""
    triggers = RerunTriggers(project.workflow, active=True, directory=project.results.parent / "triggers")
    instance = project.instance(stage, run, volume)
    trigger = Path(triggers.trigger(instance.stage, run, volume))
    return trigger.stat().st_mtime > instance.first_file(project.workflow.layout).stat().st_mtime


def changed(project, change) -> None:
    values = project.values
    change(values)
    project.write(values)


@pytest.fixture
def finished(project, values):
    """Everything before the choice of parameters is finished."""
    project.values = values(shards={"predict": 3, "default": 1})
    project.finish_until(project.instance("tune", "first"))
    return project


def test_what_was_computed_with_the_present_settings_is_not_stale(finished):
    assert not stale(finished, "volume", volume="cube-a")
    assert not stale(finished, "targets", "first", "cube-a")
    assert not stale(finished, "train", "first")
    assert not stale(finished, "predict", "first", "cube-b")


def test_another_setting_makes_the_stage_stale_and_setting_it_back_does_not_leave_a_trace(finished):
    changed(finished, lambda values: values["runs"]["first"].update(seed=9))
    assert stale(finished, "train", "first")
    assert not stale(finished, "targets", "first", "cube-a")
    changed(finished, lambda values: values["runs"]["first"].pop("seed"))
    assert not stale(finished, "train", "first")


def test_the_trigger_of_a_stale_stage_has_another_content_at_each_start_and_that_of_a_current_stage_has_not(
    finished,
):
    # Snakemake records the content with each job. A newer file of the recorded content reruns nothing, although the
    # same array may be deleted for the second time.
    def read(volume: str) -> str:
        triggers = RerunTriggers(
            finished.workflow, active=True, directory=finished.results.parent / "triggers"
        )
        return Path(
            triggers.trigger(finished.instance("targets", "first", volume).stage, "first", volume)
        ).read_text()

    changed(finished, lambda values: values["volumes"]["cube-a"]["synthetic"].update(seed=77))
    finished.finish(finished.instance("volume", volume="cube-a"))
    assert len({read("cube-a") for _ in range(3)}) == 3
    assert len({read("cube-b") for _ in range(3)}) == 1


def test_a_stage_that_is_only_planned_is_stale_too(finished):
    for volume in ("cube-b", "cube-c"):
        finished.instance("predict", "first", volume).manifest(finished.workflow.layout).unlink(
            missing_ok=True
        )
    changed(finished, lambda values: values["runs"]["first"].update(prediction={"dtype": "float32"}))
    assert stale(finished, "predict", "first", "cube-b")


def test_an_input_that_was_made_again_makes_what_read_it_stale(finished):
    changed(finished, lambda values: values["volumes"]["cube-a"]["synthetic"].update(seed=77))
    finished.finish(finished.instance("volume", volume="cube-a"))
    assert stale(finished, "targets", "first", "cube-a")
    assert not stale(finished, "targets", "first", "cube-b")


def test_one_more_input_makes_a_stage_stale_and_so_does_one_less(finished):
    tune = finished.instance("tune", "first")
    finished.finish(tune)
    assert not stale(finished, "tune", "first")
    changed(
        finished,
        lambda values: values["runs"]["first"]["volumes"].update(validate=["cube-b", "cube-c"], test=[]),
    )
    assert stale(finished, "tune", "first")
    finished.finish_until(tune)
    finished.finish(tune)
    assert not stale(finished, "tune", "first")
    changed(finished, lambda values: values["runs"]["first"]["volumes"].update(validate=["cube-b"]))
    assert stale(finished, "tune", "first")


def test_jobs_leave_trigger_files_unchanged(finished):
    directory = finished.results.parent / "triggers"
    passive = RerunTriggers(finished.workflow, active=False, directory=directory)
    assert not Path(passive.trigger(TRAIN, "first")).exists()
    active = RerunTriggers(finished.workflow, active=True, directory=directory)
    # All of them exist before Snakemake lists a directory.
    assert Path(passive.trigger(TRAIN, "first")).exists()
    assert active.trigger(TRAIN, "first") == passive.trigger(TRAIN, "first")
    assert Path(passive.trigger(TRAIN, "first")).exists()


def test_workflows_with_other_results_have_trigger_files_of_their_own(finished, tmp_path):
    other = Workflow(finished.workflow.configuration.model_copy(update={"results": tmp_path / "elsewhere"}))
    both = [
        RerunTriggers(workflow, active=False, directory=tmp_path) for workflow in (finished.workflow, other)
    ]
    assert both[0].trigger(TRAIN, "first") != both[1].trigger(TRAIN, "first")


@pytest.fixture
def reported(finished):
    """Everything is finished, the report too."""
    finished.finish(*finished.workflow.instances())
    for path in finished.workflow.provenance_files():
        path.write_text(
            json.dumps({"configuration": PROVENANCE.section(finished.workflow.configuration, "first")})
        )
    section = json.loads(finished.workflow.section(REPORT))
    page = finished.workflow.layout.report()
    write_report(finished.results, page, section["runs"], section["volumes"], settings=digest(section))
    return finished


def report_is_stale(project) -> bool:
    triggers = RerunTriggers(project.workflow, active=True, directory=project.results.parent / "triggers")
    page = project.workflow.layout.report()
    return Path(triggers.trigger(REPORT)).stat().st_mtime > page.stat().st_mtime


def test_a_report_that_was_written_with_other_settings_is_stale(reported):
    assert not report_is_stale(reported)
    changed(reported, lambda values: values["runs"].update(second=values["runs"]["first"]))
    assert report_is_stale(reported)


def test_what_reads_a_deleted_manifest_is_stale_because_snakemake_does_not_miss_it(reported):
    layout = reported.workflow.layout
    reported.instance("predict", "first", "cube-c").manifest(layout).unlink()
    assert stale(reported, "fragments", "first", "cube-c")
    assert not stale(reported, "fragments", "first", "cube-b")
    assert not report_is_stale(reported)


def test_a_report_is_stale_if_a_result_or_the_provenance_was_deleted(reported):
    shutil.rmtree(reported.results / "first" / "cube-c")
    assert report_is_stale(reported)
    reported.finish(*reported.workflow.instances())
    assert not report_is_stale(reported)
    reported.workflow.layout.provenance("first").unlink()
    assert report_is_stale(reported)


def test_a_report_is_stale_if_the_table_of_scores_was_deleted(reported):
    reported.workflow.layout.scores_table().unlink()
    assert report_is_stale(reported)


def test_a_stage_whose_plan_snakemake_deleted_is_planned_again(reported):
    layout = reported.workflow.layout
    predict = reported.instance("predict", "first", "cube-c")
    mark = predict.shard(layout, 0, 1)
    mark.touch()
    RerunTriggers(reported.workflow, active=True, directory=reported.results.parent / "triggers")
    assert mark.exists() and predict.manifest(layout).exists()
    predict.plan(layout).unlink()
    RerunTriggers(reported.workflow, active=False, directory=reported.results.parent / "triggers")
    assert mark.exists() and predict.manifest(layout).exists()
    RerunTriggers(reported.workflow, active=True, directory=reported.results.parent / "triggers")
    assert not mark.exists() and not predict.manifest(layout).exists()
