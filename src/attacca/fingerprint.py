"""Canonical JSON and digests: what decides whether a result is still valid."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, Path):
        return str(value)
    return value


def canonical_json(value: Any) -> str:
    """JSON text that is equal for equal values: keys sorted, no spaces, NaN refused.

    Tuples, ``Coordinate`` and numpy values become lists and numbers, paths become strings.

    Raises:
        TypeError: a value has no JSON form.
        ValueError: a number is not finite.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256, in hexadecimal, of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digest_file(path: str | Path) -> str:
    """SHA-256, in hexadecimal, of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """What differs between two mappings, as one text for each component, in the order of their names."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            inner = f"{name}.{key}" if name else key
            if key not in new:
                yield f"{inner} was {_short(old[key])} and is not set now"
            elif key not in old:
                yield f"{inner} was not set and is {_short(new[key])} now"
            else:
                yield from list_differences(old[key], new[key], inner)
    elif old != new:
        yield f"{name} was {_short(old)} and is {_short(new)} now"


def _short(value: Any) -> str:
    text = canonical_json(value)
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value):
        return value[:12]
    return text if len(text) <= 60 else text[:57] + "..."
