"""``attacca model``: show a model file."""

import argparse
from pathlib import Path

from attacca.cli.console import create_console
from attacca.config.model_description import read_model_description
from attacca.report.model_card import list_model_facts


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser("model", help="show a model file: network, data, scores, license, digest")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="print the description of a model file; weights are not loaded")
    show.add_argument("model", type=Path, metavar="MODEL", help="model.zip of a training")


def run(options: argparse.Namespace) -> int:
    """Print the description of a model.

    Raises:
        ModelFileError: the file is not a model file that this Attacca reads.
    """
    description, digest = read_model_description(options.model)
    console = create_console()
    facts = list_model_facts(description, digest)
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        console.print(f"{name:<{width}}  {value}", soft_wrap=True)
    return 0
