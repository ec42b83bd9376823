"""Arrays that keep the most recently read blocks in memory."""

from collections import OrderedDict
from collections.abc import MutableMapping
from itertools import product
from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array, LocalArrayIdentifier, NumpyArray, ZarrArray
from attacca.errors import VolumeError

CACHE_BYTES = 512 * 2**20
"""Bytes of one array that a loader process keeps in memory."""


class CachedArray(Array):
    """Array that keeps its most recently used blocks in memory; read-only.

    Args:
        array: the source.
        capacity: memory of the blocks, in bytes.
        block: block size in voxels; by default the chunk size of the source.
    """

    def __init__(self, array: Array, capacity: int = CACHE_BYTES, block: Coordinate | None = None) -> None:
        self._array = array
        self._capacity = capacity
        self._used = 0
        self._blocks: OrderedDict[Coordinate, np.ndarray] = OrderedDict()
        if block is None:
            chunk = getattr(array, "chunk_size", None)
            block = chunk / array.voxel_size if chunk is not None else Coordinate((64,) * array.dims)
        self._block = block

    def __str__(self) -> str:
        return str(self._array)

    @property
    def attrs(self) -> MutableMapping[str, Any]:
        return self._array.attrs

    @property
    def axes(self) -> list[str]:
        return self._array.axes

    @property
    def voxel_size(self) -> Coordinate:
        return self._array.voxel_size

    @property
    def roi(self) -> Roi:
        return self._array.roi

    @property
    def writable(self) -> bool:
        return False

    @property
    def data(self) -> Any:
        return self._array.data

    @property
    def dtype(self) -> Any:
        return self._array.dtype

    def __getitem__(self, roi: Roi) -> np.ndarray:
        self._check_aligned(roi)
        if not self.roi.contains(roi):
            raise VolumeError(f"{self}: the ROI {roi} is not inside that of the array, {self.roi}")
        offset = (roi.begin - self.roi.begin) / self.voxel_size
        shape = roi.shape / self.voxel_size
        lead = self.data.shape[: len(self.axes) - self.dims]
        result = np.empty((*lead, *shape), dtype=self.dtype)
        ranges = [
            range(o // size, -(-(o + s) // size))
            for o, s, size in zip(offset, shape, self._block, strict=True)
        ]
        for index in product(*ranges):
            block = self._read_block(Coordinate(index))
            target: list[Any] = [Ellipsis]
            source: list[Any] = [Ellipsis]
            for axis, number in enumerate(index):
                first = number * self._block[axis]
                low = max(offset[axis], first)
                high = min(offset[axis] + shape[axis], first + block.shape[len(lead) + axis])
                target.append(slice(low - offset[axis], high - offset[axis]))
                source.append(slice(low - first, high - first))
            result[tuple(target)] = block[tuple(source)]
        return result

    def _read_block(self, index: Coordinate) -> np.ndarray:
        if index in self._blocks:
            self._blocks.move_to_end(index)
            return self._blocks[index]
        size = self._block * self.voxel_size
        block = self._array[Roi(self.roi.begin + index * size, size).intersect(self.roi)]
        self._blocks[index] = block
        self._used += block.nbytes
        while self._used > self._capacity and len(self._blocks) > 1:
            _, oldest = self._blocks.popitem(last=False)
            self._used -= oldest.nbytes
        return block


def open_cached(identifier: LocalArrayIdentifier) -> Array:
    """Open an array, in memory as a whole if it has at most ``CACHE_BYTES``."""
    array = ZarrArray.open_from_array_identifier(identifier)
    if int(np.prod(array.shape)) * np.dtype(array.dtype).itemsize <= CACHE_BYTES:
        return NumpyArray.from_np_array(array[array.roi], array.roi, array.voxel_size, array.axes)
    return CachedArray(array)
