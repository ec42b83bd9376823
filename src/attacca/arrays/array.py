"""An array in world units: what every array of the workflow can do."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays.filling import mirrored
from attacca.errors import VolumeError

Fill = float | Literal["reflect", "edge"]

# The names of spatial axes; any other axis is read whole.
SPATIAL_AXES = ("z", "y", "x")


class Array(ABC):
    """Voxels on a regular grid, addressed by ``Roi`` in whole numbers of ``unit``.

    Axes are ``[c,] [z,] y, x``: spatial axes last. A subclass gives ``data`` and the metadata.
    """

    value_scale: float = 1.0
    value_offset: float = 0.0

    @property
    @abstractmethod
    def attrs(self) -> dict[str, Any]:
        """Metadata as stored with the array; empty where nothing is stored."""

    @property
    @abstractmethod
    def axes(self) -> list[str]:
        """Names of all axes, ``["c", "z", "y", "x"]``."""

    @property
    @abstractmethod
    def voxel_size(self) -> Coordinate:
        """Edge lengths of a voxel in world units."""

    @property
    @abstractmethod
    def roi(self) -> Roi:
        """Where the array lies, in world units."""

    @property
    @abstractmethod
    def writable(self) -> bool:
        """Whether ``array[roi] = data`` is allowed."""

    @property
    @abstractmethod
    def data(self) -> Any:
        """All voxels, as an object that numpy can slice."""

    @property
    @abstractmethod
    def dtype(self) -> Any:
        """The stored dtype."""

    @property
    def unit(self) -> str:
        """OME-NGFF name of the unit of world coordinates."""
        return "nanometer"

    @property
    def dims(self) -> int:
        """Number of spatial axes, 2 or 3."""
        return int(self.voxel_size.dims)

    @property
    def num_channels(self) -> int | None:
        """Size of the channel axis, None without one."""
        return int(self.data.shape[self.axes.index("c")]) if "c" in self.axes else None

    @property
    def spatial_axes(self) -> list[str]:
        """Names of the spatial axes, ``["z", "y", "x"]``."""
        return [axis for axis in self.axes if axis in SPATIAL_AXES]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape in voxels with all axes, within ``roi``."""
        return (*self.data.shape[: len(self.axes) - self.dims], *(self.roi.shape / self.voxel_size))

    def to_slices(self, roi: Roi) -> tuple[slice, ...]:
        """Slices into ``data`` for a ROI that lies inside the array and on its voxel grid.

        Raises:
            VolumeError: it does not.
        """
        self._check_aligned(roi)
        if not self.roi.contains(roi):
            raise VolumeError(f"{self}: the ROI {roi} is not contained in the array's {self.roi}")
        begin = (roi.begin - self._data_begin) / self.voxel_size
        spatial = (slice(b, b + s) for b, s in zip(begin, roi.shape / self.voxel_size))
        return (*(slice(None) for _ in range(len(self.axes) - self.dims)), *spatial)

    def __getitem__(self, roi: Roi) -> np.ndarray:
        """Voxels of a ROI inside the array, with all channels.

        Raises:
            VolumeError: the ROI is not inside, or not on the voxel grid.
        """
        return np.asarray(self.data[self.to_slices(roi)])

    def __setitem__(self, roi: Roi, value: Any) -> None:
        """Write the voxels of a ROI inside the array."""
        if not self.writable:
            raise VolumeError(f"{self} was opened for reading only")
        self.data[self.to_slices(roi)] = value

    def read(self, roi: Roi, fill: Fill = 0) -> np.ndarray:
        """Voxels of any ROI on the voxel grid; outside the array they follow a stated rule.

        Args:
            fill: a number (that constant), ``"edge"`` (the nearest voxel) or ``"reflect"`` (mirrored at the
                outermost voxel centres, again and again where the margin is larger than the array).

        Raises:
            VolumeError: the ROI is not on the voxel grid, or the array is empty.
        """
        self._check_aligned(roi)
        if self.roi.contains(roi):
            return self[roi]
        lead = len(self.axes) - self.dims
        if isinstance(fill, str):
            return self._read_mirrored(roi, fill)
        shape = (*self.data.shape[:lead], *(roi.shape / self.voxel_size))
        result = np.full(shape, fill, dtype=self.dtype)
        inside = roi.intersect(self.roi)
        if not inside.empty:
            begin = (inside.begin - roi.begin) / self.voxel_size
            where: tuple[Any, ...] = tuple(
                slice(b, b + s) for b, s in zip(begin, inside.shape / self.voxel_size)
            )
            result[(Ellipsis, *where)] = self[inside]
        return result

    def _read_mirrored(self, roi: Roi, rule: str) -> np.ndarray:
        lead = len(self.axes) - self.dims
        begin = (roi.begin - self.roi.begin) / self.voxel_size
        size = self.roi.shape / self.voxel_size
        if any(extent == 0 for extent in size):
            raise VolumeError(f"{self} is empty: there is nothing to {rule}")
        indices = [
            mirrored(np.arange(b, b + s), n, rule)
            for b, s, n in zip(begin, roi.shape / self.voxel_size, size)
        ]
        low = Coordinate(int(index.min()) if index.size else 0 for index in indices)
        high = Coordinate(int(index.max()) + 1 if index.size else 0 for index in indices)
        block = self[Roi(self.roi.begin + low * self.voxel_size, (high - low) * self.voxel_size)]
        for axis, (index, b) in enumerate(zip(indices, low)):
            if not np.array_equal(index - b, np.arange(block.shape[lead + axis])):
                block = block.take(index - b, axis=lead + axis)
        return block

    def values(self, roi: Roi, fill: Fill = 0) -> np.ndarray:
        """Voxels as float32 in the original range: ``stored * value_scale + value_offset``.

        A constant ``fill`` is a value in the original range.
        """
        stored = self.read(roi, fill if isinstance(fill, str) else 0).astype(np.float32)
        if self.value_scale != 1.0:
            stored *= np.float32(self.value_scale)
        if self.value_offset != 0.0:
            stored += np.float32(self.value_offset)
        if not isinstance(fill, str) and not self.roi.contains(roi):
            inside = roi.intersect(self.roi)
            outside = np.ones(stored.shape[stored.ndim - self.dims :], dtype=bool)
            if not inside.empty:
                begin = (inside.begin - roi.begin) / self.voxel_size
                shape = inside.shape / self.voxel_size
                outside[tuple(slice(b, b + s) for b, s in zip(begin, shape))] = False
            stored[..., outside] = fill
        return stored

    @property
    def _data_begin(self) -> Coordinate:
        # World position of data[0, 0, 0]; differs from roi.begin where the ROI was snapped to a coarser grid.
        return self.roi.begin

    def _check_aligned(self, roi: Roi) -> None:
        if roi.dims != self.dims:
            raise VolumeError(f"{self}: the ROI {roi} has {roi.dims} axes, the array {self.dims}")
        begin = (roi.begin - self._data_begin) % self.voxel_size
        if any(begin) or any(roi.shape % self.voxel_size):
            raise VolumeError(
                f"{self}: the ROI {roi} is not on the voxel grid (voxel size {tuple(self.voxel_size)}, "
                f"first voxel at {tuple(self._data_begin)})"
            )
