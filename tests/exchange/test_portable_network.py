"""Sizes, examples and predictions of the network of a model file, as other programs need them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attacca.config.architecture import UNetConfig
from attacca.exchange.portable_network import open_portable_network
from model_files import AFFINITIES, make_model_file

SMALL = {"input_shape": (16, 16, 16), "num_fmaps": 2, "downsample_factors": ((2, 2, 2),)}
ANISOTROPIC = {"downsample_factors": ((1, 2, 2),), "kernel_sizes": ((1, 3, 3), (3, 3, 3))}


def describe(**changes: Any) -> dict[str, Any]:
    return UNetConfig(**{**SMALL, **changes}).model_dump(mode="json")


@pytest.mark.parametrize(
    "network",
    [
        {},
        ANISOTROPIC,
        {"padding": "valid", "input_shape": (28, 28, 28)},
        {"padding": "valid", "input_shape": (12, 28, 28), **ANISOTROPIC},
        {"stem": (1, 2, 2)},
        {"fixed_input_shape": True, "input_shape": (32, 32, 32)},
    ],
)
def test_sizes_are_those_of_the_network(tmp_path: Path, network: dict[str, Any]) -> None:
    portable = open_portable_network(
        make_model_file(tmp_path / "model.zip", architecture=describe(**network))
    )
    for steps in range(2):
        shape = portable.input_shape(steps)
        output = portable.module(torch.zeros((1, 1, *shape))).shape[2:]
        assert list(output) == [size - axis.lost for size, axis in zip(shape, portable.axes)]
        for size, kept, axis in zip(shape, output, portable.axes):
            before, after = axis.padding
            assert before + kept + after == size
            assert before + axis.halo == axis.context
            # The center is a tile of the prediction: whole periods of the network.
            period = axis.step or axis.minimum - 2 * axis.context
            assert (kept - 2 * axis.halo) % period == 0 and kept > 2 * axis.halo
    assert [axis.step is None for axis in portable.axes] == [bool(network.get("fixed_input_shape"))] * 3


def test_descriptors_that_only_the_training_needs_are_not_exported(tmp_path: Path) -> None:
    model = make_model_file(tmp_path / "model.zip", {**AFFINITIES, "lsds": True})
    portable = open_portable_network(model)
    assert portable.module(torch.zeros((1, 1, *portable.input_shape()))).shape[1] == 4
    assert portable.network.model.num_out_channels == 14


@pytest.mark.parametrize(
    ("dtype", "intensity", "expected", "limits"),
    [
        ("uint8", {"minimum": 20.0, "maximum": 180.0}, "uint8", (20, 180)),
        ("uint16", {"low_percentile": 1.0, "high_percentile": 99.0}, "uint16", (0, 65535)),
        ("float64", {"minimum": -2.0, "maximum": 3.0}, "float64", (-2, 3)),
        ("bool", {"minimum": 0.0, "maximum": 1.0}, "float32", (0, 1)),
    ],
)
def test_the_example_has_the_type_and_range_of_the_training(
    tmp_path: Path, dtype: str, intensity: dict[str, float], expected: str, limits: tuple[float, float]
) -> None:
    volume = {"name": "cube", "purpose": "train", "shape": [32, 32, 32], "dtype": dtype, "digest": "0" * 64}
    portable = open_portable_network(
        make_model_file(tmp_path / "model.zip", intensity=intensity, volumes=[volume])
    )
    example = portable.create_example()
    assert (example.dtype, example.shape) == (np.dtype(expected), (1, *portable.input_shape()))
    assert (example.min(), example.max()) == limits
    assert np.array_equal(example, portable.create_example())
    assert portable.predict(example).shape == (4, *portable.input_shape())
