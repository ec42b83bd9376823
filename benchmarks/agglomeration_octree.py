"""Time and memory of the agglomeration of a large graph in an octree, each job in a process of its own.

    python benchmarks/agglomeration_octree.py > benchmarks/agglomeration_octree.txt

The graph is that of a box of fragments with 14 neighbors each, in the tables of blocks, on disk; each process makes the
tables that it reads, and removes them at its end (not counted in its time). Its leaves are agglomerated in shards; the job
that finishes joins the last levels and writes the look-up table. The bytes per contact are those of the part with most
contacts: the peak of its process above what it took before. With ``--compare``, the graph is agglomerated in one leaf as
well, and the segments are compared.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

from attacca.blockwise.row_tables import StoredRows, load_array  # noqa: E402
from attacca.config.segmentation import AgglomerationSettings  # noqa: E402
from attacca.segmentation.box import Box  # noqa: E402
from attacca.segmentation.compiled import compile_kernels  # noqa: E402
from attacca.segmentation.fragment_lattice import FragmentLattice  # noqa: E402
from attacca.segmentation.graph_tables import (  # noqa: E402
    EDGE_TYPE,
    NODE_TYPE,
    locate_table,
    write_array,
)
from attacca.segmentation.octree_agglomeration import OctreeAgglomeration  # noqa: E402
from attacca.segmentation.part_blocks import GraphTables, locate_part  # noqa: E402

STEPS = [(z, y, x) for z in (0, 1) for y in (0, 1) for x in (0, 1)][1:]
SHARDS = 4


MAKING_SECONDS = 0.0
"""CPU time that this process took to make tables."""


@dataclass(frozen=True)
class MadeTables(GraphTables):
    """Tables that are made when a leaf is about to read them; a block has the same rows each time."""

    def list_blocks(self, box: Box) -> np.ndarray:
        """Return the numbers of the blocks that touch a box, after their tables are written."""
        global MAKING_SECONDS
        numbers = super().list_blocks(box)
        start = time.process_time()
        for number in numbers.tolist():
            if not locate_table(self.directory, "edges", number).exists():
                write_block(number, self.blocks[0], self.block[0], Path(self.directory))
        MAKING_SECONDS += time.process_time() - start
        return numbers


@cache
def list_pairs(side: int, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return places (n, 3) of the fragments of a block, and place and step (edges, 3) of its edges, sorted by id."""
    strides = np.array([side**2, side, 1])
    places = np.indices((block,) * 3).reshape(3, -1).T
    begin, step = np.repeat(places, len(STEPS), 0), np.tile(np.array(STEPS), (len(places), 1))
    order = np.lexsort((step @ strides, begin @ strides))
    return places, begin[order], step[order]


def write_block(number: int, blocks: int, block: int, graph: Path) -> None:
    """Write the tables of one block."""
    side = blocks * block
    strides = np.array([side**2, side, 1])
    corner = np.array(np.unravel_index(number, (blocks,) * 3)) * block
    places, begin, step = list_pairs(side, block)
    is_valid = (begin + corner + step < side).all(axis=1)
    nodes = np.zeros(len(places), NODE_TYPE)
    nodes["lower"] = places + corner
    nodes["id"], nodes["size"], nodes["upper"] = nodes["lower"] @ strides + 1, 1, nodes["lower"] + 1
    rng = np.random.default_rng(number)
    edges = np.zeros(np.count_nonzero(is_valid), EDGE_TYPE)
    edges["u"] = (begin[is_valid] + corner) @ strides + 1
    edges["v"] = edges["u"] + (step[is_valid] @ strides).astype(np.uint64)
    count = rng.integers(1, 200, len(edges))
    mean = np.where(rng.random(len(edges)) < 0.3, 220, 60) + rng.normal(0, 30, len(edges))
    edges["direct_count"], edges["direct_sum"] = count, np.clip(mean, 0, 255) * count
    for kind, table in (("nodes", nodes), ("edges", edges)):
        write_array(locate_table(graph, kind, number), table)


