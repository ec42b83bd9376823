"""The report: one HTML page that shows what was computed, the table of scores, and links for a viewer."""

from pathlib import Path
from typing import Any

from attacca.report.terminal import terminal_summary

__all__ = ["terminal_summary", "write_report"]


def write_report(
    results_directory: Path | str, output_html: Path | str, runs: Any, volumes: Any, **options: Any
) -> None:
    """``attacca.report.page.write_report``, which imports matplotlib only when a report is written."""
    from attacca.report.page import write_report as write

    write(results_directory, output_html, runs, volumes, **options)
