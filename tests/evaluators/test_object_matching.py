import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from attacca.evaluators import contingency_table, match_objects

quick = settings(max_examples=40, deadline=None, derandomize=True)
labels = arrays(np.uint8, (4, 5), elements=st.integers(0, 4))


def matched_by_brute_force(segmentation, ground_truth, threshold):
    segments, objects = (np.setdiff1d(np.unique(volume), [0]) for volume in (segmentation, ground_truth))
    iou = np.zeros((len(segments), len(objects)))
    for i, segment in enumerate(segments):
        for j, one in enumerate(objects):
            both = np.sum((segmentation == segment) & (ground_truth == one))
            iou[i, j] = both / np.sum((segmentation == segment) | (ground_truth == one))
    good = iou >= threshold
    matched = int(good[linear_sum_assignment(good, maximize=True)].sum())
    return matched, len(segments) - matched, len(objects) - matched


@quick
@given(labels, labels, st.sampled_from([0.1, 0.25, 1 / 3, 0.5, 0.6, 0.75, 1.0]))
def test_as_many_objects_are_matched_as_the_best_assignment_matches(segmentation, ground_truth, threshold):
    found = match_objects(contingency_table(segmentation, ground_truth), [threshold])[threshold]
    assert tuple(found) == matched_by_brute_force(segmentation, ground_truth, threshold)


def test_a_tie_at_one_half_is_matched_one_to_one():
    ground_truth, segmentation = np.array([1, 1]), np.array([1, 2])
    assert tuple(match_objects(contingency_table(segmentation, ground_truth), [0.5])[0.5]) == (1, 1, 0)


def test_thresholds_outside_0_and_1_are_refused():
    with pytest.raises(ValueError, match="intersection over union"):
        match_objects(contingency_table(np.ones(2, int), np.ones(2, int)), [0.5, 1.5])
