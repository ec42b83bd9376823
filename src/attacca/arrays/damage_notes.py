"""Notes of damaged objects that a job met, from which the next start of the workflow knows what to recompute."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from attacca.arrays.identifier import is_url

_NOTE = Path(".attacca") / "damaged.txt"


def note_damage(directory: str, keys: Iterable[str]) -> bool:
    """Note damaged objects of a local array.

    Args:
        directory: path of the array.
        keys: names of its stored objects.

    Returns:
        Whether they are noted: not in an object store, and not without permission to write.

    >>> import tempfile
    >>> directory = tempfile.mkdtemp()
    >>> note_damage(directory, ["c/0/0/1"])
    True
    >>> read_damage(directory), read_damage("s3://bucket/raw/s0")
    (['c/0/0/1'], [])
    """
    if is_url(directory):
        return False
    try:
        path = Path(directory) / _NOTE
        path.parent.mkdir(exist_ok=True)
        # Several processes may append: one write per note.
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(handle, "".join(f"{key}\n" for key in keys).encode())
        finally:
            os.close(handle)
    except OSError:
        return False
    return True


def read_damage(directory: str) -> list[str]:
    """Return the noted objects of an array, each once.

    >>> read_damage("raw.zarr/s0")
    []
    """
    try:
        lines = (Path(directory) / _NOTE).read_text().splitlines()
    except OSError:
        return []
    return list(dict.fromkeys(line for line in lines if line))


def clear_damage(directory: str) -> None:
    """Remove the notes of an array whose damaged objects are recomputed.

    >>> clear_damage("raw.zarr/s0")
    """
    with suppress(OSError):
        (Path(directory) / _NOTE).unlink()
