"""Errors about targets of the command line name what to use instead."""

import logging
import os
import re
from pathlib import Path

import pytest
from snakemake.exceptions import LockException, MissingRuleException

from attacca.jobs.job_locks import hold_workflow_lock
from attacca.workflow.target_hints import TargetHints, explain_target


def filtered(message: str, results: Path) -> str:
    record = logging.LogRecord("snakemake.logging", logging.ERROR, "file", 1, message, (), None)
    assert TargetHints(results).filter(record)
    return record.getMessage()


def test_a_relative_path_of_a_result_is_answered_with_its_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = "results/first/cube/scores.json"
    message = filtered(f"MissingRuleException:\n{MissingRuleException(target)}", tmp_path / "results")
    assert message == f"No rule writes {target}. Targets are absolute paths: {tmp_path / target}."


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("predict", "--until predict_finish"),
        ("/project/results/first/cube.zarr/prediction", "--summary"),
        ("/project/results/first/nowhere/scores.json", "--summary"),
    ],
)
def test_other_targets_are_answered_with_the_option_that_names_them(name, hint):
    message = filtered(str(MissingRuleException(name)), Path("/project/results"))
    assert message.startswith(f"No rule writes {name}. ") and hint in message


def test_a_rule_with_wildcards_as_a_target_is_answered_with_until():
    text = "WorkflowError:\nTarget rules may not contain wildcards. Please specify concrete files"
    assert re.search(r"wildcards\. .*`--until train`", filtered(text, Path("/project/results")))


def test_the_lock_of_a_running_workflow_is_answered_with_its_process_and_that_of_a_killed_one_with_unlock(
    tmp_path,
):
    handle = hold_workflow_lock(tmp_path)
    message = filtered(f"LockException:\n{LockException()}", tmp_path)
    assert message.startswith(f"another workflow writes into {tmp_path} (process {os.getpid()} on ")
    assert "--unlock" not in message
    os.close(handle)
    assert "--unlock" in filtered(f"LockException:\n{LockException()}", tmp_path)


@pytest.mark.parametrize("name", ["/elsewhere/scores.json", "tune_finish", "scores.json"])
def test_a_file_elsewhere_keeps_the_message_of_snakemake(name):
    assert explain_target(name, Path("/project/results")) == ""
    message = str(MissingRuleException(name))
    assert filtered(message, Path("/project/results")) == message
