"""Sizes of a prediction, computed from the configuration, without a network."""

import math

import pytest
import torch

from attacca.architectures import create_architecture
from attacca.config.architecture import UNetConfig
from attacca.config.prediction import PredictionConfig
from attacca.config.tasks import AffinitiesTaskConfig, OneHotTaskConfig
from attacca.errors import ConfigurationError
from attacca.prediction import Network
from attacca.prediction.sizes import ConfiguredSizes, SizeError, choose_sizes
from attacca.tasks import create_task

AFFINITIES = AffinitiesTaskConfig(type="affinities", neighborhood=[[1, 0, 0], [0, 1, 0], [0, 0, 1]])
CLASSES = OneHotTaskConfig(type="one_hot", classes=["a", "b"])
NETWORKS = {
    "same": {"input_shape": (32, 32, 32)},
    "valid": {"input_shape": (44, 44, 44), "padding": "valid"},
    "flat": {
        "input_shape": (8, 60, 60),
        "downsample_factors": ((1, 2, 2), (2, 3, 3)),
        "kernel_sizes": ((1, 3, 3), (3, 3, 3), (3, 5, 5)),
        "convs_per_level": 1,
    },
    "fixed": {"input_shape": (44, 44, 44), "fixed_input_shape": True, "eval_shape_increase": (12, 12, 12)},
}


@pytest.mark.parametrize(("task", "kernel"), [(AFFINITIES, 1), (CLASSES, 3)])
@pytest.mark.parametrize("name", NETWORKS)
def test_sizes_from_a_configuration_are_those_of_its_network(name, task, kernel):
    config = UNetConfig.model_validate(NETWORKS[name])
    with torch.device("meta"):
        model = create_task(task).create_model(create_architecture(config, 3, 1))
    network, configured_sizes = Network.from_model(model), ConfiguredSizes(config, kernel)
    assert configured_sizes.context == network.context
    assert configured_sizes.factor == network.factor
    assert configured_sizes.fixed_input_shape == network.fixed_input_shape


@pytest.mark.parametrize("block", [[1, 1, 1], [17, 16, 16]])
def test_a_block_that_is_not_a_multiple_of_the_networks_period_is_refused_with_a_size_that_fits(block):
    with pytest.raises(SizeError) as raised:
        choose_sizes(
            ConfiguredSizes(UNetConfig(input_shape=(32, 32, 32))), PredictionConfig(block_size=block)
        )
    assert raised.value.key == ("prediction", "block_size")
    assert "use [" in raised.value.expected


def test_a_fixed_input_that_leaves_no_multiple_is_reported_with_the_key_to_increase():
    network = UNetConfig(input_shape=(32, 32, 32), fixed_input_shape=True)
    with pytest.raises(ConfigurationError, match=r"architecture\.eval_shape_increase"):
        choose_sizes(ConfiguredSizes(network), PredictionConfig())


@pytest.mark.parametrize("tile", [48, 64, 80, 96, 128])
def test_blocks_of_large_volumes_are_several_tiles_with_the_chunks_of_small_ones(tile):
    network = ConfiguredSizes(UNetConfig(input_shape=(32, 32, 32)))
    config = PredictionConfig(tile_size=[tile] * 3)
    small, large = (choose_sizes(network, config, [edge] * 3) for edge in (512, 4096))
    assert small.block == small.tile == large.tile == (tile,) * 3
    assert large.chunk == small.chunk
    assert not any(large.block % tile) and not any(large.block % large.chunk)
    assert 2_000_000 <= math.prod(large.block) < 8_000_000
    configured = PredictionConfig(tile_size=[tile] * 3, block_size=[tile] * 3)
    assert choose_sizes(network, configured, [4096] * 3).block == (tile,) * 3
