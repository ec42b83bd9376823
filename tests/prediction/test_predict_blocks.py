"""Predicting volumes block by block."""

import math
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.blockwise import Ledger, check_alignment, run_blocks
from attacca.config.prediction import PredictionConfig
from attacca.device import choose_device
from attacca.errors import BlocksFailedError, ConfigurationError, ResourceError
from attacca.prediction import PredictBlocks, create_prediction_array, estimate_memory, make_prediction_grid
from attacca.prediction.network import Network
from attacca.prediction.predict_blocks import convert_to_stored
from attacca.prediction.prediction_array import choose_stored_range
from attacca.prediction.sizes import choose_sizes

sys.path.insert(0, str(Path(__file__).parent))
from conftest import small_network

sys.path.pop(0)


def predict(raw, network: Network, config: PredictionConfig, roi: Roi | None = None, name: str = "out"):
    """The prediction of a volume as stored."""
    source = LocalArrayIdentifier(raw.file_name, raw.dataset)
    target = LocalArrayIdentifier(Path(raw.file_name).with_name(f"{name}.zarr"), "s0")
    output = create_prediction_array(target, raw, network, config, roi, overwrite=True)
    grid = make_prediction_grid(raw, network, config, roi)
    check_alignment(grid, output)
    ledger = Ledger(output.directory, {"name": name}, len(grid))
    run_blocks(PredictBlocks(lambda: network, source, target, config), grid, ledger=ledger)
    assert ledger.complete
    return output


def whole(raw, network: Network) -> np.ndarray:
    """Predict the whole volume at once, with mirrored context."""
    margin = network.context + network.factor * 4
    grown = raw.roi.grow(margin * raw.voxel_size, margin * raw.voxel_size)
    # The input must suit the network: its end is moved up to a multiple of the factor.
    more = Coordinate((-s) % f for s, f in zip(raw.roi.shape / raw.voxel_size, network.factor))
    context = network.context
    start = Roi(
        raw.roi.begin - context * raw.voxel_size,
        raw.roi.shape + (more + context * 2) * raw.voxel_size,
    )
    assert grown.contains(start)
    data = network.normalize(raw.read(start, "reflect"))
    with torch.inference_mode():
        output = network.model(torch.from_numpy(data)[None, None])[0].numpy()
    shape = raw.roi.shape / raw.voxel_size
    cut = [(n - s - m) // 2 for n, s, m in zip(output.shape[1:], shape, more)]
    return output[(slice(None), *(slice(c, c + s) for c, s in zip(cut, shape)))]


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("block", [[8, 8, 8], [16, 24, 8], [64, 64, 64]])
def test_the_prediction_is_that_of_the_whole_volume_whatever_the_blocks(make_volume, padding, block):
    raw = make_volume((27, 33, 18), (8, 4, 4), (80, -12, 4))
    network = small_network(padding)
    output = predict(raw, network, PredictionConfig(block_size=block))
    expected = whole(raw, network)
    assert output.data.shape == expected.shape
    assert np.abs(output.data[:] / 255 - expected).max() < 1 / 255
    assert expected.std() > 0.1


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("stem", [(2, 2, 2), (1, 2, 2)])
def test_with_a_stem_the_prediction_is_that_of_the_whole_volume(make_volume, padding, stem):
    raw = make_volume((27, 33, 18), (8, 4, 4), (80, -12, 4))
    network = small_network(padding, stem=stem)
    assert network.factor == Coordinate(stem) * 2
    expected = whole(raw, network)
    for block in ([8, 8, 8], [16, 24, 8]):
        output = predict(raw, network, PredictionConfig(block_size=block))
        assert np.abs(output.data[:] / 255 - expected).max() < 1 / 255
    assert expected.std() > 0.1
    with pytest.raises(ConfigurationError, match="multiples of"):
        choose_sizes(network, PredictionConfig(block_size=[6, 6, 6]))


def test_every_voxel_of_a_region_is_predicted_as_in_the_whole(make_volume):
    raw = make_volume((27, 33, 18), (8, 4, 4), (80, -12, 4))
    network = small_network()
    config = PredictionConfig(block_size=[8, 8, 8])
    all_of_it = predict(raw, network, config)
    roi = Roi((104, 0, 8), (13 * 8, 9 * 4, 15 * 4))
    part = predict(raw, network, config, roi, "part")
    assert part.roi == roi
    difference = part[roi].astype(int) - all_of_it[roi]
    assert np.abs(difference).max() <= 1


def test_a_volume_with_a_sliver_and_one_smaller_than_a_block(make_volume):
    network = small_network()
    raw = make_volume((17, 17, 17), (4, 4, 4), (0, 0, 0))
    output = predict(raw, network, PredictionConfig(block_size=[16, 16, 16]))
    assert np.abs(output.data[:] / 255 - whole(raw, network)).max() < 1 / 255
    small = predict(raw, network, PredictionConfig(block_size=[96, 96, 96]), name="small")
    assert np.abs(small.data[:].astype(int) - output.data[:]).max() <= 1


def test_planes_are_predicted_in_blocks(make_volume):
    raw = make_volume((61, 45), (4, 4), (20, -8))
    network = small_network(dims=2)
    output = predict(raw, network, PredictionConfig(block_size=[16, 32]))
    assert output.axes == ["c", "y", "x"]
    assert np.abs(output.data[:] / 255 - whole(raw, network)).max() < 1 / 255


def test_anisotropic_networks_predict_volumes_in_blocks(make_volume):
    raw = make_volume((11, 30, 30), (40, 4, 4), (0, 0, 0))
    network = small_network(factors=(1, 3, 3))
    output = predict(raw, network, PredictionConfig(block_size=[4, 12, 30], tile_size=[4, 6, 15]))
    assert np.abs(output.data[:] / 255 - whole(raw, network)).max() < 1 / 255


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("uint8", 1 / 255 + 1e-4), ("float16", 1e-3), ("float32", 1e-4)]
)
def test_values_come_back_in_their_own_range(make_volume, dtype, tolerance):
    raw = make_volume((16, 16, 16), (4, 4, 4), (0, 0, 0))
    base = small_network()
    signed = Network(
        torch.nn.Sequential(base.model, Signed()),
        base.num_in_channels,
        base.channel_names,
        base.context,
        base.factor,
        base.intensity,
        value_range=(-1.0, 1.0),
    )
    output = predict(raw, signed, PredictionConfig(block_size=[16, 16, 16], dtype=dtype))
    assert output.dtype == np.dtype(dtype)
    assert np.abs(output.read_values(output.roi) - whole(raw, signed)).max() < tolerance
    assert output.read_values(output.roi).min() < 0


