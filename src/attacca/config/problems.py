"""Problems of a configuration, and their text for users."""

import difflib
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from attacca.config.yaml_text import KeyPath


@dataclass(frozen=True)
class Problem:
    """One problem of a configuration.

    Attributes:
        path: key of the problem.
        found: the value in the file.
        expected: description of valid values.
        hint: instruction to the user, such as the nearest known name.
        message: whole sentences, for problems that do not fit ``found`` and ``expected``.
    """

    path: KeyPath
    found: str = ""
    expected: str = ""
    hint: str = ""
    message: str = ""

    def find_line(self, lines: Mapping[KeyPath, int]) -> int:
        """Return the line of the key or of its nearest parent in the file; 0 without one."""
        lengths = range(len(self.path), 0, -1)
        return next((lines[self.path[:length]] for length in lengths if self.path[:length] in lines), 0)

    def format(self) -> str:
        """Return the found and expected values, the message and the hint, one per line."""
        parts = {
            "found": self.found,
            "expected": self.expected,
            "problem": self.message,
            "fix": self.hint,
        }
        return "\n".join(f"  {name + ':':<9} {text}" for name, text in parts.items() if text)


def format_problems(problems: Iterable[Problem], lines: Mapping[KeyPath, int]) -> list[str]:
    """Return all problems in the order of the file's lines, each as a paragraph.

    An error inside a YAML anchor is reported once, with every key that uses the anchor.
    """
    keys: dict[tuple[int, str], list[str]] = {}
    for problem in problems:
        keys.setdefault((problem.find_line(lines), problem.format()), []).append(
            format_key_path(problem.path)
        )
    return [
        "\n".join([", ".join(dict.fromkeys(names)) + (f" (line {line})" if line else ""), text])
        for (line, text), names in sorted(keys.items(), key=lambda item: item[0][0])
    ]


def format_key_path(path: KeyPath) -> str:
    """Return a key path as text.

    >>> format_key_path(("runs", "default", "volumes", "train", 0))
    'runs.default.volumes.train[0]'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text or "(top of the file)"


def suggest_name(name: str, known: Iterable[str]) -> str:
    """Return a hint with the most similar known name; empty if none is similar.

    >>> suggest_name("segmentatoin", ["segmentation", "evaluation"])
    "did you mean 'segmentation'?"
    """
    close = difflib.get_close_matches(str(name), [str(item) for item in known], n=1, cutoff=0.55)
    return f"did you mean '{close[0]}'?" if close else ""


def format_value(value: Any) -> str:
    """Return a value as one line of at most 120 characters.

    >>> format_value("affinities"), format_value([1, 2]), format_value({"type": 1, "offsets": 2})
    ("'affinities'", '[1, 2]', 'a mapping with the keys type, offsets')
    """
    text = f"'{value}'" if isinstance(value, str) else repr(value)
    if isinstance(value, dict):
        text = "a mapping with the keys " + ", ".join(map(str, value)) if value else "an empty mapping"
    return text if len(text) <= 120 else text[:117] + "..."


def list_problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return pydantic's errors as problems with the keys of the file and the nearest known names.

    Args:
        error: result of a validation of ``model``.
        model: model of the whole file.
    """
    problems = []
    beyond_limits = set()
    for details in error.errors(include_url=False):
        path, fields = _follow_location(model, details["loc"])
        kind, context = details["type"], details.get("ctx", {})
        found, expected, hint, message = (
            format_value(details["input"]),
            _strip_prefixes(details["msg"]),
            "",
            "",
        )
        if kind == "extra_forbidden":
            found = f"the unknown key '{path[-1]}'"
            expected = "one of " + ", ".join(sorted(fields)) if fields else "no such key"
            hint = suggest_name(str(path[-1]), fields)
        elif kind == "missing":
            found = "nothing"
            expected = f"the key '{path[-1]}'" if path and isinstance(path[-1], str) else "a value"
        elif kind in ("literal_error", "enum"):
            expected = context.get("expected", "")
            expected = f"one of {expected}" if " or " in expected else expected
            if details["loc"][-1] == "[key]":
                found = f"the unknown name {found}"
            hint = suggest_name(
                str(details["input"]),
                [part.strip(" '") for part in context.get("expected", "").replace(" or ", ",").split(",")],
            )
        elif kind in ("union_tag_invalid", "union_tag_not_found"):
            tag = context.get("discriminator", "type").strip("'")
            known = [
                part.strip(" '") for part in context.get("expected_tags", "").split(",") if part.strip(" '")
            ]
            path = (*path, tag)
            found = f"'{context['tag']}'" if "tag" in context else "nothing"
            expected = "one of " + ", ".join(known) if known else f"the key '{tag}'"
            hint = suggest_name(context.get("tag", ""), known)
        elif kind.endswith(("_type", "_parsing", "_from_float")):
            expected = _TYPES.get(kind.rsplit("_", 1)[0], _TYPES.get(kind, expected))
            if kind in ("string_type", "path_type") and isinstance(details["input"], int | float):
                hint = f"write it in quotes: '{details['input']}'"
        elif kind in _LIMITS:
            expected = _LIMITS[kind].format(**context)
            beyond_limits.add(path)
            if expected.endswith(" 1 items"):
                expected = expected[:-1]
        elif kind == "value_error":
            path, found, expected, message = _parse_own_message(
                path, details["input"], _strip_prefixes(str(context.get("error", details["msg"])))
            )
        problems.append(Problem(path, found, expected, hint, message))
    # The value has the right type for one member of a union, so the types of the others are not what it lacks.
    return _merge_problems(
        [
            problem
            for problem in problems
            if problem.path not in beyond_limits or problem.expected not in _TYPES.values()
        ]
    )


