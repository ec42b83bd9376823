"""Reading of YAML files with the line of each key."""

import os
import re
from pathlib import Path
from typing import Any

import yaml

from attacca.errors import ConfigurationError, MissingInputError, summarize_error

KeyPath = tuple[str | int, ...]

_MAX_DEPTH = 60
_MAX_NODES = 500_000
"""Limits of a file: nested collections, and values after all aliases are replaced. A configuration with ten thousand
volumes has about a fifth of the latter."""

_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """Loader with the types of YAML 1.2: ``1e-3`` is a number; ``yes``, ``2:00`` and ``2024-02-30`` are text.

    All keys are text as written. Duplicate keys are refused.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == f"{_TAG}merge":
                continue
            key, line = key_node.value, key_node.start_mark.line + 1
            if key in seen:
                raise ConfigurationError(
                    f"{self.name}: the key '{key}' is on line {seen[key]} and again on line {line}; keep one"
                )
            seen[key] = line
        self.flatten_mapping(node)
        return {key_node.value: self.construct_object(value, deep) for key_node, value in node.value}


# The resolvers of YAML 1.1 belong to the base class.
_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9][0-9_]*|0x[0-9a-fA-F]+|0o[0-7]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("merge", r"<<", "<"),
):
    # The empty text is null, too: PyYAML lists its resolvers under "".
    _Loader.add_implicit_resolver(
        _TAG + _tag, re.compile(f"^(?:{_pattern})$"), [first.strip("\0") for first in _first]
    )

_PLAIN_TAGS = {_TAG + name for name in ("str", "int", "float", "bool", "null", "map", "seq", "merge")}
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")


def read_yaml(path: str | Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """Read the mapping in a YAML file and the line of each key path in it.

    Raises:
        MissingInputError: the file does not exist.
        ConfigurationError: the file is not YAML or not a mapping, holds a key twice, is nested too deeply, contains an
            unfilled template, or names an environment variable that is not set.
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


def _read_text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            kind = "a directory" if path.is_dir() else "not a regular file"
            raise ConfigurationError(f"{path} is {kind}; expected a YAML file")
        data = path.read_bytes()
    except FileNotFoundError:
        raise MissingInputError(
            f"the configuration file {path} does not exist; name yours: attacca check FILE, snakemake --configfile FILE"
        ) from None
    except PermissionError:
        raise ConfigurationError(f"{path} cannot be read by this user; change its permissions") from None
    except (OSError, ValueError) as error:
        # ValueError: a NUL character in the path.
        raise ConfigurationError(f"{str(path)[:300]!r} cannot be read: {summarize_error(error)}") from None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"{path}, line {line}: found the byte {data[error.start]:#04x}, which is not text in UTF-8; save the file "
            "in the encoding UTF-8"
        ) from None


