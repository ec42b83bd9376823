"""Storage of predictions and ids: codec pipelines and formats, by access pattern.

    python benchmarks/storage.py [--rounds 5] [--edge 256] > benchmarks/storage.txt

Nine channels of smooth uint8 affinities and uint64 ids are written in blocks of 128 voxels a side and read back: whole
blocks, blocks shifted by half an edge, and one plane of 256 x 256 voxels. Candidates alternate in each round; figures are
medians in MB of voxels per second, with stored bytes and numbers of files. ``Zarr 2`` is one Blosc chunk per block, the
format of earlier versions; ``Zarr 3`` is one shard per block with inner chunks of 64 voxels, Zstandard level 3 and
checksums, through zarr-python's own codec pipeline (as Attacca writes), through ``zarrs`` and through TensorStore. The last
line counts different files among those that hold equal data: where a pipeline stores the chunks of a shard in the order
in which threads finish, equal data have different bytes.
"""

import argparse
import hashlib
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
import tensorstore
import zarr
from funlib.geometry import Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray

BLOCK = 128
PIPELINE = "zarrs.ZarrsCodecPipeline"


def make_affinities(channels: int) -> np.ndarray:
    """Return smooth affinities of one block, shape (c, z, y, x), uint8."""
    noise = np.random.default_rng(0).random((channels, BLOCK, BLOCK, BLOCK), dtype=np.float32)
    smooth = scipy.ndimage.gaussian_filter(noise, (0, 3, 3, 3))
    return (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)


def make_ids() -> np.ndarray:
    """Return ids of one block, shape (z, y, x), uint64."""
    cells = np.random.default_rng(1).integers(1, 500, (BLOCK // 8,) * 3)
    return scipy.ndimage.zoom(cells, 8, order=0).astype(np.uint64)


class Candidate:
    """An array of one format, written and read through one library."""

    def __init__(self, name: str, directory: Path, block: np.ndarray, edge: int) -> None:
        self.name, self.directory, self.block = name, directory / name.replace(" ", "-"), block
        os.environ["ATTACCA_ZARR_FORMAT"] = "2" if name == "Zarr 2" else "3"
        channels = block.shape[0] if block.ndim == 4 else None
        pipeline = {"codec_pipeline.path": PIPELINE} if "zarrs" in name else {}
        with zarr.config.set(pipeline):
            array = ZarrArray.create_from_array_identifier(
                LocalArrayIdentifier(self.directory, "s0"), ["c", "z", "y", "x"], Roi((0, 0, 0), (edge,) * 3),
                channels, (1, 1, 1), block.dtype, write_size=(BLOCK,) * 3,
            )  # fmt: skip
            self.array: Any = array.data
        if "TensorStore" in name:
            spec = {
                "driver": "zarr3",
                "kvstore": f"file://{self.directory}/s0/",
                "recheck_cached_data": "open",
            }
            self.array = tensorstore.open(spec, open=True).result()

    def write(self, index: tuple[slice, ...]) -> None:
        """Write the block at a position."""
        if "TensorStore" in self.name:
            self.array[index].write(self.block).result()
        else:
            self.array[index] = self.block

    def read(self, index: tuple[slice, ...]) -> np.ndarray:
        """Read a box."""
        if "TensorStore" in self.name:
            return self.array[index].read().result()
        return np.asarray(self.array[index])

    def files(self) -> list[Path]:
        """Return the stored chunks or shards."""
        names = (".zarray", ".zattrs", ".zgroup", "zarr.json")
        return [
            path for path in (self.directory / "s0").rglob("*") if path.is_file() and path.name not in names
        ]


def time_seconds(call: Callable[[], Any]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(block: np.ndarray, edge: int, rounds: int) -> list[str]:
    """Return the rows of the table for one kind of data."""
    lead = (slice(None),) * (block.ndim - 3)
    corners = list(product(range(0, edge, BLOCK), repeat=3))
    half = BLOCK // 2
    aligned = [(*lead, *(slice(c, c + BLOCK) for c in corner)) for corner in corners]
    shifted = (*lead, *(slice(half, half + BLOCK) for _ in range(3)))
    plane = (*lead, slice(edge // 2, edge // 2 + 1), slice(0, edge), slice(0, edge))
    plane_bytes = block.itemsize * (block.shape[0] if lead else 1) * edge**2
    names = ["Zarr 2", "Zarr 3", "Zarr 3 by zarrs", "Zarr 3 by TensorStore"]
    seconds: dict[tuple[str, str], list[float]] = {}
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(rounds):
            candidates = [Candidate(name, Path(scratch) / str(number), block, edge) for name in names]
            for candidate in candidates:
                for index in aligned:
                    taken = time_seconds(lambda c=candidate, i=index: c.write(i))  # type: ignore[misc]
                    seconds.setdefault((candidate.name, "write"), []).append(taken)
            for pattern, index in (("block", aligned[0]), ("shifted", shifted), ("plane", plane)):
                for candidate in candidates:
                    taken = time_seconds(lambda c=candidate, i=index: c.read(i))  # type: ignore[misc]
                    seconds.setdefault((candidate.name, pattern), []).append(taken)
            if number < rounds - 1:
                shutil.rmtree(Path(scratch) / str(number))
        for candidate in candidates:
            files = candidate.files()
            different = len({hashlib.sha256(path.read_bytes()).hexdigest() for path in files})
            sizes = {
                "write": block.nbytes,
                "block": block.nbytes,
                "shifted": block.nbytes,
                "plane": plane_bytes,
            }
            speed = [
                sizes[pattern] / 1e6 / statistics.median(seconds[candidate.name, pattern])
                for pattern in sizes
            ]
            stored = sum(path.stat().st_size for path in files) / 1e6
            rows.append(
                f"{candidate.name:<24}" + "".join(f"{value:>9.0f}" for value in speed)
                + f"{stored:>11.1f}{len(files):>8}{different:>12}"
            )  # fmt: skip
    return rows


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--edge", type=int, default=256)
    options = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} processors, zarr {zarr.__version__}, {options.rounds} rounds"
    )
    head = f"{'MB of voxels per second':<24}{'write':>9}{'block':>9}{'shifted':>9}{'plane':>9}{'stored MB':>11}{'files':>8}"
    for title, block in (("affinities, 9 x uint8", make_affinities(9)), ("ids, uint64", make_ids())):
        print(f"\n{title}, blocks of {BLOCK}^3, {options.edge}^3 voxels\n{head}{'different':>12}")
        print("\n".join(measure(block, options.edge, options.rounds)))
    print(f"\nload of the machine at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
