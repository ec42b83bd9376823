"""Failed jobs, found by the messages in their logs."""

import os

import pytest

from attacca.atomic import write_json
from attacca.workflow.failures import find_last_failure
from attacca.workflow.read_states import read_states

STARTED = "2026-01-01 10:00:00,000 INFO attacca: python -m attacca.stages.predict shard\n"
FAILED = STARTED + "2026-01-01 10:00:05,000 ERROR attacca: labels.h5 has no labels; name another data set\n"
DEFECT = (
    STARTED
    + "2026-01-01 10:00:05,000 ERROR attacca: unexpected error\nTraceback (most recent call last):\nKeyError: 'raw'\n"
)


@pytest.fixture
def predict(project):
    instance = project.instance("predict", "first", "cube-b")
    project.finish_until(instance)
    return instance


@pytest.fixture
def failure(project, predict):
    """Writes the log of a job of the prediction and returns the failure that is found in it."""

    def find(text, part="_shard_1_of_3", age=0.0):
        log = predict.log(project.workflow.layout, part)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(text)
        os.utime(log, (log.stat().st_mtime - age,) * 2)
        return find_last_failure(predict, project.workflow.layout, 3)

    return find


def test_the_message_and_the_log_of_a_failed_job_are_reported(failure):
    found = failure(FAILED)
    assert found.log.name == "predict_shard_1_of_3.log"
    assert str(found).startswith("a job failed: labels.h5 has no labels")
    assert str(found.log) in str(found)


def test_the_last_line_of_the_traceback_of_a_defect_is_reported(failure):
    assert failure(DEFECT).message == "KeyError: 'raw'"


def test_a_job_that_was_started_again_or_killed_has_not_failed(failure):
    assert failure(FAILED) is not None
    assert failure(STARTED) is None


def test_errors_of_single_blocks_that_were_tried_again_are_not_failures(failure):
    assert (
        failure(STARTED + "2026-01-01 10:00:01,000 ERROR attacca.blockwise.tally: block 3: no memory\n")
        is None
    )


def test_failures_before_the_stage_was_planned_again_do_not_count(project, predict, failure):
    project.plan(predict)
    assert failure(FAILED) is not None
    assert failure(FAILED, age=3600) is None


def test_shards_of_another_number_or_that_are_done_since_do_not_count(project, predict, failure):
    assert failure(FAILED, part="_shard_0_of_7") is None
    assert failure(FAILED) is not None
    write_json(predict.shard(project.workflow.layout, 1, 3), {})
    assert failure(FAILED) is None


def test_status_gives_the_reason_until_the_stage_is_done(project, predict, failure):
    failure(FAILED)

    def reason():
        return next(state.reason for state in read_states(project.workflow) if state.instance == predict)

    assert "labels.h5 has no labels" in reason()
    project.finish(predict)
    assert reason() == ""
