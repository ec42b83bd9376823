"""Joining segments of neighboring blocks."""

import numpy as np
import pytest
from funlib.geometry import Roi
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.blockwise.stitching import face_slices, find_components, find_joins, relabel_volume, unique_ids
from attacca.errors import VolumeError

EVERYWHERE = (slice(None), slice(None))


def test_ids_are_unique_for_every_block_and_zero_stays():
    labels = np.array([[0, 7], [7, 2**63]], dtype=np.uint64)
    assert unique_ids(labels, 0, 100).tolist() == [[0, 1], [1, 2]]
    assert unique_ids(labels, 3, 100).tolist() == [[0, 301], [301, 302]]
    assert unique_ids(labels > 0, 1, 100).tolist() == [[0, 101], [101, 101]]
    assert unique_ids(labels, 2**55, 128).max() == 2**62 + 2


def test_ids_beyond_uint64_are_refused():
    with pytest.raises(VolumeError, match="leaves the range of uint64"):
        unique_ids(np.ones((2, 2)), 2**60, 100)


def test_equal_segments_are_joined_and_touching_ones_are_not():
    lower = np.array([[1, 1, 1, 1, 2, 2, 2, 2]] * 2, dtype=np.uint64)
    upper = np.array([[8, 8, 8, 9, 9, 9, 9, 9]] * 2, dtype=np.uint64)
    assert find_joins(lower, upper, EVERYWHERE, 0.5).tolist() == [[1, 8], [2, 9]]
    assert find_joins(lower, upper, EVERYWHERE, 0.2).tolist() == [[1, 8], [1, 9], [2, 9]]


def test_a_part_is_joined_to_its_whole():
    lower = np.array([[1, 1, 0, 2, 2]] * 3, dtype=np.uint64)
    upper = np.array([[5, 5, 5, 5, 5]] * 3, dtype=np.uint64)
    assert find_joins(lower, upper, EVERYWHERE, 1.0).tolist() == [[1, 5], [2, 5]]


def test_segments_that_do_not_reach_the_face_are_not_joined():
    lower = np.zeros((6, 4), dtype=np.uint64)
    lower[:1, :] = 1
    lower[2:4, :2] = 2
    upper = lower + np.uint64(10) * (lower > 0)
    assert find_joins(lower, upper, (slice(2, 4), slice(None)), 0.5).tolist() == [[2, 12]]
    assert len(find_joins(lower * 0, upper, EVERYWHERE, 0.5)) == 0


def test_the_face_is_found_in_the_overlap():
    overlap = Roi((100, 40), (40, 60))
    assert face_slices(overlap, 120, 0, (10, 4)) == (slice(1, 3), slice(None))
    assert face_slices(overlap, 48, 1, (10, 4)) == (slice(None), slice(1, 3))
    assert face_slices(overlap, 40, 1, (10, 4)) == (slice(None), slice(0, 1))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), max_size=14), st.randoms())
def test_components_do_not_depend_on_the_order_of_pairs(pairs, random):
    ids, components = find_components(np.array(pairs, dtype=np.uint64).reshape(-1, 2), np.arange(1, 13))
    shuffled = [pair[::-1] if random.random() < 0.5 else pair for pair in pairs]
    random.shuffle(shuffled)
    again = find_components(np.array(shuffled, dtype=np.uint64).reshape(-1, 2), np.arange(1, 13))
    assert np.array_equal(ids, again[0]) and np.array_equal(components, again[1])
    # Brute force: spread the smallest id over all pairs, repeatedly.
    least = {n: n for n in range(1, 13)}
    for _ in range(12):
        for a, b in pairs:
            least[a] = least[b] = min(least[a], least[b])
    assert components.tolist() == [least[n] for n in range(1, 13)]


def test_ids_that_the_table_lacks_stay():
    labels = np.array([[0, 2**63, 7], [5, 7, 9]], dtype=np.uint64)
    ids, components = np.array([5, 7], np.uint64), np.array([5, 5], np.uint64)
    assert relabel_volume(labels, ids, components).tolist() == [[0, 2**63, 5], [5, 5, 9]]
    nothing = np.zeros(0, np.uint64)
    assert np.array_equal(relabel_volume(labels, nothing, nothing), labels)
