"""Time and peak memory of the whole pipeline as a function of the volume's size.

    python benchmarks/segmentation_sizes.py > benchmarks/segmentation_sizes.txt    # draws segmentation_sizes.png

The input is synthetic affinities; the method is the seeded watershed in blocks and cells of 64 voxels. Each size runs in
a process of its own with one thread.
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
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
from funlib.geometry import Coordinate, Roi  # noqa: E402
from segmentation_data import OFFSETS, synthetic  # noqa: E402

from attacca.arrays import LocalArrayIdentifier, ZarrArray  # noqa: E402
from attacca.config.segmentation import AgglomerationSettings, FragmentSettings  # noqa: E402
from attacca.segmentation.compiled import compile_kernels  # noqa: E402
from attacca.segmentation.pipeline import segment_volume  # noqa: E402


class Tiled:
    """Prediction of any size, made of copies of one array of affinities."""

    def __init__(self, piece: np.ndarray, side: int) -> None:
        self.piece, self.num_channels, self.dtype = piece, len(piece), np.dtype(np.uint8)
        self.value_scale, self.value_offset, self.unit = 1 / 255, 0.0, "nanometer"
        self.roi, self.voxel_size = Roi((0, 0, 0), (side,) * 3), Coordinate((1, 1, 1))

    def __getitem__(self, roi: Any) -> np.ndarray:
        places = [np.arange(b, e) % n for b, e, n in zip(roi.begin, roi.end, self.piece.shape[1:])]
        return self.piece[np.ix_(np.arange(self.num_channels), *places)]


def one_size(side: int) -> None:
    """Segment a cube of ``side`` voxels in this process; print seconds and peak memory."""
    compile_kernels()
    prediction = Tiled(synthetic((64, 64, 64))[0], side)
    with tempfile.TemporaryDirectory() as folder:
        output = ZarrArray.create_from_array_identifier(
            LocalArrayIdentifier(Path(folder) / "o.zarr", "s0"),
            ["z", "y", "x"],
            prediction.roi,
            None,
            (1, 1, 1),
            np.uint64,
            write_size=(64, 64, 64),
        )
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start = time.process_time()
        settings = FragmentSettings(cell_size=[64, 64, 64])
        segment_volume(prediction, output, OFFSETS, settings, AgglomerationSettings(), folder)
        seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "before": before, "peak": peak}))


def sizes(sides: list[int], plot: Path) -> None:
    """Print a row for each size, and draw the plot."""
    print("| side | CPU s | Mvoxel/s | peak MB | before the first block |\n|---|---|---|---|---|", flush=True)
    rows = []
    for side in sides:
        command = [sys.executable, __file__, "--one", str(side)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        row = json.loads(done.stdout.strip().splitlines()[-1])
        rows.append((side**3 / 1e6, row["seconds"], row["peak"]))
        speed = side**3 / row["seconds"] / 1e6
        print(
            f"| {side} | {row['seconds']:.1f} | {speed:.2f} | {row['peak']:.0f} | {row['before']:.0f} |",
            flush=True,
        )
    # deferred: the memory of the other processes is measured
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    voxels, seconds, peaks = zip(*rows)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
    left.loglog(voxels, seconds, "o-")
    left.set(xlabel="volume (million voxels)", ylabel="CPU time of one process (s)")
    right.semilogx(voxels, peaks, "o-")
    right.set(xlabel="volume (million voxels)", ylabel="peak memory (MB)", ylim=(0, 1.2 * max(peaks)))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(plot, dpi=120)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--plot", type=Path, default=Path(__file__).with_suffix(".png"))
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one_size(arguments.one)
    else:
        sizes(arguments.sizes, arguments.plot)
