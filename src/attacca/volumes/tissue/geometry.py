"""Size and place of a synthetic volume; apart from the tissue itself, so that planning loads no compiler."""

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.config.units import UNITS
from attacca.config.volumes import VolumeConfig
from attacca.errors import VolumeError

BRICK = 26.0


class TissueGeometry:
    """Where a synthetic volume lies, and the bricks that it is made of.

    Args:
        config: a volume with ``synthetic``.

    Attributes:
        voxel: float64 (3,), edge lengths in nanometres; a flat volume has 1 in front.
        extent: float64 (3,), nanometres.
        bricks: int64 (3,), number of bricks along each axis.
        ids_per_brick: more than a brick has neurites, 0 where there is one brick only.

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
        nanometres = 10.0 ** (UNITS[config.unit] + 9)
        lead = (1,) * (3 - self.dims)
        self.voxel = np.array([*lead, *(float(size) * nanometres for size in self.voxel_size)])
        self.extent = self.voxel * np.array([*lead, *self.settings.shape])
        brick = BRICK * self.settings.neurite_diameter
        self.bricks = np.maximum(1, np.round(self.extent / brick).astype(np.int64))
        self.ids_per_brick = int((1.6 * BRICK) ** 3) if np.prod(self.bricks) > 1 else 0

    @property
    def label_dtype(self) -> np.dtype:
        """uint32, or uint64 where so many bricks need it."""
        return np.dtype(np.uint32 if int(np.prod(self.bricks)) * self.ids_per_brick < 2**32 else np.uint64)
