"""Models: heads on architectures, and weights that come from a file."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from funlib.geometry import Coordinate

from attacca.architectures.architecture import Architecture
from attacca.config.tasks import (
    AffinitiesTaskConfig,
    DistanceTaskConfig,
    OneHotTaskConfig,
    PretrainedTaskConfig,
    SubTaskConfig,
)
from attacca.errors import CheckpointError, MissingInputError
from attacca.model import Model
from attacca.tasks import PretrainedTask, create_task


class Small(Architecture):
    """One valid convolution with a norm that keeps running statistics."""

    def __init__(self, dims: int = 3, num_out_channels: int = 4) -> None:
        super().__init__()
        self._dims = dims
        self._num_out_channels = num_out_channels
        convolution, norm = {
            2: (torch.nn.Conv2d, torch.nn.BatchNorm2d),
            3: (torch.nn.Conv3d, torch.nn.BatchNorm3d),
        }[dims]
        self.body = torch.nn.Sequential(convolution(1, num_out_channels, 3), norm(num_out_channels))

    @property
    def input_shape(self) -> Coordinate:
        return Coordinate((10, 12, 14)[-self._dims :])

    @property
    def eval_shape_increase(self) -> Coordinate:
        return Coordinate((4,) * self._dims)

    @property
    def num_in_channels(self) -> int:
        return 1

    @property
    def num_out_channels(self) -> int:
        return self._num_out_channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


DISTANCE = DistanceTaskConfig(channels=["a", "b"], clip_distance=1, tol_distance=1)
AFFINITIES = AffinitiesTaskConfig(neighborhood=[Coordinate(1, 0, 0), Coordinate(0, 1, 0)], lsds=True)
ONE_HOT = OneHotTaskConfig(classes=["a", "b", "c"])


def test_only_the_segmentation_depends_on_class_factors() -> None:
    config = ONE_HOT.model_copy(update={"class_factors": [[1, 1, 1], [1, 0.5, 0.1]]})
    for parts in ((), ("predictor", "loss"), ("evaluator",)):
        assert config.keep_parts(*parts).model_dump_json() == ONE_HOT.model_dump_json()
    assert config.keep_parts("post_processor") == config
    candidates = create_task(config).post_processor.tuning_parameters()
    assert [candidate.factors for candidate in candidates] == [(1, 1, 1), (1, 0.5, 0.1)]


def test_class_factors_have_one_number_for_each_class() -> None:
    with pytest.raises(ValueError, match=r"found 2 class_factors .* one number for each of the 3 classes"):
        OneHotTaskConfig(classes=["a", "b", "c"], class_factors=[[1, 1, 1], [1, 0.5]])


def test_a_model_knows_its_shapes_without_touching_running_statistics() -> None:
    model = create_task(DISTANCE).create_model(Small())
    assert (model.num_in_channels, model.num_out_channels) == (1, 2)
    assert model.input_shape == (10, 12, 14) and model.output_shape == (8, 10, 12)
    assert model.eval_input_shape == (14, 16, 18)
    assert model.compute_output_shape(Coordinate(20, 20, 20)) == (2, Coordinate(18, 18, 18))
    assert model.scale(Coordinate(8, 4, 4)) == (8, 4, 4)
    norm: Any = model.architecture.body[1]
    assert norm.num_batches_tracked.item() == 0 and model.training


@pytest.mark.parametrize("dims", [2, 3])
def test_descriptors_have_channels_of_their_own(dims: int) -> None:
    config = AffinitiesTaskConfig(neighborhood=[Coordinate((1,) * dims)], lsds=True)
    model = create_task(config).create_model(Small(dims))
    assert model.num_out_channels == 1 + {2: 6, 3: 10}[dims]


def test_activations_belong_to_evaluation_alone() -> None:
    x = torch.randn((2, 1, 10, 12, 14), generator=torch.Generator().manual_seed(0))
    model = create_task(AFFINITIES).create_model(Small())
    model.architecture.body[1].eval()  # type: ignore[index, union-attr]
    with torch.no_grad():
        logits = model(x)
        torch.testing.assert_close(model.eval()(x), torch.sigmoid(logits))
    one_hot = create_task(ONE_HOT).create_model(Small()).eval()
    with torch.no_grad():
        torch.testing.assert_close(one_hot(x).sum(dim=1), torch.ones((2, 6, 8, 10)))
    assert create_task(DISTANCE).create_model(Small()).eval_activation is None


def test_convolutions_start_from_the_seed() -> None:
    def weights(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        return create_task(DISTANCE).create_model(Small()).state_dict()

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["chain.0.body.0.weight"], other["chain.0.body.0.weight"])
    # He initialization for rectifiers: variance 2 / fan-in
    assert first["chain.0.body.0.weight"].var().item() == pytest.approx(2 / 27, rel=0.4)


def pretrained(sub_task: SubTaskConfig, weights: Path) -> PretrainedTask:
    task = create_task(PretrainedTaskConfig(sub_task_config=sub_task, weights=weights))
    assert isinstance(task, PretrainedTask)
    return task


def equal_weights(a: Model, b: Model) -> bool:
    return all(torch.equal(value, b.state_dict()[name]) for name, value in a.state_dict().items())


@pytest.mark.parametrize("form", ["model", "chain", "plain", "averaged"])
def test_weights_are_loaded_from_every_form_of_file(form: str, tmp_path: Path) -> None:
    trained = create_task(DISTANCE).create_model(Small())
    other = create_task(DISTANCE).create_model(Small())
    content: Any = {
        "model": {"model": trained.state_dict()},
        "chain": {"model": trained.chain.state_dict(), "ema": None},
        "plain": trained.state_dict(),
        "averaged": {"model": other.chain.state_dict(), "ema": dict(trained.chain.state_dict())},
    }[form]
    torch.save(content, tmp_path / "weights.pt")
    task = pretrained(DISTANCE, tmp_path / "weights.pt")
    model = task.create_model(Small())
    assert equal_weights(model, trained) and not equal_weights(model, other)
    assert task.report is not None
    assert not task.report.missing and not task.report.mismatched and not task.report.unexpected


def test_weights_that_do_not_fit_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trained = create_task(DISTANCE).create_model(Small())
    torch.save({"model": trained.chain.state_dict()}, tmp_path / "weights.pt")
    task = pretrained(AFFINITIES, tmp_path / "weights.pt")
    with caplog.at_level(logging.WARNING, logger="attacca.tasks.pretrained_task"):
        model = task.create_model(Small())
    report = task.report
    assert report is not None
    assert "architecture.body.0.weight" in report.loaded
    assert set(report.mismatched) == {"prediction_head.weight", "prediction_head.bias"}
    assert report.mismatched["prediction_head.bias"] == ((2,), (12,))
    assert "prediction_head.bias [2] instead of [12]" in caplog.text
    state = trained.state_dict()
    assert torch.equal(model.state_dict()["architecture.body.0.weight"], state["architecture.body.0.weight"])

    partial = {name: value for name, value in trained.chain.state_dict().items() if not name.endswith("bias")}
    torch.save({"model": {**partial, "0.extra": torch.zeros(3)}}, tmp_path / "weights.pt")
    task = pretrained(DISTANCE, tmp_path / "weights.pt")
    task.create_model(Small())
    assert task.report is not None
    assert "prediction_head.bias" in task.report.missing
    assert task.report.unexpected == ["architecture.extra"]
    assert "1 unknown to the model: architecture.extra" in str(task.report)


def test_files_without_weights_that_fit_are_refused(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    with pytest.raises(MissingInputError, match=r"weights\.pt"):
        pretrained(DISTANCE, weights).create_model(Small())
    weights.write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match="cannot be read"):
        pretrained(DISTANCE, weights).create_model(Small())
    torch.save({"other.weight": torch.zeros(2)}, weights)
    with pytest.raises(CheckpointError, match="no weight in"):
        pretrained(DISTANCE, weights).create_model(Small())
    torch.save({"iteration": 3}, weights)
    with pytest.raises(CheckpointError, match="holds no weights"):
        pretrained(DISTANCE, weights).create_model(Small())
    torch.save([1, 2], weights)
    with pytest.raises(CheckpointError, match="list"):
        pretrained(DISTANCE, weights).create_model(Small())


class Awkward(Small):
    """Makes a tensor of its own and looks at a value."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = super().forward(x) + torch.ones(1)
        return x * 2 if x.sum().item() > 1e9 else x


def test_an_architecture_that_looks_at_values_has_its_shapes_found_too() -> None:
    model = create_task(DISTANCE).create_model(Awkward())
    assert (model.num_out_channels, model.output_shape) == (2, Coordinate(8, 10, 12))
    assert model(torch.zeros(1, 1, 10, 12, 14)).shape == (1, 2, 8, 10, 12)
