"""Operations and weights of networks by their configuration, compared with those that torch counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from attacca.architectures import create_architecture
from attacca.architectures.operations import count_flops, count_weights
from attacca.config.architecture import UNetConfig
from attacca.config.run import RunConfig
from attacca.costs.network_cost import prediction_seconds, training_seconds, training_speedup

NETWORKS = {
    "default": {"input_shape": (32, 32, 32)},
    "flat, added skips": {
        "input_shape": (1, 64, 64),
        "channels": (8, 24, 48),
        "downsample_factors": ((1, 4, 4), (1, 2, 2)),
        "kernel_sizes": ((1, 3, 3),) * 3,
        "skip": "add",
    },
    "transposed, three convolutions, narrow output": {
        "input_shape": (16, 32, 32),
        "num_fmaps": 6,
        "downsample_factors": ((1, 2, 2), (2, 2, 2)),
        "upsampling": "transposed",
        "convs_per_level": 3,
        "num_out_fmaps": 4,
    },
    "without padding, residual": {
        "input_shape": (44, 60, 60),
        "downsample_factors": ((2, 2, 2), (1, 2, 2)),
        "padding": "valid",
        "residual": True,
    },
    "stem, without padding": {
        "input_shape": (48, 88, 88),
        "stem": (1, 2, 2),
        "channels": (8, 16, 24),
        "padding": "valid",
        "num_out_fmaps": 5,
    },
    "stem of one level": {
        "input_shape": (16, 32, 32),
        "stem": (2, 2, 2),
        "channels": (8,),
        "downsample_factors": (),
    },
    "2D": {"input_shape": (64, 64), "downsample_factors": ((2, 2),), "normalization": "batch"},
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("channels", [1, 3])
def test_operations_and_weights_are_those_that_torch_counts(name, channels):
    config = UNetConfig.model_validate(NETWORKS[name])
    with torch.device("meta"):
        network = create_architecture(config, len(config.input_shape), channels)
        raw = torch.empty((1, channels, *config.input_shape))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(raw)
    assert count_flops(config, config.input_shape, channels) == counter.get_total_flops()
    kernels = [parameter for parameter in network.parameters() if parameter.dim() > 1]
    assert count_weights(config, channels) == sum(kernel.numel() for kernel in kernels)


@pytest.mark.parametrize("name", NETWORKS)
def test_operations_for_the_center_of_an_output_are_those_that_torch_counts(name):
    config = UNetConfig.model_validate(NETWORKS[name])
    with torch.device("meta"):
        network = create_architecture(config, len(config.input_shape))
        raw = torch.empty((1, 1, *config.input_shape))
    center = [max(1, size // 3) for size in network.output_shape(network.input_shape)]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        assert list(network.compute_center(raw, center).shape[2:]) == center
    flops = count_flops(config, config.input_shape, center=center)
    assert flops == counter.get_total_flops()
    assert flops < count_flops(config, config.input_shape) or not config.omits_margins


def test_time_follows_work_and_is_shared_by_workers_and_gpus():
    run = RunConfig.model_validate(
        {
            "task": {"type": "affinities", "neighborhood": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]},
            "volumes": {"train": ["a"]},
        }
    )
    one = prediction_seconds(run, 1e9, 1, 0)
    assert prediction_seconds(run, 2e9, 1, 0) == pytest.approx(2 * one)
    assert prediction_seconds(run, 1e9, 4, 0) == pytest.approx(one / 4)
    assert prediction_seconds(run, 1e9, 4, 1) < one / 50
    turned = run.model_copy(update={"prediction": run.prediction.model_copy(update={"augmentation": "all"})})
    assert prediction_seconds(turned, 1e9, 1, 0) == pytest.approx(16 * one)
    twice = run.model_copy(update={"training": run.training.model_copy(update={"batch_size": 2})})
    assert training_seconds(twice, 0) == pytest.approx(2 * training_seconds(run, 0))


def test_members_of_an_ensemble_share_the_threads_of_a_training():
    def speedup(members: int, threads: int) -> float:
        architecture = {"input_shape": [32, 32, 32], "members": members}
        task = {"type": "affinities", "neighborhood": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}
        run = {"task": task, "architecture": architecture, "volumes": {"train": ["a"]}}
        return training_speedup(RunConfig.model_validate(run), threads)

    assert [speedup(members, 1) for members in (1, 2, 3)] == [1, 1, 1]
    assert [speedup(members, 2) for members in (2, 3, 4)] == [2, 1.5, 2]
    assert speedup(1, 2) == pytest.approx(2**0.8)
    assert speedup(2, 4) == pytest.approx(2 * 2**0.8)
