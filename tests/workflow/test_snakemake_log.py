"""Messages of Snakemake that users see."""

import logging

import pytest

from attacca.workflow.snakemake_log import _MessageFilter


@pytest.mark.parametrize(
    ("level", "message", "is_shown"),
    [
        (logging.INFO, "Select jobs to execute...", False),
        (logging.INFO, "Execute 3 jobs...", False),
        (logging.INFO, "Building DAG of jobs...", True),
        (
            logging.ERROR,
            "RuleException:\nCalledProcessError in file common.smk, line 48:\nCommand ...",
            False,
        ),
        (logging.ERROR, "Exiting because a job execution failed.", True),
    ],
)
def test_choices_of_the_scheduler_and_failed_commands_are_not_shown(level, message, is_shown):
    record = logging.LogRecord("snakemake.logging", level, "file", 1, message, (), None)
    assert _MessageFilter().filter(record) == is_shown


def test_the_error_of_a_job_is_shown_without_its_command():
    record = logging.LogRecord("snakemake.logging", logging.ERROR, "file", 1, "", (), None)
    record.shellcmd = "python -m attacca.stages.volume --parameters '{...}'"
    assert _MessageFilter().filter(record) and record.shellcmd is None
