"""Filter of the messages that Snakemake prints."""

import logging

_SCHEDULER_MESSAGES = ("Select jobs to execute...", "Execute ")


class _SchedulerFilter(logging.Filter):
    """Drops the scheduler's message about each of its choices."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not (message.startswith(_SCHEDULER_MESSAGES) and message.endswith("..."))


def hide_scheduler_messages() -> None:
    """Have this Snakemake process print no message for each choice of its scheduler."""
    logging.getLogger("snakemake.logging").addFilter(_SchedulerFilter())
