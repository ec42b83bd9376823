"""Cubes of webKnossos (``header.wkw`` and ``z0/y0/x0.wkw``) through the package wkw.

Reference: https://github.com/scalableminds/webknossos-wrap#specification
"""

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from attacca.errors import MissingInputError, VolumeError, summarize_error
from attacca.extras import import_extra
from attacca.volumes.readers.foreign_formats import describe_content
from attacca.volumes.readers.image_header import RESTORE
from attacca.volumes.readers.source import Box, Source

HEADER_NAME = "header.wkw"
_HEADER_BYTES = 16
_RAW = 1
_TYPES = ("u1", "u2", "u4", "u8", "f4", "f8", "i1", "i2", "i4", "i8")
_LARGEST_INDEX = 2**31

type Index = tuple[int, int, int]
"""Position of a cube along z, y, x, in cubes."""


@dataclass(frozen=True)
class CubeHeader:
    """Header of a cube, or of all cubes of a directory.

    Attributes:
        layout: the bytes that all cubes share: version, lengths, compression, type.
        data_begin: position of the first block in bytes; 0 in the header of a directory.
    """

    layout: bytes
    data_begin: int

    @property
    def blocks(self) -> int:
        """Number of blocks along each axis of a cube."""
        return 1 << (self.layout[1] >> 4)

    @property
    def edge(self) -> int:
        """Number of voxels along each axis of a cube."""
        return self.blocks << (self.layout[1] & 15)

    @property
    def is_raw(self) -> bool:
        """True without compression."""
        return self.layout[2] == _RAW

    @property
    def dtype(self) -> np.dtype:
        """Type of a value."""
        return np.dtype(_TYPES[self.layout[3] - 1])

    @property
    def num_channels(self) -> int:
        """Number of values per voxel."""
        return self.layout[4] // self.dtype.itemsize

    @property
    def smallest_size(self) -> int:
        """Size of a cube in bytes; with compression, that of the header and the table of blocks."""
        return _HEADER_BYTES + (self.edge**3 * self.layout[4] if self.is_raw else 8 * self.blocks**3)


class WkwSource(Source):
    """A directory of cubes, or a box in it. Cubes that do not exist are reported as missing, and are 0.

    Args:
        path: directory with the file ``header.wkw``.
        box: the part to read; None for the box around all cubes.

    Raises:
        MissingInputError: the directory is without cubes.
        VolumeError: the directory or a cube is damaged, or the package that reads it is not installed.
    """

    def __init__(self, path: Path, box: Box | None = None) -> None:
        import_extra("wkw", "webknossos", f"{path} is in the format webKnossos, which the package wkw reads")
        self._path = path
        self._dataset: Any = None
        self._checked: set[Index] = set()
        self.name = str(path)
        self._header = _read_header(path / HEADER_NAME)
        self.dtype = self._header.dtype
        edge, cubes = self._header.edge, dict(_list_cubes(path))
        if not cubes:
            raise MissingInputError(
                f"{path} holds no cubes (z0/y0/x0.wkw)", fix="copy the directory again, or correct 'path'"
            )
        for index, size in cubes.items():
            self._check_size(index, size)
        self._cubes = frozenset(cubes)
        if box is None:
            first = [min(index[axis] for index in cubes) for axis in range(3)]
            last = [max(index[axis] for index in cubes) for axis in range(3)]
            box = [edge * i for i in first], [edge * (j - i + 1) for i, j in zip(first, last)]
            if any(first):
                self.warnings = (
                    f"{path}: the first voxel is at {tuple(box[0])} along z, y, x of the data set; set offset",
                )
        self._begin = tuple(box[0])
        shape = tuple(box[1])
        if (
            min(self._begin) < 0
            or min(shape) < 1
            or max(b + n for b, n in zip(self._begin, shape)) > _LARGEST_INDEX
        ):
            raise VolumeError(
                f"{path}: found a box of {shape} voxels at {self._begin}, expected positive numbers",
                fix=RESTORE,
            )
        channels = self._header.num_channels
        self.axes = ["z", "y", "x"] if channels == 1 else ["c", "z", "y", "x"]
        self.shape = shape if channels == 1 else (channels, *shape)
        self.stored_axes = "xyz" if channels == 1 else "xyzc"
        ranges = _find_cubes(self._begin, shape, edge)
        expected = math.prod(map(len, ranges))
        existing = sum(all(i in part for i, part in zip(index, ranges)) for index in self._cubes)
        if existing < expected:
            self.missing = f"{expected - existing} of {expected} cubes were never written"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_dataset": None}

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        # deferred: an optional package
        import wkw

        start = [int(b) + o for b, o in zip(begin, self._begin)]
        shape = [int(e) - int(b) for b, e in zip(begin, end)]
        for index in product(*_find_cubes(start, shape, self._header.edge)):
            if index in self._cubes and index not in self._checked:
                self._check_cube(index)
                self._checked.add(index)
        try:
            if self._dataset is None:
                self._dataset = wkw.Dataset.open(str(self._path))
            block = self._dataset.read(start[::-1], shape[::-1])
        except (wkw.wkw.WKWException, AssertionError, OSError) as error:
            raise VolumeError(
                f"{self.name} cannot be read at {start}: {summarize_error(error)}", fix=RESTORE
            ) from error
        data = block.transpose(0, 3, 2, 1)
        return np.ascontiguousarray(data if "c" in self.axes else data[0])

    def _check_size(self, index: Index, size: int) -> None:
        smallest = self._header.smallest_size
        if size < smallest or (self._header.is_raw and size > smallest):
            raise VolumeError(
                f"{self._locate(index)} is truncated or damaged: found {size} bytes, expected "
                f"{smallest}{'' if self._header.is_raw else ' or more'}",
                fix=RESTORE,
            )

    def _check_cube(self, index: Index) -> None:
        """Refuse a cube with another header than its directory, or a damaged table of blocks."""
        path = self._locate(index)
        header = _read_header(path)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._check_size(index, size)
            count = 0 if header.is_raw else header.blocks**3
            file.seek(_HEADER_BYTES)
            ends = np.frombuffer(file.read(8 * count), "<u8")
        problem = ""
        if header.layout != self._header.layout:
            problem = (
                f"its header {header.layout.hex()} is not that of {HEADER_NAME}, {self._header.layout.hex()}"
            )
        elif header.data_begin != _HEADER_BYTES + 8 * count:
            problem = f"its voxels start at byte {header.data_begin}, expected {_HEADER_BYTES + 8 * count}"
        elif count and (
            int(ends[-1]) != size or (np.diff(ends, prepend=header.data_begin).astype("i8") <= 0).any()
        ):
            problem = f"found blocks up to byte {ends[-1]} of {size}"
        if problem:
            raise VolumeError(f"{path} is damaged: {problem}", fix=RESTORE)

    def _locate(self, index: Index) -> Path:
        z, y, x = index
        return self._path / f"z{z}" / f"y{y}" / f"x{x}.wkw"


