"""Stacks of PNG or TIFF sections, single images, and TIFF files of several pages."""

import math
import re
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from attacca.errors import VolumeError
from attacca.volumes.readers.source import Source
from attacca.volumes.readers.tiff_metadata import tiff_grid

SUFFIXES = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")
_TIFF = (".tif", ".tiff")
# Decoded sections that a process keeps; a layer of blocks then decodes each section once.
_CACHE_BYTES = 512 * 2**20
# Where names count so many times farther than there are sections, their numbers are no sections' numbers.
_MOST_NUMBERS = 20


def natural_order(path: Path) -> list[Any]:
    """Sort key by which ``section_2`` comes before ``section_10``."""
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", path.name)]


def find_missing_numbers(names: Sequence[str]) -> list[int]:
    """Numbers that are left out in names which differ in one number only: 3 in ``s2.png, s4.png, s5.png``.

    Numbers in equal steps, such as every tenth, leave nothing out.
    """
    parts = [re.split(r"(\d+)", name) for name in names]
    if len({len(split) for split in parts}) != 1:
        return []
    varying = [column for column in zip(*parts) if len(set(column)) > 1]
    if len(varying) != 1 or not all(text.isdigit() for text in varying[0]):
        return []
    numbers = sorted({int(text) for text in varying[0]})
    step = math.gcd(*(b - a for a, b in pairwise(numbers)))
    if not step or (numbers[-1] - numbers[0]) // step > _MOST_NUMBERS * len(numbers):
        return []
    return sorted(set(range(numbers[0], numbers[-1], step)) - set(numbers))


