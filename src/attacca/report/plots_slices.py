"""Cuts through a volume: raw, target, prediction, segmentation, truth, and where the last two disagree."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from attacca.arrays import Array
from attacca.report.agreement import mutual_matches
from attacca.report.channels import channel_pictures, class_swatches, css, task_of
from attacca.report.colors import (
    blend,
    boundaries,
    color_classes,
    color_labels,
    gray,
)
from attacca.report.pictures import Picture, normalised, picture
from attacca.report.planes import View, common_roi, cut, informative_views, overview, scale_bar
from attacca.report.results import Image

_UNMATCHED = 0x5EED_0000_0000_0000

AGREE, SPLIT, MERGED = (255, 255, 255), (255, 140, 0), (60, 170, 255)


@dataclass(frozen=True)
class Tile:
    """One picture of a row; one ``over_raw`` covers the raw image as strongly as the reader wants."""

    picture: Picture
    over_raw: bool = False


@dataclass(frozen=True)
class Row:
    """The pictures of one plane.

    Attributes:
        title: which plane.
        tiles: raw first.
        bar: length of the scale bar as text.
        bar_width: the part of a picture's width that it takes.
        centre: middle of the window in world units.
    """

    title: str
    tiles: tuple[Tile, ...]
    bar: str
    bar_width: float
    centre: tuple[int, ...]


@dataclass(frozen=True)
class VolumeImages:
    """The images of one volume in one run, as far as they are there.

    Attributes:
        unlabelled: true id that means that nobody looked; shown as background.
    """

    raw: Image | None = None
    ground_truth: Image | None = None
    target: Image | None = None
    prediction: Image | None = None
    segmentation: Image | None = None
    unlabelled: int | None = None


def slice_rows(
    images: VolumeImages,
    task: Mapping[str, Any],
    matches: Mapping[int, int] | None,
) -> list[Row]:
    """A row of pictures for each orientation, and one of the whole plane where windows show only a part.

    Args:
        images: what is there.
        task: the section of the configuration; tells what channels mean.
        matches: segment to true object of the whole volume, for equal colors; found in each plane without
            it.
    """
    grid_image = images.raw or images.segmentation or images.ground_truth or images.prediction
    if grid_image is None:
        return []
    grid = grid_image.finest
    roi = common_roi([images.raw, images.segmentation or images.prediction, images.ground_truth])
    roi = roi or common_roi([images.raw, images.segmentation or images.prediction]) or grid.roi
    labels = images.segmentation or images.ground_truth
    rows = []
    for view in informative_views(grid, roi, labels.finest if labels and _is_ids(labels.finest) else None):
        rows.append(_row(view, view.title, images, task, matches))
    rows += _overviews(images, grid_image, task, matches)
    return rows


def _row(
    view: View, title: str, images: VolumeImages, task: Mapping[str, Any], matches: Mapping[int, int] | None
) -> Row:
    tiles: list[Tile] = []
    where = view.title
    below = None
    if images.raw:
        below = _raw_image(images.raw.finest, view)
        tiles.append(Tile(picture(below, f"Raw image, {where}", "raw", view.pixel_size)))
    if images.target:
        for shown in _channels(images.target, view, task, "target"):
            tiles.append(Tile(shown))
    if images.prediction:
        for shown in _channels(images.prediction, view, task, "prediction"):
            tiles.append(Tile(shown))
    tiles += _label_tiles(view, below, images, task, matches)
    bar, width = scale_bar(view)
    return Row(title, tuple(tiles), bar, width, view.centre)


def _channels(image: Image, view: View, task: Mapping[str, Any], name: str) -> list[Picture]:
    values = cut(image.finest, view)
    values = values if values.ndim == 3 else values[None]
    return channel_pictures(values, task, name, view.plane, view.pixel_size, view.title)


def _raw_image(raw: Array, view: View) -> np.ndarray:
    image = cut(raw, view)
    return normalised(image[0] if image.ndim == 3 else image)


def _is_ids(array: Array) -> bool:
    return np.dtype(array.dtype).kind in "ui" and array.num_channels is None


def _label_tiles(
    view: View,
    below: np.ndarray | None,
    images: VolumeImages,
    task: Mapping[str, Any],
    matches: Mapping[int, int] | None,
) -> list[Tile]:
    segments = _labels(images.segmentation, view)
    ground_truth = _labels(images.ground_truth, view)
    if ground_truth is not None:
        ground_truth = _true_classes(ground_truth, images.unlabelled, task)
    tiles: list[Tile] = []
    if task_of(task)["type"] in ("affinities", "dummy") or (segments is None and ground_truth is None):
        same_as = None
        if segments is not None and ground_truth is not None:
            found = mutual_matches(_table(segments, ground_truth)) if matches is None else matches
            same_as = _colors_of_matches(segments, found)
        if segments is not None:
            image = color_labels(segments, same_as)
            shown = picture(
                image,
                f"Segmentation, {view.title}; one color for each segment",
                "segmentation",
                view.pixel_size,
            )
            tiles.append(Tile(shown, over_raw=below is not None))
        if ground_truth is not None:
            image = color_labels(ground_truth)
            told = "; objects have the color of the segment that matches them" if segments is not None else ""
            tiles.append(
                Tile(
                    picture(image, f"Ground truth, {view.title}{told}", "truth", view.pixel_size),
                    below is not None,
                )
            )
    else:
        tiles += _class_tiles(segments, ground_truth, view.title, view, task, below is not None)
    if below is not None and (segments is not None or ground_truth is not None):
        tiles.append(Tile(_overlay(view, below, segments, ground_truth)))
    return tiles


def _colors_of_matches(segments: np.ndarray, matches: Mapping[int, int]) -> dict[int, int]:
    """For each segment the id whose color it wears: its true object's, or one that no object has."""
    return {int(i): matches.get(int(i), int(i) ^ _UNMATCHED if i else 0) for i in np.unique(segments)}


