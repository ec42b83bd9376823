"""Reading of YAML files with the line of each key."""

import os
import re
from pathlib import Path
from typing import Any

import yaml

from attacca.errors import ConfigurationError, MissingInputError, summarize_error

KeyPath = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """Loader with the floats of YAML 1.2 (``1e-3`` is a number, not text) that refuses duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if key in seen:
                raise ConfigurationError(
                    f"{self.name}: the key '{key}' is on line {seen[key]} and again on line {line}; keep one"
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
# PyYAML applies resolvers in the order in which they were added: integers first, or 3 would become 3.0.
for _first in "-+0123456789.":
    _Loader.yaml_implicit_resolvers[_first] = sorted(
        _Loader.yaml_implicit_resolvers.get(_first, []), key=lambda pair: pair[0].endswith(":float")
    )


def read_yaml(path: str | Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """Read the mapping in a YAML file and the line of each key path in it.

    Raises:
        MissingInputError: the file does not exist.
        ConfigurationError: the file is not YAML or not a mapping, holds a key twice, or names an environment variable
            that is not set.
    """
    values, lines = _parse_file(Path(path))
    return _insert_variables(values, (), Path(path), lines), lines


def find_unset_variables(path: str | Path) -> dict[KeyPath, dict[str, str]]:
    """Return, for each value of a YAML file, the unset environment variables in it with their defaults."""
    variables: dict[KeyPath, dict[str, str]] = {}

    def collect(value: Any, path: KeyPath) -> None:
        if isinstance(value, dict | list):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                collect(item, (*path, key))
        elif isinstance(value, str):
            names = {name: text for name, text in _VARIABLE.findall(value) if not os.environ.get(name)}
            if names:
                variables[path] = names

    collect(_parse_file(Path(path))[0], ())
    return variables


def _parse_file(path: Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingInputError(
            f"the configuration file {path} does not exist; name yours: attacca check FILE, snakemake --configfile FILE"
        ) from None
    except IsADirectoryError:
        raise ConfigurationError(f"{path} is a directory; expected a YAML file") from None
    except PermissionError:
        raise ConfigurationError(f"{path} cannot be read by this user; change its permissions") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not text in UTF-8: {summarize_error(error)}") from None
    loader = _Loader(text)
    loader.name = str(path)
    try:
        node = loader.get_single_node()
        values = loader.construct_document(node) if node is not None else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        position = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or summarize_error(error)
        raise ConfigurationError(f"{path}{position}: this is not YAML: {problem}") from None
    finally:
        loader.dispose()
    if _contains_itself(node):
        raise ConfigurationError(
            f"{path}: an anchor (&) contains its own alias (*), which never ends; remove the alias"
        )
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"{path}: found {type(values).__name__} at the top, expected a mapping with the keys 'volumes' and 'runs'"
        )
    lines: dict[KeyPath, int] = {}
    if node is not None:
        _collect_lines(node, (), lines)
    return values, lines


def _contains_itself(node: yaml.Node | None, above: tuple[int, ...] = ()) -> bool:
    if not isinstance(node, yaml.CollectionNode):
        return False
    if id(node) in above:
        return True
    items = [item for pair in node.value for item in (pair if isinstance(pair, tuple) else (pair,))]
    return any(_contains_itself(item, (*above, id(node))) for item in items)


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def _insert_variables(value: Any, path: KeyPath, file: Path, lines: dict[KeyPath, int]) -> Any:
    """Replace ``${NAME}`` and ``${NAME:-default}`` in all texts by environment variables."""
    if isinstance(value, dict):
        return {key: _insert_variables(item, (*path, key), file, lines) for key, item in value.items()}
    if isinstance(value, list):
        return [_insert_variables(item, (*path, index), file, lines) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def look_up(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        text = os.environ.get(name) or default
        if text is None:
            line = f", line {lines[path]}" if path in lines else ""
            raise ConfigurationError(
                f"{file}{line}: the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
            )
        return text

    return _VARIABLE.sub(look_up, value)


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
