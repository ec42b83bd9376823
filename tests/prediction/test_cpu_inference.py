"""The accelerated copy of a network computes what the network computes."""

import numpy as np
import pytest
import torch

from attacca.architectures import create_architecture
from attacca.architectures.architecture import crop_center
from attacca.config.architecture import UNetConfig
from attacca.config.prediction import PredictionConfig
from attacca.model import Model
from attacca.prediction import Network
from attacca.prediction.cpu_inference import DirectConvolution, accelerate_on_cpu
from attacca.prediction.tiles import TiledNetwork


def make_model(head: torch.nn.Conv3d | None = None, **changes) -> Model:
    """A network with arbitrary weights and statistics of normalization."""
    torch.manual_seed(0)
    settings = {"input_shape": (32, 32, 32), "channels": (4, 6, 8), "normalization": "batch", **changes}
    config = UNetConfig.model_validate(settings)
    head = head or torch.nn.Conv3d(4, 2, 1)
    # Heads of parameters were made before the seed was set.
    head.reset_parameters()
    model = Model(create_architecture(config, 3), head, torch.nn.Sigmoid()).eval()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv3d) and layer.out_channels == 2:
            # The head: large logits would be 0 or 1, and rounded coarsely.
            layer.weight.data.mul_(0.1)
        if isinstance(layer, torch.nn.BatchNorm3d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
            layer.weight.data.uniform_(0.5, 2)
            layer.bias.data.normal_()
    return model


def predict(model: torch.nn.Module, raw: np.ndarray, shape: tuple[int, ...], **settings) -> np.ndarray:
    """Predict the region of ``shape`` of a volume whose context ``raw`` contains."""
    network = Network.from_model(model)
    tiles = TiledNetwork(network, PredictionConfig.model_validate(settings), torch.device("cpu"))
    result = np.full((2, *shape), np.nan, np.float32)
    box = ((0, 0, 0), shape)
    begin, end = tiles.read_box(box)
    margin = [(n - e + b) // 2 for n, b, e in zip(raw.shape, begin, end)]
    part = raw[tuple(slice(m, m + e - b) for m, b, e in zip(margin, begin, end))]
    for where, values in tiles.run(part[None], box):
        result[(slice(None), *where)] = values
    return result


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"residual": True, "skip": "add"},
        {
            "normalization": "none",
            "activation": "leaky_relu",
            "padding": "valid",
            "input_shape": (44, 44, 44),
        },
        {"stem": (1, 2, 2), "downsample_factors": ((1, 2, 2), (2, 2, 2)), "upsampling": "transposed"},
        {"members": 2, "convs_per_level": 1},
        {"normalization": "group", "fixed_input_shape": True, "input_shape": (64, 64, 64)},
    ],
)
def test_an_accelerated_network_has_the_values_of_the_network(changes):
    model = make_model(torch.nn.Conv3d(changes.get("num_out_fmaps", 4), 2, 3), **changes)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    raw = torch.rand(1, 1, *model.eval_input_shape)
    with torch.inference_mode():
        expected, found = model(raw), accelerate_on_cpu(model)(raw)
    assert torch.allclose(found, expected, atol=1e-4)
    assert float(expected.std()) > 0.01
    # The network itself is what it was.
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_an_accelerated_network_has_direct_convolutions_and_no_normalization():
    layers = [type(layer).__name__ for layer in accelerate_on_cpu(make_model()).modules()]
    assert "BatchNorm3d" not in layers
    # Two convolutions in each of three levels down, and three in each of two levels up; the head.
    assert layers.count("DirectConvolution") == 13


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize(
    "head",
    [
        torch.nn.Conv3d(4, 2, 1),
        torch.nn.Conv3d(4, 2, 3),
        torch.nn.Conv3d(4, 2, 3, padding=1),
        torch.nn.Conv3d(4, 2, 3, padding="same"),
        torch.nn.Conv3d(4, 2, 3, padding=1, padding_mode="reflect"),
    ],
)
def test_a_tile_has_the_values_of_the_center_of_the_whole_output(head, members):
    model = make_model(head, members=members)
    raw = np.random.default_rng(0).random((96, 96, 96), np.float32) * 2 - 1
    tile = predict(model, raw, (32, 32, 32), tile_size=[32, 32, 32])
    part = raw[tuple(slice(32 - c, 64 + c) for c in Network.from_model(model).context)]
    with torch.inference_mode():
        whole = model(torch.from_numpy(part.copy())[None, None])
    np.testing.assert_allclose(tile, crop_center(whole, (32, 32, 32))[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("head", [torch.nn.Conv3d(4, 2, 1), torch.nn.Conv3d(4, 2, 3)])
def test_a_region_has_the_same_values_in_tiles_of_any_size(head):
    model = make_model(head)
    raw = np.random.default_rng(0).random((96, 96, 96), np.float32) * 2 - 1
    whole = predict(model, raw, (32, 32, 32), tile_size=[32, 32, 32])
    tiles = predict(model, raw, (32, 32, 32), tile_size=[8, 16, 32])
    assert np.isfinite(whole).all()
    np.testing.assert_allclose(tiles, whole, atol=1e-5)


def test_transposed_copies_of_tiles_with_unequal_sides_are_whole():
    shape, model = (32, 32, 32), make_model()
    raw = np.random.default_rng(0).random((96, 96, 96), np.float32)
    copies = predict(model, raw, shape, tile_size=[32, 32, 32], augmentation="all")
    parts = predict(model, raw, shape, tile_size=[16, 8, 32], augmentation="all")
    assert np.isfinite(copies).all()
    np.testing.assert_allclose(parts, copies, atol=1e-5)


def test_a_direct_convolution_of_a_small_image_is_that_of_torch():
    convolution = torch.nn.Conv3d(1, 3, (1, 3, 5), padding=(0, 1, 2), stride=(1, 2, 1))
    raw = torch.rand(1, 1, 4, 9, 10)
    with torch.inference_mode():
        assert torch.allclose(DirectConvolution(convolution)(raw), convolution(raw), atol=1e-6)
