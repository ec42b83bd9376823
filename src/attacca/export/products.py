"""Files and directories of an export: each is complete and current, or absent."""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attacca.atomic import write_json
from attacca.fingerprint import digest
from attacca.manifest import read_values

logger = logging.getLogger(__name__)

PRODUCTS = {
    "precomputed": "precomputed",
    "webknossos": "webknossos",
    "tiff": "segmentation.tif",
    "hdf5": "segmentation.h5",
}
"""File or directory of each format, in the directory of the export."""


def write_product(directory: Path, name: str, key: Any, write: Callable[[Path], Any]) -> Any:
    """Write the file or directory of a format, unless it was written with the same key before.

    It is written under another name, and renamed when it is complete. A record with the key is written last.

    Args:
        directory: directory of the export.
        name: name of the format.
        key: everything that the product depends on, as plain values.
        write: function that writes to a new path and returns plain values for the record.

    Returns:
        The values of the record.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as path:
    ...     for text in ("first", "second"):
    ...         write_product(Path(path), "tiff", {"threshold": 1}, lambda file: {"bytes": file.write_text(text)})
    ...     (Path(path) / "segmentation.tif").read_text()
    {'bytes': 5}
    {'bytes': 5}
    'first'
    """
    path, record = directory / PRODUCTS[name], _record(directory, name)
    values = read_values(record)
    if values is not None and values.get("key") == digest(key) and path.exists():
        logger.info("%s is up to date", path)
        return values["result"]
    remove_product(directory, name)
    directory.mkdir(parents=True, exist_ok=True)
    partial = _partial(directory, name)
    result = write(partial)
    os.replace(partial, path)
    write_json(record, {"key": digest(key), "result": result})
    return result


def remove_product(directory: Path, name: str) -> None:
    """Delete the product of a format, its record, and what an interrupted job left of it."""
    _record(directory, name).unlink(missing_ok=True)
    for path in (directory / PRODUCTS[name], _partial(directory, name)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _record(directory: Path, name: str) -> Path:
    return directory / f".{name}.json"


def _partial(directory: Path, name: str) -> Path:
    return directory / f".partial-{PRODUCTS[name]}"
