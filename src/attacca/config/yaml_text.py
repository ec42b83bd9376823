"""YAML text to plain values, remembering on which line each key stands."""

import os
import re
from pathlib import Path
from typing import Any

import yaml

from attacca.errors import ConfigurationError, MissingInputError, summarize_error

KeyPath = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML 1.2's floats (``1e-3`` is a number, not text), and no key twice in one mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if key in seen:
                raise ConfigurationError(
                    f"{self.name}: the key '{key}' stands on line {seen[key]} and again on line {line}; keep one"
                )
            seen[key] = line
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)
# PyYAML asks resolvers in the order in which they were added: integers first, or 3 would become 3.0.
for _first in "-+0123456789.":
    _Loader.yaml_implicit_resolvers[_first] = sorted(
        _Loader.yaml_implicit_resolvers.get(_first, []), key=lambda pair: pair[0].endswith(":float")
    )


def read_yaml(path: str | Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """The mapping in a YAML file and, for each key path in it, the line on which it stands.

    Raises:
        MissingInputError: there is no such file.
        ConfigurationError: it is not YAML, not a mapping, names a key twice, or an environment variable that is
            not set.
    """
    values, lines = _parsed(Path(path))
    return _with_environment(values, (), Path(path), lines), lines


def find_unset_variables(path: str | Path) -> dict[KeyPath, dict[str, str]]:
    """For each value of a YAML file, the environment variables in it that are not set, with their defaults."""
    found: dict[KeyPath, dict[str, str]] = {}

    def collect(value: Any, place: KeyPath) -> None:
        if isinstance(value, dict | list):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                collect(item, (*place, key))
        elif isinstance(value, str):
            names = {name: text for name, text in _VARIABLE.findall(value) if not os.environ.get(name)}
            if names:
                found[place] = names

    collect(_parsed(Path(path))[0], ())
    return found


def _parsed(path: Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingInputError(
            f"there is no configuration file {path}; name yours: attacca check FILE, snakemake --configfile FILE"
        ) from None
    except IsADirectoryError:
        raise ConfigurationError(f"{path} is a directory; expected a YAML file") from None
    except PermissionError:
        raise ConfigurationError(f"{path} may not be read by this user; change its permissions") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not text in UTF-8: {summarize_error(error)}") from None
    loader = _Loader(text)
    loader.name = str(path)
    try:
        node = loader.get_single_node()
        values = loader.construct_document(node) if node is not None else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or summarize_error(error)
        raise ConfigurationError(f"{path}{where}: this is not YAML: {problem}") from None
    finally:
        loader.dispose()
    if _holds_itself(node):
        raise ConfigurationError(f"{path}: an anchor (&) holds its own alias (*), so that it never ends")
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"{path}: found {type(values).__name__} at the top, expected a mapping with the keys 'volumes' and 'runs'"
        )
    lines: dict[KeyPath, int] = {}
    if node is not None:
        _collect_lines(node, (), lines)
    return values, lines


def _holds_itself(node: yaml.Node | None, above: tuple[int, ...] = ()) -> bool:
    if not isinstance(node, yaml.CollectionNode):
        return False
    if id(node) in above:
        return True
    items = [item for pair in node.value for item in (pair if isinstance(pair, tuple) else (pair,))]
    return any(_holds_itself(item, (*above, id(node))) for item in items)


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def _with_environment(value: Any, place: KeyPath, file: Path, lines: dict[KeyPath, int]) -> Any:
    """Put environment variables into texts: ``${NAME}``, or ``${NAME:-default}`` where it need not be set."""
    if isinstance(value, dict):
        return {key: _with_environment(item, (*place, key), file, lines) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_environment(item, (*place, index), file, lines) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replaced(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        text = os.environ.get(name) or default
        if text is None:
            line = f", line {lines[place]}" if place in lines else ""
            raise ConfigurationError(
                f"{file}{line}: the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
            )
        return text

    return _VARIABLE.sub(replaced, value)


def _collect_lines(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for item in merged:
                    _collect_lines(item, path, lines)
                continue
            key = (*path, key_node.value)
            lines[key] = key_node.start_mark.line + 1
            _collect_lines(value_node, key, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*path, index)] = item.start_mark.line + 1
            _collect_lines(item, (*path, index), lines)
