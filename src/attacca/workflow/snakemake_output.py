"""What Snakemake prints: lines that tell a person nothing are left out."""

import logging

_SAYS_NOTHING = ("Select jobs to execute...", "Execute ")


class _Housekeeping(logging.Filter):
    """Lets everything pass but the scheduler's announcement of every choice that it makes."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not (message.startswith(_SAYS_NOTHING) and message.endswith("..."))


def leave_out_housekeeping() -> None:
    """Have this Snakemake process print no line for each choice of its scheduler."""
    logging.getLogger("snakemake.logging").addFilter(_Housekeeping())
