"""Dense indices of the labels of an array, for kernels that keep one row per label."""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

import numpy as np
from numba import njit

from attacca.segmentation.hash_table import find_slot, make_table
from attacca.segmentation.index_range import check_range

INDEX = np.int32
"""Type of the indices."""


def index_labels(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct values of an array, and each element's index into them.

    Args:
        labels: integers, any shape.

    Returns:
        ids: uint64 (n,), 0 first (also if it does not occur), then in order of appearance.
        indices: int32, of the shape of ``labels``.

    Raises:
        ResourceError: there are 2^31 or more distinct values.

    >>> ids, indices = index_labels(np.array([[30, 30, 0], [7, 30, 7]]))
    >>> ids.tolist(), indices.tolist()
    ([0, 30, 7], [[1, 1, 0], [2, 1, 2]])
    """
    flat = np.ascontiguousarray(labels, dtype=np.uint64).reshape(-1)
    ids, indices = _index(flat)
    check_range(len(ids), INDEX, "labels of a block", "set a smaller segmentation.block_size")
    return ids, indices.reshape(labels.shape)


@njit(cache=True, nogil=True)
def _index(labels):
    indices = np.empty(len(labels), np.int32)
    table = np.full(1024, np.int32(-1), np.int32)
    ids = np.zeros(512, np.uint64)
    progress = np.array([1, 0], np.int64)
    # The table grows outside of the loop that fills it: see the note in mutex_clusters.
    while not _index_until_full(labels, indices, table, ids, progress):
        larger = np.zeros(4 * len(ids), np.uint64)
        larger[: len(ids)] = ids
        ids = larger
        table = make_table(ids, 1, progress[0], 2 * len(ids))
    return ids[: progress[0]].copy(), indices


@njit(cache=True, nogil=True)
def _index_until_full(labels, indices, table, ids, progress):
    """Continue at label ``progress[1]`` with ``progress[0]`` known ids. Return False if the table is full."""
    last, last_index = np.uint64(0), np.int32(0)
    count = progress[0]
    for i in range(progress[1], len(labels)):
        label = labels[i]
        if label != last:
            index = np.int32(0)
            if label != 0:
                slot = find_slot(table, ids, label)
                if table[slot] < 0:
                    if count == len(ids):
                        progress[0], progress[1] = count, i
                        return False
                    ids[count] = label
                    table[slot] = count
                    count += 1
                index = table[slot]
            last, last_index = label, index
        indices[i] = last_index
    progress[0] = count
    return True