def _class_tiles(
    segments: np.ndarray | None,
    ground_truth: np.ndarray | None,
    where: str,
    view: View,
    task: Mapping[str, Any],
    over_raw: bool,
) -> list[Tile]:
    tiles = []
    for name, ids in (("segmentation", segments), ("truth", ground_truth)):
        if ids is not None:
            colors = color_classes(ids, background=_has_background(task))
            told = f"Classes of the {name}, {where}"
            shown = picture(colors, told, name, view.pixel_size, class_swatches(task))
            tiles.append(Tile(shown, over_raw=over_raw))
    return tiles


def _has_background(task: Mapping[str, Any]) -> bool:
    """Whether 0 in a class image is no class: channels of their own leave room beside them."""
    return bool(task_of(task)["type"] != "one_hot")


def _labels(image: Image | None, view: View) -> np.ndarray | None:
    if image is None:
        return None
    return _labels_of(image.finest, view)


def _labels_of(array: Array, view: View) -> np.ndarray:
    values = cut(array, view, stored=True)
    if values.ndim == 3:
        # One channel for each class: a pixel belongs to the first that claims it, counted from 1.
        values = np.where(values.any(axis=0), np.argmax(values > 0, axis=0) + 1, 0)
    return values.astype(np.uint64)


def _true_classes(ground_truth: np.ndarray, unlabelled: int | None, task: Mapping[str, Any]) -> np.ndarray:
    """True ids with background where nobody looked, and classes counted as the segmentation counts them."""
    if unlabelled is not None:
        ground_truth = np.where(ground_truth == np.uint64(unlabelled), np.uint64(0), ground_truth)
    ids = task_of(task).get("class_ids")
    if not isinstance(ids, list):
        return ground_truth
    classes = np.zeros_like(ground_truth)
    for index, value in enumerate(ids):
        classes[ground_truth == np.uint64(value)] = index + 1
    return classes


def _table(segments: np.ndarray, ground_truth: np.ndarray) -> Any:
    from attacca.evaluators.contingency import contingency_table

    return contingency_table(segments, ground_truth)


def _overlay(
    view: View, below: np.ndarray, segments: np.ndarray | None, ground_truth: np.ndarray | None
) -> Picture:
    """Boundaries on the raw image, in one color where both agree, in others where only one has them."""
    from scipy.ndimage import binary_dilation

    image = blend(gray(below), gray(np.zeros_like(below)), 0.25)
    if segments is None or ground_truth is None:
        there = boundaries(segments if segments is not None else ground_truth)  # type: ignore[arg-type]
        image[there] = SPLIT if ground_truth is None else MERGED
        name = "segments" if ground_truth is None else "true objects"
        return picture(
            image, f"Boundaries of {name} on the raw image, {view.title}", "boundaries", view.pixel_size
        )
    mine, right = boundaries(segments), boundaries(ground_truth)
    # Two pixels are within the precision with which people draw boundaries.
    square = np.ones((5, 5), dtype=bool)
    near_right, near_mine = binary_dilation(right, square), binary_dilation(mine, square)
    image[right & ~near_mine] = MERGED
    image[mine & near_right] = AGREE
    image[mine & ~near_right] = SPLIT
    swatches = (("both", css(AGREE)), ("segmentation only", css(SPLIT)), ("truth only", css(MERGED)))
    alt = f"Boundaries of segmentation and truth on the raw image, {view.title}"
    return picture(image, alt, "boundaries", view.pixel_size, swatches)


def _overviews(
    images: VolumeImages, grid: Image, task: Mapping[str, Any], matches: Mapping[int, int] | None
) -> list[Row]:
    """The whole first plane on a coarse scale, where the windows show only a part of the volume."""
    axis = None if grid.finest.dims == 2 else 0
    found = overview(grid, axis, grid.finest.roi)
    if found is None or found[0] is grid.finest:
        return []
    array, view = found
    tiles = [Tile(picture(_raw_image(array, view), f"Raw image, whole {view.title}", "raw", view.pixel_size))]
    segments, ground_truth = (
        _coarse_labels(image, view) for image in (images.segmentation, images.ground_truth)
    )
    if task_of(task)["type"] in ("affinities", "dummy"):
        if segments is not None:
            same_as = None if matches is None else _colors_of_matches(segments, matches)
            told = f"Segmentation, whole {view.title}"
            shown = picture(color_labels(segments, same_as), told, "segmentation", view.pixel_size)
            tiles.append(Tile(shown, over_raw=True))
    else:
        right = None if ground_truth is None else _true_classes(ground_truth, images.unlabelled, task)
        tiles += _class_tiles(segments, right, f"whole {view.title}", view, task, over_raw=True)
    bar, width = scale_bar(view)
    return [Row(f"whole {view.title}", tuple(tiles), bar, width, view.centre)]


def _coarse_labels(image: Image | None, view: View) -> np.ndarray | None:
    """Labels under a view on a scale that is as coarse as the view; None where there is none."""
    if image is None or np.dtype(image.finest.dtype).kind not in "ui":
        return None
    right = view.plane[1]
    width = int(view.roi.shape[right])
    coarse = image.scale_for(width, right, width // int(view.voxel_size[right]))
    return None if coarse is image.finest else _labels_of(coarse, view)
