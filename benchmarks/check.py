"""Time of ``attacca check`` for stacks of many sections and for arrays of a million chunks.

    python benchmarks/check.py [--sections 10000] [--chunks 100] > benchmarks/check.txt

Each source is the image of a volume that one run tests. Stacks are directories of TIFF and PNG sections. Arrays are Zarr 2
with nested and with flat names, Zarr 3 with chunks and with shards, and N5; the files of their uncompressed chunks are
sparse. The values of floating-point arrays are examined in samples. The time is that of the whole command, in a process of
its own, the second time that it runs: processor time, and elapsed time, which other programs of the machine lengthen. The
files are in a temporary directory (``TMPDIR``), which is deleted.

The exit code is 1 if a stack takes more than 3 seconds of processor time or an array more than 10.
"""

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tensorstore
import tifffile
import yaml
import zarr

CHUNK = 16
LIMITS = {"sections": 3, "chunks": 10}


def write_tiff(directory: Path, count: int) -> dict[str, Any]:
    """Write TIFF sections of 2048 x 2048 pixels: headers, and sparse pixels."""
    directory.mkdir()
    plane = np.zeros((2048, 2048), np.uint8)
    tifffile.imwrite(
        directory / "first.tif", plane, photometric="minisblack", description="made for a benchmark"
    )
    content = (directory / "first.tif").read_bytes()
    (directory / "first.tif").unlink()
    length = len(content.rstrip(b"\0"))
    for index in range(count):
        with open(directory / f"section_{index}.tif", "wb") as file:
            file.write(content[:length])
            file.truncate(len(content))
    return {"path": str(directory)}


def write_png(directory: Path, count: int) -> dict[str, Any]:
    """Write PNG sections of 512 x 512 pixels."""
    directory.mkdir()
    content = imagecodecs.png_encode(np.zeros((512, 512), np.uint8))
    for index in range(count):
        (directory / f"section_{index}.png").write_bytes(content)
    return {"path": str(directory)}


def _fill(names: Iterator[str], size: int) -> None:
    made = set()
    for name in names:
        parent = os.path.dirname(name)
        if parent not in made:
            os.makedirs(parent, exist_ok=True)
            made.add(parent)
        with open(name, "wb") as file:
            file.truncate(size)


def _indices(edge: int) -> Iterator[tuple[int, int, int]]:
    yield from product(range(edge), repeat=3)  # type: ignore[misc]


def _write_zarr(
    directory: Path, edge: int, zarr_format: int, separator: str, **options: Any
) -> dict[str, Any]:
    encoding = {"name": "v2" if zarr_format == 2 else "default", "separator": separator}
    block = options.get("shards", (CHUNK,) * 3)
    array = zarr.create_array(
        directory, name="raw", shape=tuple(edge * b for b in block), chunks=(CHUNK,) * 3, dtype="<f4",
        compressors=None, zarr_format=zarr_format, chunk_key_encoding=encoding, fill_value=0.0, **options,
    )  # fmt: skip
    head = f"{directory}/raw/" + ("" if zarr_format == 2 else f"c{separator}")
    if "shards" in options:
        first = (0,) * 3
        array[tuple(slice(0, b) for b in block)] = np.ones(block, np.float32)
        content = Path(head + separator.join(map(str, first))).read_bytes()
        for index in _indices(edge):
            name = Path(head + separator.join(map(str, index)))
            name.parent.mkdir(parents=True, exist_ok=True)
            name.write_bytes(content)
    else:
        _fill((head + separator.join(map(str, index)) for index in _indices(edge)), CHUNK**3 * 4)
    return {"path": str(directory), "dataset": "raw"}


def write_zarr_2_nested(directory: Path, edge: int) -> dict[str, Any]:
    """Write Zarr 2 with chunks in nested directories."""
    return _write_zarr(directory.with_suffix(".zarr"), edge, 2, "/")


def write_zarr_2_flat(directory: Path, edge: int) -> dict[str, Any]:
    """Write Zarr 2 with all chunks in one directory."""
    return _write_zarr(directory.with_suffix(".zarr"), edge, 2, ".")


def write_zarr_3(directory: Path, edge: int) -> dict[str, Any]:
    """Write Zarr 3."""
    return _write_zarr(directory.with_suffix(".zarr"), edge, 3, "/")


