"""Names of a package that are imported when they are first used."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def import_lazily(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package whose names are in modules that take long to import.

    Type checkers read the names from imports under ``if TYPE_CHECKING``.

    Args:
        package: name of the package, for the error message.
        modules: module of each name.

    >>> load_name = import_lazily("mathematics", {"sqrt": "math"})
    >>> load_name("sqrt")(16)
    4.0
    >>> load_name("cbrt")
    Traceback (most recent call last):
    AttributeError: module 'mathematics' has no attribute 'cbrt'
    """

    def load_name(name: str) -> Any:
        if name in modules:
            return getattr(import_module(modules[name]), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return load_name
