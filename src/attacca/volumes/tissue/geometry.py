"""Size and position of a synthetic volume, in a module of its own so that planning does not import numba."""

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.config.units import UNITS
from attacca.config.volumes import VolumeConfig
from attacca.errors import VolumeError

BRICK = 26.0


class TissueGeometry:
    """Size and position of a synthetic volume and of its bricks.

    Args:
        config: a volume with ``synthetic``.

    Attributes:
        voxel: float64 (3,), edge lengths in nanometers; the first is 1 for a 2D volume.
        extent: float64 (3,), nanometers.
        bricks: int64 (3,), number of bricks along each axis.
        ids_per_brick: upper bound of the neurites per brick; 0 for a single brick.

    Raises:
        VolumeError: the volume is not synthetic.
    """

    def __init__(self, config: VolumeConfig) -> None:
        if config.synthetic is None:
            raise VolumeError("this volume is not synthetic")
        self.settings = config.synthetic
        self.dims = len(self.settings.shape)
        self.voxel_size = Coordinate(int(size) for size in config.voxel_size or [8] * self.dims)
        begin = Coordinate(int(begin) for begin in config.offset or [0] * self.dims)
        self.roi = Roi(begin, Coordinate(self.settings.shape) * self.voxel_size)
        nanometers = 10.0 ** (UNITS[config.unit] + 9)
        lead = (1,) * (3 - self.dims)
        self.voxel = np.array([*lead, *(float(size) * nanometers for size in self.voxel_size)])
        self.extent = self.voxel * np.array([*lead, *self.settings.shape])
        brick = BRICK * self.settings.neurite_diameter
        self.bricks = np.maximum(1, np.round(self.extent / brick).astype(np.int64))
        self.ids_per_brick = int((1.6 * BRICK) ** 3) if np.prod(self.bricks) > 1 else 0

    @property
    def label_dtype(self) -> np.dtype:
        """uint32, or uint64 if the ids of all bricks need it."""
        return np.dtype(np.uint32 if int(np.prod(self.bricks)) * self.ids_per_brick < 2**32 else np.uint64)
