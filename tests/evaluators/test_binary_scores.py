import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from attacca.evaluators import BinaryTable, binary_table, scores_from_binary_table, scores_to_json

quick = settings(max_examples=60, deadline=None, derandomize=True)
volumes = arrays(np.bool_, (3, 4, 5), elements=st.booleans(), fill=st.booleans())
CLIP, TOLERANCE, VOXEL = 20.0, 8.0, (8, 4, 6)


def ratio(a: float, b: float) -> float:
    return a / b if b else math.nan


def by_definition(prediction, ground_truth, counted):
    """All 21 scores from their definitions, over sets of voxels."""
    p, t = prediction & counted, ground_truth & counted
    places = np.argwhere(np.ones_like(p)) * VOXEL
    distances = cdist(places, places)
    inside_p, inside_t, n = p.ravel(), t.ravel(), int(counted.sum())
    to_t = distances[inside_p][:, inside_t].min(1, initial=np.inf)
    to_p = distances[inside_t][:, inside_p].min(1, initial=np.inf)
    tp, fp, fn = int((p & t).sum()), int((p & ~t).sum()), int((t & ~p).sum())
    far_fp, far_fn = int((to_t > TOLERANCE).sum()), int((to_p > TOLERANCE).sum())
    right = int((p | t).sum()) - far_fp - far_fn

    def mean(values, clip=np.inf):
        values = np.minimum(values, clip)
        return float(values.mean()) if len(values) and np.isfinite(values).all() else math.nan

    def entropy(*counts):
        return -sum(c / n * math.log2(c / n) for c in counts if c)

    hausdorff = max([*to_t, *to_p], default=0.0)
    joint = entropy(tp, fp, fn, n - tp - fp - fn)
    return {
        "dice": ratio(2 * tp, p.sum() + t.sum()),
        "jaccard": ratio(tp, tp + fp + fn),
        "hausdorff": hausdorff if math.isfinite(hausdorff) else math.nan,
        "false_negative_rate": ratio(fn, t.sum()),
        "false_negative_rate_with_tolerance": ratio(far_fn, t.sum()),
        "false_positive_rate": ratio(fp, n - t.sum()),
        "false_discovery_rate": ratio(fp, p.sum()),
        "false_positive_rate_with_tolerance": ratio(far_fp, n - t.sum()),
        "voi": 2 * joint - entropy(tp + fp, n - tp - fp) - entropy(tp + fn, n - tp - fn) if n else math.nan,
        "mean_false_positive_distance": mean(to_t),
        "mean_false_negative_distance": mean(to_p),
        "mean_false_distance": (mean(to_t) + mean(to_p)) / 2,
        "mean_false_positive_distance_clipped": mean(to_t, CLIP),
        "mean_false_negative_distance_clipped": mean(to_p, CLIP),
        "mean_false_distance_clipped": (mean(to_t, CLIP) + mean(to_p, CLIP)) / 2,
        "precision_with_tolerance": ratio(right, right + far_fp),
        "recall_with_tolerance": ratio(right, right + far_fn),
        "f1_score_with_tolerance": ratio(2 * right, 2 * right + far_fp + far_fn),
        "precision": ratio(tp, p.sum()),
        "recall": ratio(tp, t.sum()),
        "f1_score": ratio(2 * tp, 2 * tp + fp + fn),
    }


def check(prediction, ground_truth, counted):
    table = binary_table(prediction, ground_truth, VOXEL, CLIP, TOLERANCE, counted)
    scores = scores_from_binary_table(table, CLIP, TOLERANCE)
    expected = by_definition(prediction, ground_truth, counted)
    assert set(expected) == set(scores.criteria)
    for name, value in expected.items():
        assert scores.value(name) == pytest.approx(value, abs=1e-9, nan_ok=True), name
        low, high = scores.bounds(name)
        assert math.isnan(scores.value(name)) or low <= scores.value(name) <= (
            math.inf if math.isnan(high) else high
        )


@quick
@given(volumes, volumes, volumes)
def test_all_21_scores_follow_their_definitions(prediction, ground_truth, counted):
    check(prediction, ground_truth, counted)


@pytest.mark.parametrize("prediction", [0, 1, None])
@pytest.mark.parametrize("ground_truth", [0, 1, None])
def test_all_21_scores_of_empty_and_full_sides(prediction, ground_truth):
    some = np.random.default_rng(5).random((3, 4, 5)) < 0.3
    sides = [some if side is None else np.full_like(some, bool(side)) for side in (prediction, ground_truth)]
    check(*sides, np.ones_like(some))


def test_an_empty_prediction_has_recall_0_and_clipped_distance_at_the_clip():
    ground_truth = np.zeros((2, 2, 2), bool)
    ground_truth[0] = True
    scores = scores_from_binary_table(
        binary_table(ground_truth & False, ground_truth, VOXEL, CLIP, TOLERANCE), CLIP, TOLERANCE
    )
    assert (scores.recall, scores.false_negative_rate, scores.dice, scores.f1_score) == (0, 1, 0, 0)
    assert scores.mean_false_negative_distance_clipped == CLIP
    assert math.isnan(scores.precision) and math.isnan(scores.hausdorff)


@quick
@given(volumes, volumes, st.integers(1, 4))
def test_confusion_counts_of_parts_add_up(prediction, ground_truth, cut):
    names = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    parts = [
        binary_table(prediction[:, s], ground_truth[:, s], VOXEL, CLIP, TOLERANCE)
        for s in (slice(0, cut), slice(cut, None))
        if ground_truth[:, s].size
    ]
    whole = binary_table(prediction, ground_truth, VOXEL, CLIP, TOLERANCE)
    total = sum(parts, BinaryTable())
    assert [getattr(total, name) for name in names] == [getattr(whole, name) for name in names]


def test_sums_do_not_depend_on_the_order_of_voxels():
    random = np.random.default_rng(8)
    prediction, ground_truth = random.random((2, 6, 7, 8)) < 0.1
    flipped = binary_table(prediction[::-1, :, ::-1], ground_truth[::-1, :, ::-1], VOXEL, CLIP, TOLERANCE)
    assert flipped == binary_table(prediction, ground_truth, VOXEL, CLIP, TOLERANCE)


def test_two_dimensions_are_scored_too():
    ground_truth = np.zeros((6, 6), np.uint8)
    ground_truth[2, 2] = 3
    table = binary_table(np.roll(ground_truth, 2, axis=1), ground_truth, (10, 4), 100, 1)
    assert scores_from_binary_table(table, 100, 1).hausdorff == 8


def test_each_score_has_a_unit_bounds_and_convention():
    ground_truth = np.ones((2, 2, 2), bool)
    scores = scores_from_binary_table(
        binary_table(ground_truth, ground_truth, VOXEL, CLIP, TOLERANCE), CLIP, TOLERANCE, "angstrom"
    )
    rows = {row["name"]: row for row in scores_to_json(scores)}
    assert len(rows) == 21 and all(row["convention"] for row in rows.values())
    assert rows["hausdorff"]["unit"] == "angstrom" and rows["hausdorff"]["bounds"] == [0.0, None]
    assert "clipped at 20" in rows["mean_false_distance_clipped"]["convention"]
    assert rows["voi"]["unit"] == "bits" and not rows["voi"]["higher_is_better"]


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="equal shapes"):
        binary_table(np.zeros((2, 2)), np.zeros((2, 3)), (1, 1), 1, 1)
