"""Conversion of stored samples to gray values or ids: palettes, inverted values, opacities, color."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from attacca.errors import VolumeError
from attacca.volumes.readers.image_header import ImageHeader

Kind = Literal["raw", "labels", "encoded labels", "mask"]
"""Use of an image; ids of ``encoded labels`` are colors."""

_SAVE_GRAY = "save it as gray values"


class PixelType(NamedTuple):
    """Type of the values of an image after conversion; equal for all sections of a stack.

    Attributes:
        dtype: dtype of a value.
        shape: rows and columns.
        bits: bits per value.
        num_channels: None for gray values and ids.
    """

    dtype: np.dtype
    shape: tuple[int, int]
    bits: int
    num_channels: int | None


class ColoredLabelsError(VolumeError):
    """Labels in colors, without the settings that make ids of them."""


class PixelMeaning:
    """Conversion of the samples of an image to values.

    Args:
        kind: use of the image.
        channel: configured channel; None to drop opacities and to convert gray color images.
    """

    def __init__(self, kind: Kind, channel: int | None = None) -> None:
        self._kind = kind
        self._keeps_channels = channel is not None
        self.is_gray_color = False
        """True if the channels of a color image are equal, and are converted to one gray value."""

    def find_type(self, name: str, header: ImageHeader) -> PixelType:
        """Return the type of the values.

        Raises:
            VolumeError: the image cannot be used as raw image, labels or mask.
        """
        shape = (header.rows, header.columns)
        if header.is_lossy and self._kind != "raw":
            raise VolumeError(
                f"{name} is compressed with JPEG, which changes values, so it does not hold {self._kind}",
                fix="export the original again as PNG or TIFF",
            )
        if header.photometric not in ("gray", "white is zero", "palette", "rgb"):
            raise VolumeError(f"{name} has the color space {header.photometric}", fix=_SAVE_GRAY)
        if header.photometric == "white is zero" and ("labels" in self._kind or header.dtype.kind != "u"):
            raise VolumeError(
                f"{name} stores white as 0 (photometric MINISWHITE), so its {self._kind} of {header.dtype} are ambiguous",
                fix="save it with black as 0 (MINISBLACK)",
            )
        if header.photometric == "palette" and self._kind != "labels":
            _make_gray_table(name, header)
            return PixelType(np.dtype(np.uint8), shape, 8, None)
        if header.photometric == "rgb" and self._kind == "labels" and not self._keeps_channels:
            raise ColoredLabelsError(
                f"{name} holds colors ({header}), but labels are ids",
                fix="set 'encoding: rgb' on the labels if an id is red * 65536 + green * 256 + blue, as VAST exports it; "
                "or choose one channel with 'channel: 0' (1, 2)",
            )
        color = header.samples - (
            header.has_alpha and header.photometric != "palette" and not self._keeps_channels
        )
        channels = None if color == 1 or self.is_gray_color else color
        # Stacks of class masks mix sections of 1 and 8 bits.
        bits = header.bits if self._kind == "raw" else header.dtype.itemsize * 8
        return PixelType(header.dtype, shape, bits, channels)

    def apply(self, name: str, header: ImageHeader, data: np.ndarray) -> np.ndarray:
        """Convert the samples of one section.

        Args:
            name: file and page, for messages.
            header: its header.
            data: samples ``[y, x]`` or ``[y, x, c]``.

        Returns:
            Values ``[y, x]`` or ``[y, x, c]`` of the type that ``find_type`` returns.

        Raises:
            VolumeError: opacities vary, an index is not in the palette, or a gray section has colors.
        """
        if header.photometric == "palette":
            count = len(header.palette) // 6
            if data.size and int(data.max()) >= count:
                raise VolumeError(
                    f"{name} has the index {data.max()}, but its palette has {count} colors", fix=_SAVE_GRAY
                )
            return data if self._kind == "labels" else _make_gray_table(name, header)[data]
        if header.has_alpha and not self._keeps_channels:
            alpha, data = data[..., -1], data[..., :-1]
            if alpha.size and alpha.min() != alpha.max():
                raise VolumeError(
                    f"{name} has opacities from {alpha.min()} to {alpha.max()} (an alpha channel)",
                    fix="flatten the image and save it as gray values, or choose a channel with 'channel: 0'",
                )
            data = data[..., 0] if data.shape[-1] == 1 else data
        if self.is_gray_color and data.ndim == 3:
            if not has_equal_channels(data):
                raise VolumeError(
                    f"{name} has colors, but the first section has gray values only",
                    fix="choose one channel with 'channel: 0' (1, 2), or convert the sections to gray values",
                )
            data = data[..., 0]
        if header.photometric == "white is zero":
            data = (2**header.bits - 1 - data).astype(header.dtype)
        return data


def has_equal_channels(data: np.ndarray) -> bool:
    """Return True if all channels ``[y, x, c]`` are equal."""
    return bool((data == data[..., :1]).all())


def check_palettes(name: str, headers: Sequence[ImageHeader], names: Sequence[str]) -> None:
    """Refuse labels whose sections have different palettes: equal indices are different objects then.

    Raises:
        VolumeError: the palettes differ.
    """
    # Indices of a palette 0, 1, 2, ... of gray values are the values of a section without a palette.
    identity = (np.arange(256, dtype=np.uint16) * 257).repeat(3).tobytes()
    used = [
        (b"" if identity.startswith(header.palette) else header.palette)
        if header.photometric == "palette"
        else b""
        for header in headers
    ]
    for palette, other in zip(used, names):
        if palette != used[0]:
            raise VolumeError(
                f"{name}: {other} has another palette than {names[0]}, so equal indices may be different objects",
                fix="save all sections with one palette, or as gray values with one id per object",
            )


def _make_gray_table(name: str, header: ImageHeader) -> np.ndarray:
    colors = np.frombuffer(header.palette, np.uint16).reshape(-1, 3)
    if not len(colors) or (colors != colors[:, :1]).any():
        raise VolumeError(
            f"{name} has a palette of colors, so its indices are not gray values", fix=_SAVE_GRAY
        )
    if header.has_alpha:
        raise VolumeError(f"{name} has a palette with transparent entries", fix=_SAVE_GRAY)
    values = colors[:, 0]
    # 8-bit values are stored as v * 257 or v * 256.
    if not ((values % 257 == 0).all() or (values % 256 == 0).all()):
        raise VolumeError(f"{name} has a palette of 16-bit gray values", fix="save it as 16-bit gray values")
    return (values >> 8).astype(np.uint8)
