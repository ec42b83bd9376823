"""Canonical JSON and digests, from which the validity of results is decided."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def _to_plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return [_to_plain(item) for item in value.tolist()]
    if isinstance(value, np.generic):
        return _to_plain(value.item())
    if isinstance(value, Path):
        return str(value)
    return value


def canonical_json(value: Any) -> str:
    """Return JSON text that is equal for equal values: keys sorted, no spaces.

    Tuples, ``Coordinate`` and numpy values become lists and numbers, paths become strings.

    Raises:
        TypeError: a value has no JSON form.
        ValueError: a number is not finite.

    >>> canonical_json({"b": (1, 2), "a": Path("raw.h5")})
    '{"a":"raw.h5","b":[1,2]}'
    """
    return json.dumps(_to_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """Return the SHA-256, in hexadecimal, of the canonical JSON of ``value``."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digest_file(path: str | Path) -> str:
    """Return the SHA-256, in hexadecimal, of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """Yield the differences between two mappings, one text per key, in the order of the keys.

    >>> list(list_differences({"seed": 1, "chunk": 64}, {"seed": 2, "chunk": 64}))
    ['seed was 1 and is 2 now']
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            inner = f"{name}.{key}" if name else key
            if key not in new:
                yield f"{inner} was {_shorten(old[key])} and is not set now"
            elif key not in old:
                yield f"{inner} was not set and is {_shorten(new[key])} now"
            else:
                yield from list_differences(old[key], new[key], inner)
    elif old != new:
        yield f"{name} was {_shorten(old)} and is {_shorten(new)} now"


def _shorten(value: Any) -> str:
    text = canonical_json(value)
    if isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value):
        return value[:12]
    return text if len(text) <= 60 else text[:57] + "..."
