"""Size of the leaves of an octree, and the fragments that an agglomeration in an octree has in memory."""

ONE_LEAF_VOXELS = 2**32
"""Volumes of up to so many voxels are one leaf by default: typically 15 million edges, agglomerated in 4 to 7 GB."""

LEAF_VOXELS = 2**30
"""Approximate voxels of a leaf of a larger volume: typically 4 million edges."""

# Edges that are left of a box of n fragments along each axis: 73 % at 8, 48 % at 16, 21 % at 32, so about 8 / n of them.
# Eight such boxes are joined, so a box of n fragments along each axis holds the edges of 16 n^2 fragments.
_JOINED = 16
# A leaf is read from the tables of its blocks, 270 bytes per edge; parts are joined in 61 (agglomeration_octree.txt). With 9
# edges per fragment, 400 bytes are a sixth of the one and five sevenths of the other.
_READ = 6
_JOIN = 1.4
# Segments are numbered in one table, after the last parts are joined; one in so many fragments becomes a segment of its own,
# and takes 60 bytes of the 400 of a fragment with its edges.
_NUMBERED = 300


def count_agglomerated(voxels: float, fragments: float) -> float:
    """Return how many fragments, at 400 bytes for one with its edges, take the memory of the agglomeration's largest part.

    Args:
        voxels: voxels of the volume.
        fragments: fragments of the volume.

    >>> count_agglomerated(2**30, 1e6)
    6000000.0
    >>> f"{count_agglomerated(1e13, 6.7e9):.1e}"
    '8.0e+07'
    """
    if voxels <= ONE_LEAF_VOXELS:
        return float(_READ * fragments)
    leaf = _READ * fragments * LEAF_VOXELS / voxels
    return float(max(leaf, _JOIN * _JOINED * fragments ** (2 / 3), fragments / _NUMBERED))


def count_joined_edges(fragments: float, shards: int) -> float:
    """Return the typical number of edges that the job after the shards of an agglomeration reads at all levels together.

    A level with twice as many boxes along each axis holds twice as many edges. Shards have about two boxes each.

    Args:
        fragments: fragments of the volume.
        shards: number of shards.

    >>> f"{count_joined_edges(6.7e9, 50):.1e}"
    '2.2e+09'
    """
    return float(8.2 * _JOINED * fragments ** (2 / 3) * (2 * shards) ** (1 / 3))
