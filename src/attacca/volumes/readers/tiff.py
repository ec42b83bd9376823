"""TIFF files with several pages."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from attacca.errors import VolumeError
from attacca.volumes.readers.image_header import ImageHeader, describe_unused_bytes
from attacca.volumes.readers.image_stack import Section, SectionStack, list_pages
from attacca.volumes.readers.pixel_meaning import Kind
from attacca.volumes.readers.source import Source
from attacca.volumes.readers.tiff_metadata import count_ome_planes, read_tiff_metadata
from attacca.volumes.readers.tiff_pages import open_tiff, read_tiff_pages

if TYPE_CHECKING:
    from tifffile import TiffFile

# Micrographs have at most this many channels; more channels are sections that the writer named wrongly.
_MOST_CHANNELS = 4
# Series of these writers are pieces of one file; those of other writers are different images.
_PIECES = ("shaped", "uniform", "generic")


class _Arrangement(NamedTuple):
    """Axes of a file, and voxels that are stored in one piece.

    Attributes:
        names: axes with several points, and y, x.
        sizes: size of each axis.
        pages: page of each plane in the order of ``names``; None if the planes do not have pages of their own.
        contiguous: offset, dtype and shape of voxels in one piece.
    """

    names: str
    sizes: dict[str, int]
    pages: list[int] | None
    contiguous: tuple[int, np.dtype, tuple[int, ...]] | None


class MultipageTiff(Source):
    """A TIFF file whose pages are sections, or channels of sections.

    Args:
        path: the file.
        kind: use of the image.
        channel: configured channel, if any.

    Raises:
        VolumeError: the file cannot be read, a page is not accounted for, or the axes are not sections, rows, columns and
            channels.
    """

    def __init__(self, path: Path, kind: Kind = "raw", channel: int | None = None) -> None:
        self.name = str(path)
        self._path = path
        with open_tiff(path) as file:
            pages = read_tiff_pages(path, file)
            arranged = _arrange(path, file, pages.headers)
            self.metadata = read_tiff_metadata(file, 3 if "Z" in arranged.names else 2)
        self._names = arranged.names
        self._stored_shape = tuple(arranged.sizes[axis] for axis in arranged.names)
        self._contiguous = arranged.contiguous
        stack = SectionStack(self.name, _make_grid(path, pages.headers, arranged), kind, channel)
        end = pages.end
        if arranged.contiguous is not None:
            offset, dtype, shape = arranged.contiguous
            end = max(end, offset + dtype.itemsize * math.prod(shape))
        self.warnings = (*pages.warnings, *describe_unused_bytes(path, end), *stack.warnings)
        self._stack = stack
        self.dtype = stack.dtype
        if not stack.has_stored_values:
            self._contiguous = None
        if arranged.pages is None and self._contiguous is None:
            raise VolumeError(
                f"{path} describes {math.prod(self._stored_shape)} voxels, but holds {len(pages.headers)} pages",
                fix="save it again with one page per section",
            )
        depth = ("z",) if "Z" in arranged.names else ()
        if arranged.pages is None:
            # All planes are in one piece below a single page.
            color = [axis for axis in arranged.names if axis in "CS"]
            self.axes = [*(["c"] if color else []), *depth, "y", "x"]
            spatial = [arranged.sizes[axis] for axis in "ZYX" if axis in arranged.sizes]
            self.shape = (*(arranged.sizes[axis] for axis in color), *spatial)
            return
        if "c" in stack.axes:
            self.axes, self.shape = (
                ["c", *depth, "y", "x"],
                (stack.shape[0], *stack.shape[1 if depth else 2 :]),
            )
        else:
            self.axes, self.shape = [*depth, "y", "x"], stack.shape[0 if depth else 1 :]
            if any(axis in "CS" for axis in self._names):
                self._contiguous = None

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        if self._contiguous is not None:
            window: tuple[Any, ...] = (Ellipsis, *(slice(b, e) for b, e in zip(begin, end)))
            offset, dtype, shape = self._contiguous
            stored = np.memmap(self._path, dtype, "r", offset, shape).reshape(self._stored_shape)
            order = [self._names.index(axis) for axis in self._names if axis in "CS"]
            order += [self._names.index(axis) for axis in "ZYX" if axis in self._names]
            return np.ascontiguousarray(stored.transpose(order)[window]).astype(self.dtype, copy=False)
        if self.dims == 3:
            return self._stack.read(begin, end)
        data = self._stack.read((0, *begin), (1, *end))
        return data.reshape(*data.shape[:-3], *data.shape[-2:])


def _arrange(path: Path, file: "TiffFile", headers: dict[int, ImageHeader]) -> _Arrangement:
    """Return the axes of a file in which each page is accounted for.

    Raises:
        VolumeError: pages are missing, or several images are in the file.
    """
    first = next(iter(headers.values()))
    _check_pages(path, headers)
    # Each iteration over a series reads its pages again.
    numbered = [(item, [page.index for page in item if page is not None]) for item in file.series]
    series = [(item, indices) for item, indices in numbered if set(indices) & set(headers)]
    if not series:
        raise VolumeError(f"{path} holds no image", fix="copy the file again")
    if len(series) > 1:
        simple = all(len(_find_leading(item.axes, item.shape)) <= 1 for item, _ in series)
        if {item.kind.lower() for item, _ in series} - set(_PIECES) or not simple:
            text = ", ".join(f"{item.kind} {item.axes} {item.shape}" for item, _ in series[:5])
            raise VolumeError(
                f"{path} holds {len(series)} images: {text}", fix="save the image to use as a file of its own"
            )
        sections = [page for page, header in headers.items() for _ in range(header.depth)]
        sizes = {"Z": len(sections), "Y": first.rows, "X": first.columns}
        names = "ZYX" + ("S" if first.samples > 1 else "")
        return _Arrangement(
            names, sizes | ({"S": first.samples} if first.samples > 1 else {}), sections, None
        )
    return _arrange_series(path, file, *series[0], headers)


def _arrange_series(
    path: Path, file: "TiffFile", series: Any, indices: list[int], headers: dict[int, ImageHeader]
) -> _Arrangement:
    axes, shape = series.axes, series.shape
    first = next(iter(headers.values()))
    # Time points and pages without a declared meaning (I, Q) are sections.
    sections = re.sub("[IQTR]", "Z", axes)
    kept = [(axis, size) for axis, size in zip(sections, shape) if size > 1 or axis in "YX"]
    if [axis for axis, _ in kept] == ["C", "Y", "X"] and kept[0][1] > _MOST_CHANNELS:
        kept[0] = ("Z", kept[0][1])
    names = "".join(axis for axis, _ in kept)
    if names.replace("S", "") not in ("YX", "ZYX", "CZYX", "ZCYX", "CYX") or names.count("S") > 1:
        raise VolumeError(
            f"{path} has the axes {axes} with {shape} voxels; expected sections, rows and columns (ZYX), "
            "optionally with channels",
            fix="save it with these axes",
        )
    sizes = dict(kept)
    planes = sizes.get("Z", 1) * sizes.get("C", 1)
    pages = [index for index in indices if index in headers for _ in range(headers[index].depth)]
    promised = [planes]
    if file.is_imagej:
        promised.append(int((file.imagej_metadata or {}).get("images", 1)))
    if file.is_ome:
        promised.append(
            count_ome_planes(file.ome_metadata or "") // (first.samples if first.samples > 1 else 1)
        )
    contiguous = None
    if series.dataoffset is not None and series.kind.lower() != "ome":
        dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
        if dtype != np.bool_:
            contiguous = (series.dataoffset, dtype, shape)
            _check_size(path, series.dataoffset, dtype.itemsize * math.prod(shape))
    in_one_piece = contiguous is not None and len(headers) == 1
    if (
        max(promised) != min(promised)
        or (set(pages) != set(headers))
        or (len(pages) != planes and not in_one_piece)
    ):
        what = {"imagej": "the description of ImageJ", "ome": "OME-XML"}.get(
            series.kind.lower(), "the description"
        )
        existing = sum(header.depth for header in headers.values())
        raise VolumeError(
            f"{path} holds {existing} sections, but {what} promises {max(promised)} ({axes} {shape})",
            fix="copy the file again, save it with all sections, or remove the description",
        )
    return _Arrangement(names, sizes, pages if len(pages) == planes else None, contiguous)


def _check_pages(path: Path, headers: dict[int, ImageHeader]) -> None:
    """Refuse pages of several sizes or types, with the pages of each."""
    groups: dict[str, list[int]] = {}
    for page, header in headers.items():
        groups.setdefault(str(header), []).append(page + 1)
    sizes = {(header.rows, header.columns, header.dtype, header.samples) for header in headers.values()}
    if len(sizes) > 1:
        text = "; ".join(f"page {_format_range(pages)}: {kind}" for kind, pages in list(groups.items())[:5])
        raise VolumeError(
            f"{path} holds pages of several kinds, which do not form one stack ({text})",
            fix="save the pages to use as a file of their own",
        )


def _format_range(pages: list[int]) -> str:
    if len(pages) > 2 and pages[-1] - pages[0] == len(pages) - 1:
        return f"{pages[0]} to {pages[-1]}"
    return ", ".join(map(str, pages[:5])) + (", ..." if len(pages) > 5 else "")


def _find_leading(axes: str, shape: Sequence[int]) -> list[str]:
    """Return the axes with several points besides those of a page; channels count twice."""
    several = [axis for axis, size in zip(axes, shape) if size > 1 and axis not in "YXS"]
    return several + [axis for axis in several if axis not in "ZIQTR"]


def _make_grid(
    path: Path, headers: dict[int, ImageHeader], arranged: _Arrangement
) -> list[tuple[Section, ...]]:
    sections = list_pages(path, headers)
    if arranged.pages is None:
        return [(sections[0],)]
    by_page: dict[int, list[Section]] = {}
    for section in sections:
        by_page.setdefault(section.page, []).append(section)
    ordered = [section for page in dict.fromkeys(arranged.pages) for section in by_page[page]]
    channels, depth = arranged.sizes.get("C", 1), arranged.sizes.get("Z", 1)
    if arranged.names.find("C") > arranged.names.find("Z"):
        return [tuple(ordered[z * channels : (z + 1) * channels]) for z in range(depth)]
    return [tuple(ordered[c * depth + z] for c in range(channels)) for z in range(depth)]


def _check_size(path: Path, offset: int, size: int) -> None:
    existing = path.stat().st_size
    if existing < offset + size:
        raise VolumeError(
            f"{path} is truncated: it has {existing} bytes, but its voxels need {offset + size}",
            fix="copy it again",
        )
