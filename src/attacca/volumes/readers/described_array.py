"""Array that a file of another program describes: a container, with metadata that replace those of the container."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attacca.arrays.metadata import GridMetadata
from attacca.config.volumes import ArraySource
from attacca.errors import VolumeError
from attacca.volumes.readers.source import Box, Source


@dataclass(frozen=True)
class DescribedArray:
    """Location and metadata of an array.

    Attributes:
        source: the configured source with the path and data set of the array itself.
        files: files that describe it.
        metadata: voxel size, offset and unit.
        shape: expected number of voxels along z, y, x; None if it is not described.
        dtype: expected type; None if it is not described.
        axes: names of the axes of a Zarr or N5 array, which replace those in its metadata.
        box: first voxel and number of voxels of the part to read along z, y, x; None for all.
        warnings: descriptions of values that are not used.
    """

    source: ArraySource
    files: tuple[Path, ...]
    metadata: GridMetadata
    shape: tuple[int, ...] | None = None
    dtype: np.dtype | None = None
    axes: list[str] | None = None
    box: Box | None = None
    warnings: tuple[str, ...] = ()

    def describe(self, opened: Source) -> Source:
        """Return the opened array with this metadata.

        Raises:
            VolumeError: the array has another shape or type than the description.
        """
        if self.shape is not None and opened.spatial_shape != self.shape:
            raise VolumeError(
                f"{self.files[0]} describes an image of {self.shape} voxels along z, y, x, but {opened.name} has "
                f"{opened.spatial_shape}",
                fix="copy both files again, or give the path of the data alone and set 'voxel_size'",
            )
        if self.dtype is not None and opened.dtype != self.dtype:
            raise VolumeError(
                f"{self.files[0]} describes values of {self.dtype}, but {opened.name} has {opened.dtype}",
                fix="copy both again, or correct the description",
            )
        opened.metadata = self.metadata
        opened.warnings = (*opened.warnings, *self.warnings)
        return opened
