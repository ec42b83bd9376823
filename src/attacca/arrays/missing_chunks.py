"""Search for stored objects that an array of another program does not hold, in listings of directories."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, ShardingCodecIndexLocation
from zarr.storage import LocalStore

from attacca.arrays.array_creation import write_block_of
from attacca.arrays.identifier import join_path
from attacca.arrays.n5 import N5Array
from attacca.arrays.precomputed import PrecomputedArray, locate_precomputed
from attacca.arrays.stored_array import StoredArray, name_stored_object

_MOST_INDICES = 1000
_MOST_DENSE = 2**25
_ABSENT = np.uint64(2**64 - 1)


@dataclass(frozen=True)
class MissingChunks:
    """Chunks that an array does not hold.

    Attributes:
        kind: ``chunks``, ``shards``, or ``chunks in shards``.
        count: number of missing ones.
        total: number of examined ones.
        first: names or indices of the first ones.
        lower, upper: first voxel, and voxel after the last, of the box around the missing ones.
        are_sampled: whether further ones were not examined.
    """

    kind: str
    count: int
    total: int
    first: tuple[str, ...]
    lower: tuple[int, ...]
    upper: tuple[int, ...]
    are_sampled: bool = False

    def __str__(self) -> str:
        box = ", ".join(f"{low}..{high}" for low, high in zip(self.lower, self.upper))
        names = ", ".join(self.first) + (", ..." if self.count > len(self.first) else "")
        examined = f"{self.total:,}" + (" examined" if self.are_sampled else "")
        return f"{self.count:,} of {examined} {self.kind} are missing, in the voxels [{box}]: {names}"


def find_missing_chunks(
    array: StoredArray, container: str | Path, path: str, window: Sequence[slice]
) -> MissingChunks | None:
    """Return the missing chunks of a local array in a window of voxels; None if there are none.

    Directories are listed, so that an array of a million chunks takes seconds. Inner chunks are examined in the indices
    of at most a thousand shards. Arrays in archives and behind addresses, and sharded Precomputed volumes, are not examined.

    Args:
        array: the array.
        container: path or URL of its container.
        path: its name in the container.
        window: slices of all axes.

    >>> import tempfile
    >>> directory = tempfile.mkdtemp()
    >>> array = zarr.create_array(directory, name="raw", shape=(4, 4), chunks=(2, 2), dtype="u1")
    >>> array[:2] = 7
    >>> print(find_missing_chunks(array, directory, "raw", (slice(0, 4), slice(1, 4))))
    2 of 4 chunks are missing, in the voxels [2..4, 0..4]: c/1/0, c/1/1
    """
    if isinstance(array, PrecomputedArray):
        container = locate_precomputed(container)
    directory = Path(join_path(container, path))
    is_listed = isinstance(array, N5Array) or (
        not array.has_unnamed_objects if isinstance(array, PrecomputedArray) else _is_local(array)
    )
    if not is_listed or not directory.is_dir():
        return None
    block = write_block_of(array)
    grid = tuple(-(-n // k) for n, k in zip(array.shape, block))
    part = tuple(
        slice(s.indices(n)[0] // k, -(-s.indices(n)[1] // k)) for s, n, k in zip(window, array.shape, block)
    )
    if math.prod(s.stop - s.start for s in part) > _MOST_DENSE:
        return _count_missing(array, directory, part, block)
    stored = np.zeros(grid, dtype=bool)
    for index in _list_indices(array, directory, len(grid)):
        if all(i < n for i, n in zip(index, grid)):
            stored[index] = True
    absent = np.argwhere(~stored[part])
    if len(absent):
        absent += [s.start for s in part]
        names = [name_stored_object(array, tuple(map(int, index))) for index in absent[:3]]
        total = int(np.prod([s.stop - s.start for s in part]))
        kind = "chunks" if array.shards is None else "shards"
        return _describe(kind, absent, names, total, block, array.shape)
    if not isinstance(array, zarr.Array) or array.shards is None:
        return None
    return _find_inner(array, directory, part, window)


def _count_missing(
    array: StoredArray, directory: Path, part: Sequence[slice], block: Sequence[int]
) -> MissingChunks | None:
    """Return the missing chunks of an array whose grid is too large for a table, as a wrong shape makes it."""
    stored = set(_list_indices(array, directory, len(part)))
    present = sum(all(s.start <= i < s.stop for i, s in zip(index, part)) for index in stored)
    total = math.prod(s.stop - s.start for s in part)
    if present == total:
        return None
    # itertools.product and np.ndindex hold all indices of an axis in memory.
    extent = tuple(s.stop - s.start for s in part)
    offsets = (np.unravel_index(number, extent) for number in range(total))
    indices = (tuple(s.start + int(i) for s, i in zip(part, offset)) for offset in offsets)
    first = list(islice((index for index in indices if index not in stored), 3))
    lower = tuple(s.start * k for s, k in zip(part, block))
    upper = tuple(min(s.stop * k, n) for s, k, n in zip(part, block, array.shape))
    names = tuple(name_stored_object(array, index) for index in first)
    return MissingChunks(
        "chunks" if array.shards is None else "shards", total - present, total, names, lower, upper
    )


def _is_local(array: StoredArray) -> bool:
    return isinstance(array, zarr.Array) and isinstance(array.store, LocalStore)


def _describe(
    kind: str,
    absent: np.ndarray,
    names: list[str],
    total: int,
    block: Sequence[int],
    shape: Sequence[int],
    are_sampled: bool = False,
) -> MissingChunks:
    lower = tuple(int(i) * k for i, k in zip(absent.min(0), block))
    upper = tuple(min((int(i) + 1) * k, n) for i, k, n in zip(absent.max(0), block, shape))
    return MissingChunks(kind, len(absent), total, tuple(names), lower, upper, are_sampled)


def _list_indices(array: StoredArray, directory: Path, ndim: int) -> Iterator[tuple[int, ...]]:
    """Yield the index of each stored object of a directory."""
    if isinstance(array, PrecomputedArray):
        yield from array.list_indices(_names(directory))
        return
    if isinstance(array, N5Array):
        separator, top, step = "/", directory, -1
    else:
        key = name_stored_object(array, (0,) * ndim)
        separator = "/" if "/" in key.removeprefix("c/") else "." if "." in key else "/"
        top, step = (directory / "c" if key.startswith("c/") else directory), 1
        if key.startswith("c."):
            prefix = "c."
            for name in _names(top):
                yield from _parse([name.removeprefix(prefix)], ndim, separator)
            return
    if separator == ".":
        yield from _parse(_names(top), ndim, separator)
        return
    yield from (index[::step] for index in _walk(str(top), ndim))


def _names(directory: str | Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _parse(names: list[str], ndim: int, separator: str) -> Iterator[tuple[int, ...]]:
    for name in names:
        parts = name.split(separator)
        if len(parts) == ndim and all(part.isdecimal() for part in parts):
            yield tuple(map(int, parts))


def _walk(directory: str, depth: int) -> Iterator[tuple[int, ...]]:
    numbers = [(name, int(name)) for name in _names(directory) if name.isdecimal()]
    if depth == 1:
        yield from ((number,) for _, number in numbers)
        return
    for name, number in numbers:
        for rest in _walk(f"{directory}/{name}", depth - 1):
            yield (number, *rest)


def _find_inner(
    array: "zarr.Array[Any]", directory: Path, part: Sequence[slice], window: Sequence[slice]
) -> MissingChunks | None:
    """Return the inner chunks that the indices of shards list as absent."""
    codecs: Any = getattr(array.metadata, "codecs", ())
    codec = next((item for item in codecs if isinstance(item, ShardingCodec)), None)
    if codec is None or array.shards is None:
        return None
    checksum = any(isinstance(item, Crc32cCodec) for item in codec.index_codecs)
    if not all(isinstance(item, BytesCodec | Crc32cCodec) for item in codec.index_codecs):
        return None
    counts = tuple(s // c for s, c in zip(array.shards, array.chunks))
    size = int(np.prod(counts)) * 16
    shards = list(np.ndindex(*(s.stop - s.start for s in part)))
    step = max(1, -(-len(shards) // _MOST_INDICES))
    absent: list[np.ndarray] = []
    total = 0
    for offset in shards[::step]:
        shard = tuple(s.start + i for s, i in zip(part, offset))
        with open(directory / name_stored_object(array, shard), "rb") as file:
            if codec.index_location == ShardingCodecIndexLocation.end:
                file.seek(-(size + 4 * checksum), os.SEEK_END)
            index = np.frombuffer(file.read(size), "<u8").reshape(*counts, 2)
        needed_axes = []
        for i, n, c, s, extent in zip(shard, counts, array.chunks, window, array.shape):
            begin, end, _ = s.indices(extent)
            corners = np.arange(i * n, (i + 1) * n) * c
            needed_axes.append((corners < end) & (corners + c > begin))
        needed = reduce(np.logical_and.outer, needed_axes)
        total += int(needed.sum())
        found = np.argwhere((index[..., 0] == _ABSENT) & needed)
        absent.extend(np.multiply(shard, counts) + found)
    if not absent:
        return None
    where = np.array(absent)
    names = [str(tuple(map(int, item))) for item in where[:3]]
    return _describe("chunks in shards", where, names, total, array.chunks, array.shape, step > 1)
