"""Balanced weights and class counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.errors import VolumeError
from attacca.predictors import balance_weights, create_label_mask
from attacca.predictors.class_balance import BalancedPart


def test_each_class_has_nearly_the_same_sum_of_weights() -> None:
    labels = (np.random.default_rng(0).random((20, 30, 30)) < 0.2).astype(np.uint8)
    weights, counts = balance_weights(labels, 2)
    sums = [weights[labels == label].sum() for label in (0, 1)]
    assert abs(sums[0] / sums[1] - 1) < 1e-4
    assert counts == [
        {0: (int((labels == 0).sum()), 1 + labels.size), 1: (int(labels.sum()), 1 + labels.size)}
    ]


def test_counts_accumulate_over_calls_in_the_list_that_is_passed() -> None:
    labels = np.array([0, 0, 0, 1], dtype=np.uint8)
    _, first = balance_weights(labels, 2)
    _, second = balance_weights(labels, 2, moving_counts=first)
    assert second is first
    assert second == [{0: (6, 9), 1: (2, 9)}]


def test_a_class_that_is_masked_out_has_no_weight() -> None:
    labels = np.array([0, 0, 1, 1], dtype=np.uint8)
    weights, counts = balance_weights(labels, 2, [np.array([1, 1, 0, 0])])
    assert weights.tolist()[2:] == [0, 0]
    assert counts == [{0: (2, 3), 1: (0, 3)}]


def test_fractions_are_clipped() -> None:
    labels = np.zeros(1000, dtype=np.uint8)
    labels[0] = 1
    weights, _ = balance_weights(labels, 2, clipmin=0.1, clipmax=0.5)
    np.testing.assert_allclose(weights[:2], [0.5 / 0.1, 0.5 / 0.5])


def test_labels_that_are_not_a_class_are_refused_with_their_range() -> None:
    with pytest.raises(VolumeError, match="from 0 to 1; found values from 0 to 7"):
        balance_weights(np.array([0, 7]), 2)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 300]), st.integers(1, 11))
def test_counts_of_pieces_add_up_to_those_of_the_whole(seed: int, num_classes: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, (12, 9)).astype(np.uint16)
    mask = rng.integers(0, 2, labels.shape).astype(np.uint8)
    part = BalancedPart(slice(0, 1), labels, mask, num_classes)
    pieces = [part.count((slice(0, cut), slice(None))), part.count((slice(cut, None), slice(None)))]
    counts = [a + b for a, b in zip(pieces[0][0], pieces[1][0])]
    total = pieces[0][1] + pieces[1][1]
    assert (counts, total) == part.count((slice(None), slice(None)))
    whole, _ = part.balance()
    weighed = part.weigh((slice(0, cut), slice(None)), counts, total)
    np.testing.assert_array_equal(weighed, whole[:cut])


def test_a_part_without_classes_has_its_mask_as_weights() -> None:
    mask = np.array([[1, 0], [1, 1]], dtype=np.uint8)
    part = BalancedPart(slice(None), np.zeros((2, 2), dtype=np.uint8), mask, num_classes=0)
    assert part.balance()[0].tolist() == mask.tolist()
    assert part.count((slice(None), slice(None))) == ([], 0.0)
    assert part.weigh((slice(1, 2), slice(None)), [], 0.0).tolist() == [[1, 1]]


def test_unlabeled_voxels_are_masked_out() -> None:
    labels = np.array([0, 3, 2**64 - 1], dtype=np.uint64)
    assert create_label_mask(labels, None).tolist() == [1, 1, 1]
    assert create_label_mask(labels, 0).tolist() == [0, 1, 1]
    assert create_label_mask(labels, 2**64 - 1, np.array([1, 0, 1])).tolist() == [1, 0, 0]


@pytest.mark.parametrize("labels", [[0, 2], [-1, 0], [0, 0.5, 1], [0, np.nan]])
def test_labels_that_are_not_classes_are_refused_as_an_assertion_and_as_a_volume_error(labels) -> None:
    for kind in (AssertionError, VolumeError):
        with pytest.raises(kind, match="labels must be classes"):
            balance_weights(np.array(labels), 2)


def test_labels_without_a_voxel_have_weights_without_a_voxel() -> None:
    assert balance_weights(np.zeros((0, 4), np.uint8), 2)[0].shape == (0, 4)
