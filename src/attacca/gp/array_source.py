"""Source of one array."""

from typing import Literal

import gunpowder as gp
import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array


class DaCapoArraySource(gp.BatchProvider):
    """Provide an array of ``attacca.arrays`` to a pipeline; batches keep its dtype.

    Batches are (channels, *spatial): an array without a channel axis gets one channel. Without ``fill``, a request
    outside the array fails.

    Args:
        array: the array.
        key: key of the array in batches.
        fill: values of voxels outside the array: a number, ``"edge"`` or ``"reflect"``; the source is then
            unbounded.
        interpolatable: whether values between voxels are meaningful; None means True for floating point data only.

    Raises:
        ValueError: on a request, if the data contain NaN.
    """

    def __init__(
        self,
        array: Array,
        key: gp.ArrayKey,
        fill: float | Literal["edge", "reflect"] | None = None,
        interpolatable: bool | None = None,
    ) -> None:
        self.array = array
        self.key = key
        self.fill = fill
        self.interpolatable = interpolatable

    def setup(self) -> None:
        interpolatable = self.interpolatable
        if interpolatable is None:
            interpolatable = np.issubdtype(self.array.dtype, np.floating)
        roi = self.array.roi
        if self.fill is not None:
            roi = Roi(roi.offset, Coordinate((None,) * roi.dims))
        spec = gp.ArraySpec(
            roi=roi,
            voxel_size=self.array.voxel_size,
            interpolatable=bool(interpolatable),
            dtype=self.array.dtype,
        )
        self.provides(self.key, spec)

    def provide(self, request: gp.BatchRequest) -> gp.Batch:
        spec = self.spec[self.key].copy()
        spec.roi = request[self.key].roi
        lead = len(self.array.axes) - self.array.dims
        if spec.roi.empty:
            channels = (self.array.num_channels,) if lead else ()
            shape = Coordinate(size if size else 0 for size in spec.roi.shape) / self.array.voxel_size
            data = np.zeros((*channels, *shape), dtype=self.array.dtype)
        elif self.fill is None:
            data = self.array[spec.roi]
        else:
            data = self.array.read(spec.roi, self.fill)
        if not lead:
            data = data[np.newaxis]
        if data.dtype.kind == "f" and np.isnan(data).any():
            raise ValueError(
                f"{self.array} contains NaN in {spec.roi}, from which a network cannot learn: replace NaN by numbers, "
                "or sample from other regions"
            )
        batch = gp.Batch()
        batch[self.key] = gp.Array(data, spec)
        return batch


VolumeSource = DaCapoArraySource