class Signed(torch.nn.Module):
    """From 0 to 1 to -1 to 1."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values * 2 - 1


def test_integers_are_rounded_and_clipped():
    values = np.array([-0.1, 0.0, 0.00195, 0.00197, 0.5, 1.0, 1.7], dtype=np.float32)
    assert convert_to_stored(values, np.uint8, 1 / 255, 0.0).tolist() == [0, 0, 0, 1, 128, 255, 255]
    large = convert_to_stored(np.array([1e6, -1e6], dtype=np.float32), np.float16, 1.0, 0.0)
    assert np.isfinite(large).all()
    network = small_network(value_range=(-1.0, 1.0))
    assert choose_stored_range(network, PredictionConfig()) == (2 / 255, -1.0)
    assert choose_stored_range(network, PredictionConfig(dtype="float16")) == (1.0, 0.0)


def test_the_array_contains_the_names_of_its_channels(make_volume):
    raw = make_volume((16, 16, 16), (4, 4, 4), (0, 0, 0))
    network = small_network()
    config = PredictionConfig(block_size=[16, 16, 16])
    target = LocalArrayIdentifier(Path(raw.file_name).with_name("p.zarr"), "s0")
    array = create_prediction_array(target, raw, network, config)
    array[array.roi] = 7
    again = create_prediction_array(target, raw, network, config)
    assert again.attrs["channels"] == ["0", "1"]
    assert (again.data[:] == 7).all()


def test_bytes_are_equal_from_run_to_run_and_with_several_processes(make_volume):
    raw = make_volume((24, 24, 24), (4, 4, 4), (0, 0, 0))
    config = PredictionConfig(block_size=[8, 8, 8])
    one = predict(raw, small_network(), config, name="one").data[:]
    two = predict(raw, small_network(), config, name="two").data[:]
    assert np.array_equal(one, two)


def test_a_block_that_cannot_be_read_fails_alone(make_volume):
    raw = make_volume((24, 16, 16), (4, 4, 4), (0, 0, 0))
    network, config = small_network(), PredictionConfig(block_size=[8, 8, 8])
    source = LocalArrayIdentifier(raw.file_name, raw.dataset)
    target = LocalArrayIdentifier(Path(raw.file_name).with_name("out.zarr"), "s0")
    create_prediction_array(target, raw, network, config)
    function = PredictBlocks(lambda: network, source, target, config)
    function.open()
    read = function._read

    def broken(block):
        if block.index == 4:
            raise OSError("unreadable")
        return read(block)

    function._read = broken  # type: ignore[method-assign]
    outcomes = {
        block.index: error
        for block, error in function.stream(list(make_prediction_grid(raw, network, config)))
    }
    assert sorted(outcomes) == list(range(12))
    assert [index for index, error in outcomes.items() if error is not None] == [4]


def test_the_function_is_sent_to_workers_without_its_network(make_volume):
    raw = make_volume((16, 16, 16), (4, 4, 4), (0, 0, 0))
    source = LocalArrayIdentifier(raw.file_name, raw.dataset)
    function = PredictBlocks("iteration_00000010.pt", source, source, PredictionConfig())
    function._opened = (None, raw, raw)
    assert pickle.loads(pickle.dumps(function))._opened is None


def test_default_sizes_fit_the_network():
    for dims in (2, 3):
        network = small_network(dims=dims)
        plan = choose_sizes(network, PredictionConfig())
        assert not any(plan.tile % network.factor)
        assert not any(plan.block % plan.tile) and not any(plan.block % plan.chunk)
        assert estimate_memory(network, PredictionConfig()) > 0


def test_a_network_at_half_the_resolution_needs_less_memory():
    full, half = small_network(), small_network(stem=(2, 2, 2))
    config = PredictionConfig(tile_size=[256] * 3)
    assert _estimate_features(half, config) < 0.8 * _estimate_features(full, config)


def _estimate_features(network, config):
    """Return bytes of memory per voxel of a tile with its context."""
    voxels = math.prod(Coordinate(config.tile_size) + network.context * 2)
    return (estimate_memory(network, config) - (600 << 20)) / voxels


def test_blocks_larger_than_the_volume_need_the_memory_of_the_volume():
    network = small_network()
    large = PredictionConfig(block_size=[4096] * 3, tile_size=[64] * 3)
    just = PredictionConfig(block_size=[64] * 3, tile_size=[64] * 3)
    region = Coordinate(64, 64, 64)
    assert estimate_memory(network, large) > 100 << 30
    assert estimate_memory(network, large, region) == estimate_memory(network, just, region)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"block_size": [9, 8, 8]}, r"block_size: found \[9, 8, 8\], expected multiples of \[2, 2, 2\]"),
        ({"block_size": [8, 8]}, "block_size.*expected 3 numbers"),
        ({"tile_size": [8, 8, 8], "block_size": [12, 8, 8]}, r"expected multiples of \[8, 8, 8\]"),
    ],
)
def test_sizes_that_do_not_fit_the_network_are_refused(settings, message):
    with pytest.raises(ConfigurationError, match=message):
        choose_sizes(small_network(), PredictionConfig(**settings))


def test_raw_data_that_the_network_was_not_made_for_are_refused(make_volume):
    raw = make_volume((16, 16, 16), (4, 4, 4), (0, 0, 0))
    with pytest.raises(
        ConfigurationError, match=r"voxels of \(4, 4, 4\), the network was trained on \(8, 4, 4\)"
    ):
        make_prediction_grid(raw, small_network(voxel_size=Coordinate(8, 4, 4)), PredictionConfig())
    with pytest.raises(
        ConfigurationError, match="3 spatial axes and 1 channels, the network expects 2 axes and 1"
    ):
        make_prediction_grid(raw, small_network(dims=2), PredictionConfig())


def test_a_missing_gpu_is_reported(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto").type == "cpu"
    with pytest.raises(ResourceError, match="finds no GPU"):
        choose_device("cuda")


def test_shards_take_gpus_in_turn(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [choose_device("auto", shard).index for shard in range(4)] == [0, 1, 0, 1]


def test_raw_data_that_are_not_finite_are_refused_in_each_block(make_volume, tmp_path):
    raw = make_volume((24, 24, 24), (8, 8, 8), (0, 0, 0))
    floats = ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(tmp_path / "floats.zarr", "raw"),
        ["z", "y", "x"],
        raw.roi,
        None,
        raw.voxel_size,
        "f4",
    )
    values = raw[raw.roi].astype(np.float32)
    values[12, 12, 12] = np.nan
    floats[raw.roi] = values
    with pytest.raises(BlocksFailedError, match="not finite"):
        predict(floats, small_network(), PredictionConfig(block_size=[8, 8, 8]))


def test_a_prediction_that_is_not_finite_is_an_error_with_block_and_network(make_volume):
    raw = make_volume((16, 16, 16), (8, 8, 8), (0, 0, 0))
    network = small_network()
    with torch.no_grad():
        network.model.prediction_head.bias[1] = np.nan
    with pytest.raises(BlocksFailedError) as caught:
        predict(raw, network, PredictionConfig(block_size=[8, 8, 8]))
    message = str(caught.value)
    assert "the network predicts 512 values that are not finite" in message
    assert "block 0" in message and "in the channels 1" in message and "tried once" in message