def _parse_own_message(path: KeyPath, value: Any, message: str) -> tuple[KeyPath, str, str, str]:
    """Return key, found, expected and message of an error that one of our validators raised.

    Validators of sections name the key first (``intensity is ...``, ``found voxel_size ...``).
    """
    first = re.match(r"(?:found )?'?([a-z_]+(?:\.[a-z_]+)*)", message)
    for key in first[1].split(".") if first else ():
        if not isinstance(value, Mapping) or key not in value:
            break
        path, value = (*path, key), value[key]
    parts = re.fullmatch(r"found (.+?), expected (.+)", message, re.DOTALL)
    if parts:
        return path, parts[1], parts[2], ""
    return path, "" if isinstance(value, Mapping) else format_value(value), "", message


def _merge_problems(problems: list[Problem]) -> list[Problem]:
    """Merge problems of the same key: pydantic reports each member of a union separately."""
    paths = [problem.path for problem in problems]
    merged: dict[KeyPath, Problem] = {}
    for problem in problems:
        deeper = any(
            len(path) > len(problem.path) and path[: len(problem.path)] == problem.path for path in paths
        )
        if deeper and problem.expected in _TYPES.values():
            # The value has the right type for another member of the union, whose own problems are reported.
            continue
        first = merged.get(problem.path)
        if first is None:
            merged[problem.path] = problem
        else:
            expected = _join_alternatives(first.expected, problem.expected)
            message = _join_alternatives(first.message, problem.message)
            hint = first.hint or problem.hint
            merged[problem.path] = replace(first, expected=expected, message=message, hint=hint)
    return list(merged.values())


def _join_alternatives(one: str, other: str) -> str:
    return one if other in one else ", or ".join(filter(None, (one, other)))


_LIMITS = {
    "too_short": "at least {min_length} items",
    "too_long": "at most {max_length} items",
    "string_too_short": "text that is not empty",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "a number below {lt}",
    "less_than_equal": "{le} or less",
    "finite_number": "a finite number",
    "string_pattern_mismatch": "text of the form {pattern}",
}

_TYPES = {
    "int": "a whole number",
    "int_from_float": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list, such as [1, 2, 3]",
    "tuple": "a list, such as [1, 2, 3]",
    "dict": "a mapping of names to values",
    "model": "a mapping of names to values",
    "model_attributes": "a mapping of names to values",
    "path": "a path",
}


def _strip_prefixes(message: str) -> str:
    for prefix in ("Value error, ", "Input should be ", "Assertion failed, "):
        message = message.removeprefix(prefix)
    return message


def _follow_location(model: Any, location: tuple[str | int, ...]) -> tuple[KeyPath, list[str]]:
    """Return the key path of pydantic's location, and the known keys of its last mapping.

    In unions, pydantic adds a tag or a type name to the location that the file does not contain.
    """
    current: list[Any] = [model]
    path: list[str | int] = []
    fields = _list_fields(current)
    for part in location:
        kinds = _expand_unions(current)
        fields = _list_fields(kinds)
        if isinstance(part, str) and len(kinds) > 1 and _is_union_label(part) and part not in fields:
            continue
        following: list[Any] = []
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, BaseModel) and isinstance(part, str):
                for name, field in kind.model_fields.items():
                    if part in (name, field.alias):
                        following.append(field.annotation)
            elif get_origin(kind) in (dict, Mapping):
                following.append(get_args(kind)[1])
            elif isinstance(part, int) and get_origin(kind) in (list, tuple, set, frozenset):
                following.extend(argument for argument in get_args(kind) if argument is not Ellipsis)
        if following:
            path.append(part)
            current = following
            continue
        tagged = [kind for kind in kinds if _has_tag(kind, part)]
        if tagged:
            current = tagged
            continue
        if isinstance(part, str) and _is_union_label(part):
            continue
        path.append(part)
        current = []
    return tuple(path), fields


def _expand_unions(kinds: list[Any]) -> list[Any]:
    expanded: list[Any] = []
    for kind in kinds:
        origin = get_origin(kind)
        if origin is Union or origin is types.UnionType:
            expanded.extend(_expand_unions(list(get_args(kind))))
        elif hasattr(kind, "__metadata__"):
            expanded.extend(_expand_unions([kind.__origin__]))
        else:
            expanded.append(kind)
    return expanded


def _list_fields(kinds: list[Any]) -> list[str]:
    names: dict[str, None] = {}
    for kind in _expand_unions(kinds):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names.update(dict.fromkeys(field.alias or name for name, field in kind.model_fields.items()))
    return list(names)


def _has_tag(kind: Any, tag: str | int) -> bool:
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return False
    if kind.__name__ == tag:
        return True
    return any(
        get_origin(field.annotation) is Literal and tag in get_args(field.annotation)
        for field in kind.model_fields.values()
    )


def _is_union_label(part: str) -> bool:
    """Return True for labels such as ``list[int]`` or ``int``, which pydantic adds for members of a union."""
    return (
        "[" in part
        or part.startswith("constrained-")
        or part in {"int", "float", "str", "bool", "none", "path", "literal", "dict", "list"}
    )
