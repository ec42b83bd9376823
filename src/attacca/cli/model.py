"""``attacca model``: show a model file, export it to formats of other programs, import it from them."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from attacca.cli.arguments import add_extensions
from attacca.cli.console import create_console
from attacca.config.model_description import ModelDescription, read_model_description
from attacca.errors import ConfigurationError
from attacca.extensions import load_extension
from attacca.report.choice import is_number, list_chosen_settings, read_choice
from attacca.report.model_card import list_model_facts

_SUFFIXES = {"bioimageio": ".zip", "torch-export": ".pt2"}
"""Formats of the export, and suffixes of their files, which the programs require."""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser(
        "model",
        help="show a model file; export it to the BioImage Model Zoo or torch.export, import it from them",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="print the description of a model file; weights are not loaded")
    show.add_argument("model", type=Path, metavar="MODEL", help="model.zip of a training")
    show.set_defaults(act=_show)
    export = actions.add_parser(
        "export", help="write a model file in a format of other programs, and test the result"
    )
    export.add_argument("model", type=Path, metavar="MODEL", help="model.zip of a training")
    export.add_argument(
        "--format",
        choices=list(_SUFFIXES),
        required=True,
        help="bioimageio: a package of the BioImage Model Zoo; torch-export: a program for PyTorch without Attacca",
    )
    export.add_argument("--out", type=Path, required=True, metavar="FILE", help="written file: .zip, or .pt2")
    add_extensions(export)
    export.set_defaults(act=_export)
    restore = actions.add_parser("import", help="restore the model file from a file that 'export' wrote")
    restore.add_argument("model", type=Path, metavar="FILE", help="package (.zip) or program (.pt2)")
    restore.add_argument("--out", type=Path, required=True, metavar="MODEL", help="written model file")
    restore.set_defaults(act=_import)


def run(options: argparse.Namespace) -> int:
    """Show, export or import a model.

    Raises:
        ConfigurationError: the name of the written file does not fit the format, or a package is not installed.
        ModelFileError: the file is not a model that this Attacca reads, or its network cannot be exported.
    """
    options.act(options)
    return 0


def _show(options: argparse.Namespace) -> None:
    description, digest = read_model_description(options.model)
    console = create_console()
    facts = [*list_model_facts(description, digest), *_list_choice(description)]
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        console.print(f"{name:<{width}}  {value}", soft_wrap=True)


def _list_choice(description: ModelDescription) -> Iterator[tuple[str, str]]:
    """Return the chosen settings of the segmentation, and their scores on the validation volumes."""
    choice = read_choice({"result": {**description.tuning, "chosen": description.chosen}})
    principal, _ = list_chosen_settings(choice)
    if principal:
        yield "settings", ", ".join(f"{fact.name} {fact.value}" for fact in principal)
    parts = [description.chosen, *(part for part in description.chosen.values() if isinstance(part, dict))]
    settings = {name for part in parts for name in part}
    row = {
        name: value for name, value in (choice.row or {}).items() if name not in settings and is_number(value)
    }
    if row:
        yield "scores", ", ".join(f"{name} {value:.4g}" for name, value in row.items())


def _export(options: argparse.Namespace) -> None:
    suffix = _SUFFIXES[options.format]
    if options.out.suffix != suffix:
        raise ConfigurationError(f"--out: found '{options.out}', expected a file that ends with {suffix}")
    for extension in options.extension:
        load_extension(extension.absolute())
    if options.format == "torch-export":
        # deferred: torch takes seconds to import
        from attacca.exchange.torch_program import write_torch_program

        write_torch_program(options.model, options.out)
        print(f"{options.out} is written and gives the predictions of the network")
        return
    # deferred: torch takes seconds to import
    from attacca.exchange.bioimageio_package import write_bioimageio_package

    missing = write_bioimageio_package(options.model, options.out)
    print(f"{options.out} is written, and bioimageio.core reproduces its example")
    if missing:
        print(
            f"for a publication, it has no {', no '.join(missing)}: set 'about' of the run, start the workflow again (it "
            "does not repeat the training), and export the new model file"
        )


def _import(options: argparse.Namespace) -> None:
    # deferred: only this action needs it
    from attacca.exchange.attached_model import import_model

    import_model(options.model, options.out)
    _, digest = read_model_description(options.out)
    print(f"{options.out} is written; its digest is {digest}")
