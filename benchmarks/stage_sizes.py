"""Time and peak memory of each stage from a prediction to scores, as a function of the volume's size.

    python benchmarks/stage_sizes.py > benchmarks/stage_sizes.txt    # draws stage_sizes.png

The input is synthetic affinities; the method is the seeded watershed in blocks and cells of 64 voxels, with the
agglomeration in an octree whose leaves have 128 voxels a side. Each stage of each size runs in four shards and a job that
finishes it, each in a process of its own with one thread. Times are CPU times, so that other processes
have little influence. Processes that have ended are not repeated with the same ``--folder``.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
from funlib.geometry import Coordinate  # noqa: E402
from segmentation_data import OFFSETS, synthetic  # noqa: E402
from segmentation_sizes import Tiled  # noqa: E402

from attacca.arrays import LocalArrayIdentifier, ZarrArray  # noqa: E402
from attacca.blockwise import BlockGrid, Ledger, run_blocks  # noqa: E402
from attacca.config.segmentation import AgglomerationSettings, FragmentSettings  # noqa: E402
from attacca.evaluators.ground_truth import GroundTruthRules  # noqa: E402
from attacca.evaluators.instance_scores import voi_from_table  # noqa: E402
from attacca.evaluators.table_evaluator import compare_blocks  # noqa: E402
from attacca.jobs.pyramids import Image, ShardedPyramid  # noqa: E402
from attacca.segmentation.compiled import compile_kernels  # noqa: E402
from attacca.segmentation.fragment_blocks import FragmentBlocks  # noqa: E402
from attacca.segmentation.frame import Frame  # noqa: E402
from attacca.segmentation.graph_blocks import GraphBlocks, select_offsets  # noqa: E402
from attacca.segmentation.leaves import divide_volume  # noqa: E402
from attacca.segmentation.object_blocks import ObjectBlocks  # noqa: E402
from attacca.segmentation.octree_agglomeration import OctreeAgglomeration  # noqa: E402
from attacca.segmentation.relabel_blocks import RelabelBlocks  # noqa: E402
from attacca.stages.objects import write_table  # noqa: E402

BLOCK = 64
SHARDS = 4
SHARDED_ONLY = ("fragments", "graph", "relabel")
STAGES = ("fragments", "graph", "agglomerate", "relabel", "scales", "evaluate", "objects")


class Volume:
    """One synthetic volume, with a method for each stage; without a shard, it does what is left after the shards.

    Args:
        side: voxels along each axis.
        folder: directory of all arrays and tables.
    """

    def __init__(self, side: int, folder: Path) -> None:
        affinities, self.labels = synthetic((BLOCK,) * 3)
        self.prediction = Tiled(affinities, side)
        self.folder = folder
        self.settings = FragmentSettings(cell_size=[BLOCK] * 3)
        self.grid = BlockGrid(self.prediction.roi, (BLOCK,) * 3, (1,) * 3)

    def create(self, name: str) -> ZarrArray:
        """Create an array of ids."""
        return ZarrArray.create_from_array_identifier(
            LocalArrayIdentifier(self.folder / f"{name}.zarr", "s0"),
            ["z", "y", "x"],
            self.prediction.roi,
            None,
            Coordinate((1, 1, 1)),
            np.uint64,
            write_size=(BLOCK,) * 3,
        )

    def open(self, name: str) -> ZarrArray:
        """Open an array of ids."""
        identifier = LocalArrayIdentifier(self.folder / f"{name}.zarr", "s0")
        return ZarrArray.open_from_array_identifier(identifier, mode="r+")

    def create_arrays(self) -> None:
        """Write ground truth, which has other ids in each block, and create the arrays of the results."""
        labels = self.create("labels")
        for block in self.grid:
            labels[block.write_roi] = self.labels + np.uint64(block.index * BLOCK**3)
        self.create("fragments")
        self.create("segmentation")
        self.ledger.prepare()
        (self.folder / "evaluation").mkdir()

    def fragments(self, shard: tuple[int, int]) -> None:
        """Compute the fragments."""
        compute = FragmentBlocks(self.prediction, self.open("fragments"), tuple(OFFSETS), self.settings)
        run_blocks(compute, self.grid, shard=shard)

    def graph(self, shard: tuple[int, int]) -> None:
        """Count the graph."""
        graph = str(self.folder / "graph")
        compute = GraphBlocks(
            self.prediction, self.open("fragments"), graph, tuple(OFFSETS), long_range=False
        )
        run_blocks(compute, self.grid, shard=shard)

    def agglomerate(self, shard: tuple[int, int] | None) -> None:
        """Compute the look-up table."""
        fragments = self.open("fragments")
        offsets, _ = select_offsets(OFFSETS, False)
        lattice, tables = divide_volume(
            Frame(fragments.roi, fragments.voxel_size),
            Coordinate((BLOCK,) * 3),
            self.settings,
            offsets,
            str(self.folder / "graph"),
            blocks_per_leaf=2,
        )
        settings = AgglomerationSettings()
        octree = OctreeAgglomeration(self.folder / "parts", "key", lattice, tables, settings)
        if shard is None:
            octree.finish(self.table)
        else:
            octree.compute_shard(*shard)

    def relabel(self, shard: tuple[int, int]) -> None:
        """Write the segmentation."""
        compute = RelabelBlocks(self.open("fragments"), self.open("segmentation"), str(self.table))
        run_blocks(compute, self.grid, ledger=self.ledger, shard=shard)

    def scales(self, shard: tuple[int, int] | None) -> None:
        """Build the coarser scales of the segmentation."""
        image = Image(str(self.folder / "segmentation.zarr"), "labels", "segmentation")
        pyramid = ShardedPyramid(image, self.grid, self.ledger)
        if shard is None:
            pyramid.finish(1)
        else:
            pyramid.build(shard, 1)

    def evaluate(self, shard: tuple[int, int] | None) -> None:
        """Compare the segmentation with the ground truth."""
        arrays, directory = (self.open("segmentation"), self.open("labels")), self.folder / "evaluation"
        compare = partial(compare_blocks, *arrays, directory, GroundTruthRules(), grid=self.grid, key="key")
        if shard is None:
            with compare().open_sum() as table:
                voi_from_table(table)
        else:
            compare(shard).sum_shard(shard)

    def objects(self, shard: tuple[int, int] | None) -> None:
        """Measure the objects."""
        segmentation, directory = self.open("segmentation"), self.folder / "objects"
        if shard is None:
            write_table(self.folder / "objects.tsv", directory, len(self.grid), segmentation)
        else:
            run_blocks(ObjectBlocks(segmentation, str(directory)), self.grid, shard=shard)

    @property
    def ledger(self) -> Ledger:
        """Record of the blocks of the segmentation."""
        return Ledger(str(self.folder / "segmentation.zarr" / "s0"), {}, len(self.grid))

    @property
    def table(self) -> Path:
        """Path of the look-up table."""
        return self.folder / "look_up_table.npy"


def run_one(stage: str, shard: tuple[int, int] | None, side: int, folder: Path) -> None:
    """Run a shard of a stage, or the job that finishes it, in this process; print its seconds and its peak memory in MB."""
    volume = Volume(side, folder)
    if stage == "create_arrays":
        volume.create_arrays()
        return
    compile_kernels()
    start = time.process_time()
    getattr(volume, stage)(shard)
    seconds = time.process_time() - start
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def measure(stage: str, side: int, folder: Path, at_once: int) -> np.ndarray:
    """Return seconds and peak memory of each process of a stage, float64 (processes, 2); a shard's index is its row."""
    shards = list(range(SHARDS))
    with ThreadPoolExecutor(at_once) as pool:
        found = list(pool.map(partial(measure_process, stage, side, folder), shards))
    if stage not in SHARDED_ONLY:
        found.append(measure_process(stage, side, folder, SHARDS))
    return np.array(found)


