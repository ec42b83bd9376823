"""Step 3 of the segmentation of a large volume: agglomeration of the graph in an octree, level by level.

1. Agglomerate each leaf without the rest of the volume (``part_agglomeration``).
2. Join what is left of up to eight boxes, and agglomerate it; repeat up to the box of the whole volume.
3. Number the segments 1, 2, ... by first fragment.
4. Write the look-up table, leaf by leaf.

The segments are those of the agglomeration of the whole graph, whatever the leaves. A volume of one leaf has only one part,
its whole graph.
"""

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attacca.atomic import write_json
from attacca.blockwise import BlockGrid, run_blocks
from attacca.config.segmentation import AgglomerationSettings
from attacca.errors import VolumeError
from attacca.segmentation.fragment_lattice import FragmentLattice
from attacca.segmentation.graph_tables import write_array
from attacca.segmentation.look_up_table import locate_leaves
from attacca.segmentation.part_blocks import (
    GraphTables,
    LeafFragments,
    PartBlocks,
    TableBlocks,
    locate_part,
)
from attacca.segmentation.parts import DEBRIS_TYPE, FINISHED_TYPE, Outcome, number_segments

RunBlocks = Callable[[Any, BlockGrid], Any]
"""Runs a block function over a grid."""


@dataclass(frozen=True)
class AgglomeratedVolume:
    """Numbers of an agglomeration.

    Args:
        num_fragments: number of fragments.
        num_edges: number of edges between fragments.
        sizes: int64 (segments,), voxels of each segment; segment 1 is first.
    """

    num_fragments: int
    num_edges: int
    sizes: np.ndarray


@dataclass(frozen=True)
class OctreeAgglomeration:
    """Agglomeration of one volume.

    Args:
        root: directory of the parts. Parts under other keys are removed by ``finish``.
        key: digest of everything that the parts depend on.
        lattice: leaves of the volume.
        tables: the graph.
        settings: method, thresholds and filters; not the mutex watershed.
        run: function that runs blocks; it may use several processes or machines.
    """

    root: Path
    key: str
    lattice: FragmentLattice
    tables: GraphTables
    settings: AgglomerationSettings
    run: RunBlocks = run_blocks

    @property
    def directory(self) -> Path:
        """Directory of the parts under the key."""
        return self.root / f"parts-{self.key[:16]}"

    def compute_shard(self, index: int, count: int) -> None:
        """Compute the parts of some leaves, and of the boxes that consist of them.

        Args:
            index: number of the shard, from 0.
            count: number of shards.
        """
        octree = self.lattice.octree
        top, shards = octree.divide(count)
        own = np.flatnonzero(shards == index)
        for level in range(top + 1):
            self._compute_level(level, np.unique(octree.find_boxes(own, level)).tolist())

    def finish(self, table: Path) -> AgglomeratedVolume:
        """Compute all parts that are missing, and write the look-up table with the file of its leaves.

        Args:
            table: path of the look-up table.

        Raises:
            VolumeError: the parts do not have all rows of the tables.
        """
        for other in self.root.glob("parts-*"):
            if other != self.directory:
                shutil.rmtree(other)
        octree = self.lattice.octree
        self._compute_level(0, range(octree.count(0)))
        rows = self._read_rows()
        for level in range(1, octree.num_levels):
            self._compute_level(level, range(octree.count(level)))
        segments = self._number_segments()
        offsets = [0, *np.cumsum(rows[:, 4]).tolist()]
        self._write_table(table, offsets)
        sizes = np.zeros(len(segments), np.int64)
        sizes[segments["segment"].astype(np.int64) - 1] = segments["size"]
        return AgglomeratedVolume(offsets[-1], int(rows[:, 5].sum()), sizes)

    def _compute_level(self, level: int, numbers: Iterable[int]) -> None:
        """Steps 1 and 2, for some boxes of one level."""
        blocks = PartBlocks(level, (), str(self.directory), self.lattice, self.tables, self.settings)
        missing = tuple(number for number in numbers if not blocks.is_finished(number))
        if missing:
            blocks = PartBlocks(level, missing, str(self.directory), self.lattice, self.tables, self.settings)
            self.run(blocks, blocks.grid)

    def _read_rows(self) -> np.ndarray:
        """Return ``LeafFragments.rows`` of all leaves, and check that no row of the tables is missing."""
        leaves = range(self.lattice.octree.count(0))
        rows = np.stack(
            [LeafFragments.load_rows(locate_part(str(self.directory), "leaf", 0, leaf)) for leaf in leaves]
        )
        own, used = rows[:, :2].sum(0), rows[:, 2:4].sum(0)
        if (own != used).any():
            raise VolumeError(
                f"{self.tables.directory}: the parts of the volume use {used.tolist()} rows of nodes and edges, expected "
                f"{own.tolist()}, those of all blocks: fragments extend farther beyond their cells than "
                "segmentation.context; set a larger segmentation.context, or a larger execution.agglomeration_blocks"
            )
        return rows

    def _number_segments(self) -> np.ndarray:
        """Step 3: return ``SEGMENT_TYPE``, and store names and numbers for step 4."""
        octree = self.lattice.octree
        finished, debris = [np.zeros(0, FINISHED_TYPE)], [np.zeros(0, DEBRIS_TYPE)]
        for level in range(octree.num_levels):
            for number in range(octree.count(level)):
                outcome = Outcome.load(locate_part(str(self.directory), "outcome", level, number))
                finished.append(outcome.finished)
                debris.append(outcome.debris)
        segments = number_segments(np.concatenate(finished), np.concatenate(debris))
        write_array(self._segments, np.stack([segments["id"], segments["segment"]]))
        return segments

    @property
    def _segments(self) -> Path:
        return self.directory / "segments.npy"

    def _write_table(self, path: Path, offsets: list[int]) -> None:
        """Step 4."""
        partial = path.with_name(f".{path.name}.partial.npy")
        partial.parent.mkdir(parents=True, exist_ok=True)
        if offsets[-1] == 0:
            write_array(partial, np.zeros((2, 0), np.uint64))
        else:
            np.lib.format.open_memmap(partial, "w+", np.dtype(np.uint64), (2, offsets[-1]))
            with partial.open("r+b") as file:
                # A full disk raises an error here; in a mapped file it would end the process.
                os.posix_fallocate(file.fileno(), 0, partial.stat().st_size)
            blocks = TableBlocks(
                str(self.directory), self.lattice, str(self._segments), str(partial), tuple(offsets)
            )
            self.run(blocks, blocks.grid)
        write_json(locate_leaves(path), {"lattice": self.lattice.to_json(), "offsets": offsets})
        partial.replace(path)
