"""Headers of images, and the errors of files that are damaged."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import psutil

from attacca.errors import AttaccaError, VolumeError, summarize_error

RESTORE = "copy the file again, or correct the path"


@dataclass(frozen=True)
class ImageHeader:
    """Type and size of one image, as stored.

    Attributes:
        dtype: dtype of a sample.
        rows, columns: number of pixels.
        samples: samples per pixel, with alpha.
        bits: bits per sample.
        photometric: ``gray``, ``white is zero``, ``palette``, ``rgb``, or the name of another color space.
        has_alpha: True if the last sample, or an entry of the palette, is an opacity.
        palette: uint16 values ``[n, 3]`` of the palette, of which 8-bit values are multiplied by 257.
        depth: sections per page of a TIFF with volumetric tiles.
        is_lossy: True if the compression changes values.
    """

    dtype: np.dtype
    rows: int
    columns: int
    samples: int = 1
    bits: int = 8
    photometric: str = "gray"
    has_alpha: bool = False
    palette: bytes = b""
    depth: int = 1
    is_lossy: bool = False

    def __str__(self) -> str:
        kind = "" if self.photometric == "gray" else f" ({self.photometric})"
        bits = f" with {self.bits} bits" if self.bits != self.dtype.itemsize * 8 else ""
        channels = f" with {self.samples} channels" if self.samples > 1 else ""
        return f"{self.columns} x {self.rows} pixels of {self.dtype}{bits}{channels}{kind}"

    @property
    def num_bytes(self) -> int:
        """Size of the decoded image in bytes."""
        return self.rows * self.columns * self.samples * self.depth * self.dtype.itemsize


@contextmanager
def explain_damage(what: str, action: str) -> Iterator[None]:
    """Convert each error of a decoder to a ``VolumeError``: damaged files raise errors of many types.

    Args:
        what: file, and page if it has several.
        action: what failed, such as ``cannot be decoded``.
    """
    try:
        yield
    except AttaccaError:
        raise
    except MemoryError as error:
        raise VolumeError(
            f"{what} {action}: it needs more memory than is free",
            fix="check the size in its header; free memory",
        ) from error
    except PermissionError as error:
        raise VolumeError(f"{what} {action}: permission denied", fix="ask for read permission") from error
    except Exception as error:
        kind = type(error).__name__
        raise VolumeError(f"{what} {action}: {kind}: {summarize_error(error)}", fix=RESTORE) from error


@cache
def _total_memory() -> int:
    return int(psutil.virtual_memory().total)


def check_size(path: Path, header: ImageHeader, largest_ratio: int | None, size: int) -> None:
    """Refuse an image that its file cannot hold, or that exceeds the memory of this machine.

    Args:
        path: the file.
        header: header of one of its images.
        largest_ratio: largest ratio of decoded to stored bytes that the compression reaches; None if it is unlimited.
        size: bytes of the file.

    Raises:
        VolumeError: the size in the header is not plausible.
    """
    if header.rows < 1 or header.columns < 1:
        raise VolumeError(f"{path} is empty: its header has {header}", fix=RESTORE)
    if (
        largest_ratio is not None
        and header.num_bytes * min(1, header.bits / 8) > largest_ratio * size + 2**16
    ):
        raise VolumeError(
            f"{path} is truncated or damaged: its header has {header}, but the file has {size} bytes",
            fix=RESTORE,
        )
    if header.num_bytes > _total_memory():
        raise VolumeError(
            f"{path} is {header}, which exceeds the memory of this machine",
            fix="divide the image into sections or tiles, or convert it to Zarr",
        )


def check_orientation(what: str, orientation: object) -> None:
    """Refuse an image whose rows and columns have to be mirrored or exchanged before it is displayed.

    Programs disagree: viewers of photographs turn the image, most programs of microscopy show it as it is stored.

    Args:
        what: file, and page if it has several.
        orientation: the tag Orientation of TIFF or EXIF; 1 is the stored order.

    Raises:
        VolumeError: the orientation is another one.

    >>> check_orientation("a.jpg", 6)
    Traceback (most recent call last):
    attacca.errors.VolumeError: a.jpg has the orientation 6 (EXIF), so programs show it differently: as stored or ...
    """
    if orientation in (None, 0, 1):
        return
    raise VolumeError(
        f"{what} has the orientation {orientation} (EXIF), so programs show it differently: as stored or turned",
        fix="save it again as your viewer shows it; or, if the pixels are right as stored, remove the tag: exiftool "
        "-Orientation= FILE, or tiffset -s 274 1 FILE",
    )


def describe_unused_bytes(path: Path, end: int) -> list[str]:
    """Return a warning if a file has bytes after the last one that its headers use: of lost pages, or moved by a damage.

    Args:
        path: the file.
        end: number of bytes that the headers describe.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "a.bmp")
    ...     _ = path.write_bytes(bytes(9))
    ...     describe_unused_bytes(path, 9), len(describe_unused_bytes(path, 7))
    ([], 1)
    """
    unused = path.stat().st_size - end
    if unused <= 0:
        return []
    return [
        f"{path} has {unused} bytes more than its headers describe: it may be damaged, or hold something that is not read"
    ]
