"""Affinities, their partners and eroded labels: against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.errors import VolumeError
from attacca.predictors.affinity_targets import affinities, compute_partner_masks, erode_labels, padding


@st.composite
def labels_and_offsets(draw: st.DrawFn) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    dims = draw(st.sampled_from([2, 3]))
    shape = draw(st.tuples(*[st.integers(1, 9)] * dims))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ids = np.array(
        draw(st.sampled_from([[0, 1, 2], [0, 255, 3], [0, 2**63, 2**63 + 1], [0, 2**32 - 1, 7]])), np.uint64
    )
    labels = ids[rng.integers(0, 3, shape)]
    if int(ids.max()) < 256:
        labels = labels.astype(draw(st.sampled_from([np.uint8, np.int64, np.uint32])))
    offsets = draw(st.lists(st.tuples(*[st.integers(-11, 11)] * dims), min_size=1, max_size=4))
    return labels, offsets


def brute_affinities(labels: np.ndarray, offsets: list[tuple[int, ...]], background: bool) -> np.ndarray:
    result = np.zeros((len(offsets), *labels.shape), dtype=np.uint8)
    for channel, offset in enumerate(offsets):
        for index in np.ndindex(labels.shape):
            partner = tuple(np.add(index, offset))
            if all(0 <= t < n for t, n in zip(partner, labels.shape, strict=True)):
                same = labels[index] == labels[partner]
                result[(channel, *index)] = same and (background or labels[index] > 0)
    return result


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_affinities_say_whether_voxel_and_partner_are_one_object(background: bool, dtype: type) -> None:
    @settings(max_examples=30, deadline=None, derandomize=True)
    @given(labels_and_offsets())
    def check(drawn: tuple[np.ndarray, list[tuple[int, ...]]]) -> None:
        labels, offsets = drawn
        ours = affinities(labels, offsets, background, dtype=dtype)
        assert ours.dtype == dtype
        np.testing.assert_array_equal(ours, brute_affinities(labels, offsets, background))

    check()


def test_affinities_fill_any_array_that_is_handed_in() -> None:
    labels = np.random.default_rng(0).integers(0, 3, (5, 6, 7))
    offsets = [(1, -2, 3), (0, 0, 1)]
    expected = brute_affinities(labels, offsets, False)
    for out in (np.empty((2, 5, 6, 7), np.float32), np.empty((2, 5, 6, 14), np.uint8)[..., ::2]):
        assert affinities(labels, offsets, out=out) is out
        np.testing.assert_array_equal(out, expected)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(labels_and_offsets())
def test_a_partner_that_is_masked_or_outside_takes_the_affinity_with_it(
    drawn: tuple[np.ndarray, list[tuple[int, ...]]],
) -> None:
    labels, offsets = drawn
    mask = (labels > 0).astype(np.uint8)
    masks = compute_partner_masks(mask, offsets)
    for channel, offset in enumerate(offsets):
        for index in np.ndindex(labels.shape):
            partner = tuple(np.add(index, offset))
            is_inside = all(0 <= t < n for t, n in zip(partner, labels.shape, strict=True))
            assert masks[(channel, *index)] == (mask[index] * mask[partner] if is_inside else 0)


def test_padding_is_never_negative() -> None:
    assert padding([(-1, 0, 0), (0, -2, 0)], (40, 4, 4)) == ((40, 8, 0), (0, 0, 0))
    assert padding([(1, 0, 0)], (40, 4, 4)) == ((0, 0, 0), (40, 0, 0))


def test_erosion_takes_the_outermost_voxels_of_objects_but_not_those_at_the_volumes_border() -> None:
    labels = np.array([[1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2]])
    np.testing.assert_array_equal(erode_labels(labels, 1), [[1, 1, 0, 0, 2, 2], [1, 1, 0, 0, 2, 2]])
    np.testing.assert_array_equal(erode_labels(labels, 2), [[1, 0, 0, 0, 0, 2], [1, 0, 0, 0, 0, 2]])
    np.testing.assert_array_equal(erode_labels(labels, 0), labels)


def test_offsets_and_labels_must_have_the_same_axes() -> None:
    with pytest.raises(VolumeError, match="2 axes"):
        affinities(np.zeros((3, 3, 3), dtype=np.uint8), [(1, 0)])
    with pytest.raises(VolumeError, match="2 or 3 axes"):
        affinities(np.zeros(3, dtype=np.uint8), [(1,)])
