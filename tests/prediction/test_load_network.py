"""Networks from checkpoints."""

import io
import json

import numpy as np
import pytest
import torch
from funlib.geometry import Coordinate

from attacca.architectures import create_architecture
from attacca.architectures.intensity import Intensity
from attacca.checkpoint import encode_configuration, save_checkpoint
from attacca.config.architecture import UNetConfig
from attacca.config.tasks import AffinitiesTaskConfig
from attacca.errors import CheckpointError, MissingInputError
from attacca.prediction import load_network
from attacca.tasks import create_task

ARCHITECTURE = UNetConfig(input_shape=(20, 20, 20), num_fmaps=2, downsample_factors=((2, 2, 2),))


@pytest.fixture
def checkpoint(tmp_path):
    """``checkpoint(task, ema)``: writes a checkpoint as training does; returns its path and its model."""

    def write(task_config=None, with_ema=False):
        task_config = task_config or AffinitiesTaskConfig(neighborhood=[[1, 0, 0], [0, 0, 3]])
        model = create_task(task_config).create_model(create_architecture(ARCHITECTURE, 3))
        weights = model.chain.state_dict()
        ema = {name: value * 0.5 for name, value in weights.items()} if with_ema else None
        path = tmp_path / "iteration_00000010.pt"
        description = encode_configuration(
            task_config, ARCHITECTURE, {}, voxel_size=[8, 4, 4], num_in_channels=1
        )
        content = {"iteration": 10, "model": weights, "ema": ema, "configuration": description}
        save_checkpoint(
            path, {**content, "intensity": {"minimum": 10.0, "maximum": 200.0}, "class_counts": None}
        )
        return path, model

    return write


def test_a_checkpoint_makes_the_network_that_was_saved(checkpoint):
    path, model = checkpoint()
    network = load_network(path)
    raw = torch.rand(1, 1, 20, 20, 20)
    with torch.inference_mode():
        assert torch.equal(network.model(raw), model.eval()(raw))
    assert network.voxel_size == Coordinate(8, 4, 4)
    assert network.intensity == Intensity(10.0, 200.0)
    assert network.offsets == ((1, 0, 0), (0, 0, 3))
    assert network.value_range == (0.0, 1.0)
    assert network.num_channels == 2 and "0,0,3" in network.channel_names[1]
    assert network.normalize(np.array([0, 10, 105, 200, 255])).tolist() == [-1, -1, 0, 1, 1]


def test_averaged_weights_are_preferred(checkpoint):
    path, model = checkpoint(with_ema=True)
    name, value = next(iter(model.chain.state_dict().items()))
    assert torch.equal(load_network(path).model.chain.state_dict()[name], value * 0.5)


def test_loading_leaves_random_numbers_alone(checkpoint):
    path, _ = checkpoint()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load_network(path)
    assert torch.equal(torch.rand(3), expected)


def test_descriptors_cannot_be_mirrored(checkpoint):
    path, _ = checkpoint(AffinitiesTaskConfig(neighborhood=[[1, 0, 0]], lsds=True))
    network = load_network(path, descriptors=True)
    assert network.num_channels == 11
    assert "descriptors" in network.not_mirrored


def test_descriptors_are_predicted_on_request_alone(checkpoint):
    path, _ = checkpoint(AffinitiesTaskConfig(neighborhood=[[1, 0, 0], [0, 3, 0]], lsds=True))
    network = load_network(path)
    assert network.channel_names == ("affinity(1,0,0)", "affinity(0,3,0)")
    # What is left can be mirrored.
    assert network.offsets == ((1, 0, 0), (0, 3, 0)) and not network.not_mirrored


def test_a_missing_checkpoint_is_reported(tmp_path):
    with pytest.raises(MissingInputError, match="no such checkpoint"):
        load_network(tmp_path / "none.pt")


def test_a_damaged_checkpoint_is_reported(checkpoint):
    path, _ = checkpoint()
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(CheckpointError, match="cannot be read as a checkpoint"):
        load_network(path)


def test_another_file_of_torch_is_reported(tmp_path):
    buffer = io.BytesIO()
    torch.save({"weights": torch.zeros(2)}, buffer)
    (tmp_path / "other.pt").write_bytes(buffer.getvalue())
    with pytest.raises(CheckpointError, match="found weights"):
        load_network(tmp_path / "other.pt")


def test_weights_that_do_not_fit_are_reported(checkpoint, tmp_path):
    path, _ = checkpoint()
    content = torch.load(path, weights_only=True)
    description = json.loads(content["configuration"])
    description["architecture"]["num_fmaps"] = 5
    save_checkpoint(path, {**content, "configuration": json.dumps(description)})
    with pytest.raises(CheckpointError, match="do not fit the network"):
        load_network(path)
