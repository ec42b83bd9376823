"""Muon, compared with singular value decompositions and with the Muon of torch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attacca.checkpoint import read_checkpoint
from attacca.config.architecture import UNetConfig
from attacca.config.training import OptimizerConfig
from attacca.model import Ensemble
from attacca.training import train
from attacca.training.checkpoint_directory import latest_checkpoint
from attacca.training.muon import Muon, orthogonalize
from attacca.training.optimization import create_optimizer

NETWORK = {"input_shape": (16, 16, 16), "num_fmaps": 4, "downsample_factors": ((2, 2, 2),)}


@given(
    rows=st.integers(1, 24), columns=st.integers(1, 80), seed=st.integers(0, 99), scale=st.floats(1e-5, 1e5)
)
def test_singular_values_become_about_one_and_their_vectors_stay(rows, columns, seed, scale):
    size = min(rows, columns)
    random = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(rows, size, generator=random, dtype=torch.float64))[0]
    right = torch.linalg.qr(torch.randn(columns, size, generator=random, dtype=torch.float64))[0]
    values = scale * torch.linspace(1, 0.1, size, dtype=torch.float64)
    found = orthogonalize(((left * values) @ right.T).float()).double()
    diagonal = left.T @ found @ right
    assert torch.allclose(diagonal, torch.diag(diagonal.diagonal()), atol=2e-4)
    assert ((diagonal.diagonal() > 0.65) & (diagonal.diagonal() < 1.25)).all()
    # Nothing is added outside of the space of the singular vectors.
    assert torch.allclose(left @ diagonal @ right.T, found, atol=2e-4)


def test_a_gradient_of_zeros_changes_weights_by_their_decay_alone():
    weight = torch.nn.Parameter(torch.ones(3, 4))
    weight.grad = torch.zeros(3, 4)
    Muon([weight], [], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(weight, torch.full((3, 4), 0.95))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
def test_steps_are_those_of_torch_up_to_its_rounding_to_bfloat16(memory_format):
    random = torch.Generator().manual_seed(1)
    start = torch.randn(24, 12, 3, 3, 3, generator=random)
    kernel = torch.nn.Parameter(start.clone(memory_format=memory_format))
    matrix = torch.nn.Parameter(start.flatten(1).clone())
    ours = Muon([kernel], [], lr=0.01, weight_decay=0.1)
    theirs = torch.optim.Muon([matrix], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(6):
        gradient = torch.randn(start.shape, generator=random)
        kernel.grad, matrix.grad = gradient.clone(memory_format=memory_format), gradient.flatten(1).clone()
        ours.step()
        theirs.step()
    expected = matrix.detach().view(start.shape) - start
    assert float((kernel.detach() - start - expected).norm() / expected.norm()) < 0.03


def test_kernels_of_architectures_are_orthogonalized_and_all_other_weights_follow_adam():
    def create_member() -> torch.nn.Module:
        body = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4))
        return torch.nn.Sequential(body, torch.nn.Conv2d(4, 2, 1))

    torch.manual_seed(1)
    members = [create_member(), create_member()]
    chain = Ensemble(members)
    start = {name: value.detach().clone() for name, value in chain.named_parameters()}
    for parameter in chain.parameters():
        parameter.grad = torch.randn_like(parameter)
    create_optimizer(OptimizerConfig(type="muon", learning_rate=0.1, weight_decay=0), chain).step()
    steps = {name: (value.detach() - start[name]) / 0.1 for name, value in chain.named_parameters()}
    for name, step in steps.items():
        if name.endswith("0.0.weight"):
            values = torch.linalg.svdvals(step.flatten(1)) / (0.2 * 9**0.5)
            assert ((values > 0.6) & (values < 1.25)).all(), name
        else:
            # The first step of Adam has the size of the learning rate.
            assert torch.allclose(step.abs(), torch.ones_like(step), atol=1e-3), name
    assert len(steps) == 2 * 6


@pytest.mark.parametrize("members", [1, 2])
def test_a_resumed_training_ends_with_the_bytes_of_one_that_was_not_stopped(job, tmp_path, members):
    settings = {
        "architecture": UNetConfig(**NETWORK, members=members),
        "optimizer": {"type": "muon", "learning_rate": 0.01},
        "checkpoint": {"interval": 3},
        "iterations": 6,
    }
    whole = job(tmp_path / "whole", **settings)
    train(whole)
    stopped = job(tmp_path / "stopped", **settings)
    train(stopped)
    last, content = latest_checkpoint(stopped.directory / "checkpoints")
    assert content["iteration"] == 6
    last.unlink()
    train(stopped)
    for made in (whole, stopped):
        path, _ = latest_checkpoint(made.directory / "checkpoints")
        assert read_checkpoint(path)["iteration"] == 6
    first, second = (latest_checkpoint(made.directory / "checkpoints")[0] for made in (whole, stopped))
    assert first.read_bytes() == second.read_bytes()


def test_muon_has_a_learning_rate_of_its_own_unless_one_is_given():
    assert OptimizerConfig().learning_rate == 2e-3
    assert OptimizerConfig.model_validate({"type": "muon"}).learning_rate == 2e-2
    assert OptimizerConfig.model_validate({"type": "muon", "learning_rate": 0.5}).learning_rate == 0.5
