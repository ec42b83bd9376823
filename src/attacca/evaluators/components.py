"""Connected components of a volume of any size, block by block.

1. ``label_block`` numbers the components of one block and keeps those of its outermost voxels
   (``BlockFaces``).
2. ``joined_components`` compares the faces of neighboring blocks and says which components are one.
3. Whoever holds ids (a table, a volume) maps them.

Components of a block are numbered from 1; ``global_id`` makes the numbers unique. Two voxels are connected
when they have the same value and touch. The result does not depend on the blocks but for the ids themselves.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from attacca.blockwise.grid import BlockGrid

_LOCAL_BITS = 32


def global_id(block: int, local: np.ndarray) -> np.ndarray:
    """Ids, uint64, that are unique over blocks; 0 stays 0.

    Args:
        block: number of the block, below 2^31.
        local: component numbers in it, below 2^32.
    """
    ids = local.astype(np.uint64)
    return np.where(ids == 0, ids, ids | np.uint64((block + 1) << _LOCAL_BITS))


@dataclass(frozen=True)
class BlockFaces:
    """Components at the outside of a block.

    Attributes:
        values: value of each component, index 0 unused, shape (components + 1,).
        lower, upper: for each axis the components of the first and of the last layer, uint32, without that
            axis.
    """

    values: np.ndarray
    lower: tuple[np.ndarray, ...]
    upper: tuple[np.ndarray, ...]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays, for a .npz file."""
        arrays = {"face_values": self.values}
        for axis, (low, high) in enumerate(zip(self.lower, self.upper)):
            arrays[f"face_lower_{axis}"], arrays[f"face_upper_{axis}"] = low, high
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "BlockFaces":
        """Faces that ``to_arrays`` named."""
        axes = range(sum(name.startswith("face_lower_") for name in arrays))
        lower = tuple(arrays[f"face_lower_{axis}"] for axis in axes)
        return cls(arrays["face_values"], lower, tuple(arrays[f"face_upper_{axis}"] for axis in axes))


def label_block(values: np.ndarray, touch: str = "corner") -> tuple[np.ndarray, BlockFaces]:
    """Number the connected components of one block.

    Args:
        values: bool or unsigned integers, 2 or 3 axes; 0 belongs to no component.
        touch: ``"corner"`` where voxels that share a face, an edge or a corner touch (26 neighbors, 8 in
            2D), ``"face"`` where they must share a face (6, or 4).

    Returns:
        Component numbers from 1, uint32, and the faces.
    """
    connectivity: Any = {("corner", 3): 26, ("face", 3): 6, ("corner", 2): 8, ("face", 2): 4}[
        (touch, values.ndim)
    ]
    values = np.ascontiguousarray(values)
    labels: Any = cc3d.connected_components(values, connectivity=connectivity, out_dtype=np.uint32)
    component_values = np.zeros(int(labels.max(initial=0)) + 1, values.dtype)
    component_values[labels.ravel()] = values.ravel()
    lower = tuple(labels.take(0, axis) for axis in range(values.ndim))
    upper = tuple(labels.take(-1, axis) for axis in range(values.ndim))
    return labels, BlockFaces(component_values, lower, upper)


def joined_components(
    grid: BlockGrid, faces: Callable[[int], BlockFaces], touch: str = "corner"
) -> tuple[np.ndarray, np.ndarray]:
    """Which components of neighboring blocks are one.

    Args:
        grid: the blocks.
        faces: gives the faces of the block with a number; is asked for each block and its neighbors.
        touch: as for ``label_block``.

    Returns:
        Ids (``global_id``, ascending) of components that are joined with others, and for each the smallest id
        of those that it is joined with; both uint64. Components that are not mentioned stay as they are.
    """
    pairs = [np.empty((0, 2), np.uint64)]
    for index in range(len(grid)):
        here: BlockFaces | None = None
        for direction, neighbor in _neighbors(grid, index, touch):
            here = faces(index) if here is None else here
            pairs.append(_touching(index, here, neighbor, faces(neighbor), direction, touch))
    edges = np.concatenate(pairs)
    ids, ends = np.unique(edges, return_inverse=True)
    ends = ends.reshape(-1, 2)
    graph = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(len(ids), len(ids)))
    _, group = connected_components(graph, directed=False)
    smallest = np.full(len(ids), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(smallest, group, ids)
    return ids, smallest[group]


def _neighbors(grid: BlockGrid, index: int, touch: str) -> Iterator[tuple[tuple[int, ...], int]]:
    # Half of the neighbors: those whose first differing axis lies above.
    position = grid.position(index)
    for direction in itertools.product((-1, 0, 1), repeat=grid.dims):
        first = next((step for step in direction if step), 0)
        if first != 1 or (touch == "face" and sum(map(abs, direction)) != 1):
            continue
        place = tuple(p + d for p, d in zip(position, direction))
        if all(0 <= p < n for p, n in zip(place, grid.shape)):
            yield direction, grid.index(place)


def _touching(
    index: int, here: BlockFaces, neighbor: int, there: BlockFaces, direction: tuple[int, ...], touch: str
) -> np.ndarray:
    # Pairs of components with one value that touch across the face, edge or corner in the given direction.
    axis = next(a for a, step in enumerate(direction) if step)
    in_plane = direction[:axis] + direction[axis + 1 :]
    layer = here.upper[axis][
        tuple({1: slice(-1, None), -1: slice(0, 1), 0: slice(None)}[step] for step in in_plane)
    ]
    other = there.lower[axis][
        tuple({1: slice(0, 1), -1: slice(-1, None), 0: slice(None)}[step] for step in in_plane)
    ]
    shifts = [(-1, 0, 1) if step == 0 and touch == "corner" else (0,) for step in in_plane]
    found = []
    for shift in itertools.product(*shifts):
        mine = layer[tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(shift, layer.shape))].ravel()
        its = other[tuple(slice(max(0, s), n - max(0, -s)) for s, n in zip(shift, other.shape))].ravel()
        joined = (mine > 0) & (its > 0) & (here.values[mine] == there.values[its])
        pairs = np.stack([mine[joined], its[joined]], axis=1)
        found.append(np.unique(pairs, axis=0))
    local = np.unique(np.concatenate(found), axis=0)
    return np.stack([global_id(index, local[:, 0]), global_id(neighbor, local[:, 1])], axis=1)
