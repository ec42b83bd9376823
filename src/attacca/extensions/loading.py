"""Loading of extensions: files that a configuration names, and entry points of installed packages.

``load_configuration`` loads the files. Their paths and digests are stored in an environment variable, from which all
processes that the workflow starts load them when they need one.
"""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from attacca.errors import ConfigurationError, MissingInputError, summarize_error
from attacca.extensions.registry import (
    Extension,
    ExtensionSource,
    Kind,
    activate,
    collect_extensions,
    deactivate,
    find_extension,
    list_names,
    list_packaged,
)
from attacca.extensions.trace import locate_failure, note_file

ENTRY_POINTS = "attacca.extensions"
"""Group of the entry points of packages. The name of an entry point is the name of its extension."""
VARIABLE = "ATTACCA_EXTENSIONS"
"""Environment variable with the paths and digests of the files, as JSON."""

# The name of a module holds its path and digest: pickles refer to classes by the names of modules, and worker processes,
# also those of a Dask cluster, import them by these names.
_PREFIX = "attacca_extension_"
_DIGITS = 12

_loaded: dict[tuple[str, str], list[Extension]] = {}
_state = {"environment": ""}


def forget_extensions() -> None:
    """Remove the extensions of an earlier configuration."""
    deactivate()
    os.environ.pop(VARIABLE, None)
    _state["environment"] = ""


def load_extension(path: Path) -> None:
    """Load a file that a configuration names, in this process and in those that it will start.

    Args:
        path: absolute path of a Python file.

    Raises:
        MissingInputError: the file does not exist.
        ConfigurationError: the file cannot be loaded; the message has its line.
    """
    extensions, digest = _load_file(path)
    activate(extensions)
    files = [*json.loads(_state["environment"] or "[]"), {"path": str(path), "digest": digest}]
    os.environ[VARIABLE] = _state["environment"] = json.dumps(files)


def adopt_extensions(text: str) -> None:
    """Use the extensions of another process, which may run on another machine, instead of those of this one.

    Args:
        text: the environment variable ``VARIABLE`` of that process; empty if it has none.
    """
    if text != os.environ.get(VARIABLE, ""):
        forget_extensions()
        if text:
            os.environ[VARIABLE] = text


def require_extension(kind: Kind, name: str) -> Extension:
    """Return the extension of a kind and name.

    Raises:
        ConfigurationError: it does not exist, or its file changed after the start of the workflow.
    """
    extension = find_extension(kind, name)
    if extension is None:
        _load_environment()
        extension = find_extension(kind, name)
    if extension is None:
        for point in entry_points(group=ENTRY_POINTS, name=name):
            activate(_load_entry_point(point))
        extension = find_extension(kind, name)
    if extension is not None:
        return extension
    known = sorted({*list_names(kind), *_list_entry_points()})
    expected = f"one of {', '.join(known)}" if known else "the name of an extension"
    raise ConfigurationError(
        f"found the {kind} '{name}', expected {expected}: no file under 'extensions' and no installed package has a "
        f"{kind} of that name"
    )


def _list_entry_points() -> Sequence[str]:
    return sorted({point.name for point in entry_points(group=ENTRY_POINTS)})


def _load_environment() -> None:
    """Load the files that the process which started this one has loaded.

    Raises:
        ConfigurationError: a file has changed since then.
    """
    text = os.environ.get(VARIABLE, "")
    if not text or text == _state["environment"]:
        return
    for file in json.loads(text):
        path = Path(file["path"])
        extensions, digest = _load_file(path)
        if digest != file["digest"]:
            raise ConfigurationError(
                f"{path} was changed after the start of the workflow", fix="start the workflow again"
            )
        activate(extensions)
    _state["environment"] = text


def _load_file(path: Path) -> tuple[list[Extension], str]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise MissingInputError(f"{path}: no such file", fix="correct 'extensions'") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {summarize_error(error)}") from None
    digest = hashlib.sha256(content).hexdigest()
    key = (str(path), digest)
    if key not in _loaded:
        _loaded[key] = _execute(path, content, digest)
    return _loaded[key], digest


def _execute(path: Path, content: bytes, digest: str) -> list[Extension]:
    name = f"{_PREFIX}{path.stem}_{digest[:_DIGITS]}_{str(path).encode().hex()}"
    module = ModuleType(name)
    module.__file__ = str(path)
    note_file(str(path), str(path))
    # Models and data classes look up their module by its name.
    sys.modules[name] = module
    try:
        with collect_extensions(ExtensionSource(path.name, digest)) as extensions:
            exec(compile(content, str(path), "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        where = locate_failure(error) or f"{path}: {type(error).__name__}: {summarize_error(error)}"
        fix = "correct the extension"
        if isinstance(error, ModuleNotFoundError):
            fix = "install the package; an extension is one file and cannot import other files beside it"
        raise ConfigurationError(where, fix=fix) from error
    if not extensions:
        raise ConfigurationError(
            f"{path} registers no extension",
            fix="decorate its class with @register; attacca new writes a template",
        )
    return extensions


def _load_entry_point(point: EntryPoint) -> list[Extension]:
    package = point.dist.name if point.dist is not None else point.value
    try:
        point.load()
    except Exception as error:
        raise ConfigurationError(
            f"the package {package} cannot load its extension '{point.name}' ({point.value}): {type(error).__name__}: "
            f"{summarize_error(error)}",
            fix=f"update or remove the package {package}",
        ) from error
    return list_packaged(point.module)


class _ExtensionFinder(MetaPathFinder, Loader):
    """Imports the files of extensions by the names of their modules."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if not name.startswith(_PREFIX):
            return None
        rest, _, encoded = name.rpartition("_")
        file = Path(bytes.fromhex(encoded).decode())
        _, digest = _load_file(file)
        if not rest.endswith(f"_{digest[:_DIGITS]}"):
            raise ConfigurationError(
                f"{file} was changed after the start of the workflow", fix="start the workflow again"
            )
        return ModuleSpec(name, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module was executed when it was found."""


sys.meta_path.append(_ExtensionFinder())
