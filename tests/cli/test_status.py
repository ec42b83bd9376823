"""``attacca status`` for results that are done, missing, stale and being computed."""

import fcntl
import io
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from attacca.cli.main import main
from attacca.jobs.job_locks import hold_job_lock, hold_workflow_lock, job_file
from attacca.progress import Progress
from attacca.workflow.cluster_jobs import read_cluster_jobs
from attacca.workflow.read_states import read_states
from attacca.workflow.stage_state import StageState


def states(project: Any) -> dict[str, StageState]:
    return {
        f"{state.instance.stage.name} {state.instance.label}": state
        for state in read_states(project.workflow)
    }


def test_a_directory_without_results_is_reported_with_a_fix(tmp_path, capsys):
    assert main(["status", str(tmp_path / "nothing")]) != 0
    message = capsys.readouterr().err
    assert str(tmp_path / "nothing") in message
    assert "--configfile" in message


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"configuration_file": "conf',
        '{"configuration_file": 5, "overrides": {}, "configuration_digest": ""}',
    ],
)
def test_a_damaged_record_of_the_last_start_is_reported_with_a_fix(project, capsys, text):
    (project.results / "workflow.json").write_text(text)
    assert main(["status", str(project.results)]) != 0
    message = capsys.readouterr().err
    assert str(project.results / "workflow.json") in message
    assert "--configfile" in message
    assert main(["status", str(project.results), "--configfile", str(project.path)]) == 0


def test_the_directory_of_results_is_by_default_that_of_the_given_configuration(
    project, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["status", "--configfile", str(project.path)]) == 0
    assert f"{project.results}: 0 of" in capsys.readouterr().out


def test_before_anything_ran_every_stage_is_missing_and_none_is_done(project):
    found = states(project)
    assert {state.state for state in found.values()} == {"missing"}
    assert "predict first/cube-c" in found
    assert "targets first/cube-c" not in found


def test_finished_stages_are_done_and_those_after_them_are_missing(project):
    tune = project.instance("tune", "first")
    project.finish_until(tune)
    found = states(project)
    assert found["train first"].state == "done"
    assert found["predict first/cube-b"].state == "done"
    assert (found["predict first/cube-b"].done, found["predict first/cube-b"].blocks) == (27, 27)
    assert found["tune first"].state == "missing"


def test_blocks_are_counted_for_each_shard_even_if_another_job_recorded_them(project):
    predict = project.instance("predict", "first", "cube-b")
    project.finish_until(predict)
    with project.ledger(predict).shard_writer(0, 2) as writer:
        writer.record(*range(11))
    state = states(project)["predict first/cube-b"]
    assert state.state == "partly done"
    assert (state.done, state.blocks) == (11, 27)
    assert [(shard.done, shard.blocks) for shard in state.shards] == [(9, 9), (2, 9), (0, 9)]
    assert not any(shard.running for shard in state.shards)


def test_a_shard_that_is_being_computed_is_running_on_this_machine(project):
    predict = project.instance("predict", "first", "cube-b")
    project.finish_until(predict)
    with project.ledger(predict).shard_writer(1, 3) as writer:
        writer.record(9, 10)
        state = states(project)["predict first/cube-b"]
        assert state.state == "running"
        assert [shard.running for shard in state.shards] == ["", "on this machine", ""]


