"""Arrays in Zarr, N5 and Precomputed containers."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from attacca.arrays.damaged_objects import explain_damaged_data
from attacca.arrays.identifier import LocalArrayIdentifier, is_url
from attacca.arrays.metadata import SPATIAL_AXES, GridMetadata, select_spatial
from attacca.arrays.ome_zarr import read_grid_metadata
from attacca.arrays.precomputed import is_precomputed, locate_precomputed
from attacca.arrays.stored_array import ReorderedArray, refuse_missing_chunks
from attacca.arrays.zarr_opening import open_zarr
from attacca.errors import VolumeError
from attacca.volumes.readers.image_file import IMAGE_SUFFIXES
from attacca.volumes.readers.source import Box, Source

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
    if is_precomputed(path) and not _holds_images(path):
        location = locate_precomputed(path)
        return LocalArrayIdentifier(Path(location) if is_precomputed(location) else path, below)
    if is_url(path):
        parts = str(path).rstrip("/").split("/")
        for index, part in enumerate(parts):
            if index >= 3 and part.endswith((".zarr", ".n5")):
                name = "/".join(parts[index + 1 :])
                return LocalArrayIdentifier("/".join(parts[: index + 1]), f"{name}/{below}".strip("/"))
        return LocalArrayIdentifier(str(path).rstrip("/"), below)
    path = Path(path)
    for parent in (path, *path.parents):
        is_archive = parent.suffix == ".zip" and os.path.isfile(parent)
        if is_archive or (parent.suffix in (".zarr", ".n5") and os.path.isdir(parent)):
            name = path.relative_to(parent).as_posix().removeprefix(".")
            return LocalArrayIdentifier(parent, f"{name}/{below}".strip("/"))
    if os.path.isdir(path):
        _check_directory(path)
        if any(os.path.lexists(path / mark) for mark in _MARKER_FILES):
            return LocalArrayIdentifier(path, below)
    return None


def _holds_images(path: Path | str) -> bool:
    """Return whether a path is a directory of sections, which may hold a file ``info`` as well."""
    if is_url(path):
        return False
    return any(name.lower().endswith(IMAGE_SUFFIXES) for name in os.listdir(path))


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
    """An array in a Zarr, N5 or Precomputed container, or the first scale of a multiscale group.

    The result of ``read`` has the axes ``[c,] z, y, x`` whatever the order in which the array stores them; other axes
    must have one point.

    Args:
        identifier: container and data set.
        refuses_missing: raise an error when a missing chunk is read, instead of returning its fill value.
        axes: names of the axes, which replace those in the metadata.
        box: the part to read; None for the whole array.

    Attributes:
        identifier: container, and data set of the array itself.
        begin: first voxel along each spatial axis.

    Raises:
        MissingInputError: the array does not exist; the message lists the members of the nearest group.
        VolumeError: the metadata are damaged, or the axes are not those of an image.
    """

    def __init__(
        self,
        identifier: LocalArrayIdentifier,
        refuses_missing: bool = False,
        axes: Sequence[str] | None = None,
        box: Box | None = None,
    ) -> None:
        array, dataset = open_zarr(identifier.container, identifier.dataset, "r")
        self._array = refuse_missing_chunks(array) if refuses_missing else array
        self.identifier = LocalArrayIdentifier(identifier.container, dataset)
        self.name = str(self.identifier)
        metadata = read_grid_metadata(array)
        stored = _name_axes(self.name, axes or metadata.axes, array.shape)
        self.stored_axes = "".join(stored)
        self.axes = [axis for axis in ("c", *SPATIAL_AXES) if axis in stored]
        self._stored = stored
        points = {axis: 0 for axis in stored if axis not in self.axes}
        self._view = ReorderedArray(self._array, stored, self.axes, points)
        self.shape, self.dtype = self._view.shape, self._view.dtype
        self.metadata = _order_metadata(metadata, stored, [axis for axis in self.axes if axis != "c"])
        self.begin: tuple[int, ...] = (0,) * self.dims
        if box is not None:
            self._select_box(*box)

    def _select_box(self, begin: Sequence[int], shape: Sequence[int]) -> None:
        if len(shape) != self.dims or any(
            b + n > size for b, n, size in zip(begin, shape, self.spatial_shape)
        ):
            raise VolumeError(
                f"{self.name} has {self.spatial_shape} voxels, but its description a box of {tuple(shape)} at "
                f"{tuple(begin)}",
                fix="copy both again, or correct the description",
            )
        self.begin = tuple(begin)
        self.shape = (*self.shape[: len(self.shape) - self.dims], *shape)

    def describe_link(self, channel: int | None) -> dict[str, Any] | None:
        """Return the axes by which the array can be used in place; None if it has to be copied.

        An array with several channels in a chunk is copied if one of them is chosen: each use would read all of them.

        Args:
            channel: the chosen channel; None if the array has none.

        Returns:
            The values ``axes``, ``stored_axes`` and ``points`` of a ``ZarrArrayConfig``.
        """
        axes = [axis for axis in self.axes if axis != "c"]
        if channel is not None and self._view.chunks[0] != 1:
            return None
        if self._stored == axes:
            return {"axes": axes}
        points = {axis: 0 for axis in self._stored if axis not in axes} | (
            {} if channel is None else {"c": channel}
        )
        return {"axes": axes, "stored_axes": self._stored, "points": points}

    def locate(self, begin: Sequence[int], end: Sequence[int]) -> tuple[slice, ...]:
        """Return the slices of the stored array that hold a box of voxels; see ``read``."""
        spatial = self._shift(begin, end)
        channels = [slice(0, self.shape[0])] if "c" in self.axes else []
        return self._view.locate([*channels, *spatial])

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        with explain_damaged_data(self._array, self.name, self.locate(begin, end)):
            return self._view[(..., *self._shift(begin, end))]

    def _shift(self, begin: Sequence[int], end: Sequence[int]) -> list[slice]:
        return [slice(int(b) + o, int(e) + o) for b, e, o in zip(begin, end, self.begin)]


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
