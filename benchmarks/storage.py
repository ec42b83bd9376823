"""Storage of predictions and ids: formats and codec pipelines, by access pattern, on a disk and on an S3 server.

    python benchmarks/storage.py [--rounds 3] [--edge 256] > benchmarks/storage.txt

Nine channels of smooth uint8 affinities and uint64 ids are written in blocks of 128 voxels a side and read back: whole
blocks, blocks shifted by half an edge, one plane through the volume, and one chunk of 64 voxels a side, as a viewer reads
it. Candidates alternate in each round; figures are medians in MB of voxels per second, with the stored MB and the number of
files. ``Zarr 2`` is one Blosc chunk per block, the format of earlier versions. ``Zarr 3`` is one shard per block with inner
chunks of 64 voxels, Zstandard level 3 and checksums, through zarr-python's own codec pipeline (as Attacca writes), through
``zarrs`` and through TensorStore. The column ``different`` counts different files among those that hold equal data: where a
pipeline stores the chunks of a shard in the order in which threads finish, equal data have different bytes.

The S3 server is ``moto`` in a process of its own on the same machine: it shows the cost of requests, not of a network.
``-`` marks what a pipeline cannot do. All files are in the cache of the operating system.
"""

import argparse
import hashlib
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import product
from typing import Any

import numpy as np
import scipy.ndimage
import tensorstore
import zarr
from funlib.geometry import Roi
from zarrs import ZarrsCodecPipeline

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.storage import delete, remote_file_system

BLOCK = 128
NAMES = ("Zarr 2", "Zarr 3", "Zarr 3 by zarrs", "Zarr 3 by TensorStore")
PATTERNS = ("write", "block", "shifted", "plane", "chunk")


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
    """An array of one format, written and read through one library.

    Args:
        name: one of ``NAMES``.
        root: directory or URL in which it is created.
        block: data of each block.
        edge: edge of the volume, in voxels.
    """

    def __init__(self, name: str, root: str, block: np.ndarray, edge: int) -> None:
        self.name, self.container, self.block = name, f"{root}/{name.replace(' ', '-')}.zarr", block
        os.environ["ATTACCA_ZARR_FORMAT"] = "2" if name == "Zarr 2" else "3"
        channels = block.shape[0] if block.ndim == 4 else None
        array = ZarrArray.create_from_array_identifier(
            LocalArrayIdentifier(self.container, "s0"), ["c", "z", "y", "x"], Roi((0, 0, 0), (edge,) * 3),
            channels, (1, 1, 1), block.dtype, write_size=(BLOCK,) * 3,
        )  # fmt: skip
        self.array: Any = array.data
        if "zarrs" in name:
            # zarrs writes to directories by itself, and does not know stores of other classes.
            with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
                self.array = zarr.open_array(f"{self.container}/s0", mode="r+")
            if not isinstance(self.array.async_array.codec_pipeline, ZarrsCodecPipeline):
                raise NotImplementedError(f"zarrs does not write to {root}")
        if "TensorStore" in name:
            spec = {
                "driver": "zarr3",
                "kvstore": self._kvstore(),
                "recheck_cached_data": "open",
            }
            self.array = tensorstore.open(spec, open=True).result()

    def _kvstore(self) -> Any:
        if not self.container.startswith("s3://"):
            return f"file://{self.container}/s0/"
        bucket, _, path = self.container.removeprefix("s3://").partition("/")
        return {
            "driver": "s3",
            "bucket": bucket,
            "path": f"{path}/s0/",
            "endpoint": os.environ["AWS_ENDPOINT_URL"],
            "aws_region": "us-east-1",
            "aws_credentials": {"type": "environment"},
        }

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

    def files(self) -> list[bytes]:
        """Return the bytes of the stored chunks or shards."""
        names = (".zarray", ".zattrs", ".zgroup", "zarr.json")
        system, root = remote_file_system(f"{self.container}/s0")
        paths = [path for path in system.find(root) if path.rpartition("/")[2] not in names]
        return [system.cat_file(path) for path in paths]


