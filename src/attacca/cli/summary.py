"""``attacca summary``: the scores of all runs on the terminal."""

import argparse
from pathlib import Path
from typing import Any

from attacca.report import summarize_results


def add_parser(commands: Any) -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser("summary", help="print the table of scores and where the report is")
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"))


def run(options: argparse.Namespace) -> int:
    """Print the summary of a results directory."""
    print(summarize_results(options.results))
    return 0
