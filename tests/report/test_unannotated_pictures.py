"""Voxels that do not count are hatched in pictures, without boundaries in or around them."""

import base64
import io
import re

import numpy as np
import pytest
from funlib.geometry import Roi
from PIL import Image

from attacca.arrays import NumpyArray
from attacca.config.tasks import read_task_config
from attacca.report.channels import draw_channels
from attacca.report.error_atlas import make_error_atlas
from attacca.report.label_overlap import measure_overlap
from attacca.report.label_pictures import (
    BOTH,
    GROUND_TRUTH_ONLY,
    SEGMENTATION_ONLY,
    draw_boundaries,
    draw_labels,
    find_unannotated,
)
from attacca.report.pictures import Picture
from attacca.report.planes import choose_views, find_inside, place_window

AFFINITIES = read_task_config(
    {"type": "affinities", "neighborhood": [[1, 0, 0], [0, 1, 0], [0, 0, 1]], "lsds": False}
)
ONE_HOT = read_task_config({"type": "one_hot", "classes": ["rest", "membrane"]})
UNLABELLED = 9


def volume(data: np.ndarray, offset: tuple[int, ...] = (0, 0, 0)) -> NumpyArray:
    return NumpyArray.from_np_array(data, Roi(offset, data.shape), (1, 1, 1), ["z", "y", "x"])


