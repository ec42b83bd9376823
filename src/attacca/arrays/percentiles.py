"""Percentiles of the values of an image, from all voxels or from evenly spaced boxes of a large image."""

import math
from itertools import product

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
    boxes = _divide(array)
    total = math.prod(array.roi.shape / array.voxel_size)
    if total > largest:
        count = max(1, largest * len(boxes) // total)
        boxes = [boxes[int(i)] for i in np.unique(np.linspace(0, len(boxes) - 1, count).astype(int))]
    dtype = np.dtype(array.dtype)
    if dtype.kind in "iu" and dtype.itemsize <= 2:
        return _measure_counts(array, boxes, np.iinfo(dtype).min, np.iinfo(dtype).max)
    step = -(-sum(math.prod(box.shape / array.voxel_size) for box in boxes) // _LARGEST_SAMPLE)
    values = np.concatenate([array[box].ravel()[::step] for box in boxes])
    found = np.percentile(values.astype(np.float64), MEASURED_PERCENTILES)
    return {name_percentile(rank): float(value) for rank, value in zip(MEASURED_PERCENTILES, found)}


def _divide(array: Array) -> list[Roi]:
    size = Coordinate((_EDGE[array.dims],) * array.dims) * array.voxel_size
    counts = [range(-(-extent // edge)) for extent, edge in zip(array.roi.shape, size)]
    corners = (array.roi.begin + Coordinate(index) * size for index in product(*counts))
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
