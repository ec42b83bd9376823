"""Atomic writing of files: a file is either complete or unchanged."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def replace_file(path: str | Path) -> Iterator[IO[bytes]]:
    """Yield a file that replaces ``path`` in one step; readers see the old or the new content, even after a power cut."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
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
    """Write bytes; see ``replace_file``."""
    with replace_file(path) as file:
        file.write(data)


def write_text(path: str | Path, text: str) -> None:
    """Write text in UTF-8; see ``replace_file``."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, value: Any) -> None:
    """Write indented JSON with sorted keys; see ``replace_file``. The caller replaces NaN by None.

    Raises:
        ValueError: a number is not finite.
    """
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
