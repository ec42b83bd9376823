"""Files that hold one section: PNG, BMP, JPEG, single-page TIFF."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from attacca.errors import VolumeError

TIFF_SUFFIXES = (".tif", ".tiff")
IMAGE_SUFFIXES = (".png", *TIFF_SUFFIXES, ".bmp", ".jpg", ".jpeg")

_DTYPES = {"1": "u1", "L": "u1", "P": "u1", "I;16": "u2", "I;16B": "u2", "I": "i4", "F": "f4"}
_CHANNELS = {"LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "YCbCr": 3}


class ImageHeader(NamedTuple):
    """Type and size of an image.

    Attributes:
        dtype: dtype of the decoded image.
        shape: rows and columns.
        num_channels: None for gray values.
    """

    dtype: np.dtype
    shape: tuple[int, int]
    num_channels: int | None

    def __str__(self) -> str:
        channels = f" with {self.num_channels} channels" if self.num_channels else ""
        return f"{self.shape[1]} x {self.shape[0]} pixels of {self.dtype}{channels}"


_RESTORE = "copy the file again, or correct the path"


def read_image_header(path: Path) -> ImageHeader:
    """Read type and size of an image without decoding it.

    Raises:
        VolumeError: the file cannot be read, or its pixel type is not supported.
    """
    if path.suffix.lower() in TIFF_SUFFIXES:
        return _read_tiff_header(path)
    # deferred: only needed for image files
    from PIL import Image

    try:
        with Image.open(path) as image:
            mode, (columns, rows) = image.mode, image.size
    except (OSError, SyntaxError) as error:
        raise VolumeError(f"{path} cannot be read as an image: {error}", fix=_RESTORE) from error
    if mode not in _DTYPES and mode not in _CHANNELS:
        raise VolumeError(f"{path} has the unsupported pixel type {mode}", fix="save it as gray values")
    return ImageHeader(np.dtype(_DTYPES.get(mode, "u1")), (rows, columns), _CHANNELS.get(mode))


def _read_tiff_header(path: Path) -> ImageHeader:
    # deferred: tifffile takes 0.1 s to import
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            shape, dtype = page.shape, np.dtype(page.dtype).newbyteorder("=")  # type: ignore[union-attr]
    except (tifffile.TiffFileError, OSError, ValueError, IndexError) as error:
        raise VolumeError(f"{path} cannot be read as TIFF: {error}", fix=_RESTORE) from error
    if len(shape) not in (2, 3):
        raise VolumeError(
            f"{path}: found {len(shape)} axes, expected one section with rows and columns",
            fix="save each section as a file, or give the path of a single TIFF instead of a directory",
        )
    dtype = np.dtype(np.uint8) if dtype == np.bool_ else dtype
    return ImageHeader(dtype, (shape[0], shape[1]), shape[2] if len(shape) == 3 else None)


def decode_image(path: Path) -> np.ndarray:
    """Decode an image.

    Returns:
        Array (rows, columns) or (rows, columns, channels) with the dtype of ``read_image_header``.

    Raises:
        VolumeError: the file cannot be decoded.
    """
    if path.suffix.lower() in TIFF_SUFFIXES:
        data = decode_tiff_page(path, 0)
    else:
        # deferred: only needed for image files
        from PIL import Image

        try:
            with Image.open(path) as image:
                data = np.asarray(image)
        except (OSError, SyntaxError) as error:
            raise VolumeError(f"{path} cannot be decoded: {error}", fix=_RESTORE) from error
    return data.astype(np.uint8) if data.dtype == np.bool_ else data


def decode_tiff_page(path: Path, index: int) -> np.ndarray:
    """Decode one page of a TIFF file in native byte order.

    Raises:
        VolumeError: the page cannot be decoded.
    """
    # deferred: tifffile takes 0.1 s to import
    import tifffile
    from PIL import Image

    try:
        with tifffile.TiffFile(path) as file:
            data = file.pages[index].asarray()
    except (ValueError, tifffile.TiffFileError, OSError) as error:
        # tifffile needs an additional package for some compressions; Pillow decodes the usual ones.
        try:
            with Image.open(path) as image:
                image.seek(index)
                data = np.asarray(image)
        except (OSError, EOFError, SyntaxError):
            raise VolumeError(
                f"{path}, page {index + 1}, cannot be decoded: {error}",
                fix="copy the file again, or save it without compression",
            ) from error
    return data.astype(data.dtype.newbyteorder("="), copy=False)
