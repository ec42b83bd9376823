"""Pictures of the channels of a prediction or a target."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attacca.config.task import TaskConfig
from attacca.report.colors import (
    category_color,
    choose_axis_colors,
    color_signed,
    format_css,
    mix_axis_colors,
    mix_class_colors,
)
from attacca.report.hatching import WEIGHT_ZERO, hatch_with_swatch
from attacca.report.pictures import Picture, make_picture
from attacca.report.planes import View

_AXES = ("z", "y", "x")
_SIGNED = (("-1 outside", "#2166ac"), ("0", "#f7f7f7"), ("1 inside", "#cc5c18"))


def has_classes(task: TaskConfig | None) -> bool:
    """Return whether a task segments classes and not objects. An unknown task is taken to segment objects."""
    return task is not None and bool(task.class_names)


def has_class_background(task: TaskConfig) -> bool:
    """Return whether 0 in a class image is background: tasks of independent channels leave voxels without class."""
    return task.label_classes is None


def class_swatches(task: TaskConfig) -> tuple[tuple[str, str], ...]:
    """Return the names of classes with their colors in a class image."""
    first = 1 if has_class_background(task) else 0
    return tuple((name, category_color(index + first)) for index, name in enumerate(task.class_names))


def draw_channels(
    channels: np.ndarray,
    task: TaskConfig | None,
    name: str,
    plane: tuple[int, ...],
    pixel_size: tuple[float, float],
    location: str,
    weight: np.ndarray | None = None,
) -> list[Picture]:
    """Draw a prediction or a target: affinities, class probabilities or distances.

    Args:
        channels: shape (c, y, x), in the original value range.
        task: meaning of the channels; without it, the first three channels are drawn.
        name: ``prediction`` or ``target``.
        plane: the spatial axes of the plane, vertical and horizontal.
        pixel_size: height and width of a pixel.
        location: end of the alternative texts.
        weight: weights of the channels, or one for all of them, shape (c, y, x). Pixels without weight are hatched. An
            affinity without weight beside one that counts is drawn as 1: a partner that is not annotated or outside the
            volume is not a boundary. None if all pixels count.
    """
    is_ignored = None if weight is None else np.broadcast_to(weight == 0, channels.shape)
    drawing = _Drawing(channels, is_ignored, name, pixel_size, location)
    if task is None or not task.class_names:
        return _draw_affinities(drawing, task, plane)
    names = task.class_names
    if task.label_classes is not None:
        every = range(len(channels))
        return [
            drawing.draw(mix_class_colors(channels), every, "Class probabilities", name, class_swatches(task))
        ]
    pictures = []
    # The channels of distances are last; those before are memberships of the same classes.
    memberships = max(0, task.num_channels - len(names))
    if memberships:
        swatches = tuple((label, category_color(index)) for index, label in enumerate(names))
        image = mix_class_colors(channels[:memberships])
        title = f"{name}: foreground"
        pictures.append(drawing.draw(image, range(memberships), "Foreground or background", title, swatches))
    for index, label in list(enumerate(names))[:3]:
        channel = memberships + index
        if channel < len(channels):
            text, image = f"Distance to the boundary of {label}", color_signed(channels[channel])
            pictures.append(drawing.draw(image, [channel], text, f"{name}: {label}", _SIGNED))
    return pictures


@dataclass(frozen=True)
class _Drawing:
    """The channels of a plane and the texts that all their pictures share."""

    channels: np.ndarray
    is_ignored: np.ndarray | None
    name: str
    pixel_size: tuple[float, float]
    location: str

    def draw(
        self,
        image: np.ndarray,
        chosen: Sequence[int],
        text: str,
        title: str,
        swatches: tuple[tuple[str, str], ...],
        legend: str = "",
    ) -> Picture:
        """Make a picture of the chosen channels, with stripes where none of them counts."""
        mask = None if self.is_ignored is None else self.is_ignored[list(chosen)].all(axis=0)
        image, swatches = hatch_with_swatch(image, mask, swatches, WEIGHT_ZERO)
        alt = f"{text}, {self.name}, {self.location}"
        return make_picture(image, alt, title, self.pixel_size, swatches, legend)

    def fill_affinities(self, chosen: Sequence[int]) -> np.ndarray:
        """Return the chosen affinities, 1 without weight."""
        values = self.channels[list(chosen)]
        return values if self.is_ignored is None else np.where(self.is_ignored[list(chosen)], 1, values)


def draw_view_channels(
    values: np.ndarray, task: TaskConfig | None, name: str, view: View, weight: np.ndarray | None = None
) -> list[Picture]:
    """Draw the channels of a view.

    Args:
        values: shape (y, x) or (c, y, x).
        task: meaning of the channels.
        name: ``prediction`` or ``target``.
        view: the plane.
        weight: weights, shape (y, x) or (c, y, x); None if all pixels count.
    """
    channels = values if values.ndim == 3 else values[None]
    if weight is not None and weight.ndim == 2:
        weight = weight[None]
    return draw_channels(channels, task, name, view.plane, view.pixel_size, view.title, weight)


def _draw_affinities(drawing: _Drawing, task: TaskConfig | None, plane: tuple[int, ...]) -> list[Picture]:
    channels, name = drawing.channels, drawing.name
    offsets = [tuple(int(step) for step in offset) for offset in task.offsets] if task is not None else []
    number = min(len(offsets) or len(channels), len(channels))
    chosen = [c for c in choose_axis_channels(offsets, plane) if c < number] or list(range(min(3, number)))
    # Most of the picture is white: an affinity that is low appears as the color of the others.
    missing = [format_css(255 - color) for color in choose_axis_colors(len(chosen[:3]))]
    swatches = tuple((_name_offset(offsets[c]), color) for c, color in zip(chosen, missing) if offsets)
    text = "Affinities in three colors that add up to white"
    legend = (
        "white inside objects, black at boundaries, else low along" if swatches else "one color per channel"
    )
    image = mix_axis_colors(drawing.fill_affinities(chosen[:3]))
    pictures = [drawing.draw(image, chosen[:3], text, name, swatches, legend)]
    if offsets and len(channels) >= number + len(offsets[0]):
        dims = len(offsets[0])
        image = mix_axis_colors(channels[number : number + dims])
        colors = [format_css(color) for color in choose_axis_colors(dims)]
        axes = tuple(zip(_AXES[-dims:], colors))
        title, legend = f"{name}: shape descriptors", "offset to the center of mass nearby, along"
        descriptors = range(number, number + dims)
        pictures.append(drawing.draw(image, descriptors, "Local shape descriptors", title, axes, legend))
    return pictures


def _name_offset(offset: Sequence[int]) -> str:
    """Name the neighbor at an offset along one axis.

    >>> _name_offset((0, -3, 0))
    'y, 3 voxels'
    """
    axis, steps = next((axis, abs(step)) for axis, step in enumerate(offset) if step)
    return f"{_AXES[axis - len(offset)]}, {steps} voxel{'s' * (steps > 1)}"


def choose_axis_channels(offsets: Sequence[Sequence[int]], plane: tuple[int, ...]) -> list[int]:
    """Choose the channel of the shortest offset along each axis: horizontal, vertical, perpendicular.

    >>> choose_axis_channels([(0, 1, 0), (0, 0, 9), (0, 0, 1)], (1, 2))
    [2, 0]
    """
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
