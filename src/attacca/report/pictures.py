"""Pictures of arrays as PNG files inside the page."""

import base64
import io
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Picture:
    """A picture and its texts.

    Attributes:
        source: PNG file as a data URI.
        width, height: natural size in pixels of the page, in proportion to the lengths in the volume.
        alt: text for readers who do not see the picture.
        title: short heading.
        swatches: names and colors of classes or channels.
        legend: meaning of the colors or gray values in words.
    """

    source: str
    width: int
    height: int
    alt: str
    title: str = ""
    swatches: tuple[tuple[str, str], ...] = ()
    legend: str = ""


def make_picture(
    image: np.ndarray,
    alt: str,
    title: str = "",
    pixel_size: tuple[float, float] = (1.0, 1.0),
    swatches: tuple[tuple[str, str], ...] = (),
    legend: str = "",
) -> Picture:
    """Encode an array as a picture.

    Args:
        image: uint8, shape (y, x) gray, (y, x, 3) color, or (y, x, 4) color with opacity.
        alt: text for readers who do not see the picture.
        title: heading.
        pixel_size: lengths of a pixel along y and x in a common unit. Pixels that are not square are
            stretched.
        swatches: names and colors for the legend.
        legend: meaning of the colors or gray values in words.
    """
    # deferred: the terminal summary and the viewer need no pictures.
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, format="PNG", optimize=True)
    source = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    unit = min(pixel_size)
    height, width = (max(1, round(n * size / unit)) for n, size in zip(image.shape[:2], pixel_size))
    return Picture(source, width, height, alt, title, swatches, legend)


def normalize_contrast(image: np.ndarray, low: float = 0.5, high: float = 99.5) -> np.ndarray:
    """Stretch gray values between two percentiles to 0..255, as uint8; nan is treated as 0."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    if values.size == 0:
        return np.zeros(values.shape, np.uint8)
    bottom, top = np.percentile(values, [low, high])
    if top <= bottom:
        bottom, top = float(values.min()), float(values.max())
    scale = top - bottom if top > bottom else 1.0
    return np.rint(255 * np.clip((values - bottom) / scale, 0, 1)).astype(np.uint8)


def quantize_unit_range(values: np.ndarray) -> np.ndarray:
    """Scale values from 0..1 to 0..255, as uint8; values outside are clipped."""
    return np.rint(255 * np.clip(np.nan_to_num(values), 0, 1)).astype(np.uint8)
