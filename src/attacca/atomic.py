"""Atomic writing of files: a file is either complete or unchanged."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def replace_file(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file for writing that replaces ``path`` at the end, if no exception is raised in between.

    Readers see the old or the new content, even after a power cut.

    >>> path = Path(tempfile.mkdtemp(), "squares.txt")
    >>> with replace_file(path) as file:
    ...     _ = file.write(b"1 4 9")
    >>> path.read_bytes()
    b'1 4 9'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        # numpy.save writes to a file that is open for writing only by itself, and does not say that a disk is full.
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, 0o666 & ~_umask())
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise


def write_bytes(path: str | Path, data: bytes) -> None:
    """Replace a file in one step; see ``replace_file``."""
    with replace_file(path) as file:
        file.write(data)


def write_text(path: str | Path, text: str) -> None:
    """Write text in UTF-8; see ``write_bytes``."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, value: Any) -> None:
    """Write indented JSON with sorted keys; see ``write_bytes``. The caller replaces NaN by None.

    Raises:
        ValueError: a number is not finite.
    """
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
