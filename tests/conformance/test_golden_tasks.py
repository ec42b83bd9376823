"""Golden values of task configurations, their components, and their models."""

from ast import literal_eval
from pathlib import Path
from typing import Any

import pytest
import torch
from funlib.geometry import Coordinate

from attacca.architectures.architecture import Architecture
from attacca.config.task import TaskConfig
from attacca.config.tasks import (
    AffinitiesTaskConfig,
    DistanceTaskConfig,
    DummyTaskConfig,
    HotDistanceTaskConfig,
    InnerDistanceTaskConfig,
    OneHotTaskConfig,
    PretrainedTaskConfig,
)
from attacca.tasks import PretrainedTask, create_task


class OneConvolution(Architecture):
    """The architecture of the golden values: 1 to ``num_out`` channels, one valid convolution."""

    def __init__(self, input_shape: list[int], eval_shape_increase: list[int], num_out: int) -> None:
        super().__init__()
        self._input_shape = Coordinate(input_shape)
        self._increase = Coordinate(eval_shape_increase)
        self._num_out = num_out
        self.convolution = torch.nn.Conv3d(1, num_out, kernel_size=3)

    @property
    def input_shape(self) -> Coordinate:
        return self._input_shape

    @property
    def eval_shape_increase(self) -> Coordinate:
        return self._increase

    @property
    def num_in_channels(self) -> int:
        return 1

    @property
    def num_out_channels(self) -> int:
        return self._num_out

    def scale(self, voxel_size: Coordinate) -> Coordinate:
        return voxel_size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convolution(x)


CLASSES: dict[str, type[TaskConfig]] = {
    "DummyTaskConfig": DummyTaskConfig,
    "DistanceTaskConfig": DistanceTaskConfig,
    "OneHotTaskConfig": OneHotTaskConfig,
    "InnerDistanceTaskConfig": InnerDistanceTaskConfig,
    "HotDistanceTaskConfig": HotDistanceTaskConfig,
    "AffinitiesTaskConfig": AffinitiesTaskConfig,
    "AffinitiesTaskConfig_lsds": AffinitiesTaskConfig,
}
GIVEN = {
    "DummyTaskConfig": ["embedding_dims", "detection_threshold"],
    "DistanceTaskConfig": ["channels", "clip_distance", "tol_distance"],
    "OneHotTaskConfig": ["classes"],
    "InnerDistanceTaskConfig": ["channels", "clip_distance", "tol_distance"],
    "HotDistanceTaskConfig": ["channels", "clip_distance", "tol_distance"],
    "AffinitiesTaskConfig": ["neighborhood"],
    "AffinitiesTaskConfig_lsds": ["neighborhood", "lsds"],
}


def text(value: Any, example: str) -> str:
    """A field's value as the golden values write it."""
    if isinstance(value, list) and value and isinstance(value[0], Coordinate):
        value = [list(offset) for offset in value]
    if isinstance(value, float) and value.is_integer() and "." not in example:
        value = int(value)
    return str(value)


@pytest.mark.golden_case("tasks_defaults_and_models")
def test_tasks_their_parts_and_their_models(case: Any, tmp_path: Path) -> None:
    shape = case.reference("architecture")
    architecture = OneConvolution(shape["input_shape"], shape["eval_shape_increase"], shape["num_out"])
    made = {
        "input_shape": list(architecture.input_shape),
        "eval_shape_increase": list(architecture.eval_shape_increase),
        "num_out": architecture.num_out_channels,
    }
    case.compare("architecture", made)
    for name, of_class in CLASSES.items():
        golden = case.reference(name)
        given = {key: literal_eval(golden["config"][key]) for key in GIVEN[name]}
        config = of_class(name=golden["config"]["name"], **given)
        for key, value in golden["config"].items():
            case.compare((name, "config", key), text(getattr(config, key), value))
        case.compare((name, "verify"), list(config.verify()))
        compare_parts(case, name, golden, create_task(config), architecture)

    def starts_from_weights(reference: str) -> None:
        assert reference.startswith("ERROR")
        config = DistanceTaskConfig(channels=["a"], clip_distance=1, tol_distance=1)
        trained = create_task(config).create_model(architecture)
        torch.save({"model": trained.state_dict()}, tmp_path / "weights.pt")
        task = create_task(PretrainedTaskConfig(sub_task_config=config, weights=tmp_path / "weights.pt"))
        assert isinstance(task, PretrainedTask)
        trained_weights = {name: value.clone() for name, value in trained.state_dict().items()}
        model = task.create_model(architecture)
        for name, value in model.state_dict().items():
            assert torch.equal(value, trained_weights[name])
        assert task.report is not None and not task.report.missing and not task.report.mismatched

    case.depart("PretrainedTask", "B16", starts_from_weights)


