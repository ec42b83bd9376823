"""Segmentations as arrays with the axes z, y, x and lengths in nanometers, read block by block."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array, ZarrArray
from attacca.config.units import convert_length
from attacca.errors import VolumeError

Box = tuple[slice, slice, slice]
"""Slices of voxels along z, y, x."""


@dataclass(frozen=True)
class Labels:
    """Ids of an array with at most one channel, addressed by voxels along z, y, x. Two-dimensional arrays have one section.

    Args:
        array: array of ids with two or three spatial axes.

    Raises:
        VolumeError: the array has several channels.

    >>> from attacca.arrays import NumpyArray
    >>> array = NumpyArray.from_np_array(np.eye(3, dtype=np.uint64), Roi((8, 4), (24, 12)), (8, 4), ["y", "x"])
    >>> labels = Labels(array)
    >>> labels.shape, labels.voxel_size, labels.offset
    ((1, 3, 3), (1.0, 8.0, 4.0), (0.0, 8.0, 4.0))
    >>> labels.read((slice(0, 1), slice(1, 2), slice(0, 3))).tolist()
    [[[0, 1, 0]]]
    """

    array: Array

    def __post_init__(self) -> None:
        if (self.array.num_channels or 1) > 1:
            raise VolumeError(
                f"{self.array} has {self.array.num_channels} channels; only a segmentation with one id per voxel can be "
                "exported"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along z, y, x."""
        return _to_3d(self.array.roi.shape / self.array.voxel_size, 1)

    @property
    def voxel_size(self) -> tuple[float, float, float]:
        """Edge lengths of a voxel along z, y, x in nanometers; the section of a 2D array is 1 nm thick."""
        return _to_3d(self._convert(self.array.voxel_size), 1.0)

    @property
    def offset(self) -> tuple[float, float, float]:
        """Lower corner along z, y, x in nanometers."""
        return _to_3d(self._convert(self.array.roi.begin), 0.0)

    @property
    def voxel_offset(self) -> tuple[int, int, int] | None:
        """Lower corner along z, y, x in voxels, or None if it is between two voxels."""
        begin, size = self.array.roi.begin, self.array.voxel_size
        return None if any(begin % size) else _to_3d(begin / size, 0)

    @property
    def block_shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x of the blocks in which the array was written."""
        array = self.array
        size = array.chunk_size / array.voxel_size if isinstance(array, ZarrArray) else [128] * array.dims
        return _to_3d([min(a, b) for a, b in zip(size, array.roi.shape / array.voxel_size)], 1)

    def read(self, box: Box, margin: bool = False) -> np.ndarray:
        """Return the ids of a box.

        Args:
            box: voxels; may extend beyond the array if ``margin`` is set.
            margin: whether voxels outside the array are 0, instead of an error.
        """
        dims = self.array.dims
        start = Coordinate(axis.start for axis in box[3 - dims :])
        size = Coordinate(axis.stop - axis.start for axis in box[3 - dims :])
        roi = Roi(self.array.roi.begin + start * self.array.voxel_size, size * self.array.voxel_size)
        block = self.array.read(roi) if margin else self.array[roi]
        return block.reshape([1] * (3 - dims) + list(block.shape[-dims:]))

    def divide(self, shape: Sequence[int], corner: Sequence[int] = (0, 0, 0)) -> Iterator[Box]:
        """Yield the boxes of a grid that cover the array, clipped at its borders, in the order z, y, x.

        Args:
            shape: voxels of a box.
            corner: position of the array's first voxel, counted from a corner of the grid; not negative.

        >>> from attacca.arrays import NumpyArray
        >>> array = NumpyArray.from_np_array(np.zeros((1, 1, 9)), Roi((0, 0, 0), (1, 1, 9)), (1, 1, 1), ["z", "y", "x"])
        >>> [(x.start, x.stop) for _, _, x in Labels(array).divide((4, 4, 4), corner=(0, 0, 6))]
        [(0, 2), (2, 6), (6, 9)]
        """
        starts = (range(-(first % size), n, size) for n, size, first in zip(self.shape, shape, corner))
        for start in product(*starts):
            z, y, x = (slice(max(0, b), min(b + size, n)) for b, size, n in zip(start, shape, self.shape))
            yield z, y, x

    def _convert(self, values: Coordinate) -> list[float]:
        return [float(value) for value in convert_length(values, self.array.unit, "nanometer")]


def _to_3d[Value: (int, float)](values: Sequence[Value], missing: Value) -> tuple[Value, Value, Value]:
    z, y, x = [missing] * (3 - len(values)) + list(values)
    return z, y, x
