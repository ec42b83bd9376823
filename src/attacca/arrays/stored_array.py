"""Stored arrays other than those of zarr-python, with the part of their interface that Attacca uses."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import zarr

from attacca.arrays.metadata import GridMetadata


class ForeignArray(ABC):
    """A stored array that is indexed by voxels like a Zarr array.

    Attributes:
        path: name of the array in its container.
        shape: number of voxels along each axis.
        chunks: shape of the unit of reading, in voxels.
        dtype: dtype of the voxels.
        attrs: attributes; a mapping with the method ``asdict``.
    """

    fill_value = 0
    path: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype
    attrs: Any

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def shards(self) -> tuple[int, ...] | None:
        """Shape of the unit of writing if it holds several chunks, in voxels; otherwise None."""
        return None

    @property
    def has_unnamed_objects(self) -> bool:
        """True if ``name_object`` names parts of files, such as the chunks of a sharded Precomputed volume."""
        return False

    @abstractmethod
    def read_grid_metadata(self) -> GridMetadata | None:
        """Return the metadata of the voxel grid; None if they are in ``attrs``."""

    @abstractmethod
    def refuse_missing_chunks(self) -> Self:
        """Return the same array, which raises an error instead of filling a missing chunk with zeros."""

    @abstractmethod
    def name_object(self, index: tuple[int, ...]) -> str:
        """Return the name of the stored object with an index in the grid of write blocks."""

    @abstractmethod
    def read_slices(self, slices: tuple[slice, ...]) -> np.ndarray:
        """Return the voxels of one slice per axis, with start and stop inside the array."""

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(f"{type(self).__name__} is read-only")

    def __getitem__(self, index: Any) -> np.ndarray:
        slices, picked = self._to_slices(index)
        data = self.read_slices(slices)
        return data[tuple(0 if axis in picked else slice(None) for axis in range(self.ndim))]

    def _to_slices(self, index: Any) -> tuple[tuple[slice, ...], set[int]]:
        """Return a slice per axis, and the axes whose index is a number."""
        parts = index if isinstance(index, tuple) else (index,)
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            parts = (*parts[:at], *[slice(None)] * (self.ndim - len(parts) + 1), *parts[at + 1 :])
        parts = (*parts, *[slice(None)] * (self.ndim - len(parts)))
        picked = {axis for axis, part in enumerate(parts) if not isinstance(part, slice)}
        bounded = []
        for part, size in zip(parts, self.shape):
            number = None if isinstance(part, slice) else int(part) + (size if part < 0 else 0)
            if number is not None and not 0 <= number < size:
                raise IndexError(f"found the index {part}, expected a number below {size}")
            bounded.append(slice(*part.indices(size)[:2]) if number is None else slice(number, number + 1))
        return tuple(bounded), picked


StoredArray = zarr.Array[Any] | ForeignArray
"""An array in a container of any kind, indexed by voxels."""


class ReorderedArray(ForeignArray):
    """An array with other axes: in another order, or without axes of which one point is used.

    Args:
        array: the stored array.
        stored_axes: names of its axes.
        axes: names of the axes of this array, each one of ``stored_axes``.
        points: index along each stored axis that is left out.

    >>> stored = zarr.create_array(zarr.storage.MemoryStore(), shape=(1, 2, 3), dtype="u1", chunks=(1, 2, 2))
    >>> stored[0] = [[1, 2, 3], [4, 5, 6]]
    >>> array = ReorderedArray(stored, ["t", "y", "x"], ["x", "y"], {"t": 0})
    >>> array.shape, array.chunks, array[1:, 0].tolist()
    ((3, 2), (2, 2), [2, 3])
    """

    def __init__(
        self, array: StoredArray, stored_axes: Sequence[str], axes: Sequence[str], points: Mapping[str, int]
    ) -> None:
        self.base = array
        self._stored_axes, self._axes, self._points = list(stored_axes), list(axes), dict(points)
        self._positions = [self._stored_axes.index(axis) for axis in axes]
        kept = [axis for axis in self._stored_axes if axis in self._axes]
        self._order = [kept.index(axis) for axis in self._axes]
        self.path, self.attrs = array.path, array.attrs
        self.shape, self.chunks = self._select(array.shape), self._select(array.chunks)
        self.dtype = array.dtype.newbyteorder("=")

    @property
    def shards(self) -> tuple[int, ...] | None:
        return None if self.base.shards is None else self._select(self.base.shards)

    @property
    def has_unnamed_objects(self) -> bool:
        return isinstance(self.base, ForeignArray) and self.base.has_unnamed_objects

    def _select(self, values: Sequence[int]) -> tuple[int, ...]:
        return tuple(values[position] for position in self._positions)

    def locate(self, slices: Sequence[slice]) -> tuple[slice, ...]:
        """Return the slices of the stored array, all its axes, for one slice per axis of this array."""
        named = dict(zip(self._axes, slices))
        points = {axis: slice(point, point + 1) for axis, point in self._points.items()}
        return tuple(named[axis] if axis in named else points[axis] for axis in self._stored_axes)

    def read_slices(self, slices: tuple[slice, ...]) -> np.ndarray:
        data = np.asarray(self.base[self.locate(slices)])
        data = data[tuple(slice(None) if axis in self._axes else 0 for axis in self._stored_axes)]
        return data.transpose(self._order).astype(self.dtype, copy=False)

    def read_grid_metadata(self) -> GridMetadata:
        """Return the axes alone; voxel size and offset are given beside the new order of the axes."""
        return GridMetadata(self._axes, None, None, None)

    def refuse_missing_chunks(self) -> Self:
        return type(self)(refuse_missing_chunks(self.base), self._stored_axes, self._axes, self._points)

    def name_object(self, index: tuple[int, ...]) -> str:
        block = self.base.shards or self.base.chunks
        named = dict(zip(self._axes, index))
        numbers = [
            named[axis] if axis in named else self._points[axis] // edge
            for axis, edge in zip(self._stored_axes, block)
        ]
        return name_stored_object(self.base, tuple(numbers))


def refuse_missing_chunks(array: StoredArray) -> StoredArray:
    """Return the same array, which raises an error instead of filling a missing chunk.

    >>> array = zarr.create_array(zarr.storage.MemoryStore(), shape=(4,), dtype="u1", chunks=(2,))
    >>> refuse_missing_chunks(array)[:]
    Traceback (most recent call last):
    zarr.errors.ChunkNotFoundError: ...
    """
    if isinstance(array, zarr.Array):
        return array.with_config({"read_missing_chunks": False})
    return array.refuse_missing_chunks()


def name_stored_object(array: StoredArray, index: tuple[int, ...]) -> str:
    """Return the name of a shard or chunk below its array.

    >>> array = zarr.create_array(zarr.storage.MemoryStore(), shape=(4, 4), dtype="u1", chunks=(2, 2))
    >>> name_stored_object(array, (0, 1))
    'c/0/1'
    """
    if isinstance(array, zarr.Array):
        return array.metadata.encode_chunk_key(index)
    return array.name_object(index)
