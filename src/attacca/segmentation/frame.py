"""Conversion between world units and the voxels of one volume."""

from collections.abc import Sequence
from dataclasses import dataclass

from funlib.geometry import Coordinate, Roi

from attacca.errors import ConfigurationError
from attacca.segmentation.box import Box, Triple, triple


@dataclass(frozen=True)
class Frame:
    """A volume's location in the world; boxes count voxels from its first voxel.

    Args:
        roi: the volume, in world units, with two or three axes.
        voxel_size: world units.

    >>> frame = Frame(Roi((80, 0, 0), (160, 64, 64)), Coordinate((40, 8, 8)))
    >>> frame.box
    Box(begin=(0, 0, 0), end=(4, 8, 8))
    >>> frame.to_box(Roi((120, 8, 16), (40, 8, 8)))
    Box(begin=(1, 1, 2), end=(2, 2, 3))
    >>> frame.origin, frame.anisotropy
    ((2, 0, 0), (5.0, 1.0, 1.0))
    """

    roi: Roi
    voxel_size: Coordinate

    @property
    def dims(self) -> int:
        """Number of spatial axes."""
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
        """Voxel size of each axis divided by that of the finest."""
        finest = min(self.voxel_size)
        z, y, x = [1.0] * (3 - self.dims) + [size / finest for size in self.voxel_size]
        return z, y, x

    def global_origin(self, box: Box) -> Triple:
        """Return the global coordinate, in voxels, of a box's first voxel."""
        return triple([o + b for o, b in zip(self.origin, box.begin)])

    def to_box(self, roi: Roi) -> Box:
        """Return the voxels of a region in world units."""
        begin = (roi.begin - self.roi.begin) / self.voxel_size
        end = (roi.end - self.roi.begin) / self.voxel_size
        return Box(triple(begin), triple(end, 1))

    def to_roi(self, box: Box) -> Roi:
        """Return the region of a box in world units."""
        begin = Coordinate(box.begin[3 - self.dims :]) * self.voxel_size
        return Roi(begin + self.roi.begin, Coordinate(box.shape[3 - self.dims :]) * self.voxel_size)

    def voxels(self, values: Sequence[int] | None, default: Triple, name: str, fill: int = 0) -> Triple:
        """Return a setting's number for each axis, or the default if the setting is None.

        Raises:
            ConfigurationError: the setting has another number of axes than the volume.
        """
        if values is None:
            return default
        if len(values) != self.dims:
            raise ConfigurationError(
                f"segmentation: {name} {list(values)} has {len(values)} numbers; "
                f"the volume has {self.dims} axes: give one number for each"
            )
        return triple(values, fill)
