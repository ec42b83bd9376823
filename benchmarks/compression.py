"""Compression of images, labels and affinities by Zstandard, by level.

    python benchmarks/networks.py train --predictions --output results/networks
    python benchmarks/compression.py results/networks/*/second.npz > benchmarks/compression.txt

Chunks of 32 voxels a side of a FIB-25 prediction, its labels as uint64, and its images are compressed alone, as in a shard.
Levels alternate in each of five rounds; figures are medians of CPU time.
"""

import argparse
import platform
import statistics
import time
from itertools import product
from pathlib import Path

import numpy as np
from networks import SECTIONS, import_volumes
from numcodecs import zstd

from attacca.arrays import ZarrArray

CHUNK = 32
LEVELS = (-5, -1, 1, 2, 3, 5)
ROUNDS = 5


def split(data: np.ndarray) -> list[bytes]:
    """Return the chunks of an array, (..., z, y, x), that are whole."""
    starts = [range(0, size - CHUNK + 1, CHUNK) for size in data.shape[-3:]]
    return [
        data[(..., *(slice(start, start + CHUNK) for start in corner))].tobytes()
        for corner in product(*starts)
    ]


def measure(name: str, chunks: list[bytes]) -> None:
    """Print a row for each level."""
    size = sum(map(len, chunks))
    stored: dict[int, int] = {}
    times: dict[int, list[tuple[float, float]]] = {level: [] for level in LEVELS}
    for _ in range(ROUNDS):
        for level in LEVELS:
            started = time.process_time()
            compressed = [zstd.compress(chunk, level) for chunk in chunks]
            written = time.process_time()
            for chunk in compressed:
                zstd.decompress(chunk)
            times[level].append((written - started, time.process_time() - written))
            stored[level] = sum(map(len, compressed))
    for level in LEVELS:
        write, read = (statistics.median(column) for column in zip(*times[level]))
        print(
            f"{name:12s} {level:5d} {size / write / 1e6:9.0f} {size / read / 1e6:9.0f} {size / stored[level]:8.2f}"
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prediction", type=Path, help="an NPZ file of networks.py")
    parser.add_argument("--images", type=Path, default=Path("results/compression"), help="scratch directory")
    arguments = parser.parse_args()
    volume = import_volumes("FIB-25", arguments.images, SECTIONS)["second"]
    raw = ZarrArray.open_from_array_identifier(volume.raw)
    with np.load(arguments.prediction) as file:
        affinities, labels = file["affinities"], file["labels"]
    print(f"{platform.machine()}, chunks of {CHUNK}^3 voxels, {ROUNDS} rounds\n")
    print(f"{'data':12s} level  write MB/s  read MB/s  ratio")
    for name, data in (
        ("images", raw[raw.roi]),
        ("labels", labels.astype(np.uint64)),
        ("affinities", affinities),
    ):
        measure(name, split(data))


if __name__ == "__main__":
    main()
