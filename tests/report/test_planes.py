"""Cuts show the voxels under their pixels, of any array, and read no more than they show."""

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import NumpyArray
from attacca.report.colors import (
    CATEGORIES,
    color_classes,
    color_ids,
    color_labels,
    color_signed,
    find_boundaries,
    mix_axis_colors,
    mix_class_colors,
)
from attacca.report.planes import choose_views, make_scale_bar, place_window, read_plane


def volume(data: np.ndarray, size: tuple[int, ...], offset: tuple[int, ...] = (0, 0, 0)) -> NumpyArray:
    axes = ["z", "y", "x"][3 - len(size) :]
    return NumpyArray.from_np_array(data, Roi(offset, Coordinate(data.shape) * Coordinate(size)), size, axes)


class Watched(NumpyArray):
    """Remembers the largest region that was read."""

    largest = 0

    def __getitem__(self, roi: Roi) -> np.ndarray:
        data = super().__getitem__(roi)
        type(self).largest = max(type(self).largest, data.size)
        return data


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_cut_through_the_grid_itself_is_a_slice(axis: int) -> None:
    data = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    array = volume(data, (50, 8, 8), (100, -16, 8))
    view = place_window(array, array.roi, array.roi.center, axis)
    position = (view.roi.begin[axis] - array.roi.begin[axis]) // array.voxel_size[axis]
    assert np.array_equal(read_plane(array, view, stored=True), data.take(position, axis))
    assert view.pixel_size == tuple(float(array.voxel_size[a]) for a in view.plane)


def test_a_coarser_array_is_seen_under_the_same_pixels() -> None:
    fine = volume(np.zeros((4, 8, 8), int), (4, 4, 4))
    coarse = volume(np.arange(2 * 4 * 4).reshape(2, 4, 4), (8, 8, 8))
    view = place_window(fine, fine.roi, Coordinate(8, 16, 16), 0)
    seen = read_plane(coarse, view, stored=True)
    expected = coarse.data[1].repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(seen, expected)


def test_outside_of_an_array_there_is_background() -> None:
    grid = volume(np.ones((4, 8, 8), int), (4, 4, 4))
    part = volume(np.full((4, 4, 4), 7), (4, 4, 4), (0, 16, 0))
    seen = read_plane(part, place_window(grid, grid.roi, grid.roi.center, 0), stored=True)
    assert (seen[4:, :4] == 7).all() and seen.sum() == 7 * 16


def test_a_window_of_a_large_plane_reads_only_what_it_shows() -> None:
    data = np.zeros((3, 900, 900), np.uint8)
    array = Watched.from_np_array(data, Roi((0, 0, 0), (3, 900, 900)), (1, 1, 1), ["z", "y", "x"])
    view = place_window(array, array.roi, array.roi.center, 0, pixels=100)
    assert read_plane(array, view).shape == (100, 100)
    assert Watched.largest == 100 * 100


def test_an_image_of_two_axes_has_one_view() -> None:
    labels = volume(np.arange(30).reshape(5, 6), (4, 4), (0, 0))
    views = choose_views(labels, labels.roi, labels)
    assert [view.axis for view in views] == [None]
    assert np.array_equal(read_plane(labels, views[0], stored=True), labels.data)
    assert views[0].title == "xy plane"


def test_the_plane_with_the_most_boundary_near_the_middle_is_chosen() -> None:
    labels = np.ones((50, 10, 10), np.uint64)
    labels[29, ::2] = 2
    array = volume(labels, (2, 2, 2))
    views = choose_views(array, array.roi, array)
    assert views[0].roi.begin[0] == 2 * 29


def test_a_strip_that_is_too_low_for_a_scale_bar_has_none() -> None:
    array = volume(np.zeros((3, 64, 200), np.uint8), (8, 8, 8))
    assert make_scale_bar(place_window(array, array.roi, array.roi.center, 1, pixels=10**6)) == ("", 0.0)