def write_zarr_3_shards(directory: Path, edge: int) -> dict[str, Any]:
    """Write Zarr 3 with 1,000 chunks of 16 x 16 x 16 voxels per shard: as many chunks in a thousandth of the files."""
    return _write_zarr(directory.with_suffix(".zarr"), max(1, edge // 10), 3, "/", shards=(10 * CHUNK,) * 3)


def write_n5(directory: Path, edge: int) -> dict[str, Any]:
    """Write N5 without compression."""
    directory = directory.with_suffix(".n5")
    shape = [edge * CHUNK] * 3
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": f"{directory}/raw"}}
    metadata = {
        "dataType": "float32",
        "dimensions": shape,
        "blockSize": [CHUNK] * 3,
        "compression": {"type": "raw"},
    }
    array = tensorstore.open({**spec, "metadata": metadata}, create=True).result()
    array[:CHUNK, :CHUNK, :CHUNK] = 1
    content = (directory / "raw/0/0/0").read_bytes()
    header = content[: len(content) - CHUNK**3 * 4]
    for index in _indices(edge):
        name = directory / "raw" / "/".join(map(str, index))
        if index[2] == 0:
            name.parent.mkdir(parents=True, exist_ok=True)
        with open(name, "wb") as file:
            file.write(header)
            file.truncate(len(content))
    return {"path": str(directory), "dataset": "raw"}


def write_configuration(source: dict[str, Any], path: Path) -> None:
    """Write a configuration whose run tests the source."""
    volumes = {
        "cube": {"synthetic": {"shape": [32, 64, 64]}, "voxel_size": [40, 4, 4]},
        "case": {"raw": source, "voxel_size": [40, 4, 4]},
    }
    run = {
        "task": {"type": "affinities", "neighborhood": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]},
        "architecture": {"input_shape": [16, 32, 32], "channels": [4, 8], "downsample_factors": [[1, 2, 2]]},
        "volumes": {"train": ["cube"], "test": ["case"]},
    }
    path.write_text(yaml.safe_dump({"volumes": volumes, "runs": {"run": run}}))


def measure(path: Path) -> tuple[float, float, str]:
    """Return processor seconds, elapsed seconds and output of ``attacca check``.

    Raises:
        SystemExit: the command failed.
    """
    command = [sys.executable, "-m", "attacca.cli.main", "check", path.name]
    for _ in range(2):
        started, used = time.monotonic(), _processor_seconds()
        result = subprocess.run(command, cwd=path.parent, capture_output=True, text=True)
        used, elapsed = _processor_seconds() - used, time.monotonic() - started
        if result.returncode:
            sys.exit(f"attacca check failed:\n{result.stdout}{result.stderr}")
    return used, elapsed, result.stdout + result.stderr


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Print the times; return 1 if one exceeds its limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sections", type=int, default=10_000)
    parser.add_argument("--chunks", type=int, default=100, help="chunks along each axis")
    parser.add_argument("--only", default="", help="part of the names of the sources")
    options = parser.parse_args()
    writers: list[tuple[Callable[[Path, int], dict[str, Any]], str, int]] = [
        *((writer, "sections", options.sections) for writer in (write_tiff, write_png)),
        *(
            (writer, "chunks", options.chunks)
            for writer in (
                write_zarr_2_nested,
                write_zarr_2_flat,
                write_zarr_3,
                write_zarr_3_shards,
                write_n5,
            )
        ),
    ]
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}\n")
    is_slow = False
    with tempfile.TemporaryDirectory(prefix="attacca-check-") as name:
        directory = Path(name)
        for writer, unit, number in writers:
            label = writer.__name__.removeprefix("write_").replace("_", " ")
            if options.only not in label:
                continue
            source = writer(directory / "source", number)
            write_configuration(source, directory / "config.yaml")
            used, elapsed, output = measure(directory / "config.yaml")
            count = number if unit == "sections" else number**3
            print(
                f"{label:14}{count:10,} {unit:9}{used:6.1f} s (at most {LIMITS[unit]}), elapsed {elapsed:.1f} s",
                flush=True,
            )
            print("".join(f"    {line}\n" for line in output.splitlines() if "used in place" in line), end="")
            is_slow |= used > LIMITS[unit]
            shutil.rmtree(source["path"])
    return int(is_slow)


if __name__ == "__main__":
    sys.exit(main())
