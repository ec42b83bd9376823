from typing import Any

import pytest
import torch

from attacca.architectures import create_architecture
from attacca.architectures.operations import count_flops, count_weights
from attacca.config.architecture import UNetConfig
from attacca.config.tasks import AffinitiesTaskConfig, OneHotTaskConfig
from attacca.losses import compute_loss
from attacca.model import Ensemble, Model
from attacca.tasks import create_task

AFFINITIES = AffinitiesTaskConfig(neighborhood=[[1, 0], [0, 1]])
CLASSES = OneHotTaskConfig(classes=["a", "b", "c"], kernel_size=1)


def describe(members: int) -> UNetConfig:
    return UNetConfig(
        input_shape=(16, 16),
        channels=(2, 4),
        downsample_factors=((2, 2),),
        normalization="batch",
        members=members,
    )


def create(members: int, task: Any = AFFINITIES) -> tuple[Any, Model]:
    torch.manual_seed(3)
    made = create_task(task)
    return made, made.create_model(create_architecture(describe(members), 2))


@pytest.mark.parametrize("task", [AFFINITIES, CLASSES], ids=["affinities", "classes"])
def test_the_prediction_of_an_ensemble_is_the_mean_of_those_of_its_members(task):
    _, model = create(3, task)
    model.eval()
    raw = torch.rand((2, 1, 16, 16))
    with torch.no_grad():
        logits = [member(raw) for member in model.chain.members]
        expected = sum(model.eval_activation(each) for each in logits) / 3
        assert torch.allclose(model(raw), expected, atol=1e-6)
    assert not torch.allclose(logits[0], logits[1], atol=1e-2)
    assert not torch.allclose(logits[1], logits[2], atol=1e-2)


@pytest.mark.parametrize("task", [AFFINITIES, CLASSES], ids=["affinities", "classes"])
def test_each_member_of_an_ensemble_learns_as_it_would_alone(task):
    made, model = create(2, task)
    channels = model.num_out_channels
    raw, target = torch.rand((2, 1, 16, 16)), (torch.rand((2, channels, 16, 16)) > 0.5).float()
    weight = torch.rand((2, channels, 16, 16))
    prediction = model.train()(raw)
    assert len(prediction) == 4
    loss = compute_loss(made.loss, prediction, target, weight)
    loss.backward()
    found = [[weights.grad.clone() for weights in member.parameters()] for member in model.chain.members]
    losses = []
    for member, gradients in zip(model.chain.members, found):
        member.zero_grad()
        alone = made.loss.compute(member(raw), target, weight)
        alone.backward()
        losses.append(alone.item())
        for weights, gradient in zip(member.parameters(), gradients):
            assert torch.allclose(weights.grad, 2 * gradient, atol=1e-5)
    assert loss.item() == pytest.approx(sum(losses) / 2, rel=1e-5)


def test_the_first_member_of_an_ensemble_has_the_weights_of_a_single_network():
    _, single = create(1)
    _, ensemble = create(2)
    assert not isinstance(single.chain, Ensemble)
    first, second = ensemble.chain.members
    for name, value in single.chain.state_dict().items():
        assert torch.equal(first.state_dict()[name], value)
    convolutions = [
        next(module for module in member.modules() if isinstance(module, torch.nn.Conv2d))
        for member in (first, second)
    ]
    assert not torch.equal(convolutions[0].weight, convolutions[1].weight)


def test_the_cost_of_an_ensemble_is_that_of_its_members():
    single, ensemble = describe(1), describe(3)
    assert count_flops(ensemble, (32, 32)) == 3 * count_flops(single, (32, 32))
    assert count_weights(ensemble) == 3 * count_weights(single)
