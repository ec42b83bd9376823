"""The terminal of the commands."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console


def create_console() -> Console:
    """Return a console that prints text as it is: names of classes and files may contain brackets and colons.

    >>> create_console().print("[bold] :smile:")
    [bold] :smile:
    """
    return Console(highlight=False, markup=False, emoji=False)


def print_warnings(warnings: Iterable[str]) -> None:
    """Print warnings on the standard error, with paths in the working directory relative to it.

    >>> from contextlib import redirect_stderr
    >>> with redirect_stderr(sys.stdout):
    ...     print_warnings([f"{Path.cwd() / 'raw.h5'}: no voxel size"])
    warning: raw.h5: no voxel size
    """
    for warning in warnings:
        print(f"warning: {warning.replace(f'{Path.cwd()}{os.sep}', '')}", file=sys.stderr)