def open_octree(side: int, block: int, leaf: int, folder: Path) -> OctreeAgglomeration:
    """Return the agglomeration in leaves of some fragments a side."""
    shape = (side,) * 3
    lattice = FragmentLattice(shape, (leaf,) * 3, None)
    tables = MadeTables(str(folder / "graph"), (side // block,) * 3, (block,) * 3, (1, 1, 1))
    return OctreeAgglomeration(folder / f"parts-of-{leaf}", "key", lattice, tables, AgglomerationSettings())


def run_one(octree: OctreeAgglomeration, shard: int, table: Path) -> None:
    """Compute a shard, or finish; print seconds and megabytes before and at the peak."""
    compile_kernels("graph")
    before, start = _peak(), time.process_time()
    if shard < SHARDS:
        octree.compute_shard(shard, SHARDS)
    else:
        octree.finish(table)
    seconds = time.process_time() - start - MAKING_SECONDS
    # The next process makes the tables that it reads, so that the disk holds those of one shard.
    shutil.rmtree(octree.tables.directory, ignore_errors=True)
    print(json.dumps([seconds, before, _peak()]))


def count_contacts(octree: OctreeAgglomeration) -> list[int]:
    """Return the largest number of contacts of a part at each level above the leaves."""
    numbers = []
    boxes = octree.lattice.octree
    for level in range(1, boxes.num_levels):
        found = []
        for number in range(boxes.count(level)):
            children = boxes.list_children(level, number)
            paths = [locate_part(str(octree.directory), "rest", level - 1, child) for child in children]
            crossing = np.concatenate([load_array(path, "crossing") for path in paths])
            ends = [
                boxes.find_boxes(octree.lattice.find_leaves(crossing[name]), level) for name in ("u", "v")
            ]
            new = int(np.count_nonzero(ends[0] == ends[1]))
            found.append(new + sum(len(StoredRows.open(path, "contacts")) for path in paths))
        numbers.append(max(found))
    return numbers


def measure(side: int, block: int, leaf: int, folder: Path) -> np.ndarray:
    """Run all jobs of an agglomeration; return seconds and megabytes of each, float64 (jobs, 3)."""
    found = []
    for shard in range(SHARDS if leaf == side else 0, SHARDS + 1):
        command = [sys.executable, __file__, "--one", *map(str, (side, block, leaf, folder, shard))]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found.append(json.loads(done.stdout.strip().splitlines()[-1]))
    return np.array(found)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(side: int, leaf: int, compare: bool, folder: Path) -> None:
    """Print what each job took."""
    block = leaf // 4
    edges = sum(int(np.prod(side - np.array(step))) for step in STEPS)
    size = side**3 * NODE_TYPE.itemsize + edges * EDGE_TYPE.itemsize
    print(
        f"{side**3:,} fragments, {edges:,} edges, {size / 1e9:.1f} GB in the tables of blocks of {block}^3",
        flush=True,
    )
    rows = measure(side, block, leaf, folder)
    octree = open_octree(side, block, leaf, folder)
    for row, (seconds, _, peak) in enumerate(rows):
        name = f"shard {row + 1} of {SHARDS}" if row < SHARDS else "finish"
        print(f"leaves of {leaf}^3, {name}: {seconds:.0f} CPU s, {peak:.0f} MB")
    seconds, stored = rows[:, 0].sum(), sum(file.stat().st_size for file in octree.directory.rglob("*.np?"))
    print(
        f"{seconds:.0f} CPU s, {seconds / edges * 1e6:.1f} microseconds per edge; parts of {stored / 1e9:.1f} GB"
    )
    contacts = count_contacts(octree)
    print("contacts of the largest part of each level above the leaves:", *(f"{n:,}" for n in contacts))
    _, before, peak = rows[-1]
    print(
        f"the last job takes {(peak - before) * 2**20 / max(contacts):.0f} bytes per contact of the last part"
    )
    if compare:
        ((seconds, _, peak),) = measure(side, block, side, folder)[-1:]
        print(
            f"one leaf: {seconds:.0f} CPU s, {seconds / edges * 1e6:.1f} microseconds per edge, {peak:.0f} MB"
        )
        tables = [np.load(folder / f"table-{size}.npy", mmap_mode="r") for size in (leaf, side)]
        order = np.argsort(tables[0][0])
        same = all(np.array_equal(tables[0][row][order], tables[1][row]) for row in (0, 1))
        print("the segments are", "equal" if same else "NOT EQUAL", f"({int(tables[1][1].max()):,})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--side", type=int, default=128, help="fragments along each axis; a multiple of --leaf"
    )
    parser.add_argument("--leaf", type=int, default=32, help="fragments of a leaf along each axis")
    parser.add_argument("--compare", action="store_true", help="agglomerate in one leaf as well")
    parser.add_argument("--folder", type=Path, help="existing directory for temporary files")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        *sizes, place, number = arguments.one
        agglomeration = open_octree(*map(int, sizes), Path(place))
        run_one(agglomeration, int(number), Path(place) / f"table-{sizes[-1]}.npy")
    else:
        with tempfile.TemporaryDirectory(prefix="attacca-octree-", dir=arguments.folder) as temporary:
            main(arguments.side, arguments.leaf, arguments.compare, Path(temporary))
