"""Pictures of a segmentation and its ground truth in one plane, and of their boundaries."""

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import binary_dilation

from attacca.arrays import Array
from attacca.config.task import TaskConfig
from attacca.evaluators.contingency import contingency_table
from attacca.report.channels import class_swatches, has_class_background, has_classes
from attacca.report.colors import (
    blend,
    color_classes,
    color_labels,
    find_boundaries,
    format_css,
    gray_to_rgb,
)
from attacca.report.hatching import NOT_ANNOTATED, hatch_with_swatch
from attacca.report.label_overlap import find_mutual_matches
from attacca.report.pictures import Picture, make_picture
from attacca.report.planes import View, find_inside, read_plane

BOTH, SEGMENTATION_ONLY, GROUND_TRUTH_ONLY = (255, 255, 255), (255, 140, 0), (60, 170, 255)

_UNMATCHED = 0x5EED_0000_0000_0000
"""Flips bits of a segment's id, so that an unmatched segment does not get the color of an object."""

_PRECISION = 2
"""Distance in pixels within which boundaries agree: the precision with which people draw them."""


def read_labels(array: Array, view: View) -> np.ndarray:
    """Read a plane of labels as uint64, shape (y, x).

    Of an array with one channel per class, a pixel gets the number of the first channel above 0, from 1.
    """
    values = read_plane(array, view, stored=True)
    if values.ndim == 3:
        values = np.where(values.any(axis=0), np.argmax(values > 0, axis=0) + 1, 0)
    return values.astype(np.uint64)


def find_unannotated(labels: Array, mask: Array | None, unlabelled: int | None, view: View) -> np.ndarray:
    """Return a mask of the pixels that no score counts: unlabeled, masked out, or outside the labels.

    Args:
        labels: ground truth.
        mask: 0 for voxels that do not count; None if all count.
        unlabelled: id of voxels without annotation; None if all voxels are annotated.
        view: the plane.

    Returns:
        bool, shape (y, x).
    """
    ignored = ~find_inside(labels.roi, view)
    if unlabelled is not None:
        ids = read_plane(labels, view, stored=True)
        unknown = ids == ids.dtype.type(unlabelled)
        ignored |= unknown if unknown.ndim == 2 else unknown.any(axis=0)
    if mask is not None:
        values = read_plane(mask, view, stored=True)
        ignored |= values == 0 if values.ndim == 2 else (values == 0).any(axis=0)
    return ignored


def number_true_classes(
    ground_truth: np.ndarray, unlabelled: int | None, task: TaskConfig | None
) -> np.ndarray:
    """Replace unlabeled pixels by background and class ids by the numbers that the segmentation uses.

    Args:
        ground_truth: uint64, shape (y, x).
        unlabelled: id of pixels without annotation.
        task: its class ids are numbered from 1.

    >>> from attacca.config.tasks import read_task_config
    >>> task = {"type": "distance", "channels": ["nucleus"], "clip_distance": 50, "tol_distance": 10}
    >>> number_true_classes(np.array([[0, 255, 7]], np.uint64), None, read_task_config(task)).tolist()
    [[0, 1, 1]]
    """
    if unlabelled is not None:
        ground_truth = np.where(ground_truth == np.uint64(unlabelled), np.uint64(0), ground_truth)
    class_ids = task.learned_task.channel_ids if task is not None else None
    if task is not None and class_ids is None and has_class_background(task) and len(task.class_names) == 1:
        # A task of one class takes any value above 0 for it, such as 255 or one id per object.
        return (ground_truth > 0).astype(ground_truth.dtype)
    if class_ids is None:
        return ground_truth
    classes = np.zeros_like(ground_truth)
    for number, value in enumerate(class_ids, start=1):
        classes[ground_truth == np.uint64(value)] = number
    return classes


