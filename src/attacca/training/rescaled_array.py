"""Arrays in the voxel grid of another voxel size, for volumes whose voxel sizes are treated as equal."""

from collections.abc import MutableMapping
from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array


class RescaledArray(Array):
    """The voxels of an array under another voxel size; read-only. No voxel is interpolated.

    Args:
        array: the source.
        voxel_size: new size of a voxel, in world units.
        origin: position in the source that becomes 0, in its world units and on its voxel grid.

    >>> from attacca.arrays import NumpyArray
    >>> source = NumpyArray.from_np_array(np.array([[1, 2, 3]]), Roi((50, 4), (50, 12)), (50, 4), ["z", "y"])
    >>> array = RescaledArray(source, Coordinate(45, 4), Coordinate(0, 0))
    >>> array.roi, array[Roi((45, 8), (45, 8))].tolist()
    ([45:90, 4:16] (45, 12), [[2, 3]])
    """

    def __init__(self, array: Array, voxel_size: Coordinate, origin: Coordinate) -> None:
        self._array = array
        self._voxel_size = voxel_size
        self._origin = origin

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
        return self._voxel_size

    @property
    def roi(self) -> Roi:
        return rescale_roi(self._array.roi, self._array.voxel_size, self._voxel_size, self._origin)

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
        size = self._array.voxel_size
        begin = self._origin + roi.begin / self._voxel_size * size
        return self._array[Roi(begin, roi.shape / self._voxel_size * size)]


def rescale_roi(roi: Roi, voxel_size: Coordinate, new: Coordinate, origin: Coordinate) -> Roi:
    """Return a ROI on the voxel grid of ``voxel_size`` as the same voxels of another size, counted from ``origin``."""
    return Roi((roi.begin - origin) / voxel_size * new, roi.shape / voxel_size * new)
