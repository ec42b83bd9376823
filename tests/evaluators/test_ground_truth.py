"""Voxels near boundaries of the ground truth, which do not count."""

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import NumpyArray
from attacca.evaluators import GroundTruthRules, InstanceEvaluator, contingency_table, scores_from_table
from attacca.evaluators.ground_truth import find_section_borders


def find_by_definition(labels, voxel_size, distance):
    """Return the pixels near a boundary pixel of their section, pixel by pixel."""
    near = np.zeros(labels.shape, bool)
    height, width = labels.shape[1:]
    for z, section in enumerate(labels):
        boundary = [
            (y, x)
            for y in range(height)
            for x in range(width)
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
            if 0 <= v < height and 0 <= u < width and section[v, u] != section[y, x]
        ]
        for y in range(height):
            for x in range(width):
                near[z, y, x] = any(
                    ((y - v) * voxel_size[1]) ** 2 + ((x - u) * voxel_size[2]) ** 2 <= distance**2
                    for v, u in boundary
                )
    return near


def make_labels(seed, shape=(3, 17, 14)):
    random = np.random.default_rng(seed)
    small = random.integers(0, 4, (shape[0], 4, 3))
    return np.kron(small, np.ones((1, 5, 5), int))[:, : shape[1], : shape[2]].astype(np.uint64)


@pytest.mark.parametrize("voxel_size", [(40, 4, 4), (10, 6, 4)])
@pytest.mark.parametrize("distance", [1, 4, 8, 9, 25])
def test_borders_in_sections_are_those_of_cremi(voxel_size, distance):
    labels = make_labels(distance)
    expected = find_by_definition(labels, voxel_size, distance)
    assert np.array_equal(find_section_borders(labels, voxel_size, distance), expected)
    image = find_section_borders(labels[0], voxel_size[1:], distance)
    assert np.array_equal(image, expected[0])


def test_a_section_of_one_object_has_no_border():
    labels = np.ones((2, 5, 6), np.uint8)
    labels[1, :3] = 2
    assert not find_section_borders(labels, (40, 4, 4), 1000)[0].any()
    assert find_section_borders(labels, (40, 4, 4), 1000)[1].all()


def test_blocks_have_the_border_of_the_whole_section(tmp_path):
    labels = make_labels(0)
    segments = np.roll(labels, 2, axis=2) + np.uint64(1)
    voxel_size = Coordinate(40, 4, 4)
    arrays = [
        NumpyArray.from_np_array(
            data, Roi((0, 0, 0), Coordinate(data.shape) * voxel_size), voxel_size, ["z", "y", "x"]
        )
        for data in (segments, labels)
    ]
    rules = GroundTruthRules(border=5, border_in_sections=True)
    scores = InstanceEvaluator(rules=rules).evaluate_blockwise(*arrays, tmp_path, block_size=(40, 16, 12))
    counted = ~find_by_definition(labels, voxel_size, 5)
    expected = scores_from_table(contingency_table(segments, labels, counted))
    assert scores.voi == pytest.approx(expected.voi)
    assert scores.cremi_score == pytest.approx(expected.cremi_score)
    assert "boundary of true labels in the section" in scores.criterion("voi").convention
