"""Zarr and N5 containers as sources, and the splitting of a path into container and data set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attacca.arrays.identifier import LocalArrayIdentifier, is_url
from attacca.arrays.metadata import GridMetadata
from attacca.arrays.ome_zarr import read_grid_metadata
from attacca.arrays.zarr_opening import open_zarr
from attacca.volumes.readers.source import Source

# Format 3 (zarr.json) cannot be read, but whoever opens it is told so.
_MARKS = (".zarray", ".zgroup", ".zattrs", "attributes.json", "zarr.json")


def is_zarr(path: Path | str) -> bool:
    """Whether a path is, or lies in, a Zarr or N5 container."""
    return is_url(path) or split_container(path) is not None


def split_container(path: Path | str, dataset: str | None = None) -> LocalArrayIdentifier | None:
    """Container and data set of ``volume.zarr/raw/s0``; None if no part of the path is a container."""
    named = (dataset or "").strip("/")
    if is_url(path):
        parts = str(path).rstrip("/").split("/")
        for index, part in enumerate(parts):
            if index >= 3 and part.endswith((".zarr", ".n5")):
                inside = "/".join(parts[index + 1 :])
                return LocalArrayIdentifier("/".join(parts[: index + 1]), f"{inside}/{named}".strip("/"))
        return LocalArrayIdentifier(str(path).rstrip("/"), named)
    path = Path(path)
    for parent in (path, *path.parents):
        if parent.suffix in (".zarr", ".n5") and parent.is_dir():
            inside = path.relative_to(parent).as_posix().removeprefix(".")
            return LocalArrayIdentifier(parent, f"{inside}/{named}".strip("/"))
    if path.is_dir() and any((path / mark).exists() for mark in _MARKS):
        return LocalArrayIdentifier(path, named)
    return None


class ZarrSource(Source):
    """An array in a Zarr or N5 container, or the first scale of a multiscale group.

    Args:
        identifier: container and data set.

    Raises:
        MissingInputError: there is no such array; the message lists what is there.
    """

    def __init__(self, identifier: LocalArrayIdentifier) -> None:
        self._array, dataset = open_zarr(identifier.container, identifier.dataset, "r")
        self.identifier = LocalArrayIdentifier(identifier.container, dataset)
        self.name = str(self.identifier)
        self.shape, self.dtype = self._array.shape, self._array.dtype.newbyteorder("=")
        self.found = read_grid_metadata(self._array)
        ndim = self._array.ndim
        axes = self.found.axes or (["c", "z", "y", "x"][4 - ndim :] if ndim <= 4 else [])
        # A leading time axis of one point, as OME-Zarr writers add it, is none.
        self._dropped = 0
        while axes and axes[0] == "t" and self.shape[0] == 1:
            axes, self.shape = axes[1:], self.shape[1:]
            self._dropped += 1
        self.axes = axes
        dims = sum(axis in ("z", "y", "x") for axis in axes)
        for name in ("voxel_size", "offset"):
            values = getattr(self.found, name)
            if values is not None and len(values) > dims:
                self.found = GridMetadata(
                    axes,
                    self.found.voxel_size[-dims:] if self.found.voxel_size else None,
                    self.found.offset[-dims:] if self.found.offset else None,
                    self.found.unit,
                )

    @property
    def dims(self) -> int:
        return sum(axis in ("z", "y", "x") for axis in self.axes)

    @property
    def direct(self) -> bool:
        """Whether the stored array has exactly the axes of this source, so that it can be used in place."""
        return self._dropped == 0

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        window = tuple(slice(b, e) for b, e in zip(begin, end))
        lead = (0,) * self._dropped + (slice(None),) * (len(self.shape) - self.dims)
        return np.asarray(self._array[(*lead, *window)]).astype(self.dtype, copy=False)
