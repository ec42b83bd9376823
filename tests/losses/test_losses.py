"""Losses: weighted means, and their edge cases."""

import math

import pytest
import torch

from attacca.errors import ConfigurationError
from attacca.losses import AffinitiesLoss, CrossEntropyLoss, DummyLoss, HotDistanceLoss, Loss, MSELoss

LOSSES: dict[str, Loss] = {
    "mse": MSELoss(),
    "affinities": AffinitiesLoss(4, 1.0),
    "affinities with descriptors": AffinitiesLoss(2, 0.5),
    "hot distance": HotDistanceLoss(),
    "cross-entropy": CrossEntropyLoss(),
}


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    shape = (2, 4, 3, 5, 6)
    prediction = torch.randn(shape, generator=generator)
    classes = torch.randint(0, 4, (2, 3, 5, 6), generator=generator)
    target = torch.nn.functional.one_hot(classes, 4).movedim(-1, 1).to(torch.float32)
    weight = torch.rand((2, 1, 3, 5, 6), generator=generator).expand(shape).clone()
    return prediction, target, weight


@pytest.mark.parametrize("name", LOSSES)
def test_weights_of_1_are_as_none(name: str, batch: tuple[torch.Tensor, ...]) -> None:
    prediction, target, weight = batch
    ones = LOSSES[name].compute(prediction, target, torch.ones_like(weight))
    torch.testing.assert_close(ones, LOSSES[name].compute(prediction, target))


@pytest.mark.parametrize("name", LOSSES)
def test_twice_the_weights_is_the_same_loss(name: str, batch: tuple[torch.Tensor, ...]) -> None:
    prediction, target, weight = batch
    once, twice = (LOSSES[name].compute(prediction, target, factor * weight) for factor in (1, 2))
    torch.testing.assert_close(once, twice)


@pytest.mark.parametrize("name", LOSSES)
def test_voxels_of_weight_0_do_not_count(name: str, batch: tuple[torch.Tensor, ...]) -> None:
    prediction, target, weight = batch
    weight[..., 3:] = 0
    other = prediction.clone()
    other[..., 3:] += 5
    before, after = (LOSSES[name].compute(p, target, weight) for p in (prediction, other))
    torch.testing.assert_close(before, after)
    cut = LOSSES[name].compute(prediction[..., :3], target[..., :3], weight[..., :3])
    torch.testing.assert_close(before, cut)


@pytest.mark.parametrize("name", LOSSES)
def test_without_any_weight_the_loss_is_0_and_teaches_nothing(
    name: str, batch: tuple[torch.Tensor, ...]
) -> None:
    prediction, target, weight = batch
    prediction.requires_grad_()
    loss = LOSSES[name].compute(prediction, target, torch.zeros_like(weight))
    loss.backward()
    assert loss.item() == 0
    assert prediction.grad is not None and not prediction.grad.any()


@pytest.mark.parametrize("name", LOSSES)
def test_targets_in_a_byte_are_as_floats(name: str, batch: tuple[torch.Tensor, ...]) -> None:
    prediction, target, weight = batch
    ours = LOSSES[name].compute(prediction, target.to(torch.uint8), weight)
    torch.testing.assert_close(ours, LOSSES[name].compute(prediction, target, weight))


@pytest.mark.parametrize("name", [*LOSSES, "dummy"])
def test_a_prediction_of_another_shape_is_refused(name: str, batch: tuple[torch.Tensor, ...]) -> None:
    prediction, target, weight = batch
    loss = LOSSES.get(name, DummyLoss())
    with pytest.raises(ConfigurationError, match="channels of its predictor"):
        loss.compute(prediction[:, :3], target, weight[:, :3])


def test_the_weighted_mean_of_squared_errors() -> None:
    prediction = torch.tensor([[[1.0, 2.0]]])
    target = torch.tensor([[[0.0, 0.0]]])
    weight = torch.tensor([[[3.0, 1.0]]])
    assert MSELoss().compute(prediction, target, weight).item() == (3 * 1 + 1 * 4) / 4
    assert MSELoss("reference").compute(prediction, target, weight).item() == (9 * 1 + 1 * 4) / 2


def test_affinity_weights_count_with_and_without_descriptors(batch: tuple[torch.Tensor, ...]) -> None:
    prediction, target, weight = batch
    weight[:, :2] *= target[:, :2] + 0.1
    both = AffinitiesLoss(2, 0.0).compute(prediction, target, weight)
    alone = AffinitiesLoss(2, 0.0).compute(prediction[:, :2], target[:, :2], weight[:, :2])
    torch.testing.assert_close(both, alone)
    assert both.item() != AffinitiesLoss(2, 0.0).compute(prediction, target).item()


def test_cross_entropy_is_that_of_the_class_and_skips_voxels_without_one() -> None:
    logits = torch.tensor([[[2.0, 0.0, 5.0], [0.0, 0.0, 1.0]]])
    target = torch.tensor([[[1, 0, 0], [0, 1, 0]]])
    expected = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    assert CrossEntropyLoss().compute(logits, target).item() == pytest.approx(expected)


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'sum'"):
        MSELoss("sum")  # type: ignore[arg-type]
