"""Optional packages, which the extras of Attacca install."""

import importlib
import importlib.util
from collections.abc import Iterable
from types import ModuleType

from attacca.errors import VolumeError, summarize_error


def make_install_command(extra: str) -> str:
    """Return the command that installs an extra, for messages.

    >>> make_install_command("dm")
    "python -m pip install 'attacca[dm]'"
    """
    return f"python -m pip install 'attacca[{extra}]'"


def find_missing(modules: Iterable[str]) -> list[str]:
    """Return the modules that are not installed, without importing them.

    >>> find_missing(["json.decoder", "no_such_package.core"])
    ['no_such_package.core']
    """
    return [module for module in modules if not _is_installed(module)]


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def import_extra(module: str, extra: str, problem: str) -> ModuleType:
    """Import a module of an optional package.

    Args:
        module: the module.
        extra: extra of Attacca that installs it.
        problem: file that needs the package, and name of the package, for the message.

    Raises:
        VolumeError: the package is not installed, or cannot be imported.

    >>> import_extra("no_such_module", "dm", "a.dm4 is in a format that the package rosettasciio reads")
    Traceback (most recent call last):
    attacca.errors.VolumeError: a.dm4 is in a format that the package rosettasciio reads; it is not installed (No module ...
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:
        raise VolumeError(
            f"{problem}; it is not installed ({summarize_error(error)})", fix=make_install_command(extra)
        ) from error
