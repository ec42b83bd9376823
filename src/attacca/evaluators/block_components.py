"""Connected components of a volume of any size, block by block.

1. ``label_block`` numbers the components of one block and stores those on its faces (``BlockFaces``).
2. ``join_components`` compares the faces of neighboring blocks and returns the components to join.
3. The caller maps the ids of its table or volume.

Components of a block are numbered from 1; ``make_global_ids`` makes the numbers unique in the volume. Two voxels are
connected if they have the same value and touch. Except for the ids, the result does not depend on the blocks.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import cc3d
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from attacca.blockwise.grid import BlockGrid

Touch = Literal["corner", "face"]
"""Contact that connects voxels: a shared face, edge or corner (26 neighbors, 8 in 2D), or a face (6, or 4)."""

_CONNECTIVITY: dict[tuple[Touch, int], Literal[4, 6, 8, 26]] = {
    ("corner", 3): 26,
    ("face", 3): 6,
    ("corner", 2): 8,
    ("face", 2): 4,
}
_LOCAL_BITS = 32


def make_global_ids(block: int, local: np.ndarray) -> np.ndarray:
    """Return ids that are unique over blocks; 0 stays 0.

    Args:
        block: number of the block, below 2^31.
        local: component numbers in the block, below 2^32.

    Returns:
        uint64, shape of ``local``.

    Examples:
        >>> make_global_ids(0, np.array([0, 1])).tolist(), make_global_ids(1, np.array([0, 1])).tolist()
        ([0, 4294967297], [0, 8589934593])
    """
    ids = local.astype(np.uint64)
    return np.where(ids == 0, ids, ids | np.uint64((block + 1) << _LOCAL_BITS))


@dataclass(frozen=True)
class BlockFaces:
    """Components on the faces of a block.

    Attributes:
        values: value of each component, shape (components + 1,); index 0 is not used.
        lower, upper: for each axis the components of the first and of the last layer, uint32, without that
            axis.

    Examples:
        >>> faces = label_block(np.array([[7, 0], [7, 2]]))[1]
        >>> faces.values.tolist(), faces.lower[0].tolist(), faces.upper[0].tolist()
        ([0, 7, 2], [1, 0], [1, 2])
    """

    values: np.ndarray
    lower: tuple[np.ndarray, ...]
    upper: tuple[np.ndarray, ...]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return named arrays for a .npz file."""
        arrays = {"face_values": self.values}
        for axis, (low, high) in enumerate(zip(self.lower, self.upper)):
            arrays[f"face_lower_{axis}"], arrays[f"face_upper_{axis}"] = low, high
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "BlockFaces":
        """Read the arrays of ``to_arrays``."""
        axes = range(sum(name.startswith("face_lower_") for name in arrays))
        lower = tuple(arrays[f"face_lower_{axis}"] for axis in axes)
        return cls(arrays["face_values"], lower, tuple(arrays[f"face_upper_{axis}"] for axis in axes))


def label_block(values: np.ndarray, touch: Touch = "corner") -> tuple[np.ndarray, BlockFaces]:
    """Number the connected components of one block.

    Args:
        values: bool or unsigned integers, 2 or 3 axes; 0 is background.
        touch: contact that connects voxels.

    Returns:
        Component numbers from 1, uint32, shape of ``values``, and the faces.

    Examples:
        >>> label_block(np.array([[7, 0, 7], [7, 0, 2]]))[0]
        array([[1, 0, 2],
               [1, 0, 3]], dtype=uint32)
    """
    values = np.ascontiguousarray(values)
    # cc3d fails for bool values 1, 0, 1 along a line of three voxels.
    values = values.view(np.uint8) if values.dtype == bool else values
    connectivity = _CONNECTIVITY[touch, values.ndim]
    labels: np.ndarray = cc3d.connected_components(values, connectivity=connectivity, out_dtype=np.uint32)
    component_values = np.zeros(int(labels.max(initial=0)) + 1, values.dtype)
    component_values[labels.ravel()] = values.ravel()
    lower = tuple(labels.take(0, axis) for axis in range(values.ndim))
    upper = tuple(labels.take(-1, axis) for axis in range(values.ndim))
    return labels, BlockFaces(component_values, lower, upper)


