"""How large a configured volume is, told from the configuration and headers alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from attacca.config.volumes import VolumeConfig
from attacca.errors import VolumeError


@dataclass(frozen=True)
class Extent:
    """A volume's size.

    Args:
        shape: voxels along (z,) y, x, after ``roi``.
        channels: channels of the raw data.
        bytes_per_voxel: of one channel of the raw data.
        copied: whether the import writes a copy; Zarr sources may be used where they stand.
        has_labels: whether there is ground truth.
        chunk: voxels of a chunk of the copy.
    """

    shape: tuple[int, ...]
    channels: int
    bytes_per_voxel: int
    copied: bool
    has_labels: bool
    chunk: tuple[int, ...]

    @property
    def voxels(self) -> int:
        """Voxels in all."""
        return math.prod(self.shape)


def read_extent(name: str, config: VolumeConfig) -> Extent:
    """The extent of a volume; nothing but headers is read.

    Raises:
        MissingInputError: the image is not there.
        VolumeError: the region of interest is no part of it.
    """
    from attacca.volumes import open_source
    from attacca.volumes.volume_plan import choose_chunk_shape

    if config.synthetic is not None:
        shape = tuple(config.synthetic.shape)
        chunk = choose_chunk_shape(config, shape, _whole(config.voxel_size, len(shape)))
        return Extent(shape, 1, 1, True, True, chunk)

    assert config.raw is not None
    source = open_source(config.raw)
    shape = tuple(int(size) for size in source.spatial_shape)
    voxel_size = config.voxel_size or source.metadata.voxel_size
    if config.roi is not None:
        if voxel_size is None:
            raise VolumeError(
                f"volumes.{name}: 'roi' is in world units, but neither the file nor 'voxel_size' says how "
                "large a voxel is"
            )
        offset = config.offset or source.metadata.offset or (0,) * len(shape)
        begin = [round((o - w) / v) for o, w, v in zip(config.roi.offset, offset, voxel_size)]
        size = [round(s / v) for s, v in zip(config.roi.shape, voxel_size)]
        wanted = tuple(min(b + s, whole) - max(b, 0) for b, s, whole in zip(begin, size, shape))
        if min(wanted) <= 0:
            raise VolumeError(f"volumes.{name}: 'roi' lies outside of the image, which has {shape} voxels")
        shape = wanted
    direct = bool(getattr(source, "direct", False)) and config.in_place
    chunk = choose_chunk_shape(config, shape, _whole(voxel_size, len(shape)))
    return Extent(
        shape, source.num_channels or 1, source.dtype.itemsize, not direct, config.labels is not None, chunk
    )


def _whole(voxel_size: Sequence[float] | None, dims: int) -> tuple[int, ...]:
    """A voxel size as the import takes it; cubes where nobody says."""
    return tuple(max(1, round(size)) for size in voxel_size) if voxel_size else (1,) * dims