def test_background_of_a_class_image_is_transparent() -> None:
    colors = color_classes(np.array([[0, 1], [2, 0]]), background=True)
    assert colors[..., 3].tolist() == [[0, 255], [255, 0]]
    assert tuple(colors[1, 0, :3]) == CATEGORIES[2]


def test_a_scale_bar_is_round_and_at_most_a_third_of_the_window() -> None:
    for extent in (7, 64, 250, 999, 12345):
        array = volume(np.zeros((1, extent // 4 + 1, extent), np.uint8), (8, 8, 8))
        text, part = make_scale_bar(place_window(array, array.roi, array.roi.center, 0, pixels=10**6))
        assert 0 < part <= 1 / 3 + 1e-9
        assert text.split()[0].strip("0.") in ("1", "2", "5")


def test_the_color_of_an_id_depends_on_the_id_alone() -> None:
    ids = np.array([0, 1, 2, 2**63 + 5, 7], np.uint64)
    assert np.array_equal(color_ids(ids)[::-1], color_ids(ids[::-1].copy()))
    assert (color_ids(ids)[0] == 0).all()
    many = color_ids(np.arange(1, 500, dtype=np.uint64))
    assert len(np.unique(many, axis=0)) > 490
    assert many.max(axis=-1).min() > 90


def test_a_matching_segment_wears_the_color_of_its_object() -> None:
    segments, ground_truth = np.array([[5, 5, 9]], np.uint64), np.array([[2, 2, 3]], np.uint64)
    assert np.array_equal(color_labels(segments, {5: 2, 9: 3}), color_labels(ground_truth))


def test_classes_have_the_same_colors_as_probabilities_and_as_ids() -> None:
    ids = np.array([[0, 1], [2, 1]])
    certain = np.stack([ids == 0, ids == 1, ids == 2]).astype(float)
    assert np.array_equal(mix_class_colors(certain), color_classes(ids))
    assert tuple(color_classes(ids)[1, 0]) == CATEGORIES[2]


def test_distances_of_both_signs_are_distinguished_and_nan_is_neutral() -> None:
    colors = color_signed(np.array([[-1.0, 0.0, 1.0, np.nan]]))[0].astype(int)
    assert colors[0, 2] > colors[0, 0] and colors[2, 0] > colors[2, 2]
    assert (colors[1] == colors[3]).all()


def test_boundaries_lie_between_different_labels_alone() -> None:
    labels = np.array([[1, 1, 2], [1, 1, 2]])
    assert find_boundaries(labels).tolist() == [[False, True, False], [False, True, False]]


# Machado, Oliveira, Fernandes, "A physiologically-based model for simulation of color vision deficiency", 2009.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}


def to_lab(colors: np.ndarray, deficiency: np.ndarray) -> np.ndarray:
    """Colors as CIELAB, as an eye with a deficiency sees them."""
    srgb = colors / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    xyz_of_rgb = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.072175],
            [0.0193339, 0.119192, 0.9503041],
        ]
    )
    xyz = np.clip(linear @ np.transpose(deficiency), 0, 1) @ xyz_of_rgb.T / [0.95047, 1, 1.08883]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize("name", DEFICIENCIES)
def test_affinities_can_be_distinguished_with_color_blindness(name: str) -> None:
    on = np.array(list(np.ndindex(2, 2, 2)), dtype=float).T.reshape(3, 1, 8)
    colors = mix_axis_colors(on)[0].astype(float)
    lab = to_lab(colors, np.array(DEFICIENCIES[name]))
    distances = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(8, 1)]
    assert colors.max() == 255 and distances.min() > 30


@pytest.mark.parametrize("number", [1, 2, 3])
def test_all_affinities_high_are_white(number: int) -> None:
    assert (mix_axis_colors(np.ones((number, 1, 1))) == 255).all()
    assert (mix_axis_colors(np.zeros((number, 1, 1))) == 0).all()
