"""Arrays in Zarr and N5 containers."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attacca.arrays.identifier import LocalArrayIdentifier, is_url
from attacca.arrays.metadata import GridMetadata
from attacca.arrays.ome_zarr import read_grid_metadata
from attacca.arrays.zarr_opening import open_zarr
from attacca.volumes.readers.source import Source

_MARKER_FILES = (".zarray", ".zgroup", ".zattrs", "attributes.json", "zarr.json")


def split_container(path: Path | str, dataset: str | None = None) -> LocalArrayIdentifier | None:
    """Split a path into container and data set; None if no part of the path is a container.

    Args:
        path: local path or URL.
        dataset: name of the data set below ``path``.

    >>> str(split_container("s3://bucket/volume.zarr/raw", "s0").container)
    's3://bucket/volume.zarr'
    """
    below = (dataset or "").strip("/")
    if is_url(path):
        parts = str(path).rstrip("/").split("/")
        for index, part in enumerate(parts):
            if index >= 3 and part.endswith((".zarr", ".n5")):
                name = "/".join(parts[index + 1 :])
                return LocalArrayIdentifier("/".join(parts[: index + 1]), f"{name}/{below}".strip("/"))
        return LocalArrayIdentifier(str(path).rstrip("/"), below)
    path = Path(path)
    for parent in (path, *path.parents):
        is_archive = parent.suffix == ".zip" and parent.is_file()
        if is_archive or (parent.suffix in (".zarr", ".n5") and parent.is_dir()):
            name = path.relative_to(parent).as_posix().removeprefix(".")
            return LocalArrayIdentifier(parent, f"{name}/{below}".strip("/"))
    if path.is_dir() and any(os.path.exists(path / mark) for mark in _MARKER_FILES):
        return LocalArrayIdentifier(path, below)
    return None


class ZarrSource(Source):
    """An array in a Zarr or N5 container, or the first scale of a multiscale group.

    Args:
        identifier: container and data set.

    Attributes:
        identifier: container, and data set of the array itself.

    Raises:
        MissingInputError: the array does not exist; the message lists the members of the nearest group.
    """

    def __init__(self, identifier: LocalArrayIdentifier) -> None:
        self._array, dataset = open_zarr(identifier.container, identifier.dataset, "r")
        self.identifier = LocalArrayIdentifier(identifier.container, dataset)
        self.name = str(self.identifier)
        self.shape, self.dtype = self._array.shape, self._array.dtype.newbyteorder("=")
        self.metadata = read_grid_metadata(self._array)
        ndim = self._array.ndim
        axes = self.metadata.axes or (["c", "z", "y", "x"][4 - ndim :] if ndim <= 4 else [])
        # OME-Zarr writers add a leading time axis with one point.
        self._dropped = 0
        while axes and axes[0] == "t" and self.shape[0] == 1:
            axes, self.shape = axes[1:], self.shape[1:]
            self._dropped += 1
        self.axes = axes
        dims = sum(axis in ("z", "y", "x") for axis in axes)
        for name in ("voxel_size", "offset"):
            values = getattr(self.metadata, name)
            if values is not None and len(values) > dims:
                self.metadata = GridMetadata(
                    axes,
                    self.metadata.voxel_size[-dims:] if self.metadata.voxel_size else None,
                    self.metadata.offset[-dims:] if self.metadata.offset else None,
                    self.metadata.unit,
                )

    @property
    def dims(self) -> int:
        return sum(axis in ("z", "y", "x") for axis in self.axes)

    @property
    def can_be_linked(self) -> bool:
        """True if the stored array has exactly the axes of this source, so that it can be used in place."""
        return self._dropped == 0

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        window = tuple(slice(b, e) for b, e in zip(begin, end))
        lead = (0,) * self._dropped + (slice(None),) * (len(self.shape) - self.dims)
        return np.asarray(self._array[(*lead, *window)]).astype(self.dtype, copy=False)
