"""Tasks: their parts, by their configurations."""

from pathlib import Path
from typing import Any

import pytest
from funlib.geometry import Coordinate
from pydantic import TypeAdapter, ValidationError

from attacca.config.evaluation import EvaluationConfig
from attacca.config.tasks import AnyTaskConfig, PretrainedTaskConfig, read_task_config
from attacca.evaluators import GroundTruthRules
from attacca.losses import CrossEntropyLoss, DummyLoss
from attacca.tasks import Task, create_task

READER: TypeAdapter[Any] = TypeAdapter(AnyTaskConfig)
DISTANCES = {"channels": ["mito", "membrane"], "clip_distance": 50, "tol_distance": 10, "scale_factor": 20}
SECTIONS: dict[str, dict[str, Any]] = {
    "affinities": {"neighborhood": [[1, 0, 0], [0, 1, 0], [0, 0, -9]]},
    "distance": DISTANCES,
    "inner_distance": DISTANCES,
    "hot_distance": DISTANCES,
    "one_hot": {"classes": ["background", "mito"]},
    "dummy": {"embedding_dims": 3, "detection_threshold": 0.1},
}


def make(section: dict[str, Any]) -> Task:
    return create_task(READER.validate_python(section))


@pytest.mark.parametrize("name", SECTIONS)
def test_each_task_has_its_parts(name: str) -> None:
    task = make({"type": name, "name": "n", **SECTIONS[name]})
    assert task.name == "n"
    assert task.predictor.num_channels == len(task.predictor.channel_names) > 0
    assert task.parameters
    assert task.evaluation_scores.criteria
    assert hasattr(task.loss, "compute")


@pytest.mark.parametrize("name", SECTIONS)
def test_a_pretrained_task_is_its_sub_task(name: str) -> None:
    sub = {"type": name, **SECTIONS[name]}
    task = make({"type": "pretrained", "sub_task_config": sub, "weights": "weights.pt"})
    alone = make(sub)
    for part in ("predictor", "loss", "post_processor", "evaluator"):
        assert type(getattr(task, part)) is type(getattr(alone, part))
    assert task.parameters == alone.parameters


@pytest.mark.parametrize("name", SECTIONS)
def test_a_configuration_describes_the_network_without_creating_it(name: str) -> None:
    config = read_task_config({"type": name, **SECTIONS[name]})
    task = create_task(config)
    assert config.num_channels == task.predictor.num_channels
    assert config.default_criterion in {
        criterion.rpartition("__")[2] for criterion in task.evaluation_scores.criteria
    } | set(task.evaluation_scores.criteria)
    assert (
        config.agglomerates == config.has_directed_targets == bool(config.offsets) == (name == "affinities")
    )


@pytest.mark.parametrize("dims", [2, 3])
def test_shape_descriptors_count_as_channels(dims: int) -> None:
    config = read_task_config({"type": "affinities", "neighborhood": [[1] * dims], "lsds": True})
    assert config.num_channels == create_task(config).predictor.num_channels
    assert config.num_axes == dims


@pytest.mark.parametrize("name", SECTIONS)
def test_a_pretrained_configuration_describes_its_sub_task(name: str) -> None:
    sub = read_task_config({"type": name, **SECTIONS[name]})
    config = read_task_config({"type": "pretrained", "sub_task_config": sub.model_dump(), "weights": "w.pt"})
    assert config.learned_task == sub and sub.learned_task is sub
    assert (config.initial_weights, sub.initial_weights) == (Path("w.pt"), None)
    for key in (
        *(
            "agglomerates",
            "has_directed_targets",
            "default_criterion",
            "num_channels",
            "head_kernel",
            "offsets",
        ),
        *("num_axes", "class_names", "label_classes", "synthetic_labels", "channel_ids"),
    ):
        assert getattr(config, key) == getattr(sub, key), key
    assert sub.channel_ids == getattr(sub, "class_ids", None)
    section: Any = config
    for key in config.learned_task_key:
        section = getattr(section, key)
    assert section == sub and sub.learned_task_key == ()
    assert config.label_requirement() == sub.label_requirement()