def draw_labels(
    segments: np.ndarray | None,
    ground_truth: np.ndarray | None,
    task: TaskConfig | None,
    view: View,
    location: str,
    matches: Mapping[int, int] | None,
    unannotated: np.ndarray | None = None,
) -> list[Picture]:
    """Draw the segmentation, then the ground truth, as far as they exist.

    Args:
        segments: uint64, shape (y, x).
        ground_truth: uint64, shape (y, x).
        task: decides whether labels are classes or objects.
        view: the plane.
        location: end of the alternative texts.
        matches: ground-truth object of each segment, which have one color; measured in the plane if missing.
        unannotated: pixels without ground truth, which are hatched in it, bool, shape (y, x); None without any.
    """
    titles = ("segmentation", "ground truth")
    images = [(title, ids) for title, ids in zip(titles, (segments, ground_truth)) if ids is not None]
    if task is not None and has_classes(task):
        is_background = has_class_background(task)
        pictures = []
        for title, ids in images:
            image, swatches = hatch_with_swatch(
                color_classes(ids, background=is_background),
                unannotated if ids is ground_truth else None,
                class_swatches(task),
                NOT_ANNOTATED,
            )
            alt = f"Classes of the {title}, {location}"
            pictures.append(make_picture(image, alt, title, view.pixel_size, swatches))
        return pictures
    same_as = None
    if segments is not None and (ground_truth is not None or matches is not None):
        if matches is None and ground_truth is not None:
            matches = find_mutual_matches(contingency_table(segments, ground_truth))
        same_as = _choose_colors(segments, matches or {})
    pictures = []
    for title, ids in images:
        is_matched = segments is not None and ids is ground_truth
        remark = "matching objects and segments have the same color" if is_matched else "one color per object"
        alt = f"{title.capitalize()}, {location}; {remark}"
        legend = "same color as in the segmentation" if is_matched else "one color per object, 0 is black"
        image, swatches = hatch_with_swatch(
            color_labels(ids, same_as if ids is segments else None),
            unannotated if ids is ground_truth else None,
            (),
            NOT_ANNOTATED,
        )
        pictures.append(make_picture(image, alt, title, view.pixel_size, swatches, legend))
    return pictures


def _choose_colors(segments: np.ndarray, matches: Mapping[int, int]) -> dict[int, int]:
    """Return for each segment the id whose color it takes: its object's, or an id that no object has."""
    return {int(i): matches.get(int(i), int(i) ^ _UNMATCHED if i else 0) for i in np.unique(segments)}


def draw_boundaries(
    gray: np.ndarray,
    segments: np.ndarray | None,
    ground_truth: np.ndarray | None,
    view: View,
    unannotated: np.ndarray | None = None,
) -> Picture:
    """Draw the boundaries of segments and objects on the raw image, in colors that show where they differ.

    Args:
        gray: raw image, uint8, shape (y, x).
        segments: ids, shape (y, x).
        ground_truth: ids, shape (y, x). One of the two may be missing.
        view: the plane.
        unannotated: pixels without ground truth, which are hatched and have no boundaries, bool, shape (y, x); None without
            any.
    """
    below = gray_to_rgb(gray)
    image = blend(below, np.zeros_like(below), 0.25)
    image, hatched = hatch_with_swatch(image, unannotated, (), NOT_ANNOTATED, opacity=0.7)
    edges = [None if ids is None else find_boundaries(ids, unannotated) for ids in (segments, ground_truth)]
    predicted, expected = edges
    if predicted is not None and expected is not None:
        square = np.ones((2 * _PRECISION + 1,) * 2, dtype=bool)
        image[expected & ~binary_dilation(predicted, square)] = GROUND_TRUTH_ONLY
        near_expected = binary_dilation(expected, square)
        image[predicted & near_expected] = BOTH
        image[predicted & ~near_expected] = SEGMENTATION_ONLY
        alt = f"Boundaries of segmentation and ground truth on the raw image, {view.title}"
        colors = (BOTH, SEGMENTATION_ONLY, GROUND_TRUTH_ONLY)
        names = ("both", "segmentation only", "ground truth only")
        swatches = (*((name, format_css(color)) for name, color in zip(names, colors)), *hatched)
        return make_picture(image, alt, "boundaries", view.pixel_size, swatches)
    if predicted is not None:
        image[predicted] = SEGMENTATION_ONLY
    if expected is not None:
        image[expected] = GROUND_TRUTH_ONLY
    name = "the segmentation" if predicted is not None else "the ground truth"
    alt = f"Boundaries of {name} on the raw image, {view.title}"
    color = SEGMENTATION_ONLY if predicted is not None else GROUND_TRUTH_ONLY
    return make_picture(image, alt, "boundaries", view.pixel_size, ((name, format_css(color)), *hatched))
