"""Agglomeration of the parts of one level of the octree, as blocks; each part is stored in one file.

A file appears whole or not at all, in a directory that is named after everything the parts depend on: a part that exists is
finished.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from funlib.geometry import Roi

from attacca.blockwise import Block, BlockGrid
from attacca.config.segmentation import AgglomerationSettings
from attacca.segmentation.box import Box, Triple
from attacca.segmentation.fragment_lattice import FragmentLattice
from attacca.segmentation.graph_tables import (
    EDGE_TYPE,
    NODE_TYPE,
    locate_table,
    read_table,
    reduce_edges,
    reduce_nodes,
    write_array,
)
from attacca.segmentation.leaf_part import make_leaf_part
from attacca.segmentation.part_agglomeration import agglomerate_part, follow_moves
from attacca.segmentation.parts import Part, StoredTables, join_parts

_PARTS_PER_FOLDER = 1000


def locate_part(directory: str, kind: str, level: int, number: int) -> Path:
    """Return the path of a part's file: ``"rest"``, ``"outcome"`` or ``"leaf"``.

    >>> locate_part("parts", "rest", 2, 1234).as_posix()
    'parts/level-2/000001/000001234.rest.npz'
    """
    folder = f"{number // _PARTS_PER_FOLDER:06d}"
    return Path(directory) / f"level-{level}" / folder / f"{number:09d}.{kind}.npz"


def locate_moves(directory: str, level: int, number: int) -> Path:
    """Return the path of the moves of a part, which is memory-mapped.

    >>> locate_moves("parts", 0, 7).as_posix()
    'parts/level-0/000000/000000007.moves.npy'
    """
    return locate_part(directory, "moves", level, number).with_suffix(".npy")


@dataclass(frozen=True)
class LeafFragments(StoredTables):
    """The fragments of a leaf.

    Args:
        ids: uint64 (n,), ascending.
        rows: int64 (6,). Number of rows of nodes, and of edges, in the tables of the leaf's own blocks; the same of its
            own fragments (edges: of the smaller id), in any table; numbers of fragments and of edges. Sums over all
            leaves of the first and the second pair are equal.
    """

    ids: np.ndarray
    rows: np.ndarray

    @staticmethod
    def load_rows(path: Path) -> np.ndarray:
        """Read ``rows`` alone."""
        with np.load(path) as tables:
            return np.asarray(tables["rows"])


@dataclass(frozen=True)
class GraphTables:
    """The tables of the graph of a volume.

    Args:
        directory: directory of the tables of blocks.
        blocks: number of blocks along z, y, x.
        block: voxels of a block.
        margin: voxels around a leaf in which tables have rows of its fragments.
    """

    directory: str
    blocks: Triple
    block: Triple
    margin: Triple

    def list_blocks(self, box: Box) -> np.ndarray:
        """Return the numbers of the blocks that touch a box of voxels, int64 (n,)."""
        ranges = [
            np.arange(max(0, b // side), min(count, -(-e // side)))
            for b, e, side, count in zip(box.begin, box.end, self.block, self.blocks)
        ]
        return np.asarray(
            np.ravel_multi_index(np.meshgrid(*ranges, indexing="ij"), self.blocks), np.int64
        ).ravel()


@dataclass(frozen=True)
class PartBlocks:
    """Block function that agglomerates the parts of one level; block ``i`` is the part ``numbers[i]``.

    Args:
        level: level of the octree.
        numbers: numbers of the boxes.
        directory: directory of the parts.
        lattice: leaves of the volume.
        tables: the graph.
        settings: method, thresholds and filters.
    """

    level: int
    numbers: tuple[int, ...]
    directory: str
    lattice: FragmentLattice
    tables: GraphTables
    settings: AgglomerationSettings

    @property
    def grid(self) -> BlockGrid:
        """One block for each number."""
        return BlockGrid(Roi((0,), (len(self.numbers),)), 1, (1,))

    def is_finished(self, number: int) -> bool:
        """Return whether a part is stored."""
        return locate_part(self.directory, "outcome", self.level, number).exists()

    def __call__(self, block: Block) -> None:
        """Agglomerate one part."""
        number = self.numbers[block.index]
        part = self._read_leaf(number) if self.level == 0 else self._join_children(number)
        rest, outcome = agglomerate_part(part, self.settings, self.level)
        rest.save(locate_part(self.directory, "rest", self.level, number))
        # Look-ups in a large table read only the pages that they need.
        write_array(locate_moves(self.directory, self.level, number), outcome.moves)
        # The file that is written last decides whether the part is finished.
        replace(outcome, moves=outcome.moves[:, :0]).save(
            locate_part(self.directory, "outcome", self.level, number)
        )

    def _read_leaf(self, leaf: int) -> Part:
        """Read the tables of a leaf's blocks and those around them."""
        lattice, tables = self.lattice, self.tables
        box = lattice.get_box(leaf)
        own = set(tables.list_blocks(box).tolist())
        nodes, edges = [np.zeros(0, NODE_TYPE)], [np.zeros(0, EDGE_TYPE)]
        rows = np.zeros(6, np.int64)
        for block in tables.list_blocks(box.grow(tables.margin, tables.margin)).tolist():
            for kind, key, parts in ((0, "id", nodes), (1, "u", edges)):
                table = read_table(locate_table(tables.directory, ("nodes", "edges")[kind], block))
                is_own = lattice.find_leaves(table[key]) == leaf
                rows[kind] += len(table) if block in own else 0
                rows[2 + kind] += np.count_nonzero(is_own)
                if kind == 1:
                    is_own |= lattice.find_leaves(table["v"]) == leaf
                parts.append(table[is_own])
        own_nodes, own_edges = reduce_nodes(np.concatenate(nodes)), reduce_edges(np.concatenate(edges))
        # The rows of the blocks take more memory than their sum.
        del nodes, edges, parts, table
        rows[4] = len(own_nodes)
        rows[5] = np.count_nonzero(lattice.find_leaves(own_edges["u"]) == leaf)
        LeafFragments(own_nodes["id"], rows).save(locate_part(self.directory, "leaf", 0, leaf))
        return make_leaf_part(own_nodes, own_edges, leaf, lattice.octree, lattice.find_leaves, self.settings)

    def _join_children(self, number: int) -> Part:
        octree, level = self.lattice.octree, self.level
        parts = [
            Part.open(locate_part(self.directory, "rest", level - 1, child))
            for child in octree.list_children(level, number)
        ]
        crossing = np.concatenate([part.crossing for part in parts])
        boxes = [octree.find_boxes(self.lattice.find_leaves(crossing[name]), level) for name in ("u", "v")]
        return join_parts(parts, boxes[0] == boxes[1])


