import math

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, NumpyArray
from attacca.errors import MissingInputError
from attacca.evaluators import (
    BestWeights,
    BinarySegmentationEvaluator,
    DummyEvaluator,
    InstanceEvaluator,
    OneHotEvaluator,
    ValidationIterationScores,
    ValidationScores,
    scores_to_json,
)
from attacca.evaluators.scores import ChannelScores, Criterion, EvaluationScores

NAN = math.nan
UP, DOWN = Criterion("up", True, store_best=True), Criterion("down", False, store_best=True)


class Choice(DummyEvaluator):
    @property
    def score(self):
        return EvaluationScores([UP, DOWN, Criterion("other", True)])


def history(*values):
    scores = ValidationScores(["p", "q"], ["d"], Choice().score)
    for number, value in enumerate(values):
        scores.add_iteration_scores(ValidationIterationScores(100 * (number + 1), value))
    return scores


def test_each_criterion_is_compared_in_its_own_direction():
    evaluator = Choice()
    assert evaluator.compare(2, 1, "up") and not evaluator.compare(2, 1, "down")
    assert not evaluator.compare(1, 1, "up") and not evaluator.compare(NAN, 1, "up")
    assert evaluator.compare(1, NAN, "down")
    assert evaluator.higher_is_better("up") and not evaluator.higher_is_better("down")


def test_the_best_iteration_is_kept_and_beaten_only_by_better_ones():
    evaluator = Choice()
    evaluator.set_best(history([[[1, 1, 1], [5, NAN, 1]]], [[[2, 2, 2], [4, NAN, 1]]]))
    assert evaluator.best_scores[("d", "p", "up")] == (200, 2.0)
    assert evaluator.best_scores[("d", "p", "down")] == (100, 1.0)
    assert evaluator.best_scores[("d", "q", "down")] is None
    assert evaluator.get_overall_best("d", "up") == 5
    assert evaluator.get_overall_best_parameters("d", "up") == "q"
    # One parameter without a number does not hide the other.
    assert evaluator.get_overall_best_parameters("d", "down") == "p"
    assert evaluator.get_overall_best("elsewhere", "up") is None
    candidate = EvaluationScores([UP, DOWN, Criterion("other", True)], {"up": 3, "down": 3, "other": 9})
    assert evaluator.is_best("d", "p", "up", candidate)
    assert not evaluator.is_best("d", "p", "down", candidate)
    assert evaluator.is_best("d", "q", "down", candidate)
    assert not evaluator.is_best("d", "p", "other", candidate), "its best is not stored"


def test_the_best_is_found_along_each_dimension_and_past_nan():
    scores = history([[[1, 1, NAN], [0, 7, NAN]]], [[[NAN, 0, NAN], [3, math.inf, NAN]]])
    where, values = scores.get_best("iterations")
    assert where.tolist() == [[[100, 200, -1], [200, 100, -1]]]
    assert values[0, 0].tolist()[:2] == [1, 0] and math.isnan(values[0, 0, 2])
    where, _ = scores.get_best("parameters")
    assert where[:, 0].tolist() == [[0, 0, -1], [1, 0, -1]]
    assert scores.get_best("datasets")[0].shape == (2, 2, 3)
    with pytest.raises(ValueError, match="criteria"):
        scores.get_best("criteria")


def test_an_infinite_score_is_better_than_none():
    where, values = history([[[NAN] * 3] * 2], [[[-math.inf, math.inf, 0]] * 2]).get_best("iterations")
    assert where[0, 0].tolist() == [200, 200, 200] and values[0, 0, 1] == math.inf


def test_a_history_can_be_cut_and_continued():
    scores = history([[[1, 1, 1]] * 2], [[[2, 2, 2]] * 2])
    assert scores.validated_until == 201
    scores.delete_after(150)
    assert scores.iterations == [100]
    with pytest.raises(ValueError, match="validated before"):
        scores.add_iteration_scores(ValidationIterationScores(100, [[[1, 1, 1]] * 2]))
    with pytest.raises(ValueError, match="shape"):
        scores.add_iteration_scores(ValidationIterationScores(300, [[[1, 1]] * 2]))
    with pytest.raises(ValueError, match="no iterations"):
        history().get_best("iterations")


