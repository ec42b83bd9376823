"""Shapes of write blocks and of the chunks inside them that viewers read one by one."""

from collections.abc import Sequence

INNER_EDGE = 64
"""Longest edge of an inner chunk in voxels, where the write block allows it."""

_SHORTEST_EDGE = 24


def inner_edge(edge: int) -> int:
    """Return the edge of the inner chunks that divide a write block of ``edge`` voxels.

    The largest divisor of at most 64 voxels is used. Where that would be short (prime numbers), one inner chunk spans
    the block.

    >>> [inner_edge(edge) for edge in (128, 160, 148, 100, 40, 101)]
    [64, 40, 37, 50, 40, 101]
    """
    if edge <= INNER_EDGE:
        return edge
    best = max(divisor for divisor in range(1, INNER_EDGE + 1) if edge % divisor == 0)
    return best if best >= _SHORTEST_EDGE else edge


def shard_and_chunk(
    write_block: Sequence[int], array_shape: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of shards and of inner chunks for an array that is written in blocks.

    A shard is one write block, so that two blocks never share a stored object. An axis on which a single block covers
    the array may be rounded up to whole inner chunks of 64 voxels: nothing is stored beyond the array.

    Args:
        write_block: voxels, spatial axes; at most the shape of the array.
        array_shape: voxels, spatial axes.

    >>> shard_and_chunk((128, 128, 157), (300, 128, 157))
    ((128, 128, 192), (64, 64, 64))
    """
    shard, chunk = [], []
    for edge, extent in zip(write_block, array_shape):
        if edge >= extent > INNER_EDGE:
            edge = -(-extent // INNER_EDGE) * INNER_EDGE
        shard.append(int(edge))
        chunk.append(inner_edge(int(edge)))
    return tuple(shard), tuple(chunk)
