"""Block size of the segmentation: whole chunks of the prediction."""

import math
from collections.abc import Sequence

from funlib.geometry import Coordinate

from attacca.arrays import ZarrArray
from attacca.errors import ConfigurationError

BLOCK_VOXELS = 2_000_000
"""Approximate voxels per block without a configured size: seconds of work, hundreds of megabytes."""


class BlockSizeError(ConfigurationError):
    """A ``segmentation.block_size`` that is not a multiple of the prediction's chunks.

    Args:
        found: the configured size, as text.
        expected: a size that fits, as text.
    """

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"segmentation.block_size: found {found}, expected {expected}")
        self.found, self.expected = found, expected


def choose_block_shape(
    chunk: Sequence[int], extent: Sequence[int], block_size: Sequence[int] | None
) -> tuple[int, ...]:
    """Return the shape of a block in voxels: whole chunks of the prediction along each axis that it divides.

    Args:
        chunk: chunk shape of the prediction, in voxels.
        extent: shape of the volume, in voxels.
        block_size: configured shape in voxels; None for about 2 million voxels. Along an axis that the block
            covers entirely, any size is accepted, because a small volume has smaller chunks.

    Raises:
        BlockSizeError: the size is not a multiple of the chunks.

    Examples:
        >>> choose_block_shape((64, 64, 64), (500, 500, 500), None)
        (128, 128, 128)
        >>> choose_block_shape((64, 64, 64), (100, 500, 500), (100, 128, 128))
        (128, 128, 128)
    """
    if block_size is None:
        factor = max(1, round((BLOCK_VOXELS / math.prod(chunk)) ** (1 / len(chunk))))
        return tuple(factor * size for size in chunk)
    if len(block_size) != len(chunk):
        raise BlockSizeError(f"{list(block_size)}", f"{len(chunk)} numbers, one for each axis")
    size = [-(-s // c) * c if s >= whole else s for s, c, whole in zip(block_size, chunk, extent)]
    if any(s % c for s, c in zip(size, chunk)):
        nearest = [max(1, round(s / c)) * c for s, c in zip(size, chunk)]
        raise BlockSizeError(
            f"{list(block_size)}",
            f"multiples of the prediction's chunks of {list(chunk)} voxels; use {nearest}",
        )
    return tuple(size)


def choose_block_size(prediction: ZarrArray, block_size: Sequence[int] | None) -> Coordinate:
    """Return the size of a block of the segmentation in world units; see ``choose_block_shape``.

    >>> from types import SimpleNamespace
    >>> from funlib.geometry import Roi
    >>> roi = Roi((0, 0, 0), (20000, 2000, 2000))
    >>> prediction = SimpleNamespace(
    ...     voxel_size=Coordinate(40, 4, 4), chunk_size=Coordinate(2560, 256, 256), roi=roi)
    >>> choose_block_size(prediction, None)
    (5120, 512, 512)
    """
    voxel_size = prediction.voxel_size
    chunk, extent = prediction.chunk_size / voxel_size, prediction.roi.shape / voxel_size
    return Coordinate(choose_block_shape(tuple(chunk), tuple(extent), block_size)) * voxel_size
