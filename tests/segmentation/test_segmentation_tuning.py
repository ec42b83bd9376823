"""The tuner's table equals the scores of each setting's segmentation; test volumes are not used."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from pydantic import ValidationError

from attacca.arrays import LocalArrayIdentifier, NumpyArray, ZarrArray
from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.errors import ConfigurationError
from attacca.evaluators import GroundTruthRules, InstanceEvaluator
from attacca.evaluators.contingency import contingency_table
from attacca.evaluators.instance_scores import voi_from_table
from attacca.segmentation.fragments import fix_cell_size
from attacca.segmentation.pipeline import segment_volume
from attacca.segmentation.tuning import score_settings, tune
from attacca.segmentation.tuning_volume import TuningVolume

NEIGHBORHOOD = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (3, 0, 0), (0, 3, 0), (0, 0, 3))


@pytest.fixture
def volume(noisy: Callable[..., np.ndarray]) -> TuningVolume:
    affinities = noisy((10, 20, 20), 2).astype(np.float32) / 255
    roi = Roi((0, 0, 0), (100, 200, 200))
    array = NumpyArray.from_np_array(affinities, roi, Coordinate((10, 10, 10)), ["c", "z", "y", "x"])
    z, y, x = np.indices((10, 20, 20))
    return TuningVolume("small", array, ((z // 5) * 9 + (y // 7) * 3 + x // 7 + 1).astype(np.uint64))


def test_scores_equal_those_of_the_segmented_volume(volume: TuningVolume, tmp_path: Path) -> None:
    config = SegmentationConfig.model_validate(
        {
            "bias": [[0.3, 0.7]],
            "threshold": [0.3, 0.6],
            "agglomeration": ["mean_affinity", "mutex_watershed"],
            "long_bias": [0.5, 0.8],
            "min_size": [0, 40],
            "window": 2,
            "block_size": [10, 20, 20],
        }
    )
    result = tune([volume], NEIGHBORHOOD, config, tmp_path)
    row = 0
    for fragments in config.fragment_candidates():
        for agglomeration in config.agglomeration_candidates(fragments):
            output = ZarrArray.create_from_array_identifier(
                LocalArrayIdentifier(tmp_path / "o.zarr", "s0"),
                ["z", "y", "x"],
                volume.prediction.roi,
                None,
                (10, 10, 10),
                np.uint64,
                overwrite=True,
            )
            segment_volume(
                volume.prediction, output, NEIGHBORHOOD, fragments, agglomeration, tmp_path / "work"
            )
            voi = voi_from_table(contingency_table(output[output.roi], volume.ground_truth))
            assert result.table[row]["voi_split"] == pytest.approx(voi.split)
            assert result.table[row]["voi_merge"] == pytest.approx(voi.merge)
            row += 1
    assert row == len(result.table) == 2 * 2 * (2 + 4)
    assert result.table[result.chosen["row"]]["voi"] == min(scores["voi"] for scores in result.table)
    candidates = [fix_cell_size(item, (10, 20, 20)) for item in config.fragment_candidates()]
    assert result.fragments in candidates
    assert result.to_json()["criterion"] == "voi"


def test_criteria_where_more_is_better_are_maximized_over_several_volumes(
    volume: TuningVolume, tmp_path: Path
) -> None:
    config = SegmentationConfig(chain="seeded", threshold=[0.2, 0.5, 0.8], min_size=0, window=2)
    result = tune([volume, volume], NEIGHBORHOOD, config, tmp_path, criterion="f1_iou50")
    values = [row["f1_iou50"] for row in result.table]
    assert values[result.chosen["row"]] == max(values)
    single = tune([volume], NEIGHBORHOOD, config, tmp_path, criterion="f1_iou50")
    assert [row["voi"] for row in single.table] == pytest.approx([row["voi"] for row in result.table])


def flat_volume(name: str, affinity: float, labels: np.ndarray) -> TuningVolume:
    """A volume with one affinity inside the object, or in its middle if it has none."""
    affinities = np.zeros((3, 4, 8, 8), np.float32)
    affinities[:, 1:3, 2:5, 2:5] = affinity
    array = NumpyArray.from_np_array(
        affinities, Roi((0, 0, 0), (4, 8, 8)), Coordinate((1, 1, 1)), ["c", "z", "y", "x"]
    )
    return TuningVolume(name, array, labels)


@pytest.mark.parametrize("ignore_background", [True, False])
@pytest.mark.parametrize("criterion", ["average_precision", "f1_iou50", "precision_iou50"])
def test_false_objects_in_a_volume_without_objects_count(
    tmp_path: Path, criterion: str, ignore_background: bool
) -> None:
    labels = np.zeros((4, 8, 8), np.uint64)
    labels[1:4, 2:6, 2:6] = 1
    volumes = [flat_volume("one", 0.9, labels), flat_volume("none", 0.4, np.zeros_like(labels))]
    config = SegmentationConfig(
        chain="connected_components", objects="sparse", threshold=[0.2, 0.3, 0.6, 0.7], min_size=0
    )
    evaluation = EvaluationConfig(ignore_background=ignore_background)
    neighborhood = NEIGHBORHOOD[:3]
    result = tune(volumes, neighborhood, config, tmp_path, criterion=criterion, evaluation=evaluation)
    assert [row["segments"] for row in result.table] == [2, 2, 1, 1]
    assert result.table[0][criterion] == result.table[1][criterion] < 1
    assert result.table[2][criterion] == result.table[3][criterion] > result.table[0][criterion]
    assert result.agglomeration.threshold == 0.6
    with pytest.raises(ConfigurationError, match="no validation volume has an object"):
        tune(volumes[1:], neighborhood, config, tmp_path, criterion=criterion, evaluation=evaluation)


def test_fixed_settings_need_no_volume_and_others_do(tmp_path: Path) -> None:
    settled = SegmentationConfig(chain="seeded", threshold=0.5, min_size=0)
    result = tune([], NEIGHBORHOOD, settled, tmp_path)
    assert settled.is_fixed and result.table == [] and result.agglomeration.threshold == 0.5
    with pytest.raises(ConfigurationError, match="no validation volume"):
        tune([], NEIGHBORHOOD, SegmentationConfig(), tmp_path)
    with pytest.raises(ConfigurationError, match="found 'beauty'"):
        tune([], NEIGHBORHOOD, SegmentationConfig(criterion="beauty"), tmp_path)


def test_the_default_tries_two_methods_over_a_grid_of_thresholds() -> None:
    config = SegmentationConfig()
    fragments = config.fragment_candidates()
    assert {item.chain for item in fragments} == {"seeded", "mutex_watershed"}
    thresholds = {item.threshold for item in config.agglomeration_candidates(fragments[0])}
    assert len(thresholds) == 33 and min(thresholds) == 0.1 and max(thresholds) == 0.9


@pytest.mark.parametrize(
    "section",
    [
        {"chain": "magic"},
        {"bias": 2},
        {"min_size": -1},
        {"bais": 0.5},
        {"block_size": [8, 8, 8], "context": [4, 4]},
    ],
)
def test_invalid_sections_are_refused(section: dict) -> None:
    with pytest.raises(ValidationError):
        SegmentationConfig.model_validate(section)


@pytest.mark.parametrize(
    ("section", "offsets", "words"),
    [
        ({"block_size": [8, 8]}, NEIGHBORHOOD, "block_size has 2 axes"),
        ({"bias": [[0.1, 0.2, 0.3]]}, NEIGHBORHOOD, "has 3 numbers"),
        ({}, ((3, 0), (0, 3)), "no nearest-neighbor offset"),
    ],
)
def test_sections_that_do_not_fit_the_neighborhood_are_refused(
    section: dict, offsets: tuple, words: str
) -> None:
    config = SegmentationConfig.model_validate(section)
    with pytest.raises(ValueError, match=words):
        config.check_offsets([list(offset) for offset in offsets])


def _store(path: Path, name: str, data: np.ndarray, roi: Roi, channels: int | None = None) -> ZarrArray:
    axes = ["z", "y", "x"] if channels is None else ["c", "z", "y", "x"]
    location = LocalArrayIdentifier(path / "stored.zarr", name)
    array = ZarrArray.create_from_array_identifier(location, axes, roi, channels, (10, 10, 10), data.dtype)
    array[roi] = data
    return array


@pytest.mark.parametrize(
    ("section", "is_masked", "unlabelled"),
    [
        ({}, False, None),
        ({}, True, 9),
        ({"ignore_background": False}, True, 0),
        ({"ignore_background": False, "border": 10}, False, 9),
        ({"border": 10}, True, 0),
        ({"connected_components": True}, False, 0),
        ({"connected_components": True, "border": 10}, True, 9),
        ({"connected_components": True, "ignore_background": False}, True, None),
        ({"unlabelled_prediction": "ignored"}, False, 9),
        ({"iou_thresholds": [0.35, 0.75]}, False, None),
    ],
)
def test_scores_of_a_candidate_are_those_that_the_evaluation_reports(
    noisy: Callable[..., np.ndarray], tmp_path: Path, section: dict, is_masked: bool, unlabelled: int | None
) -> None:
    """Labels cover a part of the prediction and more, with voxels without annotation, a mask, and split objects."""
    roi = Roi((0, 0, 0), (100, 200, 200))
    prediction = _store(tmp_path, "prediction", noisy((10, 20, 20), 2).astype(np.float32) / 255, roi, 6)
    z, y, x = np.indices((12, 18, 22))
    values = ((z // 5) * 9 + (y // 7) * 3 + x // 7) % 11
    labels = _store(tmp_path, "labels", values.astype(np.uint32), Roi((10, -20, 0), (120, 180, 220)))
    voxels = (np.random.default_rng(1).random((12, 18, 22)) < 0.8).astype(np.uint8)
    mask = _store(tmp_path, "mask", voxels, labels.roi) if is_masked else None
    evaluation = EvaluationConfig.model_validate(section)
    thresholds = evaluation.iou_thresholds
    criterion = f"f1_iou{100 * thresholds[0]:g}"
    rules = GroundTruthRules.from_config(evaluation, unlabelled)
    evaluator = InstanceEvaluator(
        evaluation.ignore_background, evaluation.unlabelled_prediction, thresholds, rules
    )
    config = SegmentationConfig(chain="seeded", threshold=[0.3, 0.6], min_size=4, window=2, mask=False)
    volume = TuningVolume("cube", prediction, labels, None, mask, unlabelled)
    settings, rows = score_settings(
        [volume], NEIGHBORHOOD, config, tmp_path / "tuning", criterion=criterion, evaluation=evaluation
    )
    for number, ((fragments, agglomeration), row) in enumerate(zip(settings, rows, strict=True)):
        output = _store(tmp_path, f"output{number}", np.zeros((10, 20, 20), np.uint64), roi)
        work = tmp_path / f"work{number}"
        segment_volume(prediction, output, NEIGHBORHOOD, fragments, agglomeration, work)
        scores = evaluator.evaluate_blockwise(
            output, labels, tmp_path / f"scores{number}", mask=mask, block_size=(30, 70, 90)
        )
        for name in ("voi_split", "voi_merge", "voi", "adapted_rand_error", criterion):
            assert row[name] == pytest.approx(scores.value(name), abs=1e-12), name
    assert rows[0]["voi"] != rows[1]["voi"]


def test_a_threshold_of_the_evaluation_is_a_criterion_and_others_are_not(
    volume: TuningVolume, tmp_path: Path
) -> None:
    config = SegmentationConfig(chain="seeded", threshold=[0.2, 0.5], min_size=0, window=2)
    evaluation = EvaluationConfig(iou_thresholds=[0.33])
    result = tune([volume], NEIGHBORHOOD, config, tmp_path, criterion="f1_iou33", evaluation=evaluation)
    assert all(0 <= row["f1_iou33"] <= 1 for row in result.table)
    with pytest.raises(ConfigurationError, match=r"found 'f1_iou50', expected one of .*f1_iou33"):
        tune([volume], NEIGHBORHOOD, config, tmp_path, criterion="f1_iou50", evaluation=evaluation)
