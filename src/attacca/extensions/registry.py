"""Registry of extensions: classes by their kind and the name by which a configuration selects them."""

import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from attacca.errors import ConfigurationError
from attacca.extensions.trace import explain_failure, note_file

Kind = Literal["predictor", "loss", "architecture", "post_processor", "evaluator", "reader"]
"""Part of Attacca that an extension replaces."""

Class = TypeVar("Class", bound=type[Any])


@dataclass(frozen=True)
class ExtensionSource:
    """Origin of an extension.

    Args:
        name: name of the file, or of the installed package.
        digest: SHA-256 of the source code, on which the validity of results depends.
    """

    name: str
    digest: str


@dataclass(frozen=True)
class Extension:
    """A class that a configuration selects by its name.

    Args:
        kind: the part of Attacca that it replaces.
        name: value of ``type`` in the configuration.
        options: model of its section of the configuration.
        implementation: the class.
        source: file or package.
    """

    kind: Kind
    name: str
    options: type[Any]
    implementation: type[Any]
    source: ExtensionSource

    def create(self, *arguments: Any) -> Any:
        """Return an instance of the class.

        Raises:
            ConfigurationError: the code of the extension raised an error.
        """
        with explain_failure(f"the {self.kind} '{self.name}' cannot be created"):
            return self.implementation(*arguments)


_active: dict[tuple[str, str], Extension] = {}
_collecting: list[tuple[ExtensionSource, list[Extension]]] = []
_packaged: dict[str, list[Extension]] = {}


def register(kind: Kind, options: type[Any]) -> Callable[[Class], Class]:
    """Return a class decorator that makes the class available to configurations.

    Args:
        kind: the part of Attacca that the class replaces.
        options: model of its section: a subclass of ``Options`` with ``type: Literal["NAME"] = "NAME"``.

    Raises:
        ConfigurationError: the kind does not exist, or the model has no name.
    """
    if kind not in get_args(Kind):
        raise ConfigurationError(
            f"register: found the kind '{kind}', expected one of {', '.join(get_args(Kind))}"
        )
    fields = getattr(options, "model_fields", {})
    name = fields["type"].default if "type" in fields else None
    if not isinstance(name, str):
        raise ConfigurationError(
            f"register: {options.__name__} has no name, by which a configuration selects it",
            fix=f'add the line type: Literal["NAME"] = "NAME" to {options.__name__}',
        )
    paths = [
        key
        for key, field in fields.items()
        if inspect.isclass(field.annotation) and issubclass(field.annotation, Path)
    ]
    if paths:
        raise ConfigurationError(
            f"register: {options.__name__}.{paths[0]} is a path: results would depend on a file whose content Attacca does "
            "not compare",
            fix="put the values into the configuration or into the extension",
        )

    def decorate(implementation: Class) -> Class:
        if _collecting:
            source, extensions = _collecting[-1]
        else:
            module = implementation.__module__
            source, extensions = _describe_package(module), _packaged.setdefault(module, [])
        options.extension = Extension(kind, name, options, implementation, source)
        extensions.append(options.extension)
        return implementation

    return decorate


@contextmanager
def collect_extensions(source: ExtensionSource) -> Iterator[list[Extension]]:
    """Collect the extensions that are registered inside the context."""
    _collecting.append((source, []))
    try:
        yield _collecting[-1][1]
    finally:
        _collecting.pop()


def list_packaged(module: str) -> list[Extension]:
    """Return the extensions that an imported module has registered."""
    return _packaged.get(module, [])


def activate(extensions: list[Extension]) -> None:
    """Make extensions available.

    Raises:
        ConfigurationError: two sources have an extension of the same kind and name.
    """
    for extension in extensions:
        key = (extension.kind, extension.name)
        other = _active.get(key)
        if other is not None and other.source != extension.source:
            raise ConfigurationError(
                f"the {extension.kind} '{extension.name}' is in {other.source.name} and in {extension.source.name}",
                fix="rename one of them",
            )
        _active[key] = extension


def deactivate() -> None:
    """Remove all extensions."""
    _active.clear()


def find_extension(kind: Kind, name: str) -> Extension | None:
    """Return the extension of a kind and name; None if none is active."""
    return _active.get((kind, name))


def list_names(kind: Kind) -> list[str]:
    """Return the names of all active extensions of a kind."""
    return sorted(name for other, name in _active if other == kind)


def _describe_package(name: str) -> ExtensionSource:
    """Return the package of a module, with the digest of its source code."""
    package = name.partition(".")[0]
    module = sys.modules[package]
    if getattr(module, "__path__", None):
        root = Path(next(iter(module.__path__)))
        files = sorted(root.rglob("*.py"))
    else:
        root = Path(str(module.__file__)).parent
        files = [Path(str(module.__file__))]
    state = hashlib.sha256()
    for file in files:
        # An error that passes through Attacca itself is not one of an extension.
        if package != __name__.partition(".")[0]:
            note_file(str(file), file.relative_to(root.parent).as_posix())
        content = file.read_bytes()
        state.update(f"{file.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return ExtensionSource(package, state.hexdigest())