@dataclass(frozen=True)
class TableBlocks:
    """Block function that writes each leaf's slice of the look-up table; block ``i`` is the leaf ``i``.

    Args:
        directory: directory of the parts.
        lattice: leaves of the volume.
        segments: path of uint64 (2, segments): names of regions, ascending, and numbers of their segments.
        table: path of the look-up table, uint64 (2, fragments).
        offsets: first fragment of each leaf in the table, and the number of fragments.
    """

    directory: str
    lattice: FragmentLattice
    segments: str
    table: str
    offsets: tuple[int, ...]

    @property
    def grid(self) -> BlockGrid:
        """One block for each leaf."""
        return BlockGrid(Roi((0,), (len(self.offsets) - 1,)), 1, (1,))

    def __call__(self, block: Block) -> None:
        """Write one slice."""
        leaf, octree = block.index, self.lattice.octree
        ids = LeafFragments.load(locate_part(self.directory, "leaf", 0, leaf)).ids
        regions = ids
        for level in range(octree.num_levels):
            box = int(octree.find_boxes(np.array([leaf]), level)[0])
            moves = np.load(locate_moves(self.directory, level, box), mmap_mode="r")
            regions = follow_moves(regions, moves)
        names, rows = np.unique(regions, return_inverse=True)
        # Every region that was not deleted is a segment, so that each name is replaced.
        numbers = follow_moves(names, np.load(self.segments, mmap_mode="r"))
        table = np.load(self.table, mmap_mode="r+")
        table[0, self.offsets[leaf] : self.offsets[leaf + 1]] = ids
        table[1, self.offsets[leaf] : self.offsets[leaf + 1]] = numbers[rows]
        table.flush()
