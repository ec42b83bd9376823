"""Volume, surface, centroid and extent of each object, from sums over blocks.

The tables of blocks can be summed in any order. ``merge_object_tables`` yields the sum in ascending order of ids with
bounded memory, whatever the number of objects.
"""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import fastremap
import numpy as np
from numba import njit

from attacca.segmentation.box import Triple

MAX_ROWS = 1 << 20
"""Objects that are summed at once."""

_NONE = np.iinfo(np.int64).max


@dataclass(frozen=True)
class ObjectTable:
    """Sums over the voxels of objects, ascending by id.

    Args:
        ids: uint64, shape (n,).
        voxels: number of voxels, int64, shape (n,).
        sums: sums of the positions z, y, x of the voxels in the volume, int64, shape (n, 3).
        faces: faces between the object and other objects or background, perpendicular to z, y, x, int64, shape (n, 3).
            Faces at the border of the volume do not count: the object may continue there.
        lower, upper: first voxel and end of the bounding box along z, y, x, int64, shape (n, 3).
    """

    ids: np.ndarray
    voxels: np.ndarray
    sums: np.ndarray
    faces: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: np.ndarray | slice) -> "ObjectTable":
        """Return some of the rows."""
        return ObjectTable(*(getattr(self, field.name)[rows] for field in fields(self)))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the columns by name, for an .npz file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def load(cls, path: Path) -> "ObjectTable":
        """Read the columns from an .npz file."""
        with np.load(path) as stored:
            return cls(*(stored[field.name] for field in fields(cls)))


def sum_object_tables(tables: list[ObjectTable]) -> ObjectTable:
    """Return the sum of tables.

    >>> part = measure_objects(np.array([[[7, 7]]]), (0, 0, 0), (1, 1, 2))
    >>> sum_object_tables([part, part]).voxels.tolist()
    [4]
    """
    columns = [
        np.concatenate([getattr(table, field.name) for table in tables]) for field in fields(ObjectTable)
    ]
    ids, row_of = np.unique(columns[0], return_inverse=True)
    shape = (len(ids), 3)
    total = ObjectTable(
        ids,
        np.zeros(len(ids), np.int64),
        np.zeros(shape, np.int64),
        np.zeros(shape, np.int64),
        np.full(shape, _NONE),
        np.zeros(shape, np.int64),
    )
    np.add.at(total.voxels, row_of, columns[1])
    np.add.at(total.sums, row_of, columns[2])
    np.add.at(total.faces, row_of, columns[3])
    np.minimum.at(total.lower, row_of, columns[4])
    np.maximum.at(total.upper, row_of, columns[5])
    return total


def measure_objects(labels: np.ndarray, begin: Triple, shape: Triple) -> ObjectTable:
    """Measure the part of each object in a block.

    Args:
        labels: ids, shape (z, y, x), with one voxel more above along each axis if the volume has one there: faces between
            two blocks are counted with the lower one. Id 0 is background.
        begin: position of the block in the volume, in voxels.
        shape: shape of the block without the additional voxels.

    Returns:
        One row per object. An object that only touches the block from above has a row with faces and without voxels.

    Two objects that share one face:

    >>> table = measure_objects(np.array([[[7, 7, 9]]]), (0, 0, 10), (1, 1, 3))
    >>> table.ids.tolist(), table.voxels.tolist(), table.sums.tolist(), table.faces.tolist()
    ([7, 9], [2, 1], [[0, 0, 21], [0, 0, 12]], [[0, 0, 1], [0, 0, 1]])
    """
    dense, names = fastremap.renumber(np.ascontiguousarray(labels, dtype=np.uint64), preserve_zero=True)
    ids = np.zeros(max((int(value) for value in names.values()), default=0) + 1, np.uint64)
    for name, index in names.items():
        ids[int(index)] = name
    voxels, sums, faces, lower, upper = _measure(
        dense, np.array(begin, np.int64), np.array(shape, np.int64), len(ids)
    )
    order = np.argsort(ids[1:]) + 1
    order = order[(voxels[order] > 0) | faces[order].any(axis=1)]
    return ObjectTable(ids[order], voxels[order], sums[order], faces[order], lower[order], upper[order])


@njit(cache=True, nogil=True)
def _measure(labels, begin, shape, count):
    voxels = np.zeros(count, np.int64)
    sums = np.zeros((count, 3), np.int64)
    faces = np.zeros((count, 3), np.int64)
    lower = np.full((count, 3), np.iinfo(np.int64).max)
    upper = np.zeros((count, 3), np.int64)
    at = np.zeros(3, np.int64)
    for z in range(shape[0]):
        for y in range(shape[1]):
            for x in range(shape[2]):
                own = labels[z, y, x]
                at[0], at[1], at[2] = begin[0] + z, begin[1] + y, begin[2] + x
                for axis in range(3):
                    az, ay, ax = z + (axis == 0), y + (axis == 1), x + (axis == 2)
                    if az < labels.shape[0] and ay < labels.shape[1] and ax < labels.shape[2]:
                        other = labels[az, ay, ax]
                        if other != own:
                            faces[own, axis] += 1
                            faces[other, axis] += 1
                if own == 0:
                    continue
                voxels[own] += 1
                for axis in range(3):
                    sums[own, axis] += at[axis]
                    lower[own, axis] = min(lower[own, axis], at[axis])
                    upper[own, axis] = max(upper[own, axis], at[axis] + 1)
    return voxels, sums, faces, lower, upper


def merge_object_tables(
    load: Callable[[int], ObjectTable], count: int, max_rows: int = MAX_ROWS
) -> Iterator[ObjectTable]:
    """Yield the sum of the tables of all blocks, ascending by id, at most ``max_rows`` rows at a time.

    Each pass over the tables sums the smallest ids that were not yielded yet. Rows of larger ids are dropped as soon as
    there are too many: an id among the smallest of all tables is among the smallest of each part of them.

    Args:
        load: returns the table of a block.
        count: number of blocks.
        max_rows: largest number of rows in memory, besides the table of one block.

    >>> parts = [measure_objects(np.array([[[a, b]]]), (0, 0, 0), (1, 1, 2)) for a, b in ((1, 9), (3, 1))]
    >>> [table.ids.tolist() for table in merge_object_tables(parts.__getitem__, 2, max_rows=2)]
    [[1, 3], [9]]
    """
    first = np.uint64(0)
    while True:
        total: ObjectTable | None = None
        for index in range(count):
            table = load(index)
            part = table.select(slice(int(np.searchsorted(table.ids, first)), None)).select(slice(max_rows))
            total = part if total is None else sum_object_tables([total, part]).select(slice(max_rows))
        if total is None or not len(total):
            return
        yield total
        if len(total) < max_rows or total.ids[-1] == np.iinfo(np.uint64).max:
            return
        first = total.ids[-1] + np.uint64(1)
