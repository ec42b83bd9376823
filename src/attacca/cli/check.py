"""``attacca check``: read a configuration and open its volumes, without computing anything."""

import argparse
import sys
from pathlib import Path

from attacca.cli.console import create_console
from attacca.config.load import load_configuration
from attacca.preflight.check_configuration import check_configuration
from attacca.preflight.volume_tables import print_volumes


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser(
        "check", help="read a configuration and open its volumes, without computing anything"
    )
    parser.add_argument("configuration", type=Path, nargs="?", default=Path("config.yaml"))


def run(options: argparse.Namespace) -> int:
    """Print how the volumes of a configuration are read.

    Raises:
        ConfigurationError: lists all problems of the configuration.
    """
    configuration = load_configuration(options.configuration)
    checked = check_configuration(configuration, options.configuration)
    print_volumes(configuration, checked, create_console())
    for warning in checked.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    unused = [name for name in configuration.volumes if name not in checked.plans]
    print(
        f"{options.configuration}: no problems. Runs: {', '.join(configuration.runs)}. "
        + (f"Volumes without a run: {', '.join(unused)}. " if unused else "")
        + f"Results are written to {configuration.results}"
    )
    return 0
