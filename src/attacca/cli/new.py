"""``attacca new``: write the template of an extension."""

import argparse
import keyword
from importlib.resources import files
from pathlib import Path
from typing import get_args

from attacca.atomic import write_text
from attacca.errors import ConfigurationError
from attacca.extensions import Kind

_KINDS = get_args(Kind)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser(
        "new",
        help="write the commented template of an extension: a predictor, loss, architecture, post-processor, evaluator or "
        "reader of your own",
    )
    parser.add_argument("kind", choices=_KINDS, metavar="KIND", help=", ".join(_KINDS))
    parser.add_argument("name", metavar="NAME", help="name in the configuration; the file is NAME.py")


def run(options: argparse.Namespace) -> int:
    """Write the template.

    Raises:
        ConfigurationError: the name is not possible, or the file exists.
    """
    name = options.name.removesuffix(".py")
    path = Path(f"{name}.py")
    if not path.stem.isidentifier() or keyword.iskeyword(path.stem):
        raise ConfigurationError(f"found the name '{path.stem}', expected letters, digits and '_'")
    if path.exists():
        raise ConfigurationError(f"{path} exists", fix="choose another name, or delete the file")
    write_text(path, render_template(options.kind, path.stem))
    kind = options.kind.replace("_", "-")
    print(f"{path} holds a working {kind}. Its first lines show how a configuration selects it")
    return 0


def render_template(kind: str, name: str) -> str:
    """Return the template of a kind of extension with its name.

    >>> '"focal"' in render_template("loss", "focal")
    True
    """
    text = files("attacca.cli.templates").joinpath(f"{kind}.py").read_text(encoding="utf-8")
    return text.replace(f"my_{kind}", name).replace(f"[{kind}.py]", f"[{name}.py]")