def _parse_file(path: Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    text = _read_text(path)
    try:
        _check_depth(text, path)
        loader = _Loader(text)
        loader.name = str(path)
        try:
            node = loader.get_single_node()
            if node is not None:
                _check_nodes(node, path)
            values = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigurationError(
            f"{path}, line {line}: found the character U+{ord(text[error.position]):04X}, which YAML does not allow; "
            "remove it"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigurationError(_describe_syntax_error(path, text, error)) from None
    if values is None:
        raise ConfigurationError(f"{path} is empty; expected a mapping with the keys 'volumes' and 'runs'")
    if not isinstance(values, dict):
        kind = "a list" if isinstance(values, list) else f"the value {str(values)[:60]!r}"
        raise ConfigurationError(
            f"{path}: found {kind} at the top, expected a mapping with the keys 'volumes' and 'runs'"
        )
    lines: dict[KeyPath, int] = {}
    assert node is not None
    _collect_lines(node, (), lines)
    return values, lines


def _describe_syntax_error(path: Path, text: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    position = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    problem = getattr(error, "problem", None) or summarize_error(error)
    if problem.startswith("but "):
        problem = f"{getattr(error, 'context', None) or ''}, {problem}".lstrip(", ")
    line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    fix = ""
    for variable in _UNQUOTED_VARIABLE.finditer(line):
        # In a list or mapping in brackets, PyYAML reads the brace of ${NAME} as the start of another mapping.
        if (
            mark
            and line[mark.column - 1 : mark.column + 1] == "${"
            and mark.column in range(*variable.span())
        ):
            return (
                f"{path}{position}: found {variable[0]} without quotes inside [ ] or {{ }}, where YAML reads {{ as a "
                f'mapping; write "{variable[0]}"'
            )
    if "\t" in line[: len(line) - len(line.lstrip())] or r"'\t'" in problem:
        fix = "; indent with spaces instead of tabs"
    elif "{%" in line or "{{" in line:
        fix = "; this looks like a template that was not filled in"
    return f"{path}{position}: this is not YAML: {problem}{fix}"


def _check_depth(text: str, path: Path) -> None:
    """Raise an error for collections nested more deeply than any configuration: PyYAML's recursion would overflow."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise ConfigurationError(
                    f"{path}, line {line}: found more than {_MAX_DEPTH} nested lists and mappings; remove the surplus "
                    "brackets or indentation"
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _check_nodes(node: yaml.Node, path: Path) -> None:
    """Raise an error for values that the loader cannot construct or that have no meaning in a configuration."""
    sizes: dict[int, int] = {}

    def count(node: yaml.Node, above: frozenset[int]) -> int:
        """Return the number of values in a node after all aliases are replaced."""
        if id(node) in above:
            raise ConfigurationError(
                f"{path}: an anchor (&) contains its own alias (*), which never ends; remove the alias"
            )
        if id(node) in sizes:
            return sizes[id(node)]
        place = f"{path}, line {node.start_mark.line + 1}"
        if node.tag not in _PLAIN_TAGS:
            tag = node.tag.replace(_TAG, "!!")
            raise ConfigurationError(
                f"{place}: found the tag {tag}, which configurations do not use; remove it"
            )
        total = 1
        if isinstance(node, yaml.ScalarNode):
            _check_scalar(node, place)
        else:
            within = above | {id(node)}
            for item in node.value:
                if isinstance(item, tuple):
                    if not isinstance(item[0], yaml.ScalarNode):
                        raise ConfigurationError(
                            f"{place}: found a list or a mapping as a key, expected a name; a template "
                            "such as {{ name }} was probably not filled in"
                        )
                    _check_text(item[0].value, place)
                    total += 1 + count(item[1], within)
                else:
                    total += count(item, within)
        if total > _MAX_NODES:
            raise ConfigurationError(
                f"{place}: the aliases (*) expand to more than {_MAX_NODES} values; remove nested aliases"
            )
        sizes[id(node)] = total
        return total

    count(node, frozenset())


def _check_scalar(node: yaml.ScalarNode, place: str) -> None:
    text, kind = node.value, node.tag.removeprefix(_TAG)
    if kind == "int" and _LEADING_ZERO.fullmatch(text):
        raise ConfigurationError(
            f"{place}: found {text}, which is decimal in YAML 1.2 and octal in YAML 1.1; write "
            f"{text.replace('_', '').lstrip('+-0') or 0} for the number, or '{text}' in quotes for text"
        )
    try:
        if kind == "int":
            int(text, 0)
        elif kind == "float":
            float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
        elif kind == "bool" and text.lower() not in ("true", "false"):
            raise ValueError
    except ValueError:
        raise ConfigurationError(f"{place}: found {text[:60]!r}, which is not of the type !!{kind}") from None
    _check_text(text, place)


def _check_text(text: str, place: str) -> None:
    if re.search(r"\{\{.*?\}\}|\{%.*?%\}", text):
        raise ConfigurationError(
            f"{place}: found '{text[:200]}', a template that was not filled in; replace it by its value"
        )
    hidden = re.search(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", text)
    if hidden:
        raise ConfigurationError(
            f"{place}: found the character U+{ord(hidden[0]):04X} in a text, which neither names nor paths may contain; "
            "remove it"
        )


_UNQUOTED_VARIABLE = re.compile(r"[^\s,\[\]{}$]*(?:\$\{[^}]*\}[^\s,\[\]{}$]*)+")
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
