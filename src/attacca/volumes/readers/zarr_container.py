"""Arrays in Zarr and N5 containers."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from attacca.arrays.identifier import LocalArrayIdentifier, is_url
from attacca.arrays.metadata import SPATIAL_AXES, GridMetadata, select_spatial
from attacca.arrays.ome_zarr import read_grid_metadata
from attacca.arrays.zarr_opening import explain_damaged_data, open_zarr
from attacca.errors import VolumeError
from attacca.volumes.readers.source import Source

_MARKER_FILES = (".zarray", ".zgroup", ".zattrs", "attributes.json", "zarr.json")


def split_container(path: Path | str, dataset: str | None = None) -> LocalArrayIdentifier | None:
    """Split a path into container and data set; None if no part of the path is a container.

    Args:
        path: local path or URL.
        dataset: name of the data set below ``path``.

    Raises:
        VolumeError: a local directory may not be read.

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
    if path.is_dir():
        _check_directory(path)
        if any(os.path.lexists(path / mark) for mark in _MARKER_FILES):
            return LocalArrayIdentifier(path, below)
    return None


def _check_directory(path: Path) -> None:
    """Raise an error for a directory whose files cannot be listed and opened."""
    try:
        os.stat(os.path.join(path, "."))
        os.scandir(path).close()
    except OSError as error:
        raise VolumeError(
            f"{path}: the directory cannot be read: {error.strerror}",
            fix="ask its owner for permission to read and enter it, or correct the path",
        ) from error


class ZarrSource(Source):
    """An array in a Zarr or N5 container, or the first scale of a multiscale group.

    The result of ``read`` has the axes ``[c,] z, y, x`` whatever the order in which the array stores them; other axes
    must have one point.

    Args:
        identifier: container and data set.
        refuses_missing: True if a missing chunk is an error when it is read; otherwise it holds fill values.

    Attributes:
        identifier: container, and data set of the array itself.

    Raises:
        MissingInputError: the array does not exist; the message lists the members of the nearest group.
        VolumeError: the metadata are damaged, or the axes are not those of an image.
    """

    def __init__(self, identifier: LocalArrayIdentifier, refuses_missing: bool = False) -> None:
        self._array, dataset = open_zarr(identifier.container, identifier.dataset, "r")
        if refuses_missing:
            self._array = self._array.with_config({"read_missing_chunks": False})
        self.identifier = LocalArrayIdentifier(identifier.container, dataset)
        self.name = str(self.identifier)
        self.dtype = self._array.dtype.newbyteorder("=")
        metadata = read_grid_metadata(self._array)
        stored = _name_axes(self.name, metadata.axes, self._array.shape)
        self.stored_axes = "".join(stored)
        self.axes = [axis for axis in ("c", *SPATIAL_AXES) if axis in stored]
        kept = [axis for axis in stored if axis in self.axes]
        self._order = [kept.index(axis) for axis in self.axes]
        self._stored = stored
        self.shape = tuple(self._array.shape[stored.index(axis)] for axis in self.axes)
        self.metadata = _order_metadata(metadata, stored, [axis for axis in self.axes if axis != "c"])

    @property
    def can_be_linked(self) -> bool:
        """True if the stored array has exactly the axes of this source, so that it can be used in place."""
        return self._stored == self.axes

    def locate(self, begin: Sequence[int], end: Sequence[int]) -> tuple[slice, ...]:
        """Return the slices of the stored array that hold a box of voxels; see ``read``."""
        spatial = [axis for axis in self.axes if axis != "c"]
        window = {axis: slice(int(b), int(e)) for axis, b, e in zip(spatial, begin, end)}
        whole = (slice(0, size) for size in self._array.shape)
        return tuple(window.get(axis, all_points) for axis, all_points in zip(self._stored, whole))

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        window = self.locate(begin, end)
        with explain_damaged_data(self._array, self.name, window):
            data = np.asarray(self._array[window])
        data = data[tuple(slice(None) if axis in self.axes else 0 for axis in self._stored)]
        return data.transpose(self._order).astype(self.dtype, copy=False)


def _name_axes(name: str, axes: Sequence[str] | None, shape: Sequence[int]) -> list[str]:
    """Return a name for each axis of an array; only z, y, x and c may have several points."""
    if axes is None:
        if len(shape) > 5:
            raise VolumeError(
                f"{name}: found {len(shape)} axes without names, expected at most t, c, z, y, x",
                fix="name the axes in the metadata, or store an array with the axes z, y, x",
            )
        axes = ["t", "c", "z", "y", "x"][5 - len(shape) :]
    if len(axes) != len(shape):
        raise VolumeError(
            f"{name}: found {len(axes)} names ({', '.join(axes)}) for {len(shape)} axes in the metadata",
            fix="correct the metadata of the file",
        )
    spatial = [axis for axis in axes if axis in SPATIAL_AXES]
    if len(set(axes)) < len(axes) or len(spatial) < 2:
        raise VolumeError(
            f"{name}: found the axes {', '.join(axes)}, expected z, y and x, or y and x, each once",
            fix="correct the names of the axes in the metadata of the file, or choose another data set",
        )
    for axis, size in zip(axes, shape):
        if axis not in ("c", *SPATIAL_AXES) and size != 1:
            raise VolumeError(
                f"{name}: found {size} points along the axis {axis!r} (axes {', '.join(axes)}), expected an image with "
                "the axes z, y, x and channels",
                fix="store one point of this axis as an array of its own",
            )
    return list(axes)


def _order_metadata(metadata: GridMetadata, stored: Sequence[str], spatial: list[str]) -> GridMetadata:
    """Return metadata whose lists are over the spatial axes in the order of the source."""
    names = [axis for axis in stored if axis in spatial]
    lists: dict[str, tuple[float, ...] | None] = {}
    for key, values in (("voxel_size", metadata.voxel_size), ("offset", metadata.offset)):
        if values is not None and len(values) == len(stored):
            values = select_spatial(values, stored)
        if values is not None and len(values) != len(names):
            return replace(metadata, axes=spatial).reject(
                f"{metadata.origin or key} holds {len(values)} numbers for the axes {', '.join(names)}"
            )
        lists[key] = None if values is None else tuple(values[names.index(axis)] for axis in spatial)
    return replace(metadata, axes=spatial, voxel_size=lists["voxel_size"], offset=lists["offset"])
