"""Step 2 of the segmentation, block by block: writes tables of the region adjacency graph."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attacca.arrays import Array
from attacca.blockwise import Block
from attacca.segmentation.block_graph import count_block_graph
from attacca.segmentation.box import Box
from attacca.segmentation.compiled import compile_kernels
from attacca.segmentation.frame import Frame
from attacca.segmentation.graph_tables import locate_table, write_array
from attacca.segmentation.inputs import read_affinities
from attacca.segmentation.offsets import Offsets
from attacca.segmentation.smoothing import compute_smoothing_context, smooth_affinities

_NEAREST = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


@dataclass(frozen=True)
class GraphBlocks:
    """Block function that counts a block's share of the graph and writes its tables.

    Args:
        prediction: affinities, channels first.
        fragments: uint64 array without channels; its ROI is the volume.
        directory: directory of the tables.
        neighborhood: offset of each channel, in voxels. If empty, each contact of fragments counts as an
            affinity of 1.
        long_range: count long-range offsets too.
        sigma: standard deviation of the smoothing before affinities are counted, as for the fragments.
    """

    prediction: Array
    fragments: Array
    directory: str
    neighborhood: tuple[tuple[int, ...], ...]
    long_range: bool = True
    sigma: float = 0.0

    def open(self) -> None:
        """Compile the kernels before the first block is timed."""
        compile_kernels("graph")

    def __call__(self, block: Block) -> None:
        """Write the tables of one block."""
        frame = Frame(self.fragments.roi, self.fragments.voxel_size)
        nodes, edges = self._count(frame, frame.to_box(block.write_roi))
        for name, table in (("nodes", nodes), ("edges", edges)):
            write_array(locate_table(self.directory, name, block.index), table)

    def _count(self, frame: Frame, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Return the tables of nodes and edges of the voxels of a box."""
        offsets, channels = select_offsets(self.neighborhood, self.long_range)
        source = box.grow(*offsets.reach()).intersect(frame.box)
        fragments = np.asarray(self.fragments[frame.to_roi(source)]).reshape(source.shape)
        if self.neighborhood:
            context = compute_smoothing_context(frame, self.sigma)
            smoothed = source.grow(context, context).intersect(frame.box)
            affinities = read_affinities(self.prediction, frame, smoothed, len(self.neighborhood))[channels]
            affinities = smooth_affinities(affinities, frame, self.sigma)[:, *source.slices(smoothed.begin)]
        else:
            affinities = np.full((3, *source.shape), 255, np.uint8)
        return count_block_graph(fragments, affinities, offsets, box.shift(source.begin), source.begin)


def select_offsets(neighborhood: Sequence[Sequence[int]], long_range: bool) -> tuple[Offsets, np.ndarray]:
    """Return the offsets that a graph counts, and their channels, int64 (n,).

    >>> select_offsets([[0, 0, 1], [0, 0, 9], [0, 1, 0]], long_range=False)[1]
    array([0, 2])
    """
    if not neighborhood:
        return Offsets.create(_NEAREST), np.arange(3)
    offsets = Offsets.create(neighborhood)
    channels = np.arange(len(offsets)) if long_range else np.flatnonzero(offsets.is_nearest)
    return offsets[channels], channels