def join_components(
    grid: BlockGrid, load_faces: Callable[[int], BlockFaces], touch: Touch = "corner"
) -> tuple[np.ndarray, np.ndarray]:
    """Join the components of neighboring blocks.

    Args:
        grid: the blocks.
        load_faces: returns the faces of the block with a number; called for each block and its neighbors.
        touch: contact that connects voxels.

    Returns:
        Ids (``make_global_ids``, ascending) of components that are joined with others, and for each the smallest id
        of its joined component; both uint64. All other components keep their ids.

    Examples:
        An object in two blocks:

        >>> from funlib.geometry import Coordinate, Roi
        >>> grid = BlockGrid(Roi((0, 0), (1, 4)), Coordinate(1, 2), Coordinate(1, 1))
        >>> faces = [label_block(np.array([[0, 7]]))[1], label_block(np.array([[7, 7]]))[1]]
        >>> ids, joined = join_components(grid, faces.__getitem__)
        >>> ids.tolist(), joined.tolist()
        ([4294967297, 8589934593], [4294967297, 4294967297])
    """
    pairs = [np.empty((0, 2), np.uint64)]
    for index in range(len(grid)):
        faces: BlockFaces | None = None
        for direction, neighbor in _neighbors(grid, index, touch):
            faces = load_faces(index) if faces is None else faces
            pairs.append(_touching_pairs(index, faces, neighbor, load_faces(neighbor), direction, touch))
    edges = np.concatenate(pairs)
    ids, ends = np.unique(edges, return_inverse=True)
    ends = ends.reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(len(ids), len(ids)))
    _, group = connected_components(graph, directed=False)
    smallest = np.full(len(ids), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(smallest, group, ids)
    return ids, smallest[group]


def _neighbors(grid: BlockGrid, index: int, touch: Touch) -> Iterator[tuple[tuple[int, ...], int]]:
    # Half of the neighbors: those above the block along the first axis on which they differ.
    position = grid.position(index)
    for direction in itertools.product((-1, 0, 1), repeat=grid.dims):
        first = next((step for step in direction if step), 0)
        if first != 1 or (touch == "face" and sum(map(abs, direction)) != 1):
            continue
        neighbor = tuple(p + d for p, d in zip(position, direction))
        if all(0 <= p < n for p, n in zip(neighbor, grid.shape)):
            yield direction, grid.index(neighbor)


def _touching_pairs(
    index: int,
    faces: BlockFaces,
    neighbor: int,
    neighbor_faces: BlockFaces,
    direction: tuple[int, ...],
    touch: Touch,
) -> np.ndarray:
    # Pairs of components of one value that touch across the face, edge or corner in the given direction.
    axis = next(a for a, step in enumerate(direction) if step)
    in_plane = direction[:axis] + direction[axis + 1 :]
    own_part = tuple({1: slice(-1, None), -1: slice(0, 1), 0: slice(None)}[step] for step in in_plane)
    other_part = tuple({1: slice(0, 1), -1: slice(-1, None), 0: slice(None)}[step] for step in in_plane)
    own_layer = faces.upper[axis][own_part]
    other_layer = neighbor_faces.lower[axis][other_part]
    shifts = [(-1, 0, 1) if step == 0 and touch == "corner" else (0,) for step in in_plane]
    pairs = []
    for shift in itertools.product(*shifts):
        own_slices = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(shift, own_layer.shape))
        other_slices = tuple(slice(max(0, s), n - max(0, -s)) for s, n in zip(shift, other_layer.shape))
        own, other = own_layer[own_slices].ravel(), other_layer[other_slices].ravel()
        joined = (own > 0) & (other > 0) & (faces.values[own] == neighbor_faces.values[other])
        pairs.append(np.unique(np.stack([own[joined], other[joined]], axis=1), axis=0))
    local = np.unique(np.concatenate(pairs), axis=0)
    return np.stack([make_global_ids(index, local[:, 0]), make_global_ids(neighbor, local[:, 1])], axis=1)