def test_the_evaluation_section_reaches_the_evaluator() -> None:
    evaluation = EvaluationConfig(border=8, connected_components=True, tolerance=3, ignore_background=False)
    objects: Any = make({"type": "affinities", **SECTIONS["affinities"]}).create_evaluator(evaluation, 7)
    assert objects.rules == GroundTruthRules(7, 8, True) and not objects.convention.ignore_background
    channels: Any = make({"type": "distance", **DISTANCES}).create_evaluator(evaluation, 7)
    # Classes are not split into connected components.
    assert channels.rules == GroundTruthRules(7, 8, False)
    assert (channels.clip_distance, channels.tol_distance) == (50, 3)
    classes: Any = make({"type": "one_hot", **SECTIONS["one_hot"]}).create_evaluator(evaluation)
    assert classes.rules == GroundTruthRules(None, 8, False)


@pytest.mark.parametrize("name", SECTIONS)
def test_configurations_survive_json(name: str) -> None:
    config = READER.validate_python({"type": name, **SECTIONS[name]})
    assert READER.validate_json(config.model_dump_json()) == config
    assert config.task_type is type(create_task(config))
    valid, reason = config.verify()
    assert valid == (name != "dummy") and reason


def test_settings_reach_the_predictor() -> None:
    section = {
        "type": "affinities",
        "neighborhood": [[1, 0], [0, -9]],
        "lsds": True,
        "num_lsd_voxels": 7,
        "downsample_lsds": 2,
        "grow_boundary_iterations": 1,
        "affs_weight_clipmin": 0.1,
        "lsd_weight_clipmax": 0.8,
        "background_as_object": True,
    }
    predictor: Any = make(section).predictor
    assert predictor.neighborhood == [Coordinate(1, 0), Coordinate(0, -9)]
    assert predictor.num_channels == 2 + 6
    assert (predictor.num_voxels, predictor.downsample_lsds, predictor.grow_boundary_iterations) == (7, 2, 1)
    assert (predictor.affs_weight_clipmin, predictor.lsd_weight_clipmax) == (0.1, 0.8)
    assert predictor.background_as_object and predictor.mask_partners
    distance: Any = make({"type": "distance", **DISTANCES, "mask_distances": False, "clipmax": 0.7}).predictor
    assert (distance.scale_factor, distance.mask_distances, distance.clipmax) == (20, False, 0.7)


def test_a_hot_distance_task_segments_the_half_that_is_named() -> None:
    distance: Any = make({"type": "hot_distance", **DISTANCES})
    assert distance.post_processor.channels == (2, 3)
    one_hot: Any = make({"type": "hot_distance", **DISTANCES, "evaluated_half": "one_hot"})
    assert one_hot.post_processor.channels == (0, 1)


def test_a_one_hot_task_learns_by_cross_entropy_or_as_dacapo_does() -> None:
    assert isinstance(make({"type": "one_hot", "classes": ["a", "b"]}).loss, CrossEntropyLoss)
    assert isinstance(make({"type": "one_hot", "classes": ["a", "b"], "loss": "dummy"}).loss, DummyLoss)


def test_thresholds_can_be_given() -> None:
    task = make({"type": "distance", **DISTANCES, "thresholds": [-0.1, 0.2]})
    assert [parameters.threshold for parameters in task.parameters] == [-0.1, 0.2]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"type": "affinities", "neighborhood": [[1, 0, 0], [0, 1]]}, "2 axes"),
        ({"type": "affinities", "neighborhood": [[0, 0, 0]]}, "the voxel itself"),
        ({"type": "affinities", "neighborhood": [[1.5, 0, 0]]}, "whole numbers"),
        ({"type": "affinities", "neighborhood": []}, "at least 1"),
        ({"type": "distance", **DISTANCES, "channels": ["a", "a"]}, "several times"),
        ({"type": "distance", **DISTANCES, "class_ids": [1]}, "for 2 channels"),
        ({"type": "distance", **DISTANCES, "scale_factor": 0}, "greater than 0"),
        ({"type": "distance", **DISTANCES, "clip": 1}, "not permitted"),
        ({"type": "segmentation"}, "does not match any of the expected tags"),
    ],
)
def test_problems_are_named(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        READER.validate_python(section)


def test_a_pretrained_task_without_its_file_is_not_valid(tmp_path: Any) -> None:
    section = {"type": "pretrained", "sub_task_config": {"type": "one_hot", "classes": ["a"]}}
    config: PretrainedTaskConfig = READER.validate_python({**section, "weights": tmp_path / "weights.pt"})
    assert config.verify() == (False, f"weights: the file {tmp_path / 'weights.pt'} does not exist")
    config.weights.touch()
    assert config.verify()[0]
