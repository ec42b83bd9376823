"""Limits of the numbers of fragments, edges and voxels, beyond which a graph is refused instead of miscounted."""

import math
from collections.abc import Sequence

import numpy as np

from attacca.errors import ResourceError

VOXEL = np.int32
"""Type of the numbers of a block's voxels in kernels."""

EXACT_SUM = 2**53
"""Sums below this limit are exact as floating-point numbers, so that quotients are rounded in the same way everywhere."""


def check_range(count: int, dtype: np.typing.DTypeLike, items: str, fix: str = "", factor: int = 1) -> None:
    """Raise an error if a type cannot number ``count`` items.

    Args:
        count: number of items, numbered from 0.
        dtype: integer type of the numbers.
        items: what is numbered, for the message.
        fix: what to do about it.
        factor: numbers that each item needs.

    Raises:
        ResourceError: the type is too narrow.

    >>> check_range(32_767, np.int16, "edges")
    >>> check_range(32_768, np.int16, "edges")
    Traceback (most recent call last):
        ...
    attacca.errors.ResourceError: found 32,768 edges, expected at most 32,767 in one piece; ...
    """
    largest = int(np.iinfo(dtype).max) // factor
    if count > largest:
        fix = fix or (
            "set a smaller execution.agglomeration_blocks, or make larger fragments (segmentation.window, "
            "segmentation.min_fragment_size)"
        )
        raise ResourceError(f"found {count:,} {items}, expected at most {largest:,} in one piece; {fix}")


def check_block(shape: Sequence[int]) -> None:
    """Raise an error if kernels cannot number the voxels of a block.

    Args:
        shape: voxels that the block reads, context included.

    Raises:
        ResourceError: there are 2^31 or more.

    >>> check_block((1000, 1000, 1000))
    >>> check_block((1300, 1300, 1300))
    Traceback (most recent call last):
        ...
    attacca.errors.ResourceError: found 2,197,000,000 voxels of a block and its context, expected at most ...
    """
    check_range(
        math.prod(shape), VOXEL, "voxels of a block and its context", "set a smaller segmentation.block_size"
    )


def check_sums(sums: np.ndarray, limit: int = EXACT_SUM) -> None:
    """Raise an error if a sum of affinities is not exact.

    Args:
        sums: int64, sums of stored affinities.
        limit: the first number that is too large.

    Raises:
        ResourceError: a sum is too large.

    >>> check_sums(np.array([2**53 - 1]))
    >>> check_sums(np.array([2**53]))
    Traceback (most recent call last):
        ...
    attacca.errors.ResourceError: found a contact with a sum of affinities of 9,007,199,254,740,992, ...
    """
    largest = int(sums.max(initial=0))
    if largest >= limit or int(sums.min(initial=0)) < 0:
        raise ResourceError(
            f"found a contact with a sum of affinities of {largest:,}, expected less than {limit:,}: two regions touch "
            "in too many voxels for exact sums; raise segmentation.threshold, so that regions stay smaller"
        )
