import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attacca.evaluators import (
    InstanceConvention,
    InstanceEvaluationScores,
    contingency_table,
    rand_from_table,
    scores_from_table,
    scores_to_json,
    voi_from_table,
)

quick = settings(max_examples=40, deadline=None, derandomize=True)
labels = arrays(np.uint8, (4, 5), elements=st.integers(0, 4))
conventions = st.builds(
    InstanceConvention, st.booleans(), st.sampled_from(["object", "ignored", "voxels", "cremi"])
)


def as_counted(segmentation, ground_truth, convention):
    """Voxels that count, written out: each lone voxel gets an id of its own."""
    segmentation, ground_truth = segmentation.astype(int).ravel(), ground_truth.astype(int).ravel()
    if convention.ignore_background:
        counted = ground_truth != 0
        if convention.unlabelled == "ignored":
            counted &= segmentation != 0
        if convention.unlabelled in ("voxels", "cremi"):
            alone = segmentation == 0
            segmentation[alone] = 100 + np.arange(alone.sum())
        segmentation, ground_truth = segmentation[counted], ground_truth[counted]
    return segmentation, ground_truth


def entropy(*volumes) -> float:
    _, counts = np.unique(np.stack(volumes), axis=1, return_counts=True)
    part = counts / counts.sum()
    return float(-(part * np.log2(part)).sum())


@quick
@given(labels, labels, conventions)
def test_voi_is_the_difference_of_joint_and_single_entropies(segmentation, ground_truth, convention):
    voi = voi_from_table(contingency_table(segmentation, ground_truth), convention)
    one, two = as_counted(segmentation, ground_truth, convention)
    if len(one) == 0:
        assert math.isnan(voi.split) and math.isnan(voi.merge)
        return
    assert voi.split == pytest.approx(entropy(one, two) - entropy(two), abs=1e-12)
    assert voi.merge == pytest.approx(entropy(one, two) - entropy(one), abs=1e-12)


@quick
@given(labels, labels, st.sampled_from(["object", "ignored", "voxels"]))
def test_rand_counts_pairs_of_voxels(segmentation, ground_truth, unlabelled):
    convention = InstanceConvention(unlabelled=unlabelled)
    rand = rand_from_table(contingency_table(segmentation, ground_truth), convention)
    one, two = as_counted(segmentation, ground_truth, convention)
    if len(one) == 0:
        assert math.isnan(rand.error)
        return
    together, apart = one[:, None] == one, two[:, None] == two
    precision = (together & apart).sum() / together.sum()
    recall = (together & apart).sum() / apart.sum()
    assert (rand.precision, rand.recall) == pytest.approx((precision, recall))
    assert rand.error == pytest.approx(1 - 2 * precision * recall / (precision + recall))


@quick
@given(labels, labels, st.permutations(range(1, 5)), st.permutations(range(1, 5)))
def test_other_ids_for_the_same_objects_change_no_score(segmentation, ground_truth, one, two):
    far = 2**63 - 2
    renamed = np.array([0, *one], np.uint64)[segmentation] + np.where(
        segmentation, np.uint64(far), np.uint64(0)
    )
    before = scores_from_table(contingency_table(segmentation, ground_truth))
    after = scores_from_table(contingency_table(renamed, np.array([0, *two])[ground_truth]))
    for name in before.criteria:
        assert after.value(name) == pytest.approx(before.value(name), abs=1e-12, nan_ok=True)


@quick
@given(labels, labels)
def test_swapping_the_sides_swaps_split_and_merge(one, two):
    convention = InstanceConvention(ignore_background=False)
    forth = voi_from_table(contingency_table(one, two), convention)
    back = voi_from_table(contingency_table(two, one), convention)
    assert forth == pytest.approx((back.merge, back.split), abs=1e-12)


def test_a_perfect_segmentation_has_perfect_scores_exactly():
    ground_truth = np.random.default_rng(0).integers(0, 9, (8, 8, 8))
    scores = scores_from_table(contingency_table(ground_truth, ground_truth))
    for name in scores.criteria:
        criterion = scores.criterion(name)
        assert scores.value(name) == (1.0 if criterion.higher_is_better else 0.0), name


