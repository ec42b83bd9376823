"""Base class of arrays in world units."""

from abc import ABC, abstractmethod
from collections.abc import MutableMapping
from typing import Any, Literal, Protocol

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays.border import map_to_inside
from attacca.errors import VolumeError

Fill = float | Literal["reflect", "edge"]
"""Values of voxels outside an array, see ``Array.read``."""

# Names of spatial axes. A request always covers the other axes completely.
SPATIAL_AXES = ("z", "y", "x")


class VoxelData(Protocol):
    """Voxels that are read and written by slices: a numpy, zarr or HDF5 array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of voxels along each axis."""

    @property
    def dtype(self) -> np.dtype:
        """Stored dtype."""

    def __getitem__(self, index: Any, /) -> Any: ...

    def __setitem__(self, index: Any, value: Any, /) -> None: ...


class Array(ABC):
    """Voxels on a regular grid, addressed by ``Roi`` in whole numbers of ``unit``.

    The axes are ``[c,] [z,] y, x``: spatial axes last. A subclass defines ``data`` and the metadata.

    Attributes:
        value_scale, value_offset: the original value of a voxel is ``stored * value_scale + value_offset``.

    >>> from attacca.arrays import NumpyArray
    >>> voxels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    >>> array = NumpyArray.from_np_array(voxels, Roi((100, 0), (24, 16)), (8, 4), ["y", "x"])
    >>> array[Roi((108, 4), (16, 8))].tolist()
    [[5, 6], [9, 10]]
    """

    value_scale: float = 1.0
    value_offset: float = 0.0

    @property
    @abstractmethod
    def attrs(self) -> MutableMapping[str, Any]:
        """Metadata stored with the array; empty for an array in memory."""

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
        """Position and size of the array in world units."""

    @property
    @abstractmethod
    def writable(self) -> bool:
        """True if ``array[roi] = data`` is allowed."""

    @property
    @abstractmethod
    def data(self) -> VoxelData:
        """All voxels, as an object that supports numpy slicing."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype:
        """Stored dtype."""

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
        """Size of the channel axis; None without a channel axis."""
        return int(self.data.shape[self.axes.index("c")]) if "c" in self.axes else None

    @property
    def spatial_axes(self) -> list[str]:
        """Names of the spatial axes, ``["z", "y", "x"]``."""
        return [axis for axis in self.axes if axis in SPATIAL_AXES]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of voxels within ``roi`` along each axis, channels included."""
        return (*self.data.shape[: len(self.axes) - self.dims], *(self.roi.shape / self.voxel_size))

    def to_slices(self, roi: Roi) -> tuple[slice, ...]:
        """Return the slices of ``data`` that cover a ROI.

        Args:
            roi: world units; contained in the array and on its voxel grid.

        Raises:
            VolumeError: the ROI is not contained in the array, or not on its voxel grid.

        >>> from attacca.arrays import NumpyArray
        >>> array = NumpyArray.from_np_array(np.zeros((2, 3, 4)), Roi((0, 0), (24, 16)), (8, 4), ["c", "y", "x"])
        >>> array.to_slices(Roi((8, 0), (8, 16)))
        (slice(None, None, None), slice(1, 2, None), slice(0, 4, None))
        """
        self._check_aligned(roi)
        if not self.roi.contains(roi):
            raise VolumeError(f"{self}: the ROI {roi} is not contained in the array's {self.roi}")
        spatial = self._to_spatial_slices(roi, self._data_begin)
        return (*(slice(None) for _ in range(len(self.axes) - self.dims)), *spatial)

    def __getitem__(self, roi: Roi) -> np.ndarray:
        """Return the stored voxels of a ROI inside the array, with all channels.

        Raises:
            VolumeError: the ROI is not contained in the array, or not on its voxel grid.
        """
        return np.asarray(self.data[self.to_slices(roi)])

    def __setitem__(self, roi: Roi, value: np.ndarray | float) -> None:
        """Write the voxels of a ROI inside the array.

        Args:
            roi: world units; contained in the array and on its voxel grid.
            value: an array of the ROI's shape with all channels, or one number.

        Raises:
            VolumeError: the array is read-only, or the ROI is not contained in it or not on its voxel grid.
        """
        if not self.writable:
            raise VolumeError(f"{self} was opened for reading only")
        self.data[self.to_slices(roi)] = value

    def read(self, roi: Roi, fill: Fill = 0) -> np.ndarray:
        """Return the stored voxels of any ROI on the voxel grid, with all channels.

        Args:
            roi: world units; may extend beyond the array.
            fill: value of the voxels outside the array: a number (that constant), ``"edge"`` (the nearest voxel) or
                ``"reflect"`` (mirrored at the centers of the outermost voxels, repeatedly if the margin is wider than
                the array).

        Raises:
            VolumeError: the ROI is not on the voxel grid, or the array is empty.

        >>> from attacca.arrays import NumpyArray
        >>> array = NumpyArray.from_np_array(np.array([[1, 2, 3]]), Roi((0, 0), (8, 12)), (8, 4), ["y", "x"])
        >>> wider = Roi((0, -8), (8, 28))
        >>> array.read(wider).tolist(), array.read(wider, "edge").tolist(), array.read(wider, "reflect").tolist()
        ([[0, 0, 1, 2, 3, 0, 0]], [[1, 1, 1, 2, 3, 3, 3]], [[3, 2, 1, 2, 3, 2, 1]])
        """
        self._check_aligned(roi)
        if self.roi.contains(roi):
            return self[roi]
        if isinstance(fill, str):
            return self._read_continued(roi, fill)
        channels = self.data.shape[: len(self.axes) - self.dims]
        result = np.full((*channels, *(roi.shape / self.voxel_size)), fill, dtype=self.dtype)
        covered = roi.intersect(self.roi)
        if not covered.empty:
            channels_and_window = (slice(None),) * len(channels) + self._to_spatial_slices(covered, roi.begin)
            result[channels_and_window] = self[covered]
        return result

    def _read_continued(self, roi: Roi, rule: str) -> np.ndarray:
        lead = len(self.axes) - self.dims
        begin = (roi.begin - self.roi.begin) / self.voxel_size
        size = self.roi.shape / self.voxel_size
        if any(extent == 0 for extent in size):
            raise VolumeError(f"{self} is empty: it has no voxels to continue by fill: {rule}")
        indices = [
            map_to_inside(np.arange(b, b + s), n, rule)
            for b, s, n in zip(begin, roi.shape / self.voxel_size, size)
        ]
        low = Coordinate(int(index.min()) if index.size else 0 for index in indices)
        high = Coordinate(int(index.max()) + 1 if index.size else 0 for index in indices)
        block = self[Roi(self.roi.begin + low * self.voxel_size, (high - low) * self.voxel_size)]
        for axis, (index, b) in enumerate(zip(indices, low)):
            if not np.array_equal(index - b, np.arange(block.shape[lead + axis])):
                block = block.take(index - b, axis=lead + axis)
        return block

    def read_values(self, roi: Roi, fill: Fill = 0) -> np.ndarray:
        """Return voxels as float32 in the original range, ``stored * value_scale + value_offset``.

        Args:
            roi: world units; may extend beyond the array.
            fill: as for ``read``, but a constant is a value in the original range.

        Raises:
            VolumeError: as for ``read``.

        >>> from attacca.arrays import NumpyArray
        >>> array = NumpyArray.from_np_array(np.array([[0, 255]]), Roi((0, 0), (1, 2)), (1, 1), ["y", "x"])
        >>> array.value_scale = 1 / 255
        >>> array.read_values(Roi((0, 0), (1, 3)), fill=0.5).tolist()
        [[0.0, 1.0, 0.5]]
        """
        stored = self.read(roi, fill if isinstance(fill, str) else 0).astype(np.float32)
        if self.value_scale != 1.0:
            stored *= np.float32(self.value_scale)
        if self.value_offset != 0.0:
            stored += np.float32(self.value_offset)
        if not isinstance(fill, str) and not self.roi.contains(roi):
            covered = roi.intersect(self.roi)
            outside = np.ones(stored.shape[stored.ndim - self.dims :], dtype=bool)
            if not covered.empty:
                outside[self._to_spatial_slices(covered, roi.begin)] = False
            stored[..., outside] = fill
        return stored

    @property
    def _data_begin(self) -> Coordinate:
        # World position of data[0, 0, 0]; differs from roi.begin if the ROI was snapped to a coarser grid.
        return self.roi.begin

    def _to_spatial_slices(self, roi: Roi, origin: Coordinate) -> tuple[slice, ...]:
        begin = (roi.begin - origin) / self.voxel_size
        return tuple(slice(b, b + s) for b, s in zip(begin, roi.shape / self.voxel_size))

    def _check_aligned(self, roi: Roi) -> None:
        if roi.dims != self.dims:
            raise VolumeError(f"{self}: the ROI {roi} has {roi.dims} axes, the array {self.dims}")
        begin = (roi.begin - self._data_begin) % self.voxel_size
        if any(begin) or any(roi.shape % self.voxel_size):
            raise VolumeError(
                f"{self}: the ROI {roi} is not on the voxel grid (voxel size {tuple(self.voxel_size)}, "
                f"first voxel at {tuple(self._data_begin)})"
            )