def test_processes_that_wait_for_a_lock_do_not_disturb(project):
    locked = project.results.parent / "locked"
    with open(locked, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = subprocess.Popen(["flock", str(locked), "true"])
        while f"-> FLOCK  ADVISORY  WRITE {waiting.pid} " not in Path("/proc/locks").read_text():
            assert waiting.poll() is None
            time.sleep(0.01)
        assert {state.state for state in states(project).values()} == {"missing"}
    assert waiting.wait(timeout=60) == 0


@pytest.mark.parametrize("stage", ["train", "tune", "agglomerate", "evaluate"])
def test_a_stage_without_blocks_runs_while_its_job_does_and_shows_its_progress(project, stage, capsys):
    volume = "cube-c" if stage in ("agglomerate", "evaluate") else ""
    instance = project.instance(stage, "first", volume)
    project.finish_until(instance)
    log = instance.log(project.workflow.layout)
    log.parent.mkdir(parents=True, exist_ok=True)
    name = f"{stage} {instance.label}"
    with hold_job_lock(log):
        state = states(project)[name]
        assert (state.state, state.running) == ("running", "on this machine")
        progress = Progress(name, total=40, done=10, interval=0, stream=io.StringIO())
        progress.advance(3)
        progress.advance(2)
        state = states(project)[name]
        assert (state.done, state.blocks) == (15, 40)
        assert state.seconds_left > 0
        assert main(["status", str(project.results)]) == 0
        assert "nothing runs" not in capsys.readouterr().out
    assert states(project)[name].state != "running"


@pytest.mark.parametrize("part", ["_plan", "_shard_1_of_3", "_finish"])
def test_a_stage_with_blocks_runs_while_any_of_its_jobs_does(project, part):
    predict = project.instance("predict", "first", "cube-b")
    project.finish_until(predict)
    if part != "_plan":
        project.plan(predict)
    log = predict.log(project.workflow.layout, part)
    log.parent.mkdir(parents=True)
    with hold_job_lock(log):
        assert states(project)["predict first/cube-b"].state == "running"


def test_a_stage_that_is_computed_again_runs_and_is_not_stale(project, values):
    tune = project.instance("tune", "first")
    project.finish_until(project.instance("fragments", "first", "cube-b"))
    changed = values()
    changed["runs"]["first"]["segmentation"] |= {"min_size": [7]}
    project.write(changed)
    log = tune.log(project.workflow.layout)
    log.parent.mkdir(parents=True)
    assert states(project)["tune first"].state == "stale"
    with hold_job_lock(log):
        assert states(project)["tune first"].state == "running"


def test_a_training_that_was_killed_runs_no_more_though_its_metrics_are_fresh(project):
    train = project.instance("train", "first")
    project.finish_until(train)
    table = project.workflow.layout.training("first") / "metrics.tsv"
    table.parent.mkdir(parents=True)
    table.write_text("iteration\tloss\n3\t0.5\n")
    log = train.log(project.workflow.layout)
    log.parent.mkdir(parents=True)
    left = job_file(log)
    left.write_text(json.dumps({"host": socket.gethostname(), "done": 9, "total": 10}))
    state = states(project)["train first"]
    assert (state.state, state.done) == ("partly done", 3)
    left.write_text(json.dumps({"host": "another-machine"}))
    assert states(project)["train first"].state == "running"


@pytest.mark.parametrize("columns", [44, 60])
def test_a_narrow_terminal_folds_names_and_keeps_states_and_numbers(project, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    project.finish_until(project.instance("predict", "first", "cube-b"))
    assert main(["status", str(project.results)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["stage", "of", "state", "blocks", "time", "left"]
    assert any(line.split()[0] == "train" and line.split()[-1] == "done" for line in lines)
    assert not any("…" in line for line in lines)


def test_between_two_jobs_status_reports_a_running_workflow(project, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    handle = hold_workflow_lock(project.results)
    assert main(["status", str(project.results)]) == 0
    assert "about to start its next job" in capsys.readouterr().out
    os.close(handle)
    assert main(["status", str(project.results)]) == 0
    assert "nothing runs" in capsys.readouterr().out


def test_after_a_failed_job_its_cause_has_to_be_removed_first(project, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    train = project.instance("train", "first")
    project.finish_until(train)
    log = train.log(project.workflow.layout, "")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("2026-01-01 10:00:00,000 ERROR attacca: the loss is not finite\n")
    assert main(["status", str(project.results)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("a job failed: the loss is not finite" in line and str(log) in line for line in lines)
    assert lines[-1].endswith(
        "nothing runs: remove the cause of the failed job, then start the workflow again to continue"
    )


def test_time_left_follows_from_what_the_job_has_done_since_its_start(project, monkeypatch):
    predict = project.instance("predict", "first", "cube-b")
    project.finish_until(predict)
    log = predict.log(project.workflow.layout, "_shard_0_of_3")
    log.parent.mkdir(parents=True)
    log.write_text("2020-01-01 00:00:00,000 INFO attacca: 1 of 9 blocks are done already\n")
    with project.ledger(predict).shard_writer(0, 3) as writer:
        writer.record(*range(5))
        shard = states(project)["predict first/cube-b"].shards[0]
    # Four of eight blocks took all the time until now.
    start = 1577836800
    assert shard.seconds_left == pytest.approx(
        project.ledger(predict).files()[0].path.stat().st_mtime - start, rel=0.01
    )


def test_a_changed_parameter_makes_dependent_stages_stale_and_is_named(project, values):
    project.finish_until(project.instance("fragments", "first", "cube-b"))
    changed = values()
    changed["runs"]["first"]["prediction"] = {"dtype": "float16"}
    project.write(changed)
    found = states(project)
    assert found["train first"].state == "done"
    assert found["predict first/cube-b"].state == "stale"
    assert "prediction.dtype" in found["predict first/cube-b"].reason
    assert "float16" in found["predict first/cube-b"].reason
    assert found["tune first"].state == "stale"
    assert found["tune first"].reason == "predict first/cube-b is stale"


@pytest.mark.parametrize(
    ("key", "value", "stage"),
    [("border_in", "sections", "tune first"), ("regions", True, "evaluate first/cube-b")],
)
@pytest.mark.parametrize("is_removed", [False, True])
def test_a_setting_that_is_omitted_at_its_default_makes_results_stale(
    project, values, key, value, stage, is_removed
):
    plain, changed = values(), values()
    for item in (plain, changed):
        item["runs"]["first"].setdefault("evaluation", {})["border"] = 8
    changed["runs"]["first"]["evaluation"][key] = value
    old, new = (changed, plain) if is_removed else (plain, changed)
    project.write(old)
    last = project.instance("evaluate", "first", "cube-b")
    project.finish_until(last)
    project.finish(last)
    assert states(project)[stage].state == "done"
    project.write(new)
    found = states(project)[stage]
    assert found.state == "stale" and f"evaluation.{key}" in found.reason


def test_a_changed_file_of_a_volume_is_reported_with_its_key_and_path(project, values):
    changed = values()
    for name, number in (("raw", 1), ("labels", 2)):
        with h5py.File(project.path.with_name(f"{name}.h5"), "w") as file:
            file["data"] = np.full((48, 48, 48), number, np.uint8)
    sources = {name: {"path": f"{name}.h5"} for name in ("raw", "labels")}
    changed["volumes"]["cube-a"] = {**sources, "voxel_size": [8, 8, 8]}
    project.write(changed)
    project.finish(project.instance("volume", volume="cube-a"))
    assert states(project)["volume cube-a"].reason == ""
    with h5py.File(project.path.with_name("labels.h5"), "a") as file:
        file["more"] = 3
    reason = states(project)["volume cube-a"].reason
    place = project.path.parent
    assert f"volumes.cube-a.labels ({place}/labels.h5)" in reason
    assert f"volumes.cube-a.raw ({place}/raw.h5)" in reason
    assert "source" not in reason


def test_blocks_under_an_old_parameter_are_stale_before_the_stage_is_finished(project, values):
    predict = project.instance("predict", "first", "cube-b")
    project.finish_until(predict)
    with project.ledger(predict).shard_writer() as writer:
        writer.record(*range(13))
    changed = values()
    changed["runs"]["first"]["prediction"] = {"augmentation": "flips"}
    project.write(changed)
    state = states(project)["predict first/cube-b"]
    assert (state.state, state.done) == ("stale", 0)
    assert "augmentation" in state.reason


def test_half_of_a_stage_is_stale_when_what_it_reads_is(project, values):
    fragments = project.instance("fragments", "first", "cube-b")
    project.finish_until(fragments)
    with project.ledger(fragments).shard_writer() as writer:
        writer.record(*range(13))
    assert states(project)["fragments first/cube-b"].state == "partly done"
    changed = values()
    changed["runs"]["first"]["segmentation"] |= {"min_size": [7]}
    project.write(changed)
    found = states(project)
    assert "segmentation.min_size" in found["tune first"].reason
    assert (found["fragments first/cube-b"].state, found["fragments first/cube-b"].done) == ("stale", 0)
    assert found["fragments first/cube-b"].reason == "tune first is stale"


def test_execution_settings_make_nothing_stale(project, values):
    project.finish_until(project.instance("evaluate", "first", "cube-b"))
    project.write(values(shards=7, log_level="debug", retries=0))
    assert not [state for state in states(project).values() if state.state == "stale"]


def test_a_stage_whose_input_was_made_again_is_stale(project):
    project.finish_until(project.instance("relabel", "first", "cube-b"))
    tune = project.instance("tune", "first")
    path = tune.manifest(project.workflow.layout)
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | {"fingerprint": "f" * 64}))
    found = states(project)
    assert found["tune first"].state == "done"
    assert found["fragments first/cube-b"].state == "stale"
    assert "tune first was recomputed" in found["fragments first/cube-b"].reason


def test_a_deleted_array_leaves_no_blocks_done(project):
    predict = project.instance("predict", "first", "cube-b")
    project.finish_until(predict)
    with project.ledger(predict).shard_writer() as writer:
        writer.record(*range(20))
    shutil.rmtree(predict.arrays(project.workflow.layout)[0])
    assert states(project)["predict first/cube-b"].done == 0


def test_deleted_checkpoints_are_reported_with_their_users(project):
    project.finish(*project.workflow.instances())
    shutil.rmtree(project.workflow.layout.training("first") / "checkpoints")
    state = states(project)["train first"]
    assert state.state == "done"
    assert "first/training/checkpoints/*.pt" in state.reason and "nothing needs" in state.reason
    project.instance("predict", "first", "cube-c").manifest(project.workflow.layout).unlink()
    assert states(project)["train first"].state == "stale"


def test_the_table_and_the_json_agree(project, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    predict = project.instance("predict", "first", "cube-b")
    project.finish_until(predict)
    with project.ledger(predict).shard_writer(0, 3) as writer:
        writer.record(0, 1, 2)
    assert main(["status", str(project.results), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    state = next(item for item in plain if (item["stage"], item["volume"]) == ("predict", "cube-b"))
    assert (state["state"], state["done"], state["blocks"]) == ("partly done", 3, 27)
    assert main(["status", str(project.results)]) == 0
    text = capsys.readouterr().out
    assert "3/27" in text
    assert "shard 1 of 3" in text
    assert "start the workflow again" in text


def test_jobs_in_a_slurm_queue_are_found_by_their_rule(tmp_path, monkeypatch, project):
    program = tmp_path / "squeue"
    program.write_text("#!/bin/sh\necho '17|RUNNING|rule_predict_shard_wildcards_first_cube-b_1_3|n2'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert read_cluster_jobs()["rule_predict_shard_wildcards_first_cube-b_1_3"].node == "n2"
    predict = project.instance("predict", "first", "cube-b")
    project.finish_until(predict)
    with project.ledger(predict).shard_writer(1, 3) as writer:
        writer.record(9)
    state = states(project)["predict first/cube-b"]
    assert state.state == "running"
    assert state.shards[1].running == "SLURM job 17 running on n2"


@pytest.mark.parametrize(
    "damage",
    [
        lambda values: values.pop("inputs"),
        lambda values: values["result"]["arrays"]["raw"].pop("dataset"),
        lambda values: values["result"].update(shape=float("inf")),
        lambda values: values["inputs"].update({"volume.cube-a": {}}),
    ],
)
def test_a_damaged_manifest_of_a_volume_gives_no_traceback(project, capsys, damage):
    project.finish(*project.workflow.instances())
    path = project.instance("volume", "", "cube-a").manifest(project.workflow.layout)
    values = json.loads(path.read_text())
    values["result"].setdefault("arrays", {}).setdefault("raw", {"dataset": "raw/s0"})
    damage(values)
    path.write_text(json.dumps(values))
    assert main(["status", str(project.results)]) == 0
    assert "cube-a" in capsys.readouterr().out