def test_empty_volumes_have_no_scores_rather_than_invalid_ones():
    nothing = np.zeros((3, 3), np.uint8)
    scores = scores_from_table(contingency_table(nothing, nothing))
    assert all(math.isnan(scores.value(name)) for name in scores.criteria)


def test_an_empty_segmentation_of_objects_finds_none():
    scores = scores_from_table(contingency_table(np.zeros(6, int), np.array([1, 1, 2, 2, 3, 3])))
    assert scores.recall_iou50 == scores.f1_iou50 == scores.average_precision == 0
    assert math.isnan(scores.precision_iou50)


def test_the_sum_of_voi_is_the_sum_of_its_parts():
    assert InstanceEvaluationScores(voi_split=0.25, voi_merge=0.5).voi == 0.75


def test_the_convention_is_stored_with_each_score():
    scores = scores_from_table(
        contingency_table(np.array([1]), np.array([1])),
        InstanceConvention(unlabelled="voxels"),
        (0.5,),
        "a note",
    )
    rows = {row["name"]: row for row in scores_to_json(scores)}
    assert "log2" in rows["voi"]["convention"] and "ground truth 0 ignored" in rows["voi"]["convention"]
    assert "an object of its own" in rows["voi"]["convention"]
    assert rows["voi"]["unit"] == "bits" and rows["voi"]["bounds"] == [0.0, None]
    assert "one to one" in rows["f1_iou50"]["convention"]
    assert all(row["convention"].endswith("a note") for row in rows.values())


def count_by_definition(segmentation: np.ndarray, ground_truth: np.ndarray) -> dict[str, float]:
    """Shares of whole, split, merged and missing objects by their definitions, object by object."""
    sizes = {int(value): int((ground_truth == value).sum()) for value in np.unique(ground_truth) if value}
    pieces: dict[int, set[int]] = {}
    missing = 0
    for value, size in sizes.items():
        inner = segmentation[ground_truth == value]
        if (inner == 0).sum() > size / 2:
            missing += 1
            continue
        least = min(max(0.05 * size, 2 * size ** (2 / 3)), size / 2) - 1e-9
        pieces[value] = {int(s) for s in np.unique(inner) if s and (inner == s).sum() >= least}
    owners: dict[int, set[int]] = {}
    for value, segments in pieces.items():
        for segment in segments:
            owners.setdefault(segment, set()).add(value)
    shared: dict[tuple[int, int], int] = {
        (segment, value): int(((segmentation == segment) & (ground_truth == value)).sum())
        for segment, values in owners.items()
        for value in values
    }
    merged = {
        value
        for segment, values in owners.items()
        for value in values
        if shared[segment, value] < 0.95 * sum(shared[segment, other] for other in values)
    }
    whole = [value for value, own in pieces.items() if len(own) == 1 and value not in merged]
    counts = {
        "whole_objects": len(whole),
        "split_objects": sum(len(own) > 1 for own in pieces.values()),
        "merged_objects": len(merged),
        "missing_objects": missing,
    }
    voxels = sum(sizes[value] for value in whole) / sum(sizes.values())
    return {name: count / len(sizes) for name, count in counts.items()} | {"whole_voxels": voxels}


@pytest.mark.parametrize("seed", range(12))
def test_shares_of_objects_follow_from_their_definitions(seed: int) -> None:
    random = np.random.default_rng(seed)
    ground_truth = np.repeat(np.repeat(random.integers(0, 5, (3, 4, 4)), 3, axis=1), 3, axis=2)
    segmentation = np.where(
        random.random(ground_truth.shape) < 0.8, ground_truth, random.integers(0, 6, ground_truth.shape)
    )
    segmentation[:1] = random.integers(0, 3)
    scores = scores_from_table(contingency_table(segmentation, ground_truth))
    for name, value in count_by_definition(segmentation, ground_truth).items():
        assert scores.value(name) == value, name
    assert scores.cremi_score == pytest.approx((scores.voi * scores.adapted_rand_error) ** 0.5)


def test_the_score_of_cremi_is_zero_for_a_perfect_segmentation() -> None:
    labels = np.array([1, 1, 2, 2, 3])
    assert scores_from_table(contingency_table(labels, labels)).cremi_score == 0
