"""Defaults for objects in annotated background, chosen from the labels of the validation volumes."""

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, NumpyArray, ZarrArray
from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.tasks import AffinitiesTaskConfig
from attacca.evaluators import InstanceEvaluator
from attacca.tasks import create_task
from attacca.tasks.tuner import ValidationPrediction

VOXEL = Coordinate((10, 10, 10))
TASK = AffinitiesTaskConfig(neighborhood=[[1, 0, 0], [0, 1, 0], [0, 0, 1]])


def make_labels(width, count=3, size=36):
    """Cubes of a width on a lattice."""
    labels = np.zeros((size,) * 3, np.uint32)
    step = size // count
    for number, corner in enumerate(np.ndindex(count, count, count), start=1):
        labels[tuple(slice(step * c + 1, step * c + 1 + width) for c in corner)] = number
    return labels


def validate(tmp_path, labels, background):
    """Affinities that are high in objects and ``background`` elsewhere, with their labels."""
    roi = Roi((0, 0, 0), Coordinate(labels.shape) * VOXEL)
    container = tmp_path / "volume.zarr"
    places = {name: LocalArrayIdentifier(container, name) for name in ("prediction", "labels")}
    prediction = ZarrArray.create_from_array_identifier(
        places["prediction"], ["c", "z", "y", "x"], roi, 3, VOXEL, np.float32, write_size=roi.shape
    )
    values = np.empty((3, *labels.shape), np.float32)
    for axis in range(3):
        same = (labels > 0) & (labels == np.roll(labels, -1, axis))
        values[axis] = np.where(same, 0.9, background)
    prediction[roi] = values
    stored = ZarrArray.create_from_array_identifier(
        places["labels"], ["z", "y", "x"], roi, None, VOXEL, labels.dtype, write_size=roi.shape
    )
    stored[roi] = labels
    return ValidationPrediction("cube", prediction, places["labels"])


def tune(tmp_path, prediction, **settings):
    tuner = create_task(TASK).create_tuner(EvaluationConfig(), SegmentationConfig(**settings))
    return tuner.tune([prediction], tmp_path / "scratch")


def test_objects_in_background_are_chosen_by_a_score_that_counts_the_background(tmp_path):
    result = tune(tmp_path, validate(tmp_path, make_labels(6), 0.3))
    assert result["criterion"] == "average_precision"
    assert result["chosen"]["fragments"]["background_below"] == 0.5
    assert result["chosen"]["agglomeration"]["debris"] == "delete"
    best = max(row["average_precision"] for row in result["table"])
    assert best > 0.95


def test_the_settings_of_dense_objects_would_fill_the_background(tmp_path):
    # The reason of the other defaults: by variation of information, background in a segment costs nothing.
    result = tune(tmp_path, validate(tmp_path, make_labels(6), 0.3), objects="dense")
    assert result["criterion"] == "voi"
    assert result["chosen"]["fragments"]["background_below"] == 0.1


def test_objects_that_fill_the_volume_keep_their_defaults(tmp_path):
    result = tune(tmp_path, validate(tmp_path, make_labels(11), 0.05), chain="seeded", threshold=[0.5, 0.7])
    assert result["criterion"] == "voi"
    assert result["chosen"]["agglomeration"]["debris"] == "merge"


@pytest.mark.parametrize(("segment_everything", "warns"), [(True, True), (False, False)])
def test_a_segmentation_that_fills_the_background_is_reported(segment_everything, warns):
    labels = make_labels(6)
    segments = np.maximum(labels, 1) if segment_everything else labels
    roi = Roi((0, 0, 0), Coordinate(labels.shape) * VOXEL)
    arrays = [NumpyArray.from_np_array(data, roi, VOXEL, ["z", "y", "x"]) for data in (segments, labels)]
    coverage = InstanceEvaluator().evaluate(*arrays).coverage
    assert coverage.labeled == pytest.approx((labels > 0).mean())
    assert coverage.differs == warns
    if warns:
        assert coverage.describe().startswith("100 % of the voxels are segmented, but 12 % are labeled")
