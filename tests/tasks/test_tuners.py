"""Parameters that are chosen on validation volumes."""

import json
import math

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.tasks import read_task_config
from attacca.errors import ConfigurationError
from attacca.progress import Progress
from attacca.tasks import create_task
from attacca.tasks.tuner import ValidationPrediction

DISTANCE = {"type": "distance", "channels": ["nucleus"], "clip_distance": 50, "tol_distance": 10}
SHAPE = (8, 8, 8)


def store(path, name, data):
    axes = ["z", "y", "x"] if data.ndim == 3 else ["c", "z", "y", "x"]
    channels = None if data.ndim == 3 else data.shape[0]
    identifier = LocalArrayIdentifier(path / "volume.zarr", name)
    array = ZarrArray.create_from_array_identifier(
        identifier, axes, Roi((0, 0, 0), SHAPE), channels, Coordinate(1, 1, 1), data.dtype
    )
    array[array.roi] = data
    return array


@pytest.fixture
def volume(tmp_path):
    """Values from -1 to 1 along x, of which those above 0.4 are inside the nucleus."""
    values = np.broadcast_to(np.linspace(-1, 1, 8, dtype=np.float32), (1, *SHAPE))
    labels = store(tmp_path, "labels", (values > 0.4).astype(np.uint8))
    return ValidationPrediction(
        "cube",
        store(tmp_path, "prediction", np.ascontiguousarray(values)),
        LocalArrayIdentifier(labels.file_name, labels.dataset),
    )


def make_tuner(criterion=None, **settings):
    task = create_task(read_task_config({**DISTANCE, **settings}))
    return task.create_tuner(EvaluationConfig(criterion=criterion))


def test_the_best_threshold_on_the_volumes_is_chosen(volume, tmp_path):
    progress = Progress("tune", 0, "settings")
    result = make_tuner(thresholds=[-0.5, 0.4, 0.9]).tune([volume], tmp_path, progress=progress)
    assert result["chosen"] == {"id": 1, "threshold": 0.4}
    assert (result["criterion"], result["higher_is_better"]) == ("jaccard", True)
    assert [row["jaccard"] for row in result["table"]] == pytest.approx([3 / 6, 1, 1 / 3])
    assert progress.done == progress.total == 3


def test_the_middle_one_of_equal_adjacent_thresholds_is_chosen(volume, tmp_path):
    thresholds = [-0.9, 0.2, 0.25, 0.3, 0.35, 0.4, 0.9]
    result = make_tuner(thresholds=thresholds).tune([volume], tmp_path)
    assert [row["jaccard"] == 1 for row in result["table"]] == [False, *[True] * 5, False]
    assert result["chosen"] == {"id": 3, "threshold": 0.3}
    shuffled = make_tuner(thresholds=[thresholds[i] for i in (3, 0, 6, 2, 5, 1, 4)]).tune(
        [volume], tmp_path / "again"
    )
    assert shuffled["chosen"]["threshold"] == 0.3


def test_criteria_are_optimized_in_their_direction_and_for_one_channel(volume, tmp_path):
    result = make_tuner("nucleus__voi", thresholds=[-0.5, 0.4]).tune([volume], tmp_path)
    assert result["chosen"]["threshold"] == 0.4 and result["higher_is_better"] is False
    tuner = make_tuner(thresholds=[-0.5, 0.4])
    assert tuner.score_candidates([volume], "voi", tmp_path / "again")[1] == 0


def test_without_volumes_the_middle_of_the_candidates_is_chosen(tmp_path):
    result = make_tuner(thresholds=[-0.5, 0.4, 0.9]).tune([], tmp_path)
    assert result == {"criterion": "jaccard", "chosen": {"id": 1, "threshold": 0.4}, "table": []}
    affinities = create_task(read_task_config({"type": "affinities", "neighborhood": [[1, 0, 0]]}))
    settings = SegmentationConfig(chain="seeded", threshold=[0.1, 0.3, 0.5], min_size=0)
    chosen = affinities.create_tuner(segmentation=settings).tune([], tmp_path)["chosen"]
    assert chosen["agglomeration"]["threshold"] == 0.3


def test_tuning_does_not_change_the_candidates_of_the_task(volume, tmp_path):
    task = create_task(read_task_config(DISTANCE))
    before = task.post_processor.tuning_parameters()
    scores = task.create_tuner().score_candidates([volume], "jaccard", tmp_path)
    assert len(scores) == len(before) and math.isfinite(max(scores))
    assert task.post_processor.tuning_parameters() == before
    assert task.post_processor.prediction_array is None


def test_an_unknown_criterion_is_refused_with_those_of_the_task(volume, tmp_path):
    with pytest.raises(ConfigurationError, match=r"found 'jacard', expected one of .*nucleus__jaccard"):
        make_tuner("jacard", thresholds=[-0.5, 0.4]).tune([volume], tmp_path)


def test_a_candidate_without_a_score_is_null_in_the_table_and_not_chosen(volume, tmp_path):
    # Nothing is above 1, so that the distance to the segmentation is undefined.
    tuner = make_tuner("hausdorff", thresholds=[-0.5, 0.4, 1.5])
    result = tuner.tune([volume], tmp_path)
    assert result["table"][2]["hausdorff"] is None
    assert result["table"][1]["hausdorff"] == 0 and result["chosen"]["threshold"] == 0.4
    assert "NaN" not in json.dumps(result)


def test_without_any_score_tuning_is_an_error_that_names_the_volumes(volume, tmp_path):
    tuner = make_tuner("hausdorff", thresholds=[1.5, 2])
    with pytest.raises(ConfigurationError, match=r"no candidate has a hausdorff on .* \(cube\); validate on"):
        tuner.tune([volume], tmp_path)


def test_a_volume_without_any_score_decides_nothing(volume, tmp_path):
    values = np.full((1, *SHAPE), -1, np.float32)
    labels = store(tmp_path, "full_labels", np.ones((1, *SHAPE), np.uint8))
    empty = ValidationPrediction(
        "empty",
        store(tmp_path, "empty", values),
        LocalArrayIdentifier(labels.file_name, labels.dataset),
    )
    alone = make_tuner("hausdorff", thresholds=[-0.5, 0.4]).tune([volume], tmp_path / "alone")
    both = make_tuner("hausdorff", thresholds=[-0.5, 0.4]).tune([volume, empty], tmp_path / "both")
    assert both == alone
