"""Pages of TIFF files: headers of all pages, and decoding of one."""

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from attacca.errors import VolumeError, join_names
from attacca.volumes.readers.image_header import (
    RESTORE,
    ImageHeader,
    check_orientation,
    check_size,
    explain_damage,
)
from attacca.volumes.readers.tiff_tags import PageTags, read_page_tags

if TYPE_CHECKING:
    from tifffile import TiffFile

_PHOTOMETRICS = {"MINISBLACK": "gray", "MINISWHITE": "white is zero", "PALETTE": "palette", "RGB": "rgb"}
_LOSSY = ("JPEG", "OJPEG", "ALT_JPEG", "JPEG_LOSSY")
# Largest ratio of decoded to stored bytes; other compressions have no useful limit.
_LARGEST_RATIOS = {"NONE": 1, "LZW": 2048, "DEFLATE": 1040, "ADOBE_DEFLATE": 1040, "PACKBITS": 64}


class PageLayout(NamedTuple):
    """Description of a page, without the positions of its voxels.

    Attributes:
        num_parts: number of strips or tiles.
        is_planar: whether each sample is stored as a plane of its own.
    """

    header: ImageHeader
    compression: str
    num_parts: int
    is_planar: bool


KnownFiles = dict[tuple[object, ...], list[PageLayout]]
"""Descriptions of the pages of files by the keys of all pages."""


class TiffPages(NamedTuple):
    """Pages of a TIFF file that hold sections.

    Attributes:
        headers: header of each page, by index of the page.
        warnings: descriptions of pages that are ignored.
        end: number of bytes that headers, tags and pixels occupy.
        key: keys of all pages; None if the file is unusual.
        layouts: descriptions of all pages, if the file has a key.
    """

    headers: dict[int, ImageHeader]
    warnings: list[str]
    end: int
    key: tuple[object, ...] | None = None
    layouts: list[PageLayout] | None = None


@contextmanager
def open_tiff(path: Path) -> Iterator["TiffFile"]:
    """Open a TIFF file; an error that tifffile only logs is raised.

    Raises:
        VolumeError: the file is damaged.
    """
    # deferred: tifffile takes 0.1 s to import
    import tifffile

    errors: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                errors.append(record.getMessage())

    logger, collector = logging.getLogger("tifffile"), Collector()
    propagate = logger.propagate
    logger.addHandler(collector)
    logger.propagate = False
    try:
        # An OME-XML file may name other files, which are not part of the configured source.
        with explain_damage(str(path), "cannot be read as TIFF"):
            with tifffile.TiffFile(path, _multifile=False) as file:
                yield file
            if errors:
                raise VolumeError(
                    f"{path} is truncated or damaged: {errors[0].splitlines()[0]}", fix="copy it again"
                )
    finally:
        logger.removeHandler(collector)
        logger.propagate = propagate


def recall_tiff_pages(path: Path, known: KnownFiles) -> TiffPages | None:
    """Return the headers of all pages if a file with equal tags was read before; otherwise None.

    Args:
        path: the file.
        known: descriptions of files that ``read_tiff_pages`` interpreted.

    Raises:
        VolumeError: a page is incomplete.
    """
    tags = read_page_tags(path)
    layouts = known.get(tuple(page.key for page in tags))
    if not tags or layouts is None:
        return None
    size = path.stat().st_size
    for index, (page, layout) in enumerate(zip(tags, layouts)):
        where = str(path) if len(tags) == 1 else f"{path}, page {index + 1},"
        _check_page(path, where, layout, page.offsets, page.counts, size)
    headers = {index: layout.header for index, layout in enumerate(layouts)}
    return TiffPages(headers, [], _skip_copies(tags, max(page.end for page in tags), size))


def read_tiff_pages(path: Path, file: "TiffFile") -> TiffPages:
    """Read the headers of all pages.

    Reduced copies (thumbnails, pyramids) and transparency masks are left out, with a warning.

    Raises:
        VolumeError: a page is incomplete or not supported.
    """
    file.pages.useframes = False
    known: dict[tuple[object, ...], PageLayout] = {}
    headers: dict[int, ImageHeader] = {}
    ignored: list[str] = []
    warnings: list[str] = []
    size = path.stat().st_size
    count, tags = len(file.pages), read_page_tags(path)
    end = 0
    for index in range(count):
        where = str(path) if count == 1 else f"{path}, page {index + 1},"
        quick = tags[index] if len(tags) == count else None
        if quick is not None and quick.key in known:
            _check_page(path, where, known[quick.key], quick.offsets, quick.counts, size)
            headers[index] = known[quick.key].header
            end = max(end, quick.end)
            continue
        page: Any = file.pages[index]
        page_end = _find_end(page, file.is_bigtiff, size)
        end = max(end, page_end)
        if int(page.subfiletype) & 5:
            ignored.append(f"page {index + 1}")
            continue
        layout = _read_layout(where, page)
        _check_page(path, where, layout, page.dataoffsets, page.databytecounts, size)
        headers[index] = layout.header
        copies = _list_copies(page)
        for copy in copies:
            if copy.imagelength * copy.imagewidth >= layout.header.rows * layout.header.columns:
                raise VolumeError(
                    f"{where} has another image below it (SubIFD) of {copy.imagewidth} x {copy.imagelength} pixels; "
                    f"the page itself is {layout.header}",
                    fix="save the image at full resolution as a file of its own",
                )
            ignored.append(f"a reduced copy below page {index + 1}")
        check_orientation(where, page.tags.valueof("Orientation", 1))
        if quick is not None and _agrees(quick, page, page_end):
            known[quick.key] = layout
    if not headers:
        raise VolumeError(
            f"{path} holds {count} pages, all of which are thumbnails or masks"
            if ignored
            else f"{path} holds no page",
            fix=RESTORE,
        )
    if ignored:
        warnings.append(
            f"{path}: {join_names(ignored, 3)} ignored, because they are marked as reduced copies or masks"
        )
    end = _skip_copies(tags, end, size)
    if len(tags) != count or any(page.key not in known for page in tags):
        return TiffPages(headers, warnings[:5], end)
    key = tuple(page.key for page in tags)
    return TiffPages(headers, warnings[:5], end, key, [known[page.key] for page in tags])