def compare_parts(
    case: Any, name: str, golden: dict[str, Any], task: Any, architecture: OneConvolution
) -> None:
    """Predictor, loss, post-processor, evaluator, parameters and model of one task."""
    one_hot = name.startswith("OneHot")

    def is_a(key: str, value: Any, mended: str) -> None:
        ours = type(value).__name__
        if one_hot and key in ("loss", "evaluator"):
            case.depart((name, key), "one-hot", value=ours, expected=mended)
        else:
            case.compare((name, key), ours)

    is_a("predictor", task.predictor, "")
    is_a("loss", task.loss, "CrossEntropyLoss")
    is_a("post_processor", task.post_processor, "")
    is_a("evaluator", task.evaluator, "OneHotEvaluator")
    compare_criteria(case, name, golden, task, one_hot)
    compare_parameters(case, name, golden, task)
    case.compare((name, "output_array_type"), type(task.predictor.output_array_type).__name__)
    case.compare((name, "interpolatable"), task.predictor.output_array_type.interpolatable)

    model = task.create_model(architecture)
    lsds = name.endswith("_lsds")
    number = len(task.predictor.neighborhood) + 10 if lsds else None
    head = str(model.prediction_head)
    if lsds:
        # the variant of an earlier revision has the channels of the descriptors
        earlier = case.reference(f"{name}__seed")
        case.depart((name, "model_out_channels"), "B3", value=model.num_out_channels, expected=number)
        assert (model.num_out_channels, head) == (earlier["model_out_channels"], earlier["head"])
        case.depart((name, "head"), "B3", value=head, expected=earlier["head"])
        assert task.predictor.num_channels == number
    else:
        case.compare((name, "model_out_channels"), model.num_out_channels)
        case.compare((name, "head"), head)
    case.compare((name, "output_shape"), list(model.output_shape))
    activation = str(model.eval_activation)
    if one_hot:
        case.depart((name, "eval_activation"), "one-hot", value=activation, expected="Softmax(dim=1)")
    else:
        case.compare((name, "eval_activation"), activation)
    case.compare((name, "scale"), list(model.scale(Coordinate(golden["scale"]))))


def compare_criteria(case: Any, name: str, golden: dict[str, Any], task: Any, one_hot: bool) -> None:
    """The criteria of evaluator and scores; of the scores, the golden values name the first few."""
    first = len(golden["score_criteria"])
    found = {
        "evaluator_criteria": list(task.evaluator.criteria),
        "score_criteria": list(task.evaluation_scores.criteria)[:first],
    }
    for key, ours in found.items():
        if one_hot:
            assert all(criterion.endswith(("__dice", "__jaccard")) for criterion in ours)
            case.depart((name, key), "one-hot", check=lambda reference: None)
        else:
            case.compare((name, key), ours)


def compare_parameters(case: Any, name: str, golden: dict[str, Any], task: Any) -> None:
    """The parameters that are tried; thresholds are in the prediction's own range."""
    ours = [vars(parameters) for parameters in task.parameters]
    if "threshold" in golden["parameters"][0]:
        low, high = task.predictor.value_range
        assert [parameters["id"] for parameters in ours] == list(range(len(ours)))
        assert all(low <= parameters["threshold"] < high for parameters in ours)
        if low < 0:
            assert [parameters["threshold"] for parameters in ours] == [(low + high) / 2]
        case.depart((name, "parameters"), "B28", check=lambda reference: None)
        return
    expected = [literal_eval(parameter_set) for parameter_set in golden["parameters"]]
    named = [
        {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in parameter_set.items()
            if key in keys
        }
        for parameter_set, keys in zip(ours, expected)
    ]
    case.compare((name, "parameters"), [str(parameter_set) for parameter_set in named])