class ImageStack(Source):
    """Sections in files of their own, one beneath the other along z.

    Args:
        paths: the files, in order.
        name: for messages.

    Raises:
        VolumeError: a file cannot be read, or differs from the first in size or type; the message names it.
    """

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self.name = name
        self._paths = list(paths)
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        first = _header(self._paths[0])
        for path in self._paths[1:]:
            header = _header(path)
            if header != first:
                raise VolumeError(
                    f"{path} is {_described(header)}, but {self._paths[0].name} is {_described(first)}; "
                    "all sections of a stack must have one size and one type"
                )
        self.dtype, plane, channels = first
        self.axes = ["z", "y", "x"] if channels is None else ["c", "z", "y", "x"]
        self.shape = (*(() if channels is None else (channels,)), len(self._paths), *plane)
        missing = find_missing_numbers([path.name for path in self._paths])
        if missing:
            named = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
            self.warnings = (
                f"{name}: the numbers of the sections ({self._paths[0].name} to {self._paths[-1].name}) have a "
                f"gap: {named} {'is' if len(missing) == 1 else 'are'} missing. The {len(self._paths)} sections "
                "that are there are stacked without room between them; put a copy of a neighbor or a black "
                "section where one is missing",
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": OrderedDict()}

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        window = tuple(slice(b, e) for b, e in zip(begin[1:], end[1:]))
        sections = [self._section(index)[window] for index in range(begin[0], end[0])]
        block = np.stack(sections)
        return np.ascontiguousarray(np.moveaxis(block, -1, 0)) if block.ndim == 4 else block

    def _section(self, index: int) -> np.ndarray:
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        section = _decode(self._paths[index])
        self._cache[index] = section
        while len(self._cache) > 1 and len(self._cache) * section.nbytes > _CACHE_BYTES:
            self._cache.popitem(last=False)
        return section


class MultipageTiff(Source):
    """A TIFF file whose pages are sections (or channels of sections).

    Args:
        path: the file.

    Raises:
        VolumeError: it cannot be read, or its axes are not sections, rows, columns and channels.
    """

    def __init__(self, path: Path) -> None:
        import tifffile

        self.name = str(path)
        self._path = path
        self._cache: OrderedDict[int, np.ndarray] = OrderedDict()
        try:
            with tifffile.TiffFile(path) as file:
                series = file.series[0]
                axes, shape = series.axes, series.shape
                stored = np.dtype(series.dtype).newbyteorder(file.byteorder)
                # Where the voxels lie in one piece, no page needs to be decoded.
                self._contiguous = None if series.dataoffset is None else (series.dataoffset, stored, shape)
                self.dtype = stored.newbyteorder("=")
                _check_complete(path, series.dataoffset, stored.itemsize * math.prod(shape))
                deep = any(size > 1 for axis, size in zip(axes, shape) if axis in "ZIQTC")
                self.found = tiff_grid(file, 3 if deep else 2)
        except VolumeError:
            raise
        except (tifffile.TiffFileError, OSError, ValueError, IndexError, TypeError) as error:
            raise VolumeError(f"{path} cannot be read as TIFF: {error}") from error
        # Pages without a declared meaning (I, Q) and time points are sections.
        renamed = re.sub("[IQT]", "Z", axes)
        kept = [(axis, size) for axis, size in zip(renamed, shape) if size > 1 or axis in "YX"]
        if [axis for axis, _ in kept] == ["C", "Y", "X"] and kept[0][1] > 4:
            # Some writers call a stack's sections channels; no micrograph has so many.
            kept[0] = ("Z", kept[0][1])
        self._names = "".join(axis for axis, _ in kept)
        if self._names not in ("YX", "ZYX", "CZYX", "ZCYX", "YXS", "ZYXS", "CYX"):
            raise VolumeError(
                f"{path} has the axes {axes} with {shape} voxels; expected sections, rows and columns (ZYX), "
                "perhaps with channels"
            )
        sizes = dict(kept)
        self._stored_shape = tuple(size for _, size in kept)
        self._depth = sizes.get("Z", 1)
        channels = sizes.get("C", sizes.get("S"))
        self.axes = [*(["c"] if channels else []), *(["z"] if "Z" in sizes else []), "y", "x"]
        spatial = (*((self._depth,) if "Z" in sizes else ()), sizes["Y"], sizes["X"])
        self.shape = (*((channels,) if channels else ()), *spatial)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": OrderedDict()}

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        window: tuple[Any, ...] = (Ellipsis, *(slice(b, e) for b, e in zip(begin, end)))
        if self._contiguous is not None:
            offset, dtype, shape = self._contiguous
            stored = np.memmap(self._path, dtype, "r", offset, shape).reshape(self._stored_shape)
            order = [self._names.index(axis) for axis in self._names if axis in "CS"]
            order += [self._names.index(axis) for axis in "ZYX" if axis in self._names]
            return np.ascontiguousarray(stored.transpose(order)[window]).astype(self.dtype, copy=False)
        first, last = (begin[0], end[0]) if self.dims == 3 else (0, 1)
        sections = [self._section(index)[window[0], *window[-2:]] for index in range(first, last)]
        return np.stack(sections, axis=-3) if self.dims == 3 else sections[0]

    def _section(self, index: int) -> np.ndarray:
        """One section, ``[c,] y, x``."""
        if index in self._cache:
            self._cache.move_to_end(index)
            return self._cache[index]
        if self._names == "CZYX":
            section = np.stack([_page(self._path, c * self._depth + index) for c in range(self.shape[0])])
        elif self._names in ("ZCYX", "CYX"):
            section = np.stack([_page(self._path, index * self.shape[0] + c) for c in range(self.shape[0])])
        else:
            section = _page(self._path, index)
            section = np.moveaxis(section, -1, 0) if self._names.endswith("S") else section
        self._cache[index] = section
        while len(self._cache) > 1 and len(self._cache) * section.nbytes > _CACHE_BYTES:
            self._cache.popitem(last=False)
        return section


def _check_complete(path: Path, offset: int | None, size: int) -> None:
    there = path.stat().st_size
    if offset is not None and there < offset + size:
        raise VolumeError(
            f"{path} is cut off: it has {there} bytes, but says that its voxels need {offset + size}; copy it again"
        )


def _page(path: Path, index: int) -> np.ndarray:
    import tifffile
    from PIL import Image

    try:
        with tifffile.TiffFile(path) as file:
            data = file.pages[index].asarray()
    except (ValueError, tifffile.TiffFileError, OSError) as error:
        # Compressions that tifffile leaves to a package of its own; Pillow knows the usual ones.
        try:
            with Image.open(path) as image:
                image.seek(index)
                data = np.asarray(image)
        except (OSError, EOFError, SyntaxError):
            raise VolumeError(f"{path}, page {index + 1}, cannot be decoded: {error}") from error
    return data.astype(data.dtype.newbyteorder("="), copy=False)


Header = tuple[np.dtype, tuple[int, int], int | None]


def _header(path: Path) -> Header:
    """dtype, (rows, columns) and number of channels of an image, without decoding it."""
    from PIL import Image

    if path.suffix.lower() in _TIFF:
        import tifffile

        try:
            with tifffile.TiffFile(path) as file:
                page = file.pages[0]
                shape, dtype = page.shape, np.dtype(page.dtype).newbyteorder("=")  # type: ignore[union-attr]
        except (tifffile.TiffFileError, OSError, ValueError, IndexError) as error:
            raise VolumeError(f"{path} cannot be read as TIFF: {error}") from error
        if len(shape) not in (2, 3):
            raise VolumeError(f"{path} has {len(shape)} axes; expected one section with rows and columns")
        if dtype == np.bool_:
            dtype = np.dtype(np.uint8)
        return dtype, (shape[0], shape[1]), (shape[2] if len(shape) == 3 else None)
    try:
        with Image.open(path) as image:
            mode, (columns, rows) = image.mode, image.size
    except (OSError, SyntaxError) as error:
        raise VolumeError(f"{path} cannot be read as an image: {error}") from error
    kinds = {"1": "u1", "L": "u1", "P": "u1", "I;16": "u2", "I;16B": "u2", "I": "i4", "F": "f4"}
    if mode in kinds:
        return np.dtype(kinds[mode]), (rows, columns), None
    channels = {"LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "YCbCr": 3}.get(mode)
    if channels is None:
        raise VolumeError(
            f"{path} has the pixel type {mode}, which is not known here; save it as gray values"
        )
    return np.dtype("u1"), (rows, columns), channels


def _decode(path: Path) -> np.ndarray:
    if path.suffix.lower() in _TIFF:
        data = _page(path, 0)
    else:
        from PIL import Image

        try:
            with Image.open(path) as image:
                data = np.asarray(image)
        except (OSError, SyntaxError) as error:
            raise VolumeError(f"{path} cannot be decoded: {error}") from error
    return data.astype(np.uint8) if data.dtype == np.bool_ else data


def _described(header: Header) -> str:
    dtype, (rows, columns), channels = header
    color = f" with {channels} channels" if channels else ""
    return f"{columns} x {rows} pixels of {dtype}{color}"
