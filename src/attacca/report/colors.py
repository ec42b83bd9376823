"""Colors: the same for the same thing on every page, and told apart by people who see fewer of them."""

from collections.abc import Mapping

import numpy as np

# Okabe and Ito, "Color universal design" (2008): eight hues that color-blind people can tell apart.
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


def _mix(ids: np.ndarray) -> np.ndarray:
    # The finaliser of splitmix64: neighboring ids get unrelated colors.
    with np.errstate(over="ignore"):
        value = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return value ^ (value >> np.uint64(31))


def label_colors(ids: np.ndarray) -> np.ndarray:
    """A color for each id, from the id alone; 0 is black.

    Hues go round the circle, lightness and saturation vary a little, none is too dark to be seen on black
    or too light to be seen on white.

    Args:
        ids: any shape, integers.

    Returns:
        uint8, the shape of ``ids`` with a last axis of red, green, blue.
    """
    mixed = _mix(np.asarray(ids))
    hue = (mixed & np.uint64(0xFFFF)).astype(np.float64) / 0x10000
    saturation = 0.5 + 0.4 * ((mixed >> np.uint64(16)) & np.uint64(0xFF)).astype(np.float64) / 255
    lightness = 0.46 + 0.2 * ((mixed >> np.uint64(24)) & np.uint64(0xFF)).astype(np.float64) / 255
    chroma = saturation * np.minimum(lightness, 1 - lightness)
    channels = []
    for shift in (0.0, 8.0, 4.0):
        k = (shift + 12 * hue) % 12
        channels.append(lightness - chroma * np.clip(np.minimum(k - 3, 9 - k), -1, 1))
    colors = np.rint(255 * np.stack(channels, axis=-1)).astype(np.uint8)
    colors[np.asarray(ids) == 0] = 0
    return colors


def color_labels(labels: np.ndarray, same_as: Mapping[int, int] | None = None) -> np.ndarray:
    """A label image in colors.

    Args:
        labels: ids, any shape.
        same_as: id to the id whose color it takes: that of the true object it stands for, say.
    """
    ids, inverse = np.unique(labels, return_inverse=True)
    wearing = ids.astype(np.uint64)
    if same_as:
        wearing = np.array([same_as.get(int(value), int(value)) for value in ids], dtype=np.uint64)
    return label_colors(wearing)[inverse.reshape(labels.shape)]


def diverging(values: np.ndarray) -> np.ndarray:
    """Blue for -1 over near-white for 0 to orange for 1; uint8 with a last axis of red, green, blue."""
    low, middle, high = np.array([33, 102, 172.0]), np.array([247, 247, 247.0]), np.array([204, 92, 24.0])
    t = np.clip(np.nan_to_num(values.astype(np.float64)), -1, 1)[..., None]
    colors = np.where(t < 0, middle + (low - middle) * -t, middle + (high - middle) * t)
    return np.rint(colors).astype(np.uint8)


def class_mixture(probabilities: np.ndarray) -> np.ndarray:
    """Class probabilities as a mixture of the classes' colors.

    Args:
        probabilities: shape (classes, y, x), not negative.
    """
    weights = np.clip(np.nan_to_num(probabilities.astype(np.float64)), 0, None)
    total = weights.sum(axis=0)
    weights = weights / np.where(total > 0, total, 1)
    palette = np.array(
        [CATEGORIES[index % len(CATEGORIES)] for index in range(len(weights))], dtype=np.float64
    )
    return np.rint(np.einsum("cyx,cr->yxr", weights, palette)).astype(np.uint8)


def color_classes(ids: np.ndarray, background: bool = False) -> np.ndarray:
    """A class image in the categories' colors; class i has the color of channel i in ``class_mixture``.

    Args:
        ids: classes, any shape.
        background: 0 is no class, and transparent: the last axis has an opacity, too.
    """
    palette = np.array(CATEGORIES, dtype=np.uint8)
    classes = np.asarray(ids).astype(np.int64)
    colors = palette[classes % len(palette)]
    if not background:
        return colors
    return np.concatenate([colors, np.where(classes > 0, 255, 0).astype(np.uint8)[..., None]], axis=-1)


def boundaries(labels: np.ndarray) -> np.ndarray:
    """Pixels of a 2D label image whose right or lower neighbor has another id."""
    edge = np.zeros(labels.shape, dtype=bool)
    edge[:-1] |= labels[:-1] != labels[1:]
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return edge


def gray(image: np.ndarray) -> np.ndarray:
    """A gray image as red, green, blue."""
    return np.repeat(image[..., None], 3, axis=-1)


def blend(below: np.ndarray, above: np.ndarray, opacity: np.ndarray | float) -> np.ndarray:
    """``above`` over ``below``, both uint8 with a last axis of colors."""
    alpha = np.asarray(opacity, dtype=np.float64)
    alpha = alpha[..., None] if alpha.ndim else alpha
    return np.rint(below + (above.astype(np.float64) - below) * alpha).astype(np.uint8)
