"""Throughput and memory of the segmentation's kernels on synthetic affinities.

    python benchmarks/segmentation_kernels.py > benchmarks/segmentation_kernels.txt

Time is the CPU time of one thread, the minimum of five runs. Memory is the maximum resident set beyond the input. Each
kernel runs in a process of its own.
"""

import argparse
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
from segmentation_data import OFFSETS, synthetic  # noqa: E402

from attacca.segmentation.block_graph import count_block_graph  # noqa: E402
from attacca.segmentation.box import Box  # noqa: E402
from attacca.segmentation.compiled import compile_kernels  # noqa: E402
from attacca.segmentation.mutex_watershed import mutex_watershed  # noqa: E402
from attacca.segmentation.offsets import Offsets  # noqa: E402
from attacca.segmentation.seeded_watershed import seeded_watershed  # noqa: E402


def kernels(shape: tuple[int, int, int]) -> None:
    """Print a row for each kernel."""
    affinities, labels = synthetic(shape)
    print("| kernel | Mvoxel/s, one thread | peak bytes per voxel beyond input |\n|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/affinities.npy", affinities)
        np.save(f"{folder}/labels.npy", labels)
        for kernel in range(4):
            subprocess.run([sys.executable, __file__, "--kernel", str(kernel), folder], check=True)


def one_kernel(folder: Path, number: int) -> None:
    """Print the row of one kernel."""
    compile_kernels()
    affinities, labels = np.load(folder / "affinities.npy"), np.load(folder / "labels.npy")
    region = Box((0, 0, 0), labels.shape)

    def graph(stride: int) -> None:
        count_block_graph(labels, affinities, Offsets.create(OFFSETS, strides=stride), region)

    biased = Offsets.create(OFFSETS, [0.2, 0.8], 3)
    name, function = [
        ("mutex watershed, 9 offsets, stride 3", lambda: mutex_watershed(affinities, biased)),
        ("seeded watershed", lambda: seeded_watershed(affinities, biased, grow_above=0.1)),
        ("region graph of the labels, 9 offsets, stride 1", lambda: graph(1)),
        ("region graph of the labels, 9 offsets, stride 3", lambda: graph(3)),
    ][number]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = []
    for _ in range(5):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / labels.size
    print(f"| {name} | {labels.size / min(times) / 1e6:.2f} | {grown:.0f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", type=int, nargs=3, default=[80, 128, 192])
    parser.add_argument("--kernel", type=int, help=argparse.SUPPRESS)
    parser.add_argument("folder", type=Path, nargs="?", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.kernel is None:
        kernels(tuple(arguments.shape))
    else:
        one_kernel(arguments.folder, arguments.kernel)
