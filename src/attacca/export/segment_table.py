"""Sizes and bounding boxes of all segments of a volume."""

from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import fastremap
import numpy as np

from attacca.config.export import SegmentChoice
from attacca.errors import ConfigurationError
from attacca.export.labels import Labels


@dataclass(frozen=True)
class SegmentTable:
    """Segments of a volume, ordered by their ids.

    Args:
        ids: uint64, shape (n,), ascending.
        sizes: voxels of each segment, int64, shape (n,).
        lower, upper: first voxel and end of the bounding boxes along z, y, x, int64, shape (n, 3).
    """

    ids: np.ndarray
    sizes: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    def choose(self, choice: SegmentChoice) -> np.ndarray:
        """Return the positions of the chosen segments in the table, ascending, int64.

        Of segments with equally many voxels, ``largest`` chooses those with lower ids.

        Raises:
            ConfigurationError: the volume has no segment with an id of the choice.
        """
        chosen = self.sizes >= choice.min_size
        if choice.segments is not None:
            requested = np.array(choice.segments, np.uint64)
            unknown = requested[~np.isin(requested, self.ids)]
            if len(unknown):
                raise ConfigurationError(
                    f"export: found no segment {', '.join(map(str, unknown[:5].tolist()))} in the segmentation, which "
                    f"has {len(self.ids)} segments; correct 'segments'"
                )
            chosen &= np.isin(self.ids, requested)
        positions = np.flatnonzero(chosen)
        if choice.largest is not None:
            order = np.argsort(-self.sizes[positions], kind="stable")
            positions = np.sort(positions[order[: choice.largest]])
        return positions


def count_segments(labels: Labels) -> SegmentTable:
    """Count the voxels of each segment and find its bounding box, block by block; id 0 is background.

    >>> from attacca.arrays import NumpyArray
    >>> from funlib.geometry import Roi
    >>> ids = np.array([[[0, 7, 7], [2, 0, 7]]], np.uint64)
    >>> array = NumpyArray.from_np_array(ids, Roi((0, 0, 0), (1, 2, 3)), (1, 1, 1), ["z", "y", "x"])
    >>> table = count_segments(Labels(array))
    >>> table.ids.tolist(), table.sizes.tolist(), table.lower.tolist(), table.upper.tolist()
    ([2, 7], [1, 3], [[0, 1, 0], [0, 0, 1]], [[1, 2, 1], [1, 2, 3]])
    """
    empty = np.zeros((0, 3), np.int64)
    total = SegmentTable(np.zeros(0, np.uint64), np.zeros(0, np.int64), empty, empty)
    for box in labels.divide(labels.block_shape):
        dense, names = fastremap.renumber(labels.read(box), preserve_zero=True)
        statistics = cc3d.statistics(dense, no_slice_conversion=True)
        # (z, z, y, y, x, x), the last voxel included.
        bounds = statistics["bounding_boxes"].astype(np.int64).reshape(-1, 3, 2)
        ids = np.zeros(len(bounds), np.uint64)
        for name, index in names.items():
            ids[int(index)] = name
        present = (ids != 0) & (statistics["voxel_counts"] > 0)
        start = np.array([axis.start for axis in box])
        counts = statistics["voxel_counts"].astype(np.int64)[present]
        part = SegmentTable(
            ids[present], counts, bounds[present, :, 0] + start, bounds[present, :, 1] + start + 1
        )
        total = _merge([total, part])
    return total


def _merge(tables: Sequence[SegmentTable]) -> SegmentTable:
    ids, inverse = np.unique(np.concatenate([table.ids for table in tables]), return_inverse=True)
    sizes = np.zeros(len(ids), np.int64)
    np.add.at(sizes, inverse, np.concatenate([table.sizes for table in tables]))
    lower = np.full((len(ids), 3), np.iinfo(np.int64).max)
    np.minimum.at(lower, inverse, np.concatenate([table.lower for table in tables]))
    upper = np.zeros((len(ids), 3), np.int64)
    np.maximum.at(upper, inverse, np.concatenate([table.upper for table in tables]))
    return SegmentTable(ids, sizes, lower, upper)
