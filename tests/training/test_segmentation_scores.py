"""Segmentations that are computed and scored during training, and the checkpoint that is chosen by their scores."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from attacca.config.architecture import UNetConfig
from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.tasks import AffinitiesTaskConfig, DistanceTaskConfig, OneHotTaskConfig
from attacca.config.training import TrainingConfig
from attacca.errors import ConfigurationError
from attacca.training import TrainingVolume, load_model, train
from attacca.training.segmentation_validation import SegmentationValidation

AFFINITIES = AffinitiesTaskConfig(neighborhood=[[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -3]])
DISTANCE = DistanceTaskConfig(
    channels=["gray"], class_ids=[1], clip_distance=40, tol_distance=8, scale_factor=16
)
CLASSES = OneHotTaskConfig(classes=["none", "gray", "bright"])
SETTINGS = {"chain": "mutex_watershed", "bias": [0.4, 0.5, 0.6], "min_size": 0}
ONE_SETTING = {**SETTINGS, "bias": 0.5, "threshold": 0.5}


@pytest.fixture
def bodies(store: Any, tmp_path: Path) -> Any:
    """``bodies(seed)``: a volume with gray and bright bodies, which are the classes 1 and 2."""

    def make(seed: int) -> TrainingVolume:
        random = np.random.default_rng(seed)
        field = ndimage.gaussian_filter(random.normal(size=(32, 40, 40)), 4)
        labels = np.digitize(field, np.quantile(field, [0.6, 0.8])).astype(np.uint8)
        raw = np.array([60, 130, 200])[labels] + random.normal(0, 20, labels.shape)
        path = tmp_path / f"bodies-{seed}.zarr"
        stored = {
            name: store(path, name, data, (0, 0, 0), (8, 8, 8))
            for name, data in {"raw": np.clip(raw, 0, 255).astype(np.uint8), "labels": labels}.items()
        }
        return TrainingVolume(f"bodies-{seed}", **stored)

    return make


def scored_job(
    job: Any, volume: Any, task: Any, criterion: str, segmentation: Any = None, **settings: Any
) -> Any:
    """A job that is validated by the segmentation of a second volume, and the object that does so."""
    section = {"crops": 1, "criterion": criterion, "segmentation_interval": 15}
    settings = {"iterations": 60, "checkpoint": {"interval": 15, "keep_every": 15}, **settings}
    validation = (volume(seed=2),)
    scores = SegmentationValidation(
        task,
        TrainingConfig(validation=section, torch_threads=1, **settings),
        EvaluationConfig(),
        None if segmentation is None else SegmentationConfig(**segmentation),
        validation,
    )
    made = job(
        task=task,
        architecture=UNetConfig(input_shape=(16, 16, 16), num_fmaps=4, downsample_factors=((2, 2, 2),)),
        volumes=(volume(seed=1),),
        validation=validation,
        validation_section=section,
        validate_segmentation=scores,
        higher_is_better=scores.higher_is_better,
        optimizer={"warm_up": 2, "learning_rate": 1e-2},
        **settings,
    )
    return made, scores


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "criterion", "segmentation", "higher"),
    [
        (AFFINITIES, "voi", SETTINGS, False),
        (AFFINITIES, "adapted_rand_error", ONE_SETTING, False),
        (DISTANCE, "jaccard", None, True),
        (CLASSES, "mean__dice", None, True),
    ],
    ids=["voi", "one-setting", "jaccard", "dice"],
)
def test_the_best_segmentation_in_its_own_direction_chooses_the_checkpoint(
    job, volume, bodies, task, criterion, segmentation, higher
):
    made, scores = scored_job(job, volume if segmentation else bodies, task, criterion, segmentation)
    assert scores.higher_is_better is higher
    result = train(made)
    measured = {
        row["iteration"]: row["value"] for row in result["validation"] if row["criterion"] == criterion
    }
    assert list(measured) == [15, 30, 45, 60]
    assert len(set(measured.values())) > 1 or segmentation is ONE_SETTING
    expected = (max if higher else min)(measured.values())
    best = json.loads((made.directory / "checkpoints" / "best.json").read_text())
    assert measured[best["iteration"]] == best["value"] == expected
    assert (best["criterion"], best["higher_is_better"]) == (criterion, higher)
    # The recorded file is the checkpoint that was measured.
    model, _ = load_model(made.directory / "checkpoints" / best["file"])
    assert scores(model, best["iteration"])[criterion] == pytest.approx(expected, rel=1e-8)
    assert curves_of(made.directory)[f"validation/{criterion}"] == pytest.approx(measured)


def curves_of(directory: Any) -> dict[str, dict[int, float]]:
    """Read the curves from TensorBoard's files: values by iteration, by name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(directory / "tensorboard"))
    board.Reload()
    return {
        name: {event.step: event.value for event in board.Scalars(name)} for name in board.Tags()["scalars"]
    }


def test_a_criterion_that_the_task_does_not_have_is_refused_with_those_it_has(job, volume):
    with pytest.raises(ConfigurationError, match=r"found 'voi_splat', expected loss or one of .*voi_split"):
        scored_job(job, volume, AFFINITIES, "voi_splat", SETTINGS)