def measure_process(stage: str, side: int, folder: Path, index: int) -> list[float]:
    """Return seconds and peak memory of one process of a stage."""
    record = folder / f"{stage}-{index}.json"
    if not record.exists():
        command = [sys.executable, __file__, "--one", stage, str(index), str(side), str(folder)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        record.write_text(done.stdout.strip().splitlines()[-1])
    return list(map(float, json.loads(record.read_text())))


def all_stages(sides: list[int], plot: Path, folder: Path, at_once: int) -> None:
    """Print a row for each size, the memory of each process of the largest size, and draw the plot."""
    print("CPU seconds of all processes / peak MB of the largest\n")
    print("| side | " + " | ".join(STAGES) + " |\n" + "|---" * (len(STAGES) + 1) + "|")
    found: dict[str, list[tuple[float, float]]] = {stage: [] for stage in STAGES}
    rows: list[list[str]] = []
    for side in sides:
        of_side = folder / str(side)
        if not of_side.exists():
            of_side.mkdir(parents=True)
            command = [sys.executable, __file__, "--one", "create_arrays", "0", str(side), str(of_side)]
            subprocess.run(command, check=True)
        processes = {stage: measure(stage, side, of_side, at_once) for stage in STAGES}
        for stage, values in processes.items():
            found[stage].append((values[:, 0].sum(), values[:, 1].max()))
        cells = [f"{rows[-1][0]:.1f} / {rows[-1][1]:.0f}" for rows in found.values()]
        print(f"| {side} | " + " | ".join(cells) + " |", flush=True)
        rows = [
            [stage, *(f"{seconds:.1f} / {peak:.0f}" for seconds, peak in values)]
            for stage, values in processes.items()
        ]
    for row in rows:
        row += [""] * (SHARDS + 2 - len(row))
    names = [*(f"shard {index + 1} of {SHARDS}" for index in range(SHARDS)), "finish"]
    print(f"\nCPU seconds / peak MB of each process at {sides[-1]}\n")
    print("| stage | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 1) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    # deferred: the memory of the other processes is measured
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    voxels = [side**3 / 1e6 for side in sides]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
    for stage, rows in found.items():
        seconds, peaks = zip(*rows)
        left.loglog(voxels, seconds, "o-", ms=4, label=stage)
        right.semilogx(voxels, peaks, "o-", ms=4, label=stage)
    left.set(xlabel="volume (million voxels)", ylabel="CPU time of all processes (s)")
    right.set(xlabel="volume (million voxels)", ylabel="peak memory of a process (MB)")
    right.set_ylim(bottom=0)
    right.legend(fontsize=7, frameon=False, loc="upper left")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(plot, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512, 1024])
    parser.add_argument("--plot", type=Path, default=Path(__file__).with_suffix(".png"))
    parser.add_argument(
        "--folder", type=Path, help="directory of all arrays, which is kept; temporary by default"
    )
    parser.add_argument("--at-once", type=int, default=1, help="shards that run at the same time")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, number, side_text, path = arguments.one
        run_one(name, (int(number), SHARDS) if int(number) < SHARDS else None, int(side_text), Path(path))
    elif arguments.folder:
        all_stages(arguments.sizes, arguments.plot, arguments.folder, arguments.at_once)
    else:
        with tempfile.TemporaryDirectory(prefix="attacca-sizes-") as temporary:
            all_stages(arguments.sizes, arguments.plot, Path(temporary), arguments.at_once)
