"""Small networks and volumes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import torch
from funlib.geometry import Coordinate, Roi

from attacca.architectures import create_architecture
from attacca.architectures.intensity import Intensity
from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.config.architecture import UNetConfig
from attacca.model import Model
from attacca.prediction import Network


@pytest.fixture
def make_volume(tmp_path: Path) -> Callable[..., ZarrArray]:
    """``make_volume(shape, voxel_size, offset)``: smooth random gray values."""

    def make(shape: tuple[int, ...], voxel_size: tuple[int, ...], offset: tuple[int, ...]) -> ZarrArray:
        roi = Roi(offset, Coordinate(shape) * Coordinate(voxel_size))
        axes = ["z", "y", "x"][-len(shape) :]
        identifier = LocalArrayIdentifier(tmp_path / "volume.zarr", "raw")
        array = ZarrArray.create_from_array_identifier(identifier, axes, roi, None, voxel_size, np.uint8)
        noise = scipy.ndimage.gaussian_filter(np.random.default_rng(1).random(shape), 1.5)
        low, high = noise.min(), noise.max()
        array[roi] = (255 * (noise - low) / (high - low)).astype(np.uint8)
        return array

    return make


def small_network(
    padding: str = "same",
    dims: int = 3,
    offsets: tuple[tuple[int, ...], ...] | None = None,
    factors: tuple[int, ...] | None = None,
    stem: tuple[int, ...] | None = None,
    **known: object,
) -> Network:
    """An untrained U-Net of two levels whose outputs use the whole range from 0 to 1."""
    factors = factors or (2,) * dims
    config = UNetConfig(
        input_shape=(36,) * dims,
        stem=stem,
        num_fmaps=3,
        downsample_factors=(factors,),
        convs_per_level=1,
        padding=padding,
    )
    channels = len(offsets) if offsets is not None else 2
    with torch.random.fork_rng():
        torch.manual_seed(3)
        head = (torch.nn.Conv3d if dims == 3 else torch.nn.Conv2d)(3, channels, 1)
        model = Model(create_architecture(config, dims), head, torch.nn.Sigmoid())
        with torch.no_grad():
            values = model.chain(torch.rand(1, 1, *(36,) * dims) * 2 - 1)
            head.weight *= 2.0 / values.std()
            values = model.chain(torch.rand(1, 1, *(36,) * dims) * 2 - 1)
            head.bias -= values.mean(dim=(0, *range(2, 2 + dims)))
    return Network.from_model(model, intensity=Intensity(0.0, 255.0), offsets=offsets, **known)
