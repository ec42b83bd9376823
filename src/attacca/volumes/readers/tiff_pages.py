"""Pages of TIFF files: headers of all pages, and decoding of one."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from attacca.errors import VolumeError
from attacca.volumes.readers.image_header import (
    RESTORE,
    ImageHeader,
    check_orientation,
    check_size,
    explain_damage,
)

if TYPE_CHECKING:
    from tifffile import TiffFile

_PHOTOMETRICS = {"MINISBLACK": "gray", "MINISWHITE": "white is zero", "PALETTE": "palette", "RGB": "rgb"}
_LOSSY = ("JPEG", "OJPEG", "ALT_JPEG", "JPEG_LOSSY")
# Largest ratio of decoded to stored bytes; other compressions have no useful limit.
_LARGEST_RATIOS = {"NONE": 1, "LZW": 2048, "DEFLATE": 1040, "ADOBE_DEFLATE": 1040, "PACKBITS": 64}


class TiffPages(NamedTuple):
    """Pages of a TIFF file that hold sections.

    Attributes:
        headers: header of each page, by index of the page.
        warnings: descriptions of pages that are ignored.
        end: number of bytes that headers, tags and pixels occupy.
    """

    headers: dict[int, ImageHeader]
    warnings: list[str]
    end: int


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


def read_tiff_pages(path: Path, file: "TiffFile") -> TiffPages:
    """Read the headers of all pages.

    Reduced copies (thumbnails, pyramids) and transparency masks are left out, with a warning.

    Raises:
        VolumeError: a page is incomplete or not supported.
    """
    file.pages.useframes = False
    headers: dict[int, ImageHeader] = {}
    ignored: list[str] = []
    warnings: list[str] = []
    size = path.stat().st_size
    seen: dict[ImageHeader, ImageHeader] = {}
    for index, page in enumerate(file.pages):
        where = path if len(file.pages) == 1 else f"{path}, page {index + 1},"
        if int(page.subfiletype) & 5:  # type: ignore[union-attr]
            ignored.append(f"page {index + 1}")
            continue
        header = _read_header(str(where), page)
        check_size(path, header, _LARGEST_RATIOS.get(_compression_of(page)))
        _check_data(path, str(where), page, header, size)
        headers[index] = seen.setdefault(header, header)
        for copy in _list_copies(page):
            if copy.imagelength * copy.imagewidth >= header.rows * header.columns:
                raise VolumeError(
                    f"{where} has another image below it (SubIFD) of {copy.imagewidth} x {copy.imagelength} pixels; "
                    f"the page itself is {header}",
                    fix="save the image at full resolution as a file of its own",
                )
            ignored.append(f"a reduced copy below page {index + 1}")
        check_orientation(str(where), page.tags.valueof("Orientation", 1))  # type: ignore[union-attr]
    if not headers:
        raise VolumeError(
            f"{path} holds {len(file.pages)} pages, all of which are thumbnails or masks"
            if ignored
            else f"{path} holds no page",
            fix=RESTORE,
        )
    if ignored:
        text = ", ".join(ignored[:3]) + (f" and {len(ignored) - 3} more" if len(ignored) > 3 else "")
        warnings.append(f"{path}: {text} ignored, because they are marked as reduced copies or masks")
    return TiffPages(headers, warnings[:5], _find_end(file, size))


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


def _read_header(where: str, page: Any) -> ImageHeader:
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
    return ImageHeader(
        np.dtype(np.uint8) if dtype == np.bool_ else dtype,
        int(page.imagelength), int(page.imagewidth), samples, int(page.bitspersample),
        _PHOTOMETRICS.get(name, name), bool(extra) and extra[-1] in (1, 2),
        b"" if palette is None else np.ascontiguousarray(palette.T).astype(np.uint16).tobytes(),
        int(page.imagedepth), compression in _LOSSY,
    )  # fmt: skip


def _check_data(path: Path, where: str, page: Any, header: ImageHeader, size: int) -> None:
    offsets, counts = page.dataoffsets, page.databytecounts
    missing = (
        math.prod(page.chunked)
        - len(offsets)
        + sum(not count or not offset for offset, count in zip(offsets, counts))
    )
    if not offsets or len(counts) < len(offsets) or missing > 0:
        raise VolumeError(
            f"{where} is incomplete: {max(missing, 1)} of its strips or tiles are missing", fix=RESTORE
        )
    needed = max(offset + count for offset, count in zip(offsets, counts))
    if _compression_of(page) == "NONE":
        row = -(-header.columns * header.samples * header.bits // 8)
        if header.samples > 1 and int(page.planarconfig or 1) == 2:
            row = header.samples * -(-header.columns * header.bits // 8)
        needed = max(needed, min(offsets) + header.rows * header.depth * row)
    if needed > size:
        raise VolumeError(
            f"{path} is truncated: it has {size} bytes, but its voxels need {needed}", fix="copy it again"
        )


_NESTED = ("ExifTag", "GPSTag", "InteroperabilityTag")


def _find_end(file: "TiffFile", size: int) -> int:
    """Return the number of bytes that headers, tags and pixels occupy; ``size`` if tags have tables of their own."""
    is_big = file.is_bigtiff
    end = 16 if is_big else 8
    pages: list[Any] = list(file.pages)
    while pages:
        page = pages.pop()
        end = max(end, page.offset + (len(page.tags) * 20 + 16 if is_big else len(page.tags) * 12 + 6))
        for tag in page.tags:
            if tag.name in _NESTED:
                return size
            end = max(end, tag.valueoffset + tag.valuebytecount)
        for offset, count in zip(page.dataoffsets, page.databytecounts):
            end = max(end, offset + count)
        pages += _list_copies(page)
    return end


def _list_copies(page: Any) -> list[Any]:
    return list(page.pages) if page.subifds and page.pages is not None else []