def is_wkw_directory(path: Path) -> bool:
    """Return True for a directory of cubes.

    >>> is_wkw_directory(Path("no_such_directory"))
    False
    """
    return os.path.isfile(path / HEADER_NAME)


def list_wkw_files(path: Path) -> list[Path]:
    """Return the header and all cubes of a directory."""
    cubes = (path / f"z{z}" / f"y{y}" / f"x{x}.wkw" for (z, y, x), _ in sorted(_list_cubes(path)))
    return [path / HEADER_NAME, *cubes]


def _read_header(path: Path) -> CubeHeader:
    try:
        with path.open("rb") as file:
            content = file.read(_HEADER_BYTES)
    except OSError as error:
        raise VolumeError(f"{path} cannot be read: {error.strerror}", fix="restore the file") from error
    is_known = content[:4] == b"WKW\x01" and len(content) == _HEADER_BYTES
    if not is_known or not 1 <= content[5] <= 3 or not 1 <= content[6] <= len(_TYPES):
        found = describe_content(path) or f"found {content.hex()}"
        raise VolumeError(f"{path} is not a header of webKnossos: {found}", fix=RESTORE)
    header = CubeHeader(content[3:8], int.from_bytes(content[8:], "little"))
    if header.num_channels < 1 or header.layout[4] % header.dtype.itemsize:
        raise VolumeError(f"{path}: found {header.layout[4]} bytes per voxel of {header.dtype}", fix=RESTORE)
    return header


def _list_cubes(path: Path) -> Iterator[tuple[Index, int]]:
    """Yield the index and size of each cube."""
    for z, plane in _list_numbered(path, r"z(\d{1,9})"):
        for y, row in _list_numbered(plane, r"y(\d{1,9})"):
            for x, file in _list_numbered(row, r"x(\d{1,9})\.wkw"):
                yield (z, y, x), os.stat(file).st_size


def _list_numbered(path: str | Path, pattern: str) -> Iterator[tuple[int, str]]:
    if not os.path.isdir(path):
        return
    with os.scandir(path) as items:
        for item in items:
            found = re.fullmatch(pattern, item.name, re.ASCII)
            # Other spellings of a number, such as x01, are not read by the package.
            if found and str(int(found[1])) == found[1]:
                yield int(found[1]), item.path


def _find_cubes(begin: Sequence[int], shape: Sequence[int], edge: int) -> list[range]:
    """Return the indices of the cubes that overlap a box, along each axis."""
    return [range(b // edge, -(-(b + n) // edge)) for b, n in zip(begin, shape)]
