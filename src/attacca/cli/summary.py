"""``attacca summary``: print the scores of all runs."""

import argparse
from pathlib import Path

from attacca.report import summarize_results


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser("summary", help="print the table of scores and the location of the report")
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"))


def run(options: argparse.Namespace) -> int:
    """Print the summary of a directory of results."""
    print(summarize_results(options.results))
    return 0