def time_seconds(call: Callable[[], Any]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def make_boxes(block: np.ndarray, edge: int) -> dict[str, list[tuple[slice, ...]]]:
    """Return the boxes of each access pattern."""
    lead = (slice(None),) * (block.ndim - 3)
    corners = list(product(range(0, edge, BLOCK), repeat=3))
    half = BLOCK // 2
    aligned = [(*lead, *(slice(c, c + BLOCK) for c in corner)) for corner in corners]
    return {
        "write": aligned,
        "block": aligned[:2],
        "shifted": [(*lead, *(slice(half, half + BLOCK) for _ in range(3)))],
        "plane": [(*lead, slice(z, z + 1), slice(0, edge), slice(0, edge)) for z in (edge // 2, edge // 2 + 9)],
        "chunk": [(*lead, *(slice(c, c + half) for c in corner)) for corner in corners[:2]],
    }  # fmt: skip


def measure(root: str, block: np.ndarray, edge: int, rounds: int) -> list[str]:
    """Return the rows of the table for one kind of data in one place."""
    boxes = make_boxes(block, edge)
    speeds: dict[tuple[str, str], list[float]] = {}
    missing: set[str] = set()
    rows = []
    for number in range(rounds):
        directory = f"{root}/{number}"
        candidates = {}
        for name in NAMES:
            try:
                candidates[name] = Candidate(name, directory, block, edge)
                candidates[name].write(boxes["write"][0])
            except NotImplementedError:
                missing.add(name)
        for pattern in PATTERNS:
            for name in NAMES:
                for index in boxes[pattern] if name not in missing else ():
                    candidate = candidates[name]
                    call = candidate.write if pattern == "write" else candidate.read
                    voxels = np.prod(
                        [len(range(*s.indices(n))) for s, n in zip(index, candidate.array.shape)]
                    )
                    seconds = time_seconds(lambda call=call, index=index: call(index))
                    speeds.setdefault((name, pattern), []).append(
                        float(voxels) * block.itemsize / 1e6 / seconds
                    )
        if number < rounds - 1:
            delete(directory)
    for name in NAMES:
        if name in missing:
            rows.append(f"{name:<24}" + f"{'-':>9}" * len(PATTERNS))
            continue
        files = candidates[name].files()
        for index in (boxes["shifted"][0], boxes["plane"][0]):
            assert np.array_equal(candidates[name].read(index), candidates["Zarr 3"].read(index))
        different = len({hashlib.sha256(data).hexdigest() for data in files})
        rows.append(
            f"{name:<24}" + "".join(f"{statistics.median(speeds[name, pattern]):>9.0f}" for pattern in PATTERNS)
            + f"{sum(map(len, files)) / 1e6:>11.1f}{len(files):>8}{different:>12}"
        )  # fmt: skip
    delete(directory)
    return rows


@contextmanager
def run_s3_server() -> Iterator[str]:
    """Start an S3 server on this machine, and yield the URL of a bucket."""
    command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        address = next(found for line in server.stdout if (found := re.search(r"http://[\d.:]+", line)))
        # The server would wait for a reader of its log.
        discard = subprocess.Popen(["cat"], stdin=server.stdout, stdout=subprocess.DEVNULL)
        os.environ |= {
            "AWS_ENDPOINT_URL": address.group(),
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        system, _ = remote_file_system("s3://benchmark")
        system.mkdir("benchmark")
        yield "s3://benchmark"
    finally:
        server.kill()
        discard.kill()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--edge", type=int, default=256)
    options = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("zarr", "zarrs", "tensorstore"))
    print(f"{platform.machine()}, {os.cpu_count()} processors, {versions}, {options.rounds} rounds")
    head = f"{'MB of voxels per second':<24}" + "".join(f"{pattern:>9}" for pattern in PATTERNS)
    head += f"{'stored MB':>11}{'files':>8}{'different':>12}"
    scratch = tempfile.mkdtemp(prefix="attacca-storage-")
    try:
        with run_s3_server() as bucket:
            for place, root in (("local disk", scratch), ("S3", bucket)):
                for kind, block in (
                    ("affinities, 9 x uint8", make_affinities(9)),
                    ("ids, uint64", make_ids()),
                ):
                    print(f"\n{place}: {kind}, blocks of {BLOCK}^3, {options.edge}^3 voxels\n{head}")
                    print("\n".join(measure(root, block, options.edge, options.rounds)), flush=True)
    finally:
        shutil.rmtree(scratch)
    print(f"\nload of the machine at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
