"""What the channels of a prediction or a target mean, and how they are seen."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attacca.report.colors import CATEGORIES, class_mixture, diverging, gray
from attacca.report.pictures import Picture, picture, unit_range

_RGB = ("#ff5050", "#40d060", "#6080ff")
_SIGNED = (("-1 outside", "#2166ac"), ("0", "#f7f7f7"), ("1 inside", "#cc5c18"))


def task_of(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """The task that decides what channels mean: the one below, where it starts from a checkpoint."""
    below = task.get("sub_task_config")
    return below if isinstance(below, Mapping) else {"type": "affinities", **task}


def class_names(task: Mapping[str, Any]) -> list[str]:
    """Names of the classes or channels of a task; empty for affinities."""
    task = task_of(task)
    return [str(name) for name in task.get("classes") or task.get("channels") or []]


def class_swatches(task: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Names of classes with their colors, as a class image wears them."""
    first = 0 if task_of(task)["type"] == "one_hot" else 1
    return tuple((name, _category(index + first)) for index, name in enumerate(class_names(task)))


def css(color: Sequence[int] | np.ndarray) -> str:
    """A color as it stands in a style sheet."""
    return "#" + "".join(f"{int(value):02x}" for value in color)


def _category(index: int) -> str:
    return css(CATEGORIES[index % len(CATEGORIES)])


def channel_pictures(
    channels: np.ndarray,
    task: Mapping[str, Any],
    name: str,
    plane: tuple[int, ...],
    pixel_size: tuple[float, float],
    where: str,
) -> list[Picture]:
    """Pictures of a prediction or a target, by what the task predicts.

    Args:
        channels: shape (c, y, x), in the original value range.
        task: the section of the configuration.
        name: ``prediction`` or ``target``.
        plane: the spatial axes that are seen, downwards and rightwards.
        pixel_size: lengths of a pixel downwards and rightwards.
        where: for the alternative texts.
    """
    task = task_of(task)
    kind, names = str(task["type"]), class_names(task)
    if kind in ("distance", "inner_distance", "hot_distance"):
        half = len(channels) // 2 if kind == "hot_distance" else 0
        pictures = []
        for index, values in enumerate(channels[half : half + 3]):
            label = names[index] if index < len(names) else str(index)
            alt = f"Distance to the boundary of {label}, {name}, {where}"
            pictures.append(picture(diverging(values), alt, f"{name}: {label}", pixel_size, _SIGNED))
        if half:
            alt = f"Inside or outside, {name}, {where}"
            swatches = tuple((label, _category(index)) for index, label in enumerate(names))
            inside = class_mixture(channels[:half])
            pictures.insert(0, picture(inside, alt, f"{name}: inside", pixel_size, swatches))
        return pictures
    if kind == "one_hot":
        alt = f"Class probabilities, {name}, {where}"
        return [picture(class_mixture(channels), alt, name, pixel_size, class_swatches(task))]
    offsets = [list(offset) for offset in task.get("neighborhood") or []]
    number = min(len(offsets) or len(channels), len(channels))
    chosen = [c for c in nearest_channels(offsets, plane) if c < number] or list(range(min(3, number)))
    swatches = tuple((_offset_text(offsets[c]), color) for c, color in zip(chosen, _RGB) if offsets)
    alt = f"Affinities as red, green and blue, {name}, {where}"
    pictures = [picture(_rgb(channels, chosen), alt, name, pixel_size, swatches)]
    if task.get("lsds") and len(channels) >= number + 3:
        alt = f"Local shape descriptors, {name}, {where}"
        pictures.append(
            picture(_rgb(channels[number:], [0, 1, 2]), alt, f"{name}: shape descriptors", pixel_size)
        )
    return pictures


def nearest_channels(offsets: Sequence[Sequence[int]], plane: tuple[int, ...]) -> list[int]:
    """The channel of the shortest offset along each axis: rightwards, downwards, into the page."""
    if not offsets:
        return []
    dims = len(offsets[0])
    chosen = []
    for axis in [plane[-1], plane[0], *(axis for axis in range(dims) if axis not in plane)]:
        along = [
            index
            for index, offset in enumerate(offsets)
            if axis < dims and offset[axis] and not any(v for a, v in enumerate(offset) if a != axis)
        ]
        if along:
            chosen.append(min(along, key=lambda index: (abs(offsets[index][axis]), index)))
    return chosen


def _offset_text(offset: Sequence[int]) -> str:
    return "[" + ", ".join(str(int(value)) for value in offset) + "]"


def _rgb(channels: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    shown = np.zeros((*channels.shape[1:], 3), dtype=np.uint8)
    for place, channel in enumerate(chosen[:3]):
        shown[..., place] = unit_range(channels[channel])
    return gray(shown[..., 0]) if len(chosen) == 1 else shown
