"""Time and peak memory of each stage from a prediction to scores, as a function of the volume's size.

    python benchmarks/stage_sizes.py > benchmarks/stage_sizes.txt    # draws stage_sizes.png

The input is synthetic affinities; the method is the seeded watershed in blocks and cells of 64 voxels, with the
agglomeration in an octree whose leaves have 128 voxels a side. Each stage of each size runs in a process of its own, with
one thread. Times are CPU times, so that other processes have little influence.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
from funlib.geometry import Coordinate  # noqa: E402
from segmentation_data import OFFSETS, synthetic  # noqa: E402
from segmentation_sizes import Tiled  # noqa: E402

from attacca.arrays import LocalArrayIdentifier, ZarrArray  # noqa: E402
from attacca.arrays.pyramid import build_pyramid  # noqa: E402
from attacca.blockwise import BlockGrid, run_blocks  # noqa: E402
from attacca.config.segmentation import AgglomerationSettings, FragmentSettings  # noqa: E402
from attacca.evaluators.ground_truth import GroundTruthRules  # noqa: E402
from attacca.evaluators.instance_scores import voi_from_table  # noqa: E402
from attacca.evaluators.table_blocks import collect_tables  # noqa: E402
from attacca.evaluators.table_evaluator import compare_blocks  # noqa: E402
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
STAGES = ("fragments", "graph", "agglomerate", "relabel", "scales", "evaluate", "objects")


class Volume:
    """One synthetic volume, with a method for each stage.

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
        return ZarrArray.open_from_array_identifier(LocalArrayIdentifier(self.folder / f"{name}.zarr", "s0"))

    def write_labels(self) -> None:
        """Write ground truth, which has other ids in each block."""
        labels = self.create("labels")
        for block in self.grid:
            labels[block.write_roi] = self.labels + np.uint64(block.index * BLOCK**3)

    def fragments(self) -> None:
        """Compute the fragments."""
        compute = FragmentBlocks(self.prediction, self.create("fragments"), tuple(OFFSETS), self.settings)
        run_blocks(compute, self.grid)

    def graph(self) -> None:
        """Count the graph."""
        graph = str(self.folder / "graph")
        compute = GraphBlocks(
            self.prediction, self.open("fragments"), graph, tuple(OFFSETS), long_range=False
        )
        run_blocks(compute, self.grid)

    def agglomerate(self) -> None:
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
        OctreeAgglomeration(self.folder / "parts", "key", lattice, tables, settings).finish(self.table)

    def relabel(self) -> None:
        """Write the segmentation."""
        output = self.create("segmentation")
        run_blocks(RelabelBlocks(self.open("fragments"), output, str(self.table)), self.grid)

    def scales(self) -> None:
        """Build the coarser scales of the segmentation."""
        build_pyramid(str(self.folder / "segmentation.zarr"), "labels")

    def evaluate(self) -> None:
        """Compare the segmentation with the ground truth."""
        directory, rules = self.folder / "evaluation", GroundTruthRules()
        directory.mkdir()
        size = [BLOCK] * 3
        grid = compare_blocks(
            self.open("segmentation"), self.open("labels"), directory, rules, block_size=size
        )
        voi_from_table(collect_tables(grid, directory))

    def objects(self) -> None:
        """Measure the objects."""
        segmentation, directory = self.open("segmentation"), self.folder / "objects"
        run_blocks(ObjectBlocks(segmentation, str(directory)), self.grid)
        write_table(self.folder / "objects.tsv", directory, len(self.grid), segmentation)

    @property
    def table(self) -> Path:
        """Path of the look-up table."""
        return self.folder / "look_up_table.npy"


def one_stage(stage: str, side: int, folder: Path) -> None:
    """Run a stage in this process; print its seconds and its peak memory in MB."""
    volume = Volume(side, folder)
    if stage == "labels":
        volume.write_labels()
        return
    compile_kernels()
    start = time.process_time()
    getattr(volume, stage)()
    seconds = time.process_time() - start
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def all_stages(sides: list[int], plot: Path) -> None:
    """Print a row for each size, and draw the plot."""
    print(
        "CPU seconds / peak MB\n\n| side | " + " | ".join(STAGES) + " |\n" + "|---" * (len(STAGES) + 1) + "|"
    )
    found: dict[str, list[list[float]]] = {stage: [] for stage in STAGES}
    for side in sides:
        with tempfile.TemporaryDirectory(prefix="attacca-sizes-") as folder:
            for stage in ("labels", *STAGES):
                command = [sys.executable, __file__, "--one", stage, str(side), folder]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                if stage != "labels":
                    found[stage].append(json.loads(done.stdout.strip().splitlines()[-1]))
        cells = [f"{rows[-1][0]:.1f} / {rows[-1][1]:.0f}" for rows in found.values()]
        print(f"| {side} | " + " | ".join(cells) + " |", flush=True)
    # deferred: the memory of the other processes is measured
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    voxels = [side**3 / 1e6 for side in sides]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.4))
    for stage, rows in found.items():
        seconds, peaks = zip(*rows)
        left.loglog(voxels, seconds, "o-", ms=4, label=stage)
        right.semilogx(voxels, peaks, "o-", ms=4, label=stage)
    left.set(xlabel="volume (million voxels)", ylabel="CPU time of one process (s)")
    right.set(xlabel="volume (million voxels)", ylabel="peak memory (MB)")
    right.set_ylim(bottom=0)
    right.legend(fontsize=7, frameon=False, loc="lower right")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(plot, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--plot", type=Path, default=Path(__file__).with_suffix(".png"))
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one_stage(arguments.one[0], int(arguments.one[1]), Path(arguments.one[2]))
    else:
        all_stages(arguments.sizes, arguments.plot)
