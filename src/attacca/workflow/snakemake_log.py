"""Filter of the messages that Snakemake prints."""

import logging

_SCHEDULER_MESSAGES = ("Select jobs to execute...", "Execute ")
_NO_GROUPS = "Group jobs: inactive"
_FAILED_COMMAND = "CalledProcessError in file"


class _MessageFilter(logging.Filter):
    """Drops messages about each choice of the scheduler and about groups of jobs, and the commands of failed jobs.

    A failed job has printed its own message, which a command of a thousand characters would hide.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if hasattr(record, "shellcmd") and record.levelno >= logging.ERROR:
            record.shellcmd = None
        message = record.getMessage()
        if record.levelno >= logging.ERROR and _FAILED_COMMAND in message:
            return False
        if message.startswith(_NO_GROUPS):
            return False
        return not (message.startswith(_SCHEDULER_MESSAGES) and message.endswith("..."))


def shorten_messages() -> None:
    """Have this Snakemake process print neither the choices of its scheduler nor the commands of failed jobs."""
    logging.getLogger("snakemake.logging").addFilter(_MessageFilter())
