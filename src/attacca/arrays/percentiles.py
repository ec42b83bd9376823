"""Percentiles of the values of an image, from all voxels or from evenly spaced boxes of a large image."""

import math

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays.array import Array
from attacca.config.intensity import MEASURED_PERCENTILES, name_percentile

LARGEST_MEASURED = 2**27
"""Voxels that are read at most: all of a volume of 512 x 512 x 512."""

_EDGE = {1: 2**18, 2: 512, 3: 64}
_LARGEST_SAMPLE = 2**24


def measure_percentiles(array: Array, largest: int = LARGEST_MEASURED) -> dict[str, float]:
    """Return the percentiles of an image that ``attacca.config.intensity`` lists, by name.

    Boxes of a fixed lattice from the first voxel on are read: all of them, or evenly spaced ones of a large image. The
    result does not depend on chunks and blocks. Percentiles of 8 and 16 bits are exact for the boxes; other types are
    sorted in regular samples of at most 2^24 voxels. Voxels of all channels count.

    Args:
        array: the image.
        largest: number of voxels that are read at most.

    >>> from attacca.arrays import NumpyArray
    >>> data = np.arange(101, dtype=np.uint8).reshape(1, 101)
    >>> array = NumpyArray.from_np_array(data, Roi((0, 0), (1, 101)), Coordinate(1, 1), ["y", "x"])
    >>> measured = measure_percentiles(array)
    >>> measured["1"], measured["99.5"]
    (1.0, 99.5)
    """
    boxes = _choose_boxes(array, largest)
    dtype = np.dtype(array.dtype)
    if dtype.kind in "iu" and dtype.itemsize <= 2:
        return _measure_counts(array, boxes, np.iinfo(dtype).min, np.iinfo(dtype).max)
    step = -(-sum(math.prod(box.shape / array.voxel_size) for box in boxes) // _LARGEST_SAMPLE)
    values = np.concatenate([array[box].ravel()[::step] for box in boxes])
    found = np.percentile(values.astype(np.float64), MEASURED_PERCENTILES)
    return {name_percentile(rank): float(value) for rank, value in zip(MEASURED_PERCENTILES, found)}


def _choose_boxes(array: Array, largest: int) -> list[Roi]:
    """Return all boxes of the lattice, or evenly spaced ones if the array has more than ``largest`` voxels."""
    size = Coordinate((_EDGE[array.dims],) * array.dims) * array.voxel_size
    counts = [-(-extent // edge) for extent, edge in zip(array.roi.shape, size)]
    total, number = math.prod(array.roi.shape / array.voxel_size), math.prod(counts)
    # A large volume has millions of boxes, of which a few hundred are read.
    count = number if total <= largest else max(1, largest * number // total)
    chosen = np.unique(np.linspace(0, number - 1, count).astype(int))
    indices = np.stack(np.unravel_index(chosen, counts), axis=1).tolist()
    corners = (array.roi.begin + Coordinate(index) * size for index in indices)
    return [Roi(corner, size).intersect(array.roi) for corner in corners]


def _measure_counts(array: Array, boxes: list[Roi], low: int, high: int) -> dict[str, float]:
    """Return percentiles, interpolated linearly like those of NumPy, from the number of voxels per value."""
    counts = np.zeros(high - low + 1, np.int64)
    for box in boxes:
        counts += np.bincount(array[box].ravel().astype(np.int64) - low, minlength=len(counts))
    ends = np.cumsum(counts)
    last = int(ends[-1]) - 1
    measured = {}
    for percentile in MEASURED_PERCENTILES:
        rank = percentile / 100 * last
        below, above = math.floor(rank), min(last, math.floor(rank) + 1)
        first, second = (int(np.searchsorted(ends, index, side="right")) + low for index in (below, above))
        measured[name_percentile(percentile)] = first + (second - first) * (rank - below)
    return measured
