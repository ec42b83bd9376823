"""The look-up table applied to the volume: fragments become segments, block by block."""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from attacca.segmentation.graph import dense_labels
from attacca.segmentation.lookup import LookUpTable


@dataclass
class RelabelBlocks:
    """Block function that writes segments.

    Args:
        fragments: uint64 array.
        output: uint64 array of the same ROI.
        table: path of a look-up table, or the table.
    """

    fragments: Any
    output: Any
    table: str | LookUpTable

    def open(self) -> None:
        """Map the table into memory."""
        if isinstance(self.table, str):
            self.table = LookUpTable.load(self.table)

    def __call__(self, block: Any) -> None:
        self.open()
        assert isinstance(self.table, LookUpTable)
        self.output[block.write_roi] = relabel(np.asarray(self.fragments[block.write_roi]), self.table)


def relabel(fragments: np.ndarray, table: LookUpTable) -> np.ndarray:
    """Segments of fragments, uint64 of the same shape; ids that the table does not know become 0."""
    ids, local = dense_labels(fragments)
    segments = np.zeros(len(ids), np.uint64)
    if len(table.ids):
        places = np.minimum(np.searchsorted(table.ids, ids), len(table.ids) - 1)
        known = np.asarray(table.ids[places]) == ids
        segments[known] = table.segments[places[known]]
    segments[ids == 0] = 0
    return _take(segments, local.reshape(-1)).reshape(fragments.shape)


@njit(cache=True, nogil=True)
def _take(values, indices):
    result = np.empty(len(indices), values.dtype)
    for i in range(len(indices)):
        result[i] = values[indices[i]]
    return result
