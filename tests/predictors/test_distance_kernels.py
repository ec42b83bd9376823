"""Distances to boundaries and masks: comparison with brute force, and properties that hold for any labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from attacca.errors import VolumeError
from attacca.predictors.distances import (
    compute_boundary_distances,
    compute_hole_distances,
    compute_signed_distances,
    mask_uncertain_distances,
)

SIZES = {1: [(3,), (1,)], 2: [(1, 1), (7, 2)], 3: [(1, 1, 1), (40, 4, 4), (3, 5, 2)]}


@st.composite
def labels_and_voxel_size(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, ...]]:
    dims = draw(st.sampled_from([1, 2, 3]))
    shape = draw(st.tuples(*[st.integers(1, 7 if dims == 3 else 20)] * dims))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([np.uint8, np.int16, np.uint32, np.int64, np.uint64, bool]))
    labels = rng.integers(0, draw(st.sampled_from([1, 2, 4])), shape).astype(dtype)
    return labels, draw(st.sampled_from(SIZES[dims]))


def brute_distances(labels: np.ndarray, voxel_size: tuple[int, ...]) -> np.ndarray:
    """Distance of each voxel center to the nearest midpoint of a face between different labels."""
    midpoints = []
    for index in np.ndindex(labels.shape):
        for axis in range(labels.ndim):
            neighbor = list(index)
            neighbor[axis] += 1
            if neighbor[axis] < labels.shape[axis] and labels[tuple(neighbor)] != labels[index]:
                midpoints.append((np.array(index) + np.array(neighbor)) / 2 * voxel_size)
    centers = np.stack(np.meshgrid(*map(np.arange, labels.shape), indexing="ij"), axis=-1) * voxel_size
    if not midpoints:
        return np.full(labels.shape, np.inf)
    steps = centers[..., np.newaxis, :] - np.array(midpoints)
    return np.sqrt((steps**2).sum(-1).min(-1))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(labels_and_voxel_size())
def test_distances_are_those_to_the_nearest_face_between_labels(
    drawn: tuple[np.ndarray, tuple[int, ...]],
) -> None:
    labels, voxel_size = drawn
    expected = brute_distances(labels, voxel_size)
    np.testing.assert_allclose(compute_boundary_distances(labels, voxel_size), expected, rtol=1e-6)
    signed = compute_signed_distances(labels, voxel_size)
    assert ((signed < 0) == (labels == 0)).all()
    if np.isfinite(expected).all():
        np.testing.assert_allclose(np.abs(signed), expected, rtol=1e-6)
    else:
        assert np.unique(np.abs(signed)) == min(
            n * size / 2 for n, size in zip(labels.shape, voxel_size, strict=True)
        )


def test_distances_far_away_keep_seven_digits() -> None:
    labels = np.zeros((3, 4, 20000), dtype=np.uint8)
    labels[:, :, :1] = 1
    expected = -(np.arange(20000) - 0.5) * 7.0
    signed = compute_signed_distances(labels, (40, 5, 7))
    np.testing.assert_allclose(signed[1, 2, 1:], expected[1:], rtol=2e-7)


def test_distances_in_a_large_volume_equal_scipys_on_a_doubled_grid() -> None:
    rng = np.random.default_rng(0)
    labels = (ndimage.gaussian_filter(rng.normal(size=(30, 34, 38)), 3) > 0).astype(np.uint8)
    voxel_size = (10, 4, 4)
    doubled = np.ones([2 * size - 1 for size in labels.shape], dtype=bool)
    for axis in range(3):
        faces = [slice(None, None, 2)] * 3
        faces[axis] = slice(1, None, 2)
        doubled[tuple(faces)] = np.diff(labels, axis=axis) == 0
    expected = ndimage.distance_transform_edt(doubled, sampling=[size / 2 for size in voxel_size])[
        ::2, ::2, ::2
    ]
    np.testing.assert_allclose(compute_boundary_distances(labels, voxel_size), expected, rtol=1e-6)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(labels_and_voxel_size())
def test_holes_and_the_outside_end_a_mask(drawn: tuple[np.ndarray, tuple[int, ...]]) -> None:
    mask, voxel_size = drawn
    padded = np.pad(mask != 0, 1)
    expected = ndimage.distance_transform_edt(padded, sampling=voxel_size)
    inner = tuple(slice(1, -1) for _ in mask.shape)
    np.testing.assert_allclose(compute_hole_distances(mask, voxel_size), expected[inner], rtol=1e-6)


def test_certain_distances_keep_the_masks_values_and_dtype() -> None:
    mask = np.full((9, 9), 3, dtype=np.int16)
    mask[4, 4] = 0
    kept = mask_uncertain_distances(np.full((9, 9), 0.2, dtype=np.float32), mask, (1, 1), scale=2.0)
    assert kept.dtype == np.int16
    assert set(np.unique(kept)) == {0, 3}
    # 1 voxel from the border: tanh(1 / 2) = 0.46 is more than the 0.25 that is needed
    assert kept[0, 0] == 3 and kept[4, 4] == 0
    far = mask_uncertain_distances(np.full((9, 9), 0.9, dtype=np.float32), mask, (1, 1), scale=2.0)
    assert far[0, 0] == 0 and far[2, 2] == 3


def test_an_empty_array_has_no_distances() -> None:
    assert compute_signed_distances(np.zeros((0, 3, 4), dtype=np.uint8), (1, 1, 1)).shape == (0, 3, 4)


def test_negative_labels_and_fractions_are_refused() -> None:
    with pytest.raises(VolumeError, match="negative"):
        compute_signed_distances(np.array([[1, -1]]), (1, 1))
    with pytest.raises(VolumeError, match="whole numbers"):
        compute_signed_distances(np.array([[1, 0.5]]), (1, 1))
    with pytest.raises(VolumeError, match="voxel size"):
        compute_signed_distances(np.zeros((2, 2), dtype=np.uint8), (1, 1, 1))
