"""Locations of arrays: a container and a data set in it."""

import os
from dataclasses import dataclass
from pathlib import Path


def is_url(path: str | Path) -> bool:
    """Return True for a URL (``s3://bucket/key``), False for a local path.

    >>> is_url("s3://bucket/volume.zarr"), is_url("/data/volume.zarr")
    (True, False)
    """
    return "://" in str(path)


def join_path(container: str | Path, *names: str) -> str:
    """Return the path or URL below ``container``, without empty names and superfluous slashes.

    >>> join_path("s3://bucket/volume.zarr/", "raw/", "s0")
    's3://bucket/volume.zarr/raw/s0'
    """
    parts = [part for name in names for part in str(name).split("/") if part]
    base = str(container).rstrip("/") if is_url(container) else os.fspath(container)
    return "/".join([base.rstrip("/") or "/", *parts]) if parts else base


@dataclass(frozen=True)
class LocalArrayIdentifier:
    """Location of an array.

    Args:
        container: a directory, or an ``s3://`` URL.
        dataset: name of the data set in the container.

    >>> str(LocalArrayIdentifier("volume.zarr", "raw/s0"))
    'volume.zarr/raw/s0'
    """

    container: Path | str
    dataset: str

    def __str__(self) -> str:
        return join_path(self.container, self.dataset)
