"""``attacca check``: read a configuration and open its volumes, without computing anything."""

import argparse
from pathlib import Path
from typing import Any

from attacca.config.load import load_configuration
from attacca.stages.inspection import inspect_configuration


def add_parser(commands: Any) -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser(
        "check", help="read a configuration and open its volumes, without computing anything"
    )
    parser.add_argument("configuration", type=Path, nargs="?", default=Path("config.yaml"))


def run(options: argparse.Namespace) -> int:
    """Print what the configuration asks for; mistakes are raised as one ``ConfigurationError``."""
    configuration = load_configuration(options.configuration)
    inspect_configuration(configuration, options.configuration)
    print(
        f"{options.configuration}: no mistakes. Volumes: {', '.join(configuration.volumes)}. "
        f"Runs: {', '.join(configuration.runs)}. Results go to {configuration.results}"
    )
    return 0
