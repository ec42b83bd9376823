"""Packages that read formats of other programs and are installed on request only."""

import importlib
from pathlib import Path
from types import ModuleType

from attacca.errors import VolumeError, summarize_error


def import_extra(module: str, package: str, extra: str, path: Path, format_name: str) -> ModuleType:
    """Import a module of an optional package.

    Args:
        module: the module.
        package: name of the package in the index.
        extra: extra of Attacca that installs it.
        path: file that needs it, for the message.
        format_name: format of the file.

    Raises:
        VolumeError: the package is not installed, or cannot be imported.

    >>> import_extra("no_such_module", "rosettasciio", "dm", Path("a.dm4"), "Gatan DigitalMicrograph")
    Traceback (most recent call last):
    attacca.errors.VolumeError: a.dm4 is in the format Gatan DigitalMicrograph, which the package rosettasciio reads...
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:
        raise VolumeError(
            f"{path} is in the format {format_name}, which the package {package} reads; it is not installed "
            f"({summarize_error(error)})",
            fix=f"python -m pip install 'attacca[{extra}]'",
        ) from error
