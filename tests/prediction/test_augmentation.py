"""Predictions averaged over mirrored and turned copies."""

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from funlib.geometry import Coordinate

from attacca.architectures.intensity import Intensity
from attacca.config.prediction import PredictionConfig
from attacca.errors import ConfigurationError
from attacca.prediction.augmentation import choose_symmetries, compute_margin
from attacca.prediction.network import Network
from attacca.prediction.tiles import TiledNetwork

sys.path.insert(0, str(Path(__file__).parent))
from conftest import small_network

sys.path.pop(0)

OFFSETS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, -2, 0), (0, 0, -2), (0, 2, 2), (0, 2, -2))


class TrueAffinities(torch.nn.Module):
    """A network without error: the affinities of the labels that it is shown."""

    def __init__(self, offsets):
        super().__init__()
        self.offsets = offsets
        # A network needs weights: their device is the one that it runs on.
        self.nothing = torch.nn.Conv3d(1, 1, 1)

    def forward(self, raw):
        reach = 4
        labels = raw[:, 0]
        inner = labels[:, reach:-reach, reach:-reach, reach:-reach]
        channels = []
        for offset in self.offsets:
            where = tuple(slice(reach + o, n - reach + o) for o, n in zip(offset, labels.shape[1:]))
            channels.append((inner == labels[(slice(None), *where)]) & (inner > -1))
        return torch.stack(channels, dim=1).float()


def oracle(offsets=OFFSETS) -> Network:
    names = tuple(map(str, offsets))
    return Network(
        TrueAffinities(offsets),
        1,
        names,
        Coordinate(4, 4, 4),
        Coordinate(2, 2, 2),
        Intensity(0.0, 5.0),
        offsets=offsets,
    )


@pytest.mark.parametrize("choice", ["none", "opposite", "flips", "all"])
def test_affinities_of_every_copy_are_those_of_the_volume(choice):
    network = oracle()
    tiles = TiledNetwork(
        network, PredictionConfig(tile_size=[6, 8, 8], augmentation=choice), torch.device("cpu")
    )
    box = ((-3, 1, 0), (9, 12, 13))
    begin, end = tiles.read_box(box)
    labels = np.random.default_rng(0).integers(0, 6, [e - b for b, e in zip(begin, end)])
    raw = network.normalize(labels[None])
    result = np.full((len(OFFSETS), 12, 11, 13), np.nan, dtype=np.float32)
    for where, values in tiles.run(raw, box):
        result[(slice(None), *where)] = values
    low = [b - o for b, o in zip(box[0], begin)]
    inner = labels[tuple(slice(b, b + n) for b, n in zip(low, result.shape[1:]))]
    for channel, offset in enumerate(OFFSETS):
        partner = labels[tuple(slice(b + o, b + o + n) for b, o, n in zip(low, offset, result.shape[1:]))]
        assert np.allclose(result[channel], (inner == partner) & (inner > 0), atol=1e-6), (choice, offset)


def test_the_copies_are_all_symmetries():
    network = small_network()
    assert len(choose_symmetries(network, "none")) == 1
    assert [symmetry.flips for symmetry in choose_symmetries(network, "opposite")] == [
        (False,) * 3,
        (True,) * 3,
    ]
    assert len(choose_symmetries(network, "flips")) == 8
    chosen = choose_symmetries(network, "all")
    assert len(chosen) == 16
    data = np.random.default_rng(0).random((2, 3, 4, 4))
    for symmetry in chosen:
        assert np.array_equal(symmetry.invert(symmetry.apply(data)), data)
    assert compute_margin(chosen) == ((0, 0, 0), (0, 0, 0))


def test_shifted_channels_ask_for_a_margin():
    assert compute_margin(choose_symmetries(oracle(((0, 0, 3), (-1, 0, 0))), "flips")) == (
        (1, 0, 0),
        (0, 0, 3),
    )


def test_offsets_without_mirror_image_are_refused():
    with pytest.raises(ConfigurationError, match=r"no affinity to .* with offset \[0, 2, 3\]"):
        choose_symmetries(oracle(((1, 0, 0), (0, 2, 3))), "flips")
    assert len(choose_symmetries(oracle(((1, 0, 0), (0, 2, 3))), "opposite")) == 2
    with pytest.raises(ConfigurationError, match=r"maps no affinity to .* with offset \[0, 3, 0\]"):
        choose_symmetries(oracle(((1, 0, 0), (0, 3, 0))), "all")


def test_directions_and_unlike_axes_are_refused():
    with pytest.raises(ConfigurationError, match="descriptors are directions"):
        choose_symmetries(small_network(not_mirrored="descriptors are directions"), "flips")
    with pytest.raises(ConfigurationError, match="differ along y and x"):
        choose_symmetries(small_network(voxel_size=Coordinate(4, 4, 8)), "all")


def test_the_average_over_copies_does_not_depend_on_tiles():
    network = small_network(offsets=((1, 0, 0), (0, 1, 0), (0, 0, 3)))
    box = ((0, 0, 0), (12, 12, 12))
    results = []
    for tile in ([4, 4, 4], [12, 12, 12]):
        tiles = TiledNetwork(
            network, PredictionConfig(tile_size=tile, augmentation="flips"), torch.device("cpu")
        )
        begin, end = tiles.read_box(box)
        coordinates = np.stack(np.meshgrid(*(np.arange(b, e) for b, e in zip(begin, end)), indexing="ij"))
        raw = np.sin(coordinates * np.array([1.1, 0.7, 0.4])[:, None, None, None]).sum(axis=0)[None]
        result = np.zeros((3, 12, 12, 12), dtype=np.float32)
        for where, values in tiles.run(raw.astype(np.float32), box):
            result[(slice(None), *where)] = values
        results.append(result)
    assert np.abs(results[0] - results[1]).max() < 1e-4
    assert all(results[0][c].std() > 0.01 for c in range(3))


def test_every_flip_is_there_once():
    flips = [symmetry.flips for symmetry in choose_symmetries(small_network(dims=2), "flips")]
    assert flips == list(product((False, True), repeat=2))
