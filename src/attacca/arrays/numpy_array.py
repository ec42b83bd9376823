"""Arrays in memory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays.array import Array
from attacca.config.units import to_whole_coordinate
from attacca.errors import VolumeError

if TYPE_CHECKING:
    import gunpowder as gp


class NumpyArray(Array):
    """A numpy array with a position in world units, made by ``from_np_array`` or ``from_gp_array``.

    The constructor raises ``RuntimeError``, as DaCapo's does.
    """

    def __init__(self, array_config: Any) -> None:
        raise RuntimeError(
            "a NumpyArray cannot be made from a configuration; use NumpyArray.from_np_array or from_gp_array"
        )

    _data: np.ndarray
    _axes: list[str]
    _roi: Roi
    _voxel_size: Coordinate

    @classmethod
    def from_np_array(
        cls,
        array: np.ndarray,
        roi: Roi,
        voxel_size: Coordinate | Sequence[int],
        axes: Sequence[str],
    ) -> "NumpyArray":
        """Wrap ``array`` without copying.

        Args:
            array: any dtype, one axis for each name in ``axes``.
            roi: world units; its shape must be that of the spatial axes times ``voxel_size``.
            voxel_size: whole numbers in world units, one per spatial axis.
            axes: names of all axes, spatial ones last.

        Raises:
            VolumeError: shape, ROI, voxel size and axes do not fit each other, or the voxel size is not whole.

        >>> array = NumpyArray.from_np_array(np.ones((2, 3, 3)), Roi((40, 0, 0), (80, 12, 12)), (40, 4, 4), "zyx")
        >>> array.shape, array.voxel_size, array.num_channels
        ((2, 3, 3), (40, 4, 4), None)
        """
        # Coordinate would truncate the decimals without an error.
        voxel_size = to_whole_coordinate(voxel_size, "nanometer", "the voxel size")
        if array.ndim != len(axes):
            raise VolumeError(
                f"found an array of {array.ndim} axes (shape {array.shape}), expected {len(axes)}: one for each name in "
                f"{list(axes)}"
            )
        if voxel_size.dims != roi.dims:
            raise VolumeError(f"voxel size {tuple(voxel_size)} and ROI {roi} differ in their number of axes")
        spatial = Coordinate(array.shape[array.ndim - roi.dims :])
        if spatial * voxel_size != roi.shape:
            raise VolumeError(
                f"an array of shape {array.shape} with voxel size {tuple(voxel_size)} covers "
                f"{tuple(spatial * voxel_size)}, but its ROI is {roi}"
            )
        self = cls.__new__(cls)
        self._data = array
        self._roi = roi
        self._voxel_size = voxel_size
        self._axes = list(axes)
        return self

    @classmethod
    def from_gp_array(cls, array: "gp.Array") -> "NumpyArray":
        """Wrap a ``gunpowder.Array`` without copying.

        Args:
            array: leading axes are named ``c``, or ``b`` and ``c``.

        Raises:
            VolumeError: the array has more than two axes before the spatial ones.
        """
        dims = array.spec.roi.dims
        lead = array.data.ndim - dims
        if not 0 <= lead <= 2:
            raise VolumeError(
                f"found a gunpowder array of {array.data.ndim} axes (shape {array.data.shape}), expected {dims} spatial "
                "axes and at most b and c before them"
            )
        axes = [["b", "c"][2 - lead :], ["z", "y", "x"][3 - dims :]]
        return cls.from_np_array(array.data, array.spec.roi, array.spec.voxel_size, axes[0] + axes[1])

    def __repr__(self) -> str:
        return f"NumpyArray(shape={self._data.shape}, dtype={self._data.dtype}, roi={self._roi})"

    @property
    def attrs(self) -> dict[str, Any]:
        return {}

    @property
    def axes(self) -> list[str]:
        return self._axes

    @property
    def voxel_size(self) -> Coordinate:
        return self._voxel_size

    @property
    def roi(self) -> Roi:
        return self._roi

    @property
    def writable(self) -> bool:
        return bool(self._data.flags.writeable)

    @property
    def data(self) -> np.ndarray:
        return self._data

    @data.setter
    def data(self, value: np.ndarray) -> None:
        spatial = self._data.ndim - self._roi.dims
        if value.ndim != self._data.ndim or value.shape[spatial:] != self._data.shape[spatial:]:
            raise VolumeError(f"data of shape {value.shape} cannot replace data of shape {self._data.shape}")
        self._data = value

    @property
    def dtype(self) -> np.dtype:
        return self._data.dtype
