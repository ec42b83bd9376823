"""Step 4 of the segmentation: fragments become segments, block by block."""

from dataclasses import dataclass

import numpy as np

from attacca.arrays import Array, ZarrArray
from attacca.blockwise import Block
from attacca.segmentation.look_up_table import LeafTable, LookUpTable, relabel


@dataclass
class RelabelBlocks:
    """Block function that writes segments.

    Args:
        fragments: uint64 array.
        output: writable uint64 array of the same ROI.
        table: path of the look-up table of a volume, or a table.
    """

    fragments: Array
    output: ZarrArray
    table: str | LookUpTable | LeafTable

    def open(self) -> None:
        """Open the table, memory-mapped."""
        if isinstance(self.table, str):
            self.table = LeafTable.load(self.table)

    def __call__(self, block: Block) -> None:
        """Write the segments of one block."""
        self.open()
        assert not isinstance(self.table, str)
        self.output[block.write_roi] = relabel(np.asarray(self.fragments[block.write_roi]), self.table)
