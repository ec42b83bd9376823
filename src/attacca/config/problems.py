"""Problems in a configuration, told so that the person who made them can mend them."""

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
    """One problem: where it stands, what was found, what is expected, what to do.

    ``message`` says in whole sentences what the other three say in parts.
    """

    path: KeyPath
    found: str = ""
    expected: str = ""
    hint: str = ""
    message: str = ""

    def line(self, lines: Mapping[KeyPath, int]) -> int:
        """The line of the nearest key that is in the file; 0 where there is none."""
        lengths = range(len(self.path), 0, -1)
        return next((lines[self.path[:length]] for length in lengths if self.path[:length] in lines), 0)

    def text(self) -> str:
        """What was found, what is expected and what to do, a line each."""
        parts = {"found": self.found, "expected": self.expected, "problem": self.message}
        rows = [f"  {name + ':':<9} {text}" for name, text in parts.items() if text]
        return "\n".join([*rows, *([f"  {self.hint}"] if self.hint else [])])


def format_problems(problems: Iterable[Problem], lines: Mapping[KeyPath, int]) -> list[str]:
    """All problems in the order of the file's lines, each as a paragraph.

    What an anchor brings to several places stands on one line, and is told once with all its places.
    """
    places: dict[tuple[int, str], list[str]] = {}
    for problem in problems:
        places.setdefault((problem.line(lines), problem.text()), []).append(format_key_path(problem.path))
    return [
        "\n".join([", ".join(dict.fromkeys(names)) + (f" (line {line})" if line else ""), text])
        for (line, text), names in sorted(places.items(), key=lambda item: item[0][0])
    ]


def format_key_path(path: KeyPath) -> str:
    """A key path as people write it.

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
    """A hint that names the most similar known name, or an empty text where none is similar."""
    close = difflib.get_close_matches(str(name), [str(item) for item in known], n=1, cutoff=0.55)
    return f"did you mean '{close[0]}'?" if close else ""


def format_value(value: Any) -> str:
    """A value as it stands in the file, cut to one line."""
    text = f"'{value}'" if isinstance(value, str) else repr(value)
    if isinstance(value, dict):
        text = "a mapping with the keys " + ", ".join(map(str, value)) if value else "an empty mapping"
    return text if len(text) <= 120 else text[:117] + "..."


def list_problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """What pydantic found, one ``Problem`` each, with the keys of the file and the nearest known names."""
    problems = []
    for details in error.errors(include_url=False):
        path, fields = _follow(model, details["loc"])
        kind, context = details["type"], details.get("ctx", {})
        found, expected, hint, message = format_value(details["input"]), _sentence(details["msg"]), "", ""
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
        elif kind in _LIMITS:
            expected = _LIMITS[kind].format(**context)
            if expected.endswith(" 1 items"):
                expected = expected[:-1]
        elif kind == "value_error":
            path, found, expected, message = _own_words(
                path, details["input"], _sentence(str(context.get("error", details["msg"])))
            )
        problems.append(Problem(path, found, expected, hint, message))
    return _merged(problems)


def _own_words(path: KeyPath, value: Any, message: str) -> tuple[KeyPath, str, str, str]:
    """Place, found, expected and problem of what a validator of ours says about a section or a value.

    Validators of sections name the key first (``intensity is ...``, ``found voxel_size ...``): it is where the
    problem stands.
    """
    named = re.match(r"(?:found )?'?([a-z_]+(?:\.[a-z_]+)*)", message)
    for key in named[1].split(".") if named else ():
        if not isinstance(value, Mapping) or key not in value:
            break
        path, value = (*path, key), value[key]
    parts = re.fullmatch(r"found (.+?), expected (.+)", message, re.DOTALL)
    if parts:
        return path, parts[1], parts[2], ""
    return path, "" if isinstance(value, Mapping) else format_value(value), "", message


def _merged(problems: list[Problem]) -> list[Problem]:
    """One problem a place: pydantic reports each member of a union by itself."""
    paths = [problem.path for problem in problems]
    merged: dict[KeyPath, Problem] = {}
    for problem in problems:
        deeper = any(
            len(path) > len(problem.path) and path[: len(problem.path)] == problem.path for path in paths
        )
        if deeper and problem.expected in _TYPES.values():
            # The value is of the right kind for another member of the union, and that one says what is wrong in it.
            continue
        first = merged.get(problem.path)
        if first is None:
            merged[problem.path] = problem
        else:
            expected = _either(first.expected, problem.expected)
            message = _either(first.message, problem.message)
            hint = first.hint or problem.hint
            merged[problem.path] = replace(first, expected=expected, message=message, hint=hint)
    return list(merged.values())


def _either(one: str, other: str) -> str:
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


def _sentence(message: str) -> str:
    for prefix in ("Value error, ", "Input should be ", "Assertion failed, "):
        message = message.removeprefix(prefix)
    return message


def _follow(model: Any, location: tuple[str | int, ...]) -> tuple[KeyPath, list[str]]:
    """Translate pydantic's location into the keys of the file, and list the keys that the last mapping may have.

    In unions pydantic puts a tag or a type name into the location, which no file holds.
    """
    current: list[Any] = [model]
    path: list[str | int] = []
    fields = _field_names(current)
    for part in location:
        here = _expand(current)
        fields = _field_names(here)
        if isinstance(part, str) and len(here) > 1 and _is_union_label(part) and part not in fields:
            continue
        following: list[Any] = []
        for kind in here:
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
        tagged = [kind for kind in here if _carries_tag(kind, part)]
        if tagged:
            current = tagged
            continue
        if isinstance(part, str) and _is_union_label(part):
            continue
        path.append(part)
        current = []
    return tuple(path), fields


def _expand(kinds: list[Any]) -> list[Any]:
    expanded: list[Any] = []
    for kind in kinds:
        origin = get_origin(kind)
        if origin is Union or origin is types.UnionType:
            expanded.extend(_expand(list(get_args(kind))))
        elif hasattr(kind, "__metadata__"):
            expanded.extend(_expand([kind.__origin__]))
        else:
            expanded.append(kind)
    return expanded


def _field_names(kinds: list[Any]) -> list[str]:
    names: dict[str, None] = {}
    for kind in _expand(kinds):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names.update(dict.fromkeys(field.alias or name for name, field in kind.model_fields.items()))
    return list(names)


def _carries_tag(kind: Any, tag: str | int) -> bool:
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return False
    if kind.__name__ == tag:
        return True
    return any(
        get_origin(field.annotation) is Literal and tag in get_args(field.annotation)
        for field in kind.model_fields.values()
    )


def _is_union_label(part: str) -> bool:
    """Labels such as ``list[int]``, ``function-after[...]`` or ``int``, which pydantic adds for members of a union."""
    return (
        "[" in part
        or part.startswith("constrained-")
        or part in {"int", "float", "str", "bool", "none", "path", "literal", "dict", "list"}
    )
