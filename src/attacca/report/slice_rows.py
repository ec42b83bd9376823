"""Rows of pictures: raw, target, prediction, segmentation and ground truth of one plane, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from attacca.arrays import Array
from attacca.config.task import TaskConfig
from attacca.report.channels import draw_view_channels, has_classes
from attacca.report.label_pictures import (
    draw_boundaries,
    draw_labels,
    find_unannotated,
    number_true_classes,
    read_labels,
)
from attacca.report.pictures import Picture, make_picture, normalize_contrast
from attacca.report.planes import (
    View,
    choose_overview,
    choose_views,
    intersect_rois,
    make_scale_bar,
    read_plane,
)
from attacca.report.results import Image


@dataclass(frozen=True)
class Tile:
    """One picture of a row.

    Attributes:
        picture: the picture.
        is_overlay: True if it is blended over the raw image, with an opacity that the reader chooses.
    """

    picture: Picture
    is_overlay: bool = False


@dataclass(frozen=True)
class Row:
    """The pictures of one plane.

    Attributes:
        title: the plane.
        tiles: raw first.
        bar: length of the scale bar as text; empty without one.
        bar_width: length of the scale bar as a fraction of a picture's width.
    """

    title: str
    tiles: tuple[Tile, ...]
    bar: str
    bar_width: float


@dataclass(frozen=True)
class VolumeImages:
    """The images of one volume in one run, as far as they exist.

    Attributes:
        unlabelled: id of voxels without annotation.
        mask: 0 for voxels that do not count.
        weight: weights of the target.
    """

    raw: Image | None = None
    ground_truth: Image | None = None
    target: Image | None = None
    prediction: Image | None = None
    segmentation: Image | None = None
    unlabelled: int | None = None
    mask: Image | None = None
    weight: Image | None = None


def make_slice_rows(
    images: VolumeImages, task: TaskConfig | None, matches: Mapping[int, int] | None
) -> list[Row]:
    """Make a row of pictures for each orientation, and one of a whole plane if windows show only a part of it.

    Args:
        images: the images of the volume.
        task: meaning of the channels.
        matches: ground-truth object of each segment in the whole volume, for equal colors; measured in each
            plane if missing.
    """
    grid_image = images.raw or images.segmentation or images.ground_truth or images.prediction
    if grid_image is None:
        return []
    grid = grid_image.finest
    roi = intersect_rois([images.raw, images.segmentation or images.prediction, images.ground_truth])
    roi = roi or intersect_rois([images.raw, images.segmentation or images.prediction]) or grid.roi
    labels = images.segmentation or images.ground_truth
    label_array = labels.finest if labels and _holds_ids(labels.finest) else None
    views = choose_views(grid, roi, label_array, partial(_find_unannotated, images))
    rows = [_make_row(view, images, task, matches) for view in views]
    return rows + _make_overview_rows(images, grid_image, task, matches)


def _holds_ids(array: Array) -> bool:
    return np.dtype(array.dtype).kind in "ui" and array.num_channels is None


def _make_row(
    view: View, images: VolumeImages, task: TaskConfig | None, matches: Mapping[int, int] | None
) -> Row:
    tiles: list[Tile] = []
    gray = None
    if images.raw:
        gray = _read_gray(images.raw.finest, view)
        tiles.append(
            Tile(make_picture(gray, f"Raw image, {view.title}", "raw", view.pixel_size, legend="gray values"))
        )
    if images.target:
        weight = read_plane(images.weight.finest, view) if images.weight else None
        values = read_plane(images.target.finest, view)
        tiles += map(Tile, draw_view_channels(values, task, "target", view, weight))
    if images.prediction:
        values = read_plane(images.prediction.finest, view)
        tiles += map(Tile, draw_view_channels(values, task, "prediction", view))
    segments = read_labels(images.segmentation.finest, view) if images.segmentation else None
    ground_truth = None
    if images.ground_truth:
        ground_truth = read_labels(images.ground_truth.finest, view)
        ground_truth = number_true_classes(ground_truth, images.unlabelled, task)
    unannotated = _find_unannotated(images, view)
    pictures = draw_labels(segments, ground_truth, task, view, view.title, matches, unannotated)
    tiles += [Tile(picture, is_overlay=gray is not None) for picture in pictures]
    if gray is not None and pictures:
        tiles.append(Tile(draw_boundaries(gray, segments, ground_truth, view, unannotated)))
    return Row(view.title, tuple(tiles), *make_scale_bar(view))


def _find_unannotated(images: VolumeImages, view: View, is_coarse: bool = False) -> np.ndarray | None:
    labels, mask = (
        None if image is None else _choose_coarse(image, view) if is_coarse else image.finest
        for image in (images.ground_truth, images.mask)
    )
    return None if labels is None else find_unannotated(labels, mask, images.unlabelled, view)


def _read_gray(raw: Array, view: View) -> np.ndarray:
    image = read_plane(raw, view)
    return normalize_contrast(image[0] if image.ndim == 3 else image)


def _make_overview_rows(
    images: VolumeImages, grid: Image, task: TaskConfig | None, matches: Mapping[int, int] | None
) -> list[Row]:
    """Make a row of the whole central plane on a coarse scale; none if the windows show the whole plane."""
    chosen = choose_overview(grid, None if grid.finest.dims == 2 else 0)
    if chosen is None or chosen[0] is grid.finest:
        return []
    array, view = chosen
    title = f"whole {view.title}"
    tiles = [
        Tile(
            make_picture(
                _read_gray(array, view), f"Raw image, {title}", "raw", view.pixel_size, legend="gray values"
            )
        )
    ]
    segments = _read_coarse_labels(images.segmentation, view)
    ground_truth = unannotated = None
    # Objects on a coarse scale are hard to compare; classes are not.
    if has_classes(task):
        ground_truth = _read_coarse_labels(images.ground_truth, view)
        if ground_truth is not None:
            ground_truth = number_true_classes(ground_truth, images.unlabelled, task)
            unannotated = _find_unannotated(images, view, is_coarse=True)
    pictures = draw_labels(segments, ground_truth, task, view, title, matches, unannotated)
    tiles += [Tile(picture, is_overlay=True) for picture in pictures]
    return [Row(title, tuple(tiles), *make_scale_bar(view))]


def _read_coarse_labels(image: Image | None, view: View) -> np.ndarray | None:
    """Read labels on a scale that is about as coarse as the view; None without such a scale."""
    if image is None or np.dtype(image.finest.dtype).kind not in "ui":
        return None
    coarse = _choose_coarse(image, view)
    return None if coarse is None else read_labels(coarse, view)


def _choose_coarse(image: Image, view: View) -> Array | None:
    """Return a scale that is about as coarse as the view; None without such a scale."""
    right = view.plane[1]
    width = int(view.roi.shape[right])
    coarse = image.scale_for(width, right, width // int(view.voxel_size[right]))
    return None if coarse is image.finest else coarse