def test_best_weights_are_found_where_they_were_stored(tmp_path):
    best = BestWeights(tmp_path)
    best.store("cube/../1", "mito__f1_score", 1200, 0.75)
    best.store("cube", "voi", 300, 1.5)
    assert best.retrieve("cube/../1", "mito__f1_score") == (1200, 0.75)
    assert best.retrieve("cube", "voi") == (300, 1.5)
    assert (tmp_path / "cube" / "voi.json").exists()
    assert all(path.is_relative_to(tmp_path) for path in tmp_path.rglob("*.json"))
    with pytest.raises(MissingInputError, match="'voi'"):
        best.retrieve("voi", "cube")


def test_scores_are_attributes_and_unknown_ones_are_errors():
    scores = EvaluationScores([UP, DOWN], {"up": 1})
    assert scores.up == 1 and math.isnan(scores.down)
    with pytest.raises(AttributeError, match="sideways"):
        _ = scores.sideways
    with pytest.raises(ValueError, match="sideways"):
        EvaluationScores([UP], {"sideways": 1})
    with pytest.raises(ValueError, match="expected one of up"):
        scores.bounds("sideways")
    with pytest.raises(ValueError, match="same name"):
        ChannelScores([("a", scores), ("a", scores)])


def test_a_criterion_without_its_channel_is_the_mean_over_the_channels_with_a_value():
    channels = [("a", 1.0), ("b", 3.0), ("c", NAN)]
    scores = ChannelScores([(name, EvaluationScores([UP, DOWN], {"up": value})) for name, value in channels])
    assert scores.find_criteria("up") == ["a__up", "b__up", "c__up"]
    assert scores.mean_value("up") == 2 and scores.mean_value("a__up") == 1
    assert math.isnan(scores.mean_value("down")) and not scores.higher_is_better("down")
    with pytest.raises(ValueError, match="expected one of a__up"):
        scores.mean_value("sideways")


@pytest.mark.parametrize(
    "evaluator",
    [
        DummyEvaluator(),
        InstanceEvaluator(),
        OneHotEvaluator(["a", "b"]),
        BinarySegmentationEvaluator(1, 1, ["a", "b"]),
    ],
    ids=lambda evaluator: type(evaluator).__name__,
)
def test_every_score_has_a_direction_bounds_and_convention(evaluator):
    assert set(evaluator.criteria) <= set(evaluator.score.criteria)
    for row, name in zip(scores_to_json(evaluator.score), evaluator.score.criteria):
        assert row["value"] is None and row["convention"]
        assert isinstance(evaluator.higher_is_better(name), bool)
        low, high = evaluator.bounds(name)
        assert low == 0 and (math.isnan(high) or high >= 1)
    assert any(evaluator.store_best(name) for name in evaluator.score.criteria)


def test_the_dummy_is_deterministic_and_reads_nothing():
    one, two = (LocalArrayIdentifier("missing.zarr", name) for name in "ab")
    assert DummyEvaluator().evaluate(one, two) == DummyEvaluator().evaluate(one, two)
    assert DummyEvaluator().evaluate(one, two) != DummyEvaluator().evaluate(two, two)


def test_dice_and_jaccard_for_each_class():
    ground_truth = np.random.default_rng(0).integers(0, 3, (5, 6, 7)).astype(np.uint8)
    prediction = np.where(ground_truth == 2, 0, ground_truth).astype(np.uint8)
    roi = Roi((0, 0, 0), ground_truth.shape)
    arrays = [
        NumpyArray.from_np_array(d, roi, Coordinate((1, 1, 1)), ["z", "y", "x"])
        for d in (prediction, ground_truth)
    ]
    scores = OneHotEvaluator(["rest", "membrane", "mitochondria", "synapse"]).evaluate(*arrays)
    p0, t0 = np.count_nonzero(prediction == 0), np.count_nonzero(ground_truth == 0)
    assert scores.rest__dice == pytest.approx(2 * t0 / (p0 + t0))
    assert scores.rest__jaccard == pytest.approx(t0 / p0)
    assert scores.membrane__dice == 1 and scores.mitochondria__jaccard == 0
    assert math.isnan(scores.synapse__dice)
    assert scores.mean__dice == pytest.approx((scores.rest__dice + 1) / 3)
    rows = [row for row in scores_to_json(scores) if row["channel"] == "rest"]
    assert [row["name"] for row in rows] == ["dice", "jaccard"]
