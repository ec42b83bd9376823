"""Block size of the segmentation."""

import math
from collections.abc import Sequence

from funlib.geometry import Coordinate

from attacca.arrays import ZarrArray
from attacca.errors import ConfigurationError

_BLOCK_VOXELS = 2_000_000
"""Approximate voxels per block without a configured size: seconds of work, hundreds of megabytes."""


def choose_block_shape(chunk: Sequence[int], block_size: Sequence[int] | None) -> tuple[int, ...]:
    """Return the shape of a block in voxels.

    Args:
        chunk: shape in voxels of the prediction's chunks that are read alone.
        block_size: configured shape in voxels; None for about 2 million voxels in whole chunks.

    Raises:
        ConfigurationError: the size has another number of axes.

    Examples:
        >>> choose_block_shape((64, 64, 64), None), choose_block_shape((64, 64, 64), (100, 150, 150))
        ((128, 128, 128), (100, 150, 150))
    """
    if block_size is None:
        factor = max(1, round((_BLOCK_VOXELS / math.prod(chunk)) ** (1 / len(chunk))))
        return tuple(factor * size for size in chunk)
    if len(block_size) != len(chunk):
        raise ConfigurationError(
            f"segmentation.block_size: found {list(block_size)}, expected {len(chunk)} numbers, one for each axis"
        )
    return tuple(block_size)


def choose_block_size(prediction: ZarrArray, block_size: Sequence[int] | None) -> Coordinate:
    """Return the size of a block of the segmentation in world units; see ``choose_block_shape``.

    >>> from types import SimpleNamespace
    >>> prediction = SimpleNamespace(
    ...     voxel_size=Coordinate(40, 4, 4), inner_chunk_size=Coordinate(2560, 256, 256))
    >>> choose_block_size(prediction, None)
    (5120, 512, 512)
    """
    voxel_size = prediction.voxel_size
    chunk = tuple(prediction.inner_chunk_size / voxel_size)
    return Coordinate(choose_block_shape(chunk, block_size)) * voxel_size
