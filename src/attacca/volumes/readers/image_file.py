"""Files that hold sections: PNG, BMP, JPEG, TIFF, DigitalMicrograph."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from attacca.errors import VolumeError
from attacca.volumes.readers.image_header import (
    ImageHeader,
    check_orientation,
    check_size,
    describe_unused_bytes,
    explain_damage,
)
from attacca.volumes.readers.micrograph import DM_SUFFIXES, decode_micrograph, read_micrograph
from attacca.volumes.readers.png_chunks import check_png_chunks, read_png_header
from attacca.volumes.readers.tiff_pages import (
    KnownFiles,
    TiffPages,
    decode_tiff_page,
    open_tiff,
    read_tiff_pages,
    recall_tiff_pages,
)

TIFF_SUFFIXES = (".tif", ".tiff")
JPEG_SUFFIXES = (".jpg", ".jpeg")
IMAGE_SUFFIXES = (".png", *TIFF_SUFFIXES, ".bmp", *JPEG_SUFFIXES, *DM_SUFFIXES)

# Samples and meaning of the modes of Pillow.
_MODES = {"1": (1, "gray"), "L": (1, "gray"), "P": (1, "palette"), "RGB": (3, "rgb"), "RGBA": (4, "rgb")}
_ORIENTATION = 0x0112
# Largest ratio of decoded to stored bytes: that of deflate, and that of blocks of 64 JPEG pixels.
_LARGEST_RATIOS = {".png": 1040, ".bmp": 256, ".jpg": 1000, ".jpeg": 1000}


def read_image_headers(path: Path, known: KnownFiles) -> TiffPages:
    """Read type and size of all images in a file, without decoding them.

    Args:
        path: the file.
        known: descriptions of TIFF files that were read before; that of this file is added.

    Raises:
        VolumeError: the file cannot be read, or its pixel type is not supported.
    """
    suffix = path.suffix.lower()
    if suffix in TIFF_SUFFIXES:
        pages = recall_tiff_pages(path, known)
        if pages is None:
            with open_tiff(path) as file:
                pages = read_tiff_pages(path, file)
                _check_series(path, file, pages.headers)
            if pages.key is not None and pages.layouts is not None:
                known[pages.key] = pages.layouts
        return pages._replace(warnings=[*pages.warnings, *describe_unused_bytes(path, pages.end)])
    if suffix in DM_SUFFIXES:
        image = read_micrograph(path)
        return TiffPages(
            dict.fromkeys(range(image.depth), image.header), describe_unused_bytes(path, image.end), image.end
        )
    with explain_damage(str(path), "cannot be read as an image"):
        header = read_png_header(path) if suffix == ".png" else _read_pillow_header(path)
        size = path.stat().st_size
        check_size(path, header, _LARGEST_RATIOS.get(suffix), size)
    end = (_read_bmp_size(path) or size) if suffix == ".bmp" else size
    return TiffPages({0: header}, describe_unused_bytes(path, end), end)


def _read_bmp_size(path: Path) -> int:
    """Return the number of bytes in the header of a BMP file; 0 if the writer did not know it."""
    with path.open("rb") as file:
        return int.from_bytes(file.read(6)[2:], "little")


def decode_image(path: Path, page: int = 0) -> np.ndarray:
    """Decode an image as stored.

    Returns:
        Array ``[y, x]``, ``[z, y, x]`` for a TIFF page with volumetric tiles; the samples of a pixel are last.

    Raises:
        VolumeError: the file cannot be decoded.
    """
    suffix = path.suffix.lower()
    if suffix in TIFF_SUFFIXES:
        return decode_tiff_page(path, page)
    if suffix in DM_SUFFIXES:
        return decode_micrograph(path, page)
    with explain_damage(str(path), "cannot be decoded"):
        return _decode_png(path) if suffix == ".png" else _decode_with_pillow(path)


def _decode_png(path: Path) -> np.ndarray:
    # deferred: only needed for image files
    import imagecodecs

    check_png_chunks(path)
    header = read_png_header(path)
    if header.photometric == "palette" or header.bits < 8:
        data = _decode_with_pillow(path)
        # Pillow scales 2 and 4 bits to 0 to 255.
        scale = 255 // (2**header.bits - 1) if header.photometric == "gray" and header.bits in (2, 4) else 1
        return data // np.uint8(scale)
    data = imagecodecs.png_decode(path.read_bytes())
    if data.ndim == 3:
        # A transparent color is decoded as an additional sample.
        data = data[..., : header.samples] if header.samples > 1 else data[..., 0]
    return np.asarray(
        data.reshape(header.rows, header.columns, *([header.samples] if header.samples > 1 else []))
    )


def _open_pillow(path: Path) -> Any:
    # deferred: only needed for image files
    from PIL import Image, ImageFile

    # Sections of electron microscopy exceed the limit of Pillow; ``check_size`` compares the size with the file.
    Image.MAX_IMAGE_PIXELS = None
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    return Image.open(path)


def _read_pillow_header(path: Path) -> ImageHeader:
    with _open_pillow(path) as image:
        mode, (columns, rows) = image.mode, image.size
        if getattr(image, "n_frames", 1) > 1:
            raise VolumeError(f"{path} holds {image.n_frames} images", fix="save each section as one file")
        if mode not in _MODES:
            raise VolumeError(f"{path} has the unsupported pixel type {mode}", fix="save it as gray values")
        samples, photometric = _MODES[mode]
        check_orientation(str(path), image.getexif().get(_ORIENTATION))
        palette = np.array(image.getpalette("RGB") if mode == "P" else [], np.uint16) * 257
    bits = 1 if mode == "1" else 8
    lossy = path.suffix.lower() in JPEG_SUFFIXES
    return ImageHeader(
        np.dtype(np.uint8), rows, columns, samples, bits, photometric, mode == "RGBA",
        palette.astype(np.uint16).tobytes(), is_lossy=lossy,
    )  # fmt: skip


def _decode_with_pillow(path: Path) -> np.ndarray:
    with _open_pillow(path) as image:
        image.load()
        data = np.asarray(image)
    return data.astype(np.uint8) if data.dtype == np.bool_ else data


def _check_series(path: Path, file: Any, headers: dict[int, ImageHeader]) -> None:
    """Refuse a file whose pages are not sections, or are not all sections that its description promises.

    Args:
        path: the file.
        file: the open file.
        headers: headers of its pages, by index.
    """
    existing = sum(header.depth for header in headers.values())
    promised = 0
    for series in file.series:
        sizes = dict(zip(series.axes, series.shape))
        several = [f"{size} points along {axis}" for axis, size in sizes.items() if axis in "CT" and size > 1]
        if file.is_ome and several:
            raise VolumeError(
                f"{path} has {' and '.join(several)} according to its OME-XML; expected sections",
                fix="give the path of the file, or save one channel",
            )
        pages = {page.index for page in series if page is not None} & set(headers)
        if pages:
            first = headers[min(pages)]
            promised += math.prod(series.shape) // (first.rows * first.columns * first.samples)
    if file.is_imagej:
        promised = max(promised, int((file.imagej_metadata or {}).get("images", 1)))
    if promised > existing:
        raise VolumeError(
            f"{path} describes {promised} sections, but has {existing} page{'' if existing == 1 else 's'}",
            fix="save each section as a page or file of its own; or copy the file again if it is incomplete",
        )
