"""Colors of ids, classes and values, the same on every page and distinguishable with color blindness."""

from collections.abc import Mapping, Sequence

import numpy as np

CATEGORIES = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
    (120, 120, 120),
)
"""Eight colors that color-blind people can distinguish (Okabe and Ito, "Color universal design", 2008)."""


_AXIS_COLORS = ((12, 85, 174), (145, 81, 6), (98, 89, 75))


def format_css(color: Sequence[int] | np.ndarray) -> str:
    """Format a color for a style sheet.

    >>> format_css((255, 140, 0))
    '#ff8c00'
    """
    return "#" + "".join(f"{int(value):02x}" for value in color)


def category_color(index: int) -> str:
    """Return the color of a class for a style sheet; colors repeat after eight classes."""
    return format_css(CATEGORIES[index % len(CATEGORIES)])


def _hash_ids(ids: np.ndarray) -> np.ndarray:
    # The finalizer of splitmix64: neighboring ids get unrelated colors.
    with np.errstate(over="ignore"):
        value = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return value ^ (value >> np.uint64(31))


def color_ids(ids: np.ndarray) -> np.ndarray:
    """Return a color for each id that depends on the id alone; 0 is black.

    Hues cover the whole circle. Lightness and saturation vary a little, within a range that is visible on
    black and on white.

    Args:
        ids: integers, any shape.

    Returns:
        uint8, the shape of ``ids`` with a last axis of red, green, blue.
    """
    hashes = _hash_ids(np.asarray(ids))
    hue = (hashes & np.uint64(0xFFFF)).astype(np.float64) / 0x10000
    saturation = 0.5 + 0.4 * ((hashes >> np.uint64(16)) & np.uint64(0xFF)).astype(np.float64) / 255
    lightness = 0.46 + 0.2 * ((hashes >> np.uint64(24)) & np.uint64(0xFF)).astype(np.float64) / 255
    chroma = saturation * np.minimum(lightness, 1 - lightness)
    channels = []
    for shift in (0.0, 8.0, 4.0):
        k = (shift + 12 * hue) % 12
        channels.append(lightness - chroma * np.clip(np.minimum(k - 3, 9 - k), -1, 1))
    colors = np.rint(255 * np.stack(channels, axis=-1)).astype(np.uint8)
    colors[np.asarray(ids) == 0] = 0
    return colors


def color_labels(labels: np.ndarray, same_as: Mapping[int, int] | None = None) -> np.ndarray:
    """Color a label image.

    Args:
        labels: ids, any shape.
        same_as: for an id, the other id whose color it takes, such as that of the matching object.

    Returns:
        uint8, the shape of ``labels`` with a last axis of red, green, blue.
    """
    ids, inverse = np.unique(labels, return_inverse=True)
    color_sources = ids.astype(np.uint64)
    if same_as:
        color_sources = np.array([same_as.get(int(value), int(value)) for value in ids], dtype=np.uint64)
    return color_ids(color_sources)[inverse.reshape(labels.shape)]


def choose_axis_colors(number: int) -> np.ndarray:
    """Return colors of up to three channels that add up to white; a single channel is white.

    The eight sums of three colors are 32 units of CIELAB apart in normal vision and with each of three kinds of color
    blindness, against 8 units of red, green and blue.

    >>> choose_axis_colors(2).tolist()
    [[12, 85, 174], [243, 170, 81]]
    """
    colors = np.array(_AXIS_COLORS[: number - 1], dtype=np.int64).reshape(-1, 3)
    return np.concatenate([colors, 255 - colors.sum(axis=0, keepdims=True)])


