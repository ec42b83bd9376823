"""Boxes in voxels of one volume, for kernels that know three axes and no world units."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.errors import ConfigurationError, VolumeError

Triple = tuple[int, int, int]


def triple(values: Sequence[int], fill: int = 0) -> Triple:
    """Two or three numbers as three; a plane gets ``fill`` as its z."""
    z, y, x = [fill] * (3 - len(values)) + [int(value) for value in values]
    return z, y, x


@dataclass(frozen=True)
class Box:
    """Voxels ``begin`` to ``end`` (excluded), z, y, x."""

    begin: Triple
    end: Triple

    @property
    def shape(self) -> Triple:
        return triple([e - b for b, e in zip(self.begin, self.end)])

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod([max(0, extent) for extent in self.shape]))

    def grow(self, lower: Sequence[int], upper: Sequence[int]) -> "Box":
        """The box with more voxels below and above."""
        begin = [b - c for b, c in zip(self.begin, lower)]
        return Box(triple(begin), triple([e + c for e, c in zip(self.end, upper)]))

    def intersect(self, other: "Box") -> "Box":
        begin = [max(a, b) for a, b in zip(self.begin, other.begin)]
        end = [max(b, min(e, f)) for b, e, f in zip(begin, self.end, other.end)]
        return Box(triple(begin), triple(end))

    def slices(self, origin: Triple) -> tuple[slice, slice, slice]:
        """Where the box lies in an array whose first voxel is ``origin``."""
        z, y, x = (slice(b - o, e - o) for b, e, o in zip(self.begin, self.end, origin))
        return z, y, x


@dataclass(frozen=True)
class Frame:
    """A volume's place in the world: boxes count voxels from its first one.

    Args:
        roi: the volume, in world units, with two or three axes.
        voxel_size: world units.
    """

    roi: Roi
    voxel_size: Coordinate

    @property
    def dims(self) -> int:
        return int(self.voxel_size.dims)

    @property
    def box(self) -> Box:
        """All voxels of the volume."""
        return Box((0, 0, 0), triple(self.roi.shape / self.voxel_size, 1))

    @property
    def origin(self) -> Triple:
        """Global coordinate of the first voxel, in voxels from the world's zero."""
        return triple(self.roi.begin / self.voxel_size)

    @property
    def anisotropy(self) -> tuple[float, float, float]:
        """Voxel size of each axis over that of the finest."""
        finest = min(self.voxel_size)
        z, y, x = [1.0] * (3 - self.dims) + [size / finest for size in self.voxel_size]
        return z, y, x

    def to_box(self, roi: Roi) -> Box:
        begin = (roi.begin - self.roi.begin) / self.voxel_size
        end = (roi.end - self.roi.begin) / self.voxel_size
        return Box(triple(begin), triple(end, 1))

    def to_roi(self, box: Box) -> Roi:
        begin = Coordinate(box.begin[3 - self.dims :]) * self.voxel_size
        return Roi(begin + self.roi.begin, Coordinate(box.shape[3 - self.dims :]) * self.voxel_size)

    def voxels(self, values: Sequence[int] | None, default: Triple, name: str, fill: int = 0) -> Triple:
        """Numbers of a setting for each axis, or the default where there are none."""
        if values is None:
            return default
        if len(values) != self.dims:
            raise ConfigurationError(
                f"segmentation: {name} {list(values)} has {len(values)} numbers; the volume has "
                f"{self.dims} axes"
            )
        return triple(values, fill)


def read_affinities(array: Any, frame: Frame, box: Box, channels: int) -> np.ndarray:
    """Affinities of a box as uint8 (channels, z, y, x), 255 for 1, whatever the array stores.

    Args:
        array: an ``attacca.arrays.Array`` with a channel axis, or without one for a single channel.
        frame: the volume that ``box`` counts in.
        channels: how many channels are needed; more are ignored.

    Raises:
        VolumeError: the array has fewer channels.
    """
    have = array.num_channels or 1
    if have < channels:
        raise VolumeError(
            f"{array}: found {have} channels, expected {channels}, one for each offset; "
            "is this the prediction of another task?"
        )
    roi = frame.to_roi(box)
    whole = array.dtype == np.uint8 and abs(array.value_scale * 255 - 1) < 1e-6 and array.value_offset == 0
    values = array[roi] if whole else array.read_values(roi)
    values = values[:channels] if array.num_channels else values[None]
    if not whole:
        values = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(values).reshape(channels, *box.shape)


def read_mask(mask: Any, frame: Frame, box: Box) -> np.ndarray | None:
    """bool (z, y, x) of a box, False outside the mask's own ROI; None where there is no mask."""
    if mask is None:
        return None
    values = mask.read(frame.to_roi(box), 0)
    if mask.num_channels:
        values = values.max(axis=0)
    return np.ascontiguousarray(values.reshape(box.shape) > 0)
