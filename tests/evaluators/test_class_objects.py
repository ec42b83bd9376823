"""Objects of classes: connected components of both sides, matched like instances."""

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from scipy.ndimage import label

from attacca.arrays import NumpyArray
from attacca.evaluators import (
    BinarySegmentationEvaluator,
    GroundTruthRules,
    InstanceConvention,
    OneHotEvaluator,
    contingency_table,
    merge_tables,
    scores_from_table,
)
from attacca.evaluators.class_objects import match_components, score_class_objects, score_components

VOXEL = Coordinate(8, 4, 4)
SHAPE = (7, 18, 13)


def in_memory(data):
    axes = ["z", "y", "x"] if data.ndim == 3 else ["c", "z", "y", "x"]
    roi = Roi((0, 0, 0), Coordinate(data.shape[-3:]) * VOXEL)
    return NumpyArray.from_np_array(data, roi, VOXEL, axes)


def make_classes(seed):
    """Return predicted and true class ids, 0 to 2, with objects of several voxels and differences between the two."""
    random = np.random.default_rng(seed)
    small = np.where(random.random((4, 9, 7)) < 0.75, 0, random.integers(1, 3, (4, 9, 7)))
    true = np.kron(small, np.ones((2, 2, 2), int))[tuple(slice(n) for n in SHAPE)]
    predicted = np.where(random.random(SHAPE) < 0.9, true, random.integers(0, 3, SHAPE))
    return predicted.astype(np.uint8), true.astype(np.uint8)


def score_whole(predicted, true, counted=None, thresholds=(0.5, 0.75)):
    """Label both sides in memory with scipy, and match them."""
    segments, objects = (label(side, np.ones((3, 3, 3)))[0] for side in (predicted, true))
    return scores_from_table(contingency_table(segments, objects, counted), None, thresholds)


def match(*arguments, **options):
    """Return the table of components in memory."""
    with match_components(*arguments, **options) as table:
        return merge_tables(table.pieces())


def assert_equal_scores(scores, expected):
    for name in ("voi", "voi_split", "voi_merge", "f1_iou50", "recall_iou75", "average_precision"):
        assert scores.value(f"objects_{name}") == pytest.approx(expected.value(name), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("block", [None, (8, 40, 16)])
@pytest.mark.parametrize("seed", range(2))
def test_blocks_of_any_size_give_the_components_of_the_whole(tmp_path, seed, block):
    predicted, true = make_classes(seed)
    mask = (np.random.default_rng(seed).random(SHAPE) < 0.8).astype(np.uint8)
    evaluator = OneHotEvaluator(["rest", "nucleus", "mitochondria"])
    for number, name in enumerate(evaluator.classes):
        sides = evaluator.open_sides(name, in_memory(predicted), in_memory(true), in_memory(mask))
        expected = score_whole(predicted == number, true == number, mask != 0)
        with match_components(sides, tmp_path / name, block_size=block) as table:
            assert_equal_scores(score_components(table, thresholds=(0.5, 0.75)), expected)


def test_channels_with_class_ids_or_with_labels_of_their_own_have_objects(tmp_path):
    predicted, true = make_classes(5)
    channels = np.stack([predicted == 2, predicted == 1])
    by_class = BinarySegmentationEvaluator(40, 8, ["mitochondria", "nucleus"], class_ids=[2, 1])
    by_channel = BinarySegmentationEvaluator(40, 8, ["mitochondria", "nucleus"])
    truths = (by_class, true), (by_channel, np.stack([true == 2, true == 1]).astype(np.uint8))
    for number, (evaluator, labels) in enumerate(truths):
        sides = [
            (name, evaluator.open_sides(name, in_memory(channels), in_memory(labels), None))
            for name in ("mitochondria", "nucleus")
        ]
        scores = score_class_objects(sides, tmp_path / str(number), InstanceConvention(), (0.5, 0.75))
        for name, value in (("mitochondria", 2), ("nucleus", 1)):
            expected = score_whole(predicted == value, true == value)
            assert scores.value(f"{name}__objects_f1_iou50") == pytest.approx(expected.f1_iou50)
            assert scores.value(f"{name}__objects_average_precision") == pytest.approx(
                expected.average_precision
            )


def test_excluded_voxels_connect_objects_but_do_not_count(tmp_path):
    true = np.zeros(SHAPE, np.uint8)
    true[3, 4, 1:12] = 1
    true[3, 4, 5] = 9
    evaluator = OneHotEvaluator(["rest", "tube"], GroundTruthRules(unlabelled=9))
    sides = evaluator.open_sides("tube", in_memory((true > 0).astype(np.uint8)), in_memory(true), None)
    table = match(sides, tmp_path)
    assert len(np.unique(table.segment[table.segment > 0])) == 1
    assert len(np.unique(table.ground_truth[table.ground_truth > 0])) == 2
    assert table.total == true.size - 1


def test_a_run_with_the_same_key_continues_and_with_another_key_starts_again(tmp_path):
    predicted, true = make_classes(1)
    evaluator = OneHotEvaluator(["rest", "nucleus", "mitochondria"])
    sides = evaluator.open_sides("nucleus", in_memory(predicted), in_memory(true), None)
    first = match(sides, tmp_path / "new", key="a", block_size=(16, 16, 24))
    other = evaluator.open_sides("nucleus", in_memory(true), in_memory(true), None)
    assert match(other, tmp_path / "new", key="a", block_size=(16, 16, 24)) == first
    perfect = match(other, tmp_path / "new", key="b", block_size=(16, 16, 24))
    assert score_components(perfect).objects_f1_iou50 == 1
    assert score_components(first).objects_f1_iou50 < 1


def test_an_unknown_class_is_refused():
    array = in_memory(np.zeros(SHAPE, np.uint8))
    with pytest.raises(ValueError):
        OneHotEvaluator(["rest"]).open_sides("nucleus", array, array, None)
