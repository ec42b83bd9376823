"""The report: an HTML page of all results, tables of scores, and links that open a viewer."""

from attacca.report.page import write_report
from attacca.report.terminal import summarize_results

__all__ = ["summarize_results", "write_report"]
