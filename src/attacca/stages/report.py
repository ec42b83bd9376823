"""Writes the page that shows all runs."""

import sys

from attacca.fingerprint import digest
from attacca.jobs.command import StageArguments, stage_main
from attacca.report import write_report


def work(arguments: StageArguments) -> None:
    """Write ``report.html`` and ``scores.tsv``."""
    write_report(
        arguments.layout.results,
        arguments.output,
        arguments.parameters["runs"],
        arguments.parameters["volumes"],
        storage=arguments.layout.storage,
        settings=digest(arguments.parameters),
    )


if __name__ == "__main__":
    sys.exit(stage_main("report", work))
