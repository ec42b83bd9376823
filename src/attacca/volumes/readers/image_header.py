"""Headers of images, and the errors of files that are damaged."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    except PermissionError as error:
        raise VolumeError(f"{what} {action}: permission denied", fix="ask for read permission") from error
    except Exception as error:
        kind = type(error).__name__
        raise VolumeError(f"{what} {action}: {kind}: {summarize_error(error)}", fix=RESTORE) from error


def check_size(path: Path, header: ImageHeader, largest_ratio: int | None) -> None:
    """Refuse an image that its file cannot hold, or that exceeds the memory of this machine.

    Args:
        path: the file.
        header: header of one of its images.
        largest_ratio: largest ratio of decoded to stored bytes that the compression reaches; None if it is unlimited.

    Raises:
        VolumeError: the size in the header is not plausible.
    """
    if header.rows < 1 or header.columns < 1:
        raise VolumeError(f"{path} is empty: its header has {header}", fix=RESTORE)
    size = path.stat().st_size
    if (
        largest_ratio is not None
        and header.num_bytes * min(1, header.bits / 8) > largest_ratio * size + 2**16
    ):
        raise VolumeError(
            f"{path} is truncated or damaged: its header has {header}, but the file has {size} bytes",
            fix=RESTORE,
        )
    if header.num_bytes > psutil.virtual_memory().total:
        raise VolumeError(
            f"{path} is {header}, which exceeds the memory of this machine",
            fix="divide the image into sections or tiles, or convert it to Zarr",
        )
