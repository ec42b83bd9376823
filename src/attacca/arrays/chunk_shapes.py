"""Shapes of write blocks and of the chunks inside them that are read one by one."""

from collections.abc import Sequence

_LONGEST_EDGE = {2: 512, 3: 64}
_SHORTEST_EDGE = {2: 192, 3: 24}


def inner_edge(edge: int, dims: int = 3) -> int:
    """Return the edge of the inner chunks that divide a write block, along one axis.

    The largest divisor of at most 64 voxels (512 in an image of two axes) is used. Where that would be short (prime
    numbers), one inner chunk spans the block.

    Args:
        edge: edge of the write block, in voxels.
        dims: number of spatial axes.

    >>> [inner_edge(edge) for edge in (128, 160, 148, 100, 40, 101)]
    [64, 40, 37, 50, 40, 101]
    >>> inner_edge(1024, dims=2)
    512
    """
    longest, shortest = _LONGEST_EDGE.get(dims, _LONGEST_EDGE[3]), _SHORTEST_EDGE.get(dims, _SHORTEST_EDGE[3])
    if edge <= longest:
        return edge
    best = max(divisor for divisor in range(1, longest + 1) if edge % divisor == 0)
    return best if best >= shortest else edge


def inner_shape(block: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of the inner chunks that divide a write block, see ``inner_edge``.

    >>> inner_shape((16, 128, 144))
    (16, 64, 48)
    """
    return tuple(inner_edge(int(edge), len(block)) for edge in block)


def shard_and_chunk(
    write_block: Sequence[int], array_shape: Sequence[int], chunk: Sequence[int] | None = None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of shards and of inner chunks for an array that is written in blocks.

    A shard is one write block, so that two blocks never share a stored object. On an axis along which a single block
    covers the array, the shard is as long as the array, rounded up to whole inner chunks: nothing is stored beyond the
    array.

    Args:
        write_block: voxels, spatial axes; it may exceed the array.
        array_shape: voxels, spatial axes.
        chunk: shape of inner chunks; by default about 64 voxels along each of three axes.

    >>> shard_and_chunk((128, 128, 157), (300, 128, 157))
    ((128, 128, 192), (64, 64, 64))
    >>> shard_and_chunk((144, 144, 144), (160, 100, 30))
    ((144, 144, 30), (48, 48, 30))
    >>> shard_and_chunk((144, 144, 144), (160, 160, 160), (72, 72, 72))
    ((144, 144, 144), (72, 72, 72))
    """
    dims = len(write_block)
    longest = _LONGEST_EDGE.get(dims, _LONGEST_EDGE[3])
    shard, chunks = [], []
    for axis, (edge, extent) in enumerate(zip(write_block, array_shape)):
        inner = inner_edge(int(edge), dims) if chunk is None else int(chunk[axis])
        if edge >= extent:
            inner = min(inner if inner <= longest or chunk is not None else longest, extent)
            edge = -(-extent // inner) * inner
        elif edge % inner:
            inner = inner_edge(int(edge), dims)
        shard.append(int(edge))
        chunks.append(int(inner))
    return tuple(shard), tuple(chunks)
