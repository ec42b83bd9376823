import itertools

import pytest
import torch
from funlib.geometry import Coordinate
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from attacca.architectures import Architecture, UNet, create_architecture
from attacca.architectures.architecture import crop_center
from attacca.architectures.shapes import AxisShapes
from attacca.architectures.unet import create_axes
from attacca.config.architecture import UNetConfig
from attacca.errors import ConfigurationError


def small(**changes) -> UNetConfig:
    settings = {"input_shape": (32, 32, 32), "num_fmaps": 3, "fmap_inc_factor": 1.5}
    return UNetConfig(**{**settings, **changes})


def network_input(padding: str, changes: dict) -> int:
    """The smallest input size from 24 that works along every axis."""
    axes = create_axes(small(padding=padding, **changes))
    return next(size for size in range(24, 160) if all(axis.find_problem(size) is None for axis in axes))


def blockwise(
    network: UNet, raw: torch.Tensor, block: tuple[int, ...], omit_margins: bool = False
) -> torch.Tensor:
    """Predict ``raw`` (spatial) in blocks with context, zeros outside, as prediction does."""

    def predict(read: torch.Tensor) -> torch.Tensor:
        return network.compute_center(read, block) if omit_margins else crop_center(network(read), block)

    context = network.context
    result = torch.zeros((network.num_out_channels, *raw.shape))
    padded = torch.nn.functional.pad(raw, [c for size in reversed(context) for c in (size, size)])
    for begin in itertools.product(*(range(0, size, step) for size, step in zip(raw.shape, block))):
        read = tuple(slice(b, b + s + 2 * c) for b, s, c in zip(begin, block, context))
        center = predict(padded[read][None, None])[0]
        result[(slice(None), *(slice(b, b + s) for b, s in zip(begin, block)))] = center
    return result


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"residual": True, "skip": "add", "activation": "elu"},
        {"upsampling": "transposed", "normalization": "batch"},
        {"downsample_factors": ((1, 2, 2), (2, 2, 2)), "kernel_sizes": ((1, 3, 3), (3, 3, 3), (3, 3, 3))},
        {"downsample_factors": ((3, 3, 3),), "channels": (3, 5)},
        {"downsample_factors": ((4, 4, 4),), "convs_per_level": 1},
        {"stem": (2, 2, 2), "channels": (4, 6, 8)},
        {
            "stem": (1, 2, 2),
            "downsample_factors": ((1, 2, 2),),
            "kernel_sizes": ((1, 3, 3), (3, 3, 3)),
            "skip": "add",
        },
        {"stem": (3, 2, 2), "downsample_factors": ((2, 2, 2),), "residual": True, "num_out_fmaps": 2},
    ],
)
def test_blocks_predicted_one_by_one_equal_the_whole_predicted_at_once(padding, changes):
    torch.manual_seed(0)
    factors = (changes.get("stem", (1, 1, 1)), *changes.get("downsample_factors", ((2, 2, 2), (2, 2, 2))))
    network = UNet(
        small(padding=padding, **changes, input_shape=(network_input(padding, changes),) * 3)
    ).eval()
    period = network.downsampling_factor
    assert period == Coordinate(
        [int(torch.tensor([factor[axis] for factor in factors]).prod()) for axis in range(3)]
    )
    block = tuple(p * (8 // p or 1) for p in period)
    shape = tuple(2 * b for b in block)
    raw = torch.randn(shape)
    with torch.no_grad():
        parts = blockwise(network, raw, block)
        whole = blockwise(network, raw, shape)
        centers = blockwise(network, raw, block, omit_margins=True)
    assert torch.allclose(parts, whole, atol=1e-5)
    assert torch.allclose(centers, whole, atol=1e-5)
    assert parts.std() > 1e-3


def test_context_of_three_and_four_levels_of_valid_convolutions_is_what_is_known():
    three = AxisShapes((2, 2), (2, 2, 2), valid=True)
    assert three.context() == 20
    assert three.output_size(64) == 24
    four = AxisShapes((2, 2, 2), (2, 2, 2, 2), valid=True)
    assert four.output_size(92) == 4
    assert four.context() == 46  # 44, and 2 more so that blocks of a multiple of 8 work


@given(
    factors=st.lists(st.integers(1, 4), min_size=0, max_size=3),
    convs=st.integers(1, 3),
    valid=st.booleans(),
    further=st.integers(0, 2),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_context_holds_all_that_an_output_depends_on(factors, convs, valid, further):
    axis = AxisShapes(tuple(factors), (convs,) * (len(factors) + 1), valid)
    context = axis.context(further)
    for blocks in (1, 2, 5):
        size = blocks * axis.factor + 2 * context
        assert axis.find_problem(size) is None
        begin, end = axis.find_needed(context - further, size - context + further)
        assert valid or (begin >= 0 and end <= size)
        output = axis.output_size(size)
        assert output >= blocks * axis.factor + 2 * further
        assert (output - blocks * axis.factor) % 2 == 0


def test_an_input_that_does_not_divide_is_refused_with_the_sizes_that_work():
    with pytest.raises(
        ConfigurationError, match=r"an input of 60 along z does not divide by 8 at level 3: use 56 or 64"
    ):
        UNet(small(input_shape=(60, 64, 64), downsample_factors=((2, 2, 2),) * 3))
    with pytest.raises(ConfigurationError, match="too small"):
        UNet(small(input_shape=(16, 16, 16), padding="valid"))


def test_a_network_for_planes_is_refused_for_volumes():
    config = UNetConfig(input_shape=(64, 64), downsample_factors=((2, 2),))
    with pytest.raises(ConfigurationError, match="2 axes, but the volumes have 3"):
        create_architecture(config, dims=3)
    network = create_architecture(config, dims=2, num_in_channels=2)
    assert isinstance(network, Architecture)
    assert network(torch.zeros(1, 2, 64, 64)).shape == (1, 12, 64, 64)
    assert network.output_shape(Coordinate(64, 64)) == Coordinate(64, 64)


def test_group_normalization_is_refused_unless_the_input_size_is_fixed():
    with pytest.raises(ValidationError, match="depends on the block"):
        small(normalization="group")
    network = UNet(small(normalization="group", fixed_input_shape=True, eval_shape_increase=(4, 4, 4)))
    assert network.fixed_input_shape == Coordinate(36, 36, 36)
    assert UNet(small()).fixed_input_shape is None


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"downsample_factors": ((2, 2),)}, "3 axes"),
        ({"downsample_factors": ((0, 2, 2),)}, "1 or more"),
        ({"channels": (4, 8)}, "3 levels"),
        ({"kernel_sizes": ((3, 3, 3), (3, 3, 3))}, "3 levels"),
        ({"kernel_sizes": ((3, 3, 3), (3, 3, 3), (2, 3, 3))}, "odd"),
        ({"eval_shape_increase": (4, 4)}, "3 axes"),
        ({"stem": (2, 2)}, "expected 3 factors"),
        ({"stem": (0, 2, 2)}, "1 or more"),
        ({"levels": 3}, "levels"),
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        small(**changes)


def test_announced_shapes_are_those_of_the_tensors():
    for padding, skip in itertools.product(["valid", "same"], ["add", "concatenate"]):
        network = UNet(small(padding=padding, skip=skip, input_shape=(48, 44, 52), num_out_fmaps=5))
        output = network(torch.zeros(2, 1, 48, 44, 52))
        assert output.shape == (2, 5, *network.output_shape(Coordinate(48, 44, 52)))
        assert network.num_out_channels == 5
        assert network.scale(Coordinate(8, 4, 4)) == Coordinate(8, 4, 4)


STEMS = [
    {"input_shape": (48, 48), "stem": (2, 2), "downsample_factors": ((2, 2),)},
    {"input_shape": (24, 40, 40), "stem": (1, 2, 2), "downsample_factors": ((1, 2, 2),)},
    {"input_shape": (40, 40, 40), "stem": (2, 2, 2), "downsample_factors": ((2, 2, 2),), "num_out_fmaps": 4},
    {"input_shape": (24, 24, 24), "stem": (2, 2, 2), "downsample_factors": ()},
]


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("settings", STEMS)
def test_with_a_stem_announced_shapes_are_those_of_the_tensors(settings, padding):
    network = UNet(UNetConfig(num_fmaps=4, padding=padding, **settings), num_in_channels=2)
    possible = 0
    for size in range(20, 57):
        shape = (size, *settings["input_shape"][1:])
        output = network.axes[0].output_size(size)
        if output is None:
            with pytest.raises(ConfigurationError):
                network.output_shape(Coordinate(shape))
            continue
        possible += 1
        result = network(torch.zeros(1, 2, *shape))
        assert result.shape == (
            1,
            network.num_out_channels,
            output,
            *network.output_shape(Coordinate(shape))[1:],
        )
    assert possible > 4
    step = network.axes[0].factor
    assert network.axes[0].output_size(settings["input_shape"][0] + step) is not None


@pytest.mark.parametrize("settings", STEMS)
def test_a_network_with_a_stem_commutes_with_shifts_by_its_period_and_with_no_smaller_ones(settings):
    torch.manual_seed(1)
    network = UNet(UNetConfig(num_fmaps=4, **settings)).double().eval()
    period, context = network.downsampling_factor, network.context
    shape = tuple(p + 2 * c for p, c in zip(period, context))
    raw = torch.randn((1, 1, *(2 * p + s for p, s in zip(period, shape))), dtype=torch.float64)

    def predict(shift: tuple[int, ...]) -> torch.Tensor:
        read = tuple(slice(o, o + s) for o, s in zip(shift, shape))
        with torch.no_grad():
            output = network(raw[(..., *read)])
        center = tuple(slice(c, c + p) for c, p in zip(context, period))
        return output[(..., *center)]

    with torch.no_grad():
        whole = network(raw)
    for axis, step in enumerate(period):
        for distance in range(1, step + 1):
            shift = tuple(distance if a == axis else 0 for a in range(len(period)))
            location = tuple(slice(c + o, c + o + p) for c, o, p in zip(context, shift, period))
            is_equal = torch.allclose(predict(shift), whole[(..., *location)], atol=1e-9)
            assert is_equal == (distance == step)


def test_the_output_of_a_stem_depends_on_its_whole_context_and_nothing_more():
    """Gradients of one output cell, by brute force."""
    torch.manual_seed(2)
    config = UNetConfig(
        input_shape=(36, 36), stem=(2, 2), num_fmaps=4, downsample_factors=((2, 2),), padding="valid"
    )
    network = UNet(config).double()
    axis, period = network.axes[0], network.downsampling_factor[0]
    size = period + 2 * network.context[0]
    raw = torch.randn(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    output = network(raw)
    margin = (size - output.shape[-1]) // 2
    begin, end = network.context[0] - margin, network.context[0] - margin + period
    output[..., begin:end, begin:end].sum().backward()
    (used,) = torch.nonzero(raw.grad[0, 0].abs().sum(0), as_tuple=True)
    expected = axis.find_needed(network.context[0], network.context[0] + period)
    assert expected[0] <= int(used.min()) and int(used.max()) < expected[1]
    assert expected[0] >= 0 and expected[1] <= size