def _skip_copies(tags: Sequence[PageTags], end: int, size: int) -> int:
    """Return the end of a file; tifffile repeats the values of the last page's tags after the last page."""
    return size if tags and tags[-1].end_of_copies == size else end


def _agrees(quick: PageTags, page: Any, end: int) -> bool:
    """Return whether tags describe all that tifffile read of a page."""
    is_equal = quick.offsets == tuple(page.dataoffsets) and quick.counts == tuple(page.databytecounts)
    return is_equal and quick.end == end and not (page.is_ome or page.is_stk or page.is_lsm)


def decode_tiff_page(path: Path, index: int) -> np.ndarray:
    """Decode one page of a TIFF file in native byte order.

    Returns:
        Array ``[z, y, x]`` for volumetric tiles, otherwise ``[y, x]``, with the samples of a pixel last.

    Raises:
        VolumeError: the page cannot be decoded.
    """
    with open_tiff(path) as file, explain_damage(f"{path}, page {index + 1},", "cannot be decoded"):
        page: Any = file.pages[index]
        data = page.asarray()
        if int(page.planarconfig or 1) == 2 and page.samplesperpixel > 1:
            data = np.moveaxis(data, page.axes.index("S"), -1)
    data = data.astype(np.uint8) if data.dtype == np.bool_ else data
    return np.asarray(data.astype(data.dtype.newbyteorder("="), copy=False))


def _compression_of(page: Any) -> str:
    return str(getattr(page.compression, "name", page.compression))


def _read_layout(where: str, page: Any) -> PageLayout:
    compression = _compression_of(page)
    if page.dtype is None:
        raise VolumeError(
            f"{where} has {page.bitspersample} bits per sample of an unsupported format",
            fix="save it with 8, 16 or 32 bits",
        )
    dtype = np.dtype(page.dtype).newbyteorder("=")
    name = str(getattr(page.photometric, "name", page.photometric))
    samples = int(page.samplesperpixel)
    extra = [int(value) for value in page.extrasamples]
    palette = page.colormap if name == "PALETTE" else None
    header = ImageHeader(
        np.dtype(np.uint8) if dtype == np.bool_ else dtype,
        int(page.imagelength), int(page.imagewidth), samples, int(page.bitspersample),
        _PHOTOMETRICS.get(name, name), bool(extra) and extra[-1] in (1, 2),
        b"" if palette is None else np.ascontiguousarray(palette.T).astype(np.uint16).tobytes(),
        int(page.imagedepth), compression in _LOSSY,
    )  # fmt: skip
    is_planar = samples > 1 and int(page.planarconfig or 1) == 2
    return PageLayout(header, compression, math.prod(page.chunked), is_planar)


def _check_page(
    path: Path, where: str, layout: PageLayout, offsets: Sequence[int], counts: Sequence[int], size: int
) -> None:
    header = layout.header
    check_size(path, header, _LARGEST_RATIOS.get(layout.compression), size)
    missing = (
        layout.num_parts
        - len(offsets)
        + sum(not count or not offset for offset, count in zip(offsets, counts))
    )
    if not offsets or len(counts) < len(offsets) or missing > 0:
        raise VolumeError(
            f"{where} is incomplete: {max(missing, 1)} of its strips or tiles are missing", fix=RESTORE
        )
    needed = max(offset + count for offset, count in zip(offsets, counts))
    if layout.compression == "NONE":
        row = -(-header.columns * header.samples * header.bits // 8)
        if layout.is_planar:
            row = header.samples * -(-header.columns * header.bits // 8)
        needed = max(needed, min(offsets) + header.rows * header.depth * row)
    if needed > size:
        raise VolumeError(
            f"{path} is truncated: it has {size} bytes, but its voxels need {needed}", fix="copy it again"
        )


_NESTED = ("ExifTag", "GPSTag", "InteroperabilityTag")


def _find_end(page: Any, is_big: bool, size: int) -> int:
    """Return the position after the tags and pixels of a page; ``size`` if tags have tables of their own."""
    end = page.offset + (len(page.tags) * 20 + 16 if is_big else len(page.tags) * 12 + 6)
    for tag in page.tags:
        if tag.name in _NESTED:
            return size
        end = max(end, tag.valueoffset + tag.valuebytecount)
    for offset, count in zip(page.dataoffsets, page.databytecounts):
        end = max(end, offset + count)
    return max([end, *(_find_end(copy, is_big, size) for copy in _list_copies(page))])


def _list_copies(page: Any) -> list[Any]:
    return list(page.pages) if page.subifds and page.pages is not None else []
