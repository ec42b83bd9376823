import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import distance_transform_edt

from attacca.evaluators.distance_transform import NOWHERE, compute_distance_unit, compute_squared_distances

quick = settings(max_examples=40, deadline=None, derandomize=True)


@st.composite
def sets(draw):
    shape = draw(array_shapes(min_dims=1, max_dims=3, max_side=9))
    voxel_size = draw(st.lists(st.sampled_from([1, 2, 4, 46, 500]), min_size=len(shape), max_size=len(shape)))
    return draw(arrays(np.bool_, shape)), tuple(voxel_size)


@quick
@given(sets())
def test_distances_equal_those_to_the_nearest_voxel_of_all(example):
    mask, voxel_size = example
    found = compute_squared_distances(mask, voxel_size)
    points = np.argwhere(mask) * voxel_size
    for place in np.ndindex(mask.shape):
        if len(points):
            nearest = int(((points - np.array(place) * voxel_size) ** 2).sum(1).min())
            assert found[place] * compute_distance_unit(voxel_size) ** 2 == nearest
        else:
            assert found[place] == NOWHERE


def test_distances_equal_scipys_on_a_volume():
    mask = np.random.default_rng(0).random((40, 50, 70)) < 0.002
    found = compute_squared_distances(mask, (40, 4, 4))
    expected = distance_transform_edt(~mask, sampling=(40, 4, 4))
    assert np.allclose(np.sqrt(found) * 4, expected, rtol=1e-12)


def test_huge_distances_do_not_overflow():
    mask = np.zeros((2, 3000), bool)
    mask[0, 0] = True
    assert (
        compute_squared_distances(mask, (999_983, 1_000_003))[1, 2999] == 999_983**2 + (2999 * 1_000_003) ** 2
    )


def test_axes_and_voxel_size_must_fit():
    with pytest.raises(ValueError, match="expected one for each of 2 axes"):
        compute_squared_distances(np.zeros((2, 2), bool), (1, 1, 1))
