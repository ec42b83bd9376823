"""Meshes with several levels of detail in Neuroglancer's format ``neuroglancer_multilod_draco``.

The finest level is cut into fragments by a grid of boxes; each coarser level by a grid of boxes twice as long, up to a
single box. Viewers read the fragments that they show, at the level that the screen resolves. A fragment stores positions
in its box as 16-bit integers, compressed by Draco.

Reference: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/meshes.md
"""

import math
from collections.abc import Sequence

import numpy as np

BITS = 16
"""Bits of a stored coordinate."""

_LARGEST = (1 << BITS) - 1
_COMPRESSION = 7

Position = tuple[int, int, int]


def make_info() -> dict[str, object]:
    """Return the content of ``info`` in the directory of the meshes; positions are nanometers."""
    return {
        "@type": "neuroglancer_multilod_draco",
        "vertex_quantization_bits": BITS,
        "transform": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0],
        "lod_scale_multiplier": 1,
    }


def encode_levels(
    levels: Sequence[tuple[np.ndarray, np.ndarray]], scales: Sequence[float]
) -> tuple[bytes, bytes]:
    """Encode the levels of detail of a mesh.

    Args:
        levels: vertices (x, y, z in nanometers, shape (n, 3)) and faces (positions of three vertices, shape (m, 3)) of
            each level, the finest first.
        scales: size of the details of each level in nanometers, ascending.

    Returns:
        The file ``SEGMENT.index``, and the file ``SEGMENT`` with all fragments.
    """
    lower = np.min([vertices.min(axis=0) for vertices, _ in levels], axis=0)
    upper = np.max([vertices.max(axis=0) for vertices, _ in levels], axis=0)
    # Whole numbers are exact as float32 up to 16 million.
    origin = np.floor(lower).astype(np.float32)
    count = 1 << (len(levels) - 1)
    extent = np.maximum(upper.astype(np.float64) - origin, 1)
    # A power of two divides exactly; a little more than the extent, so that rounding leaves no vertex outside.
    box = (np.ceil(extent / count * 8) / 8).astype(np.float32)
    fragments: list[dict[Position, bytes]] = []
    for level, (vertices, faces) in enumerate(levels):
        triangles = (vertices.astype(np.float64) - origin)[faces]
        found = _encode_fragments(triangles, box.astype(np.float64) * (1 << level), count >> level, level > 0)
        # A viewer finds fragments from the coarsest level down: each has a parent, be it empty.
        parents = {(x // 2, y // 2, z // 2): b"" for x, y, z in fragments[-1]} if fragments else {}
        fragments.append(dict(sorted((parents | found).items(), key=lambda item: _z_curve(item[0]))))
    header = [
        box.astype("<f4").tobytes(),
        origin.astype("<f4").tobytes(),
        np.array([len(levels)], "<u4").tobytes(),
        np.array(scales, "<f4").tobytes(),
        np.zeros((len(levels), 3), "<f4").tobytes(),
        np.array([len(level) for level in fragments], "<u4").tobytes(),
    ]
    for parts in fragments:
        header.append(np.array(list(parts), "<u4").reshape(-1, 3).T.tobytes())
        header.append(np.array([len(data) for data in parts.values()], "<u4").tobytes())
    return b"".join(header), b"".join(data for parts in fragments for data in parts.values())


def _encode_fragments(
    triangles: np.ndarray, box: np.ndarray, count: int, halves: bool
) -> dict[Position, bytes]:
    """Return the fragments of a level by their positions in its grid.

    Args:
        triangles: x, y, z from the origin of the grid, float64, shape (n, 3, 3).
        box: edges of a box.
        count: number of boxes along each axis.
        halves: also cut each box in the middle of each axis, which viewers expect of all but the finest level.
    """
    parts = 2 if halves else 1
    for axis in range(3):
        for number in range(1, count * parts):
            triangles = _cut(triangles, axis, number * box[axis] / parts)
    boxes = np.clip((triangles.mean(axis=1) // box).astype(np.int64), 0, count - 1)
    positions, members = np.unique(boxes, axis=0, return_inverse=True)
    order = np.argsort(members.reshape(-1), kind="stable")
    ends = np.cumsum(np.bincount(members.reshape(-1), minlength=len(positions)))
    fragments = {}
    for position, part in zip(positions, np.split(triangles[order], ends[:-1])):
        data = _encode_fragment((part - position * box) / box)
        if data:
            x, y, z = map(int, position)
            fragments[x, y, z] = data
    return fragments


def _encode_fragment(triangles: np.ndarray) -> bytes:
    """Return triangles with coordinates from 0 to 1 as Draco, or nothing if all are degenerate."""
    # deferred: a package of the extra 'export'
    import DracoPy

    stored = np.clip(np.rint(triangles * _LARGEST), 0, _LARGEST).astype(np.int64).reshape(-1, 3)
    _, first, numbers = np.unique(
        (stored[:, 0] << 2 * BITS) | (stored[:, 1] << BITS) | stored[:, 2],
        return_index=True,
        return_inverse=True,
    )
    faces = numbers.reshape(-1, 3)
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    if not len(faces):
        return b""
    used, faces = np.unique(faces, return_inverse=True)
    # The range makes each whole number its own quantized value.
    data = DracoPy.encode(
        stored[first][used].astype(np.float32),
        faces.reshape(-1, 3).astype(np.uint32),
        quantization_bits=BITS,
        compression_level=_COMPRESSION,
        quantization_range=float(_LARGEST),
        quantization_origin=np.zeros(3, np.float32),
    )
    return bytes(data)


def _cut(triangles: np.ndarray, axis: int, plane: float) -> np.ndarray:
    """Return triangles none of which has points on both sides of a plane.

    A triangle that crosses the plane becomes three: one at the vertex that is alone on its side, two at the others.

    >>> cut = _cut(np.array([[[0.0, 0, 0], [2, 0, 0], [0, 2, 0]]]), 0, 1.0)
    >>> cut[:, :, 0].tolist()
    [[2.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0]]
    """
    is_above = triangles[:, :, axis] >= plane
    crosses = is_above.any(axis=1) & ~is_above.all(axis=1)
    if not crosses.any():
        return triangles
    cut, sides = triangles[crosses], is_above[crosses]
    number_above = sides.sum(axis=1, keepdims=True)
    alone = np.argmax(sides == (number_above == 1), axis=1)
    rows = np.arange(len(cut))
    a, b, c = (cut[rows, (alone + step) % 3] for step in range(3))
    is_a_above = sides[rows, alone]
    ab, ac = (_intersect(a, other, is_a_above, axis, plane) for other in (b, c))
    new = [np.stack(corners, axis=1) for corners in ((a, ab, ac), (ab, b, c), (ab, c, ac))]
    return np.concatenate([triangles[~crosses], *new])


def _intersect(a: np.ndarray, b: np.ndarray, is_a_above: np.ndarray, axis: int, plane: float) -> np.ndarray:
    """Return where edges meet a plane. Both triangles of an edge compute it from the same end, so that no gap opens."""
    low = np.where(is_a_above[:, None], b, a)
    high = np.where(is_a_above[:, None], a, b)
    share = (plane - low[:, axis]) / (high[:, axis] - low[:, axis])
    points = low + share[:, None] * (high - low)
    points[:, axis] = plane
    return points


def _z_curve(position: Position) -> int:
    """Return the position of a box on the Z-curve, x fastest.

    >>> [_z_curve(position) for position in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 0, 0))]
    [1, 2, 4, 8]
    """
    return sum(
        ((value >> bit) & 1) << (3 * bit + axis)
        for axis, value in enumerate(position)
        for bit in range(max(1, math.ceil(math.log2(max(position) + 1))))
    )