def mix_axis_colors(channels: np.ndarray) -> np.ndarray:
    """Add up to three channels of values from 0 to 1 in the colors of ``choose_axis_colors``.

    Args:
        channels: shape (n, y, x), n at most 3; values outside 0 to 1 are clipped, nan is 0.

    Returns:
        uint8, shape (y, x, 3).

    >>> mix_axis_colors(np.array([1.0, 1.0, 0.0]).reshape(3, 1, 1)).tolist()
    [[[157, 166, 180]]]
    """
    palette = choose_axis_colors(len(channels)).astype(np.float64)
    values = np.clip(np.nan_to_num(channels.astype(np.float64)), 0, 1)
    return np.rint(np.einsum("cyx,cr->yxr", values, palette)).astype(np.uint8)


def color_signed(values: np.ndarray) -> np.ndarray:
    """Color values from -1 (blue) over 0 (near-white) to 1 (orange); nan is treated as 0.

    Returns:
        uint8, the shape of ``values`` with a last axis of red, green, blue.
    """
    low, middle, high = np.array([33, 102, 172.0]), np.array([247, 247, 247.0]), np.array([204, 92, 24.0])
    t = np.clip(np.nan_to_num(values.astype(np.float64)), -1, 1)[..., None]
    colors = np.where(t < 0, middle + (low - middle) * -t, middle + (high - middle) * t)
    return np.rint(colors).astype(np.uint8)


def mix_class_colors(probabilities: np.ndarray) -> np.ndarray:
    """Mix the colors of classes in proportion to their probabilities.

    Args:
        probabilities: shape (classes, y, x), not negative.

    Returns:
        uint8, shape (y, x, 3).
    """
    weights = np.clip(np.nan_to_num(probabilities.astype(np.float64)), 0, None)
    total = weights.sum(axis=0)
    weights = weights / np.where(total > 0, total, 1)
    palette = np.array(
        [CATEGORIES[index % len(CATEGORIES)] for index in range(len(weights))], dtype=np.float64
    )
    return np.rint(np.einsum("cyx,cr->yxr", weights, palette)).astype(np.uint8)


def color_classes(ids: np.ndarray, background: bool = False) -> np.ndarray:
    """Color a class image. Class i has the color of channel i in ``mix_class_colors``.

    Args:
        ids: classes, any shape.
        background: True if 0 is background, which is transparent, and not a class.

    Returns:
        uint8, the shape of ``ids`` with a last axis of red, green, blue, and opacity if 0 is background.
    """
    palette = np.array(CATEGORIES, dtype=np.uint8)
    classes = np.asarray(ids).astype(np.int64)
    colors = palette[classes % len(palette)]
    if not background:
        return colors
    return np.concatenate([colors, np.where(classes > 0, 255, 0).astype(np.uint8)[..., None]], axis=-1)


def find_boundaries(labels: np.ndarray, ignored: np.ndarray | None = None) -> np.ndarray:
    """Return a mask of the pixels of a 2D label image whose right or lower neighbor has another id.

    Args:
        labels: ids, shape (y, x).
        ignored: bool, shape (y, x): pixels that have no boundary, neither between them nor with others.

    >>> find_boundaries(np.array([[1, 2, 0]]), np.array([[False, False, True]])).tolist()
    [[True, False, False]]
    """
    below, right = labels[:-1] != labels[1:], labels[:, :-1] != labels[:, 1:]
    if ignored is not None:
        below &= ~(ignored[:-1] | ignored[1:])
        right &= ~(ignored[:, :-1] | ignored[:, 1:])
    edge = np.zeros(labels.shape, dtype=bool)
    edge[:-1] |= below
    edge[:, :-1] |= right
    return edge


def gray_to_rgb(image: np.ndarray) -> np.ndarray:
    """Repeat a gray image on a last axis of red, green, blue."""
    return np.repeat(image[..., None], 3, axis=-1)


def blend(below: np.ndarray, above: np.ndarray, opacity: np.ndarray | float) -> np.ndarray:
    """Blend ``above`` over ``below``, both uint8 with a last axis of colors."""
    alpha = np.asarray(opacity, dtype=np.float64)
    alpha = alpha[..., None] if alpha.ndim else alpha
    return np.rint(below + (above.astype(np.float64) - below) * alpha).astype(np.uint8)