def pixels(picture: Picture) -> np.ndarray:
    data = re.sub("^data:image/png;base64,", "", picture.source)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def is_color(image: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return (image[..., :3] == color).all(axis=-1)


def is_gray(image: np.ndarray) -> np.ndarray:
    return (np.ptp(image[..., :3].astype(int), axis=-1) == 0) & (image[..., 0] > 80)


def names(picture: Picture) -> list[str]:
    return [name for name, _ in picture.swatches]


@pytest.fixture
def ground_truth() -> np.ndarray:
    """Two objects side by side, without annotation in the first ten rows."""
    labels = np.ones((3, 40, 40), np.uint64)
    labels[:, :, 20:] = 2
    labels[:, :10] = UNLABELLED
    return labels


@pytest.fixture
def segments() -> np.ndarray:
    """The two objects, and further boundaries where nothing is annotated."""
    labels = np.ones((3, 40, 40), np.uint64)
    labels[:, :, 20:] = 2
    labels[:, :10, ::3] = 5
    return labels


def test_boundaries_are_not_drawn_in_or_around_voxels_without_annotation(ground_truth, segments):
    array = volume(ground_truth)
    view = place_window(array, array.roi, array.roi.center, 0)
    unannotated = find_unannotated(array, None, UNLABELLED, view)
    picture = draw_boundaries(
        np.full((40, 40), 100, np.uint8), segments[1], ground_truth[1], view, unannotated
    )
    image = pixels(picture)
    edges = is_color(image, BOTH)
    assert edges[10:, 19].all() and edges.sum() == 30
    assert not is_color(image, SEGMENTATION_ONLY).any() and not is_color(image, GROUND_TRUTH_ONLY).any()
    assert names(picture)[-1] == "not annotated"


def test_the_legend_has_stripes_only_where_voxels_lack_annotation(segments):
    array = volume(segments)
    view = place_window(array, array.roi, array.roi.center, 0)
    unannotated = find_unannotated(array, None, UNLABELLED, view)
    gray = np.zeros((40, 40), np.uint8)
    assert names(draw_boundaries(gray, segments[1], segments[1], view, unannotated)) == [
        "both",
        "segmentation only",
        "ground truth only",
    ]


def test_voxels_are_unannotated_by_id_by_mask_and_outside_the_labels(ground_truth):
    mask = np.ones_like(ground_truth, np.uint8)
    mask[:, :, :5] = 0
    grid, labels = volume(np.zeros((3, 60, 40), np.uint8)), volume(ground_truth)
    view = place_window(grid, grid.roi, grid.roi.center, 0)
    found = find_unannotated(labels, volume(mask), UNLABELLED, view)
    expected = np.ones((60, 40), bool)
    expected[10:40, 5:] = False
    assert np.array_equal(found, expected)


def test_a_plane_outside_a_region_is_not_inside_it():
    grid = volume(np.zeros((9, 4, 4), np.uint8))
    view = place_window(grid, grid.roi, grid.roi.center, 0)
    assert not find_inside(Roi((0, 0, 0), (2, 4, 4)), view).any()
    assert find_inside(Roi((3, 0, 0), (2, 4, 3)), view).sum() == 12


@pytest.mark.parametrize("task", [AFFINITIES, ONE_HOT])
def test_ground_truth_is_hatched_where_it_is_missing_and_the_segmentation_is_not(
    task, ground_truth, segments
):
    array = volume(ground_truth)
    view = place_window(array, array.roi, array.roi.center, 0)
    unannotated = find_unannotated(array, None, UNLABELLED, view)
    found, expected = draw_labels(segments[1], ground_truth[1], task, view, "here", None, unannotated)
    assert is_gray(pixels(expected))[:10].all() and not is_gray(pixels(expected))[10:].any()
    assert not is_gray(pixels(found)).any()
    assert "not annotated" in names(expected) and "not annotated" not in names(found)


def test_a_target_is_hatched_where_no_affinity_counts():
    target, weight = np.zeros((3, 20, 20)), np.ones((3, 20, 20))
    target[:, 5:] = 1
    weight[:, :5] = 0
    picture = draw_channels(target, AFFINITIES, "target", (1, 2), (1.0, 1.0), "here", weight)[0]
    image = pixels(picture)
    assert set(np.unique(image[:5])) == {96, 176}
    assert (image[5:] == 255).all()
    assert names(picture)[-1] == "weight 0, does not count"


def test_a_partner_outside_the_plane_or_the_annotation_is_not_a_boundary():
    target, weight = np.ones((3, 20, 20)), np.ones((3, 20, 20))
    for channel, edge in ((1, (-1, slice(None))), (2, (slice(None), -1))):
        target[channel][edge] = weight[channel][edge] = 0
    picture = draw_channels(target, AFFINITIES, "target", (1, 2), (1.0, 1.0), "here", weight)[0]
    assert (pixels(picture) == 255).all()
    assert "weight 0, does not count" not in names(picture)


def test_a_boundary_that_counts_at_the_edge_of_the_plane_is_drawn():
    target = np.ones((3, 20, 20))
    target[1, -1] = 0
    picture = draw_channels(target, AFFINITIES, "target", (1, 2), (1.0, 1.0), "here", np.ones((1, 20, 20)))[0]
    assert (pixels(picture)[-1] != 255).any(axis=-1).all() and (pixels(picture)[:-1] == 255).all()


def test_planes_are_chosen_by_boundaries_that_count():
    labels = np.ones((50, 10, 10), np.uint64)
    labels[29, ::2] = 2
    labels[21, ::5] = 2
    array = volume(labels)

    def ignore(view):
        return np.full((10, 10), view.roi.begin[0] == 29) if view.axis == 0 else None

    assert choose_views(array, array.roi, array, ignore)[0].roi.begin[0] == 21


def test_an_error_has_no_outline_at_the_border_of_the_annotation(ground_truth):
    segments = np.ones_like(ground_truth)
    segments[:, 30:] = 3
    segments[:, :, 20:] = 2
    labels, found = volume(ground_truth), volume(segments)
    overlap = measure_overlap(found, labels, UNLABELLED)
    assert overlap is not None
    raw = volume(np.zeros(segments.shape, np.uint8))
    error = make_error_atlas(raw, found, labels, overlap, "split", unlabelled=UNLABELLED)[0]
    assert error.plane.startswith("xy")
    for picture in error.pictures[1:]:
        white = is_color(pixels(picture), (255, 255, 255))
        assert white[10:, 19].all() and white.sum() == 30
    assert names(error.pictures[1]) == ["not annotated"]


def test_errors_in_masked_voxels_are_not_ranked(ground_truth, segments):
    mask = np.ones_like(ground_truth, np.uint8)
    mask[:, :10] = 0
    expected = np.where(ground_truth == UNLABELLED, np.uint64(1), ground_truth)
    counted = measure_overlap(volume(segments), volume(expected), mask=volume(mask))
    every = measure_overlap(volume(segments), volume(expected))
    assert counted is not None and every is not None
    assert 5 in every.table.segment and 5 not in counted.table.segment
