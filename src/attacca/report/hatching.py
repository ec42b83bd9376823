"""Hatching of pixels that do not count: voxels without annotation, and voxels of weight 0."""

import numpy as np

NOT_ANNOTATED = "not annotated"
WEIGHT_ZERO = "weight 0, does not count"

_DARK, _LIGHT = 96, 176
_PERIOD = 8
"""Distance of the stripes in pixels, along both axes."""

_STYLE = "repeating-linear-gradient(135deg,#606060 0 2px,#b0b0b0 2px 4px)"

Swatches = tuple[tuple[str, str], ...]


def hatch(image: np.ndarray, mask: np.ndarray, opacity: float = 1.0) -> np.ndarray:
    """Paint gray diagonal stripes over the pixels of a mask.

    Args:
        image: uint8, shape (y, x, 3), or (y, x, 4) with opacity, which becomes full in the mask.
        mask: pixels to hatch, bool, shape (y, x).
        opacity: opacity of the stripes over the image.

    Returns:
        The picture, of the shape of ``image``.

    >>> mask = np.array([[False, True, True, True, True, False]])
    >>> hatch(np.zeros((1, 6, 3), np.uint8), mask)[0, :, 0].tolist()
    [0, 176, 176, 176, 96, 0]
    """
    down, right = np.indices(mask.shape)
    stripes = np.where((down + right) % _PERIOD < _PERIOD // 2, _LIGHT, _DARK)[mask]
    hatched = image.copy()
    colors = hatched[mask]
    colors[:, :3] = np.rint(colors[:, :3] + (stripes[:, None] - colors[:, :3].astype(float)) * opacity)
    colors[:, 3:] = 255
    hatched[mask] = colors
    return hatched


def hatch_with_swatch(
    image: np.ndarray, mask: np.ndarray | None, swatches: Swatches, name: str, opacity: float = 1.0
) -> tuple[np.ndarray, Swatches]:
    """Hatch the pixels of a mask and add the stripes to the legend; neither if the mask is empty.

    Args:
        image: uint8, shape (y, x, 3) or (y, x, 4).
        mask: bool, shape (y, x); None hatches nothing.
        swatches: the legend without the stripes.
        name: meaning of the stripes.
        opacity: opacity of the stripes over the image.
    """
    if mask is None or not mask.any():
        return image, swatches
    return hatch(image, mask, opacity), (*swatches, (name, _STYLE))
