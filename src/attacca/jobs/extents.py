"""Sizes of the volumes of a configuration, from headers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from attacca.config.run import Configuration
from attacca.volumes import VolumePlan, plan_volume
from attacca.volumes.volume_plan import choose_chunk_shape


@dataclass(frozen=True)
class Extent:
    """Size of a volume and of its stored chunks.

    Args:
        shape: voxels along [z,] y, x.
        chunk: voxels of a chunk along [z,] y, x.
        bytes_per_voxel: bytes per voxel of the raw data.
        is_copied: whether the import copies the raw data instead of using them in place.
        has_labels: whether the volume has labels.
    """

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    bytes_per_voxel: int = 1
    is_copied: bool = True
    has_labels: bool = True

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)


def read_extents(configuration: Configuration) -> dict[str, Extent]:
    """Return the extents of all volumes that runs use, by name. Only headers are read.

    Raises:
        MissingInputError: the file of a volume does not exist.
        VolumeError: a volume cannot be imported.
    """
    names = dict.fromkeys(name for run in configuration.runs.values() for name in run.volumes.used)
    return extents_of(configuration, {name: plan_volume(configuration.volumes[name]) for name in names})


def extents_of(configuration: Configuration, plans: Mapping[str, VolumePlan]) -> dict[str, Extent]:
    """Return the extents of volumes from the plans of their import, by name."""
    extents = {}
    for name, plan in plans.items():
        shape = tuple(int(size) for size in plan.roi.shape / plan.voxel_size)
        raw = plan.arrays["raw"]
        chunk = choose_chunk_shape(configuration.volumes[name], shape, plan.voxel_size)
        extents[name] = Extent(shape, chunk, raw.dtype.itemsize, raw.link is None, "labels" in plan.arrays)
    return extents
