"""YAML text of a proposal, with the reason of each choice as a comment."""

import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from attacca.proposal.choices import Choice, strip_reasons
from attacca.proposal.rules import Proposal

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./ ()+@~-]*")
_RESERVED = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
_WIDTH = 110


def write_configuration(proposal: Proposal, facts: Sequence[str]) -> str:
    """Return the text of a configuration file.

    Args:
        proposal: chosen settings.
        facts: lines about the data, for the comment at the top.

    >>> proposal = Proposal("classes", "cells", {"seed": Choice(1, "Any number.")}, {"cube": {}}, [])
    >>> print(write_configuration(proposal, ["cube: 64 x 64 x 64 voxels"]))
    # Proposed by `attacca init` from these data:
    #   cube: 64 x 64 x 64 voxels
    # Every key is described in docs/configuration.md. Paths are relative to this file.
    <BLANKLINE>
    results: results
    <BLANKLINE>
    volumes:
      cube: {}
    <BLANKLINE>
    runs:
      cells:
        # Any number.
        seed: 1
    <BLANKLINE>
    """
    head = ["Proposed by `attacca init` from these data:", *(f"  {line}" for line in facts)]
    if proposal.questions:
        head += ["Please confirm:", *(f"  - {question}" for question in proposal.questions)]
    head.append("Every key is described in docs/configuration.md. Paths are relative to this file.")
    lines = [f"# {part}" for line in head for part in _wrap(line, _WIDTH)]
    lines += ["", "results: results", "", "volumes:", *_list_lines(proposal.volumes, 1)]
    lines += ["", "runs:", *_list_lines({proposal.name: proposal.run}, 1)]
    return "\n".join(lines) + "\n"


def _wrap(text: str, width: int) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()) + (2 if text.lstrip().startswith("- ") else 0))
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _list_lines(section: dict[str, Any], level: int) -> Iterator[str]:
    """Yield the lines of a section."""
    indent = "  " * level
    for key, item in section.items():
        if isinstance(item, Choice):
            for part in _wrap(item.reason, _WIDTH - len(indent)):
                yield f"{indent}# {part}"
        value = item.value if isinstance(item, Choice) else item
        name = format_value(key)
        if isinstance(value, dict) and value and not _is_short(value):
            yield f"{indent}{name}:"
            yield from _list_lines(value, level + 1)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{indent}{name}:"
            for member in value:
                yield f"{indent}  - {format_value(strip_reasons(member))}"
        else:
            yield f"{indent}{name}: {format_value(strip_reasons(value))}"


def _is_short(value: dict[str, Any]) -> bool:
    """Return True for a section without reasons that fits in a line."""
    return (
        strip_reasons(value) == value
        and all(not isinstance(v, dict) for v in value.values())
        and (len(format_value(value)) < 80)
    )


def format_value(value: Any) -> str:
    """Return a value as YAML in one line.

    >>> format_value({"path": "my data/a: b.tif", "values": [255], "in_place": True})
    '{ path: "my data/a: b.tif", values: [255], in_place: true }'
    """
    if isinstance(value, dict):
        items = ", ".join(f"{format_value(key)}: {format_value(item)}" for key, item in value.items())
        return f"{{ {items} }}" if items else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(format_value(item) for item in value)}]"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _RESERVED and value == value.strip()
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
