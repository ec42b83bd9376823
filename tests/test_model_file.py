"""Model files: networks survive a round trip bit by bit, and files from strangers are refused with a reason."""

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attacca.architectures.intensity import Intensity
from attacca.archive import write_archive
from attacca.checkpoint import checkpoint_digest, read_checkpoint
from attacca.config.model_description import read_model_description
from attacca.errors import ModelFileError
from attacca.model_file import read_model_weights, unpack_model
from attacca.prediction import load_network
from model_files import create_weights, describe_model, make_model_file


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def npy(array: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model_file(tmp_path / "model.zip")


def test_weights_and_description_survive_a_round_trip(model: Path) -> None:
    weights, expected = read_model_weights(model), create_weights(describe_model())
    assert list(weights) == list(expected)
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
    description, digest = read_model_description(model)
    assert description.task == describe_model()["task"]
    assert len(digest) == 64


def test_equal_models_have_equal_bytes_and_the_digest_does_not_depend_on_the_path(tmp_path: Path) -> None:
    first = make_model_file(tmp_path / "first.zip")
    (tmp_path / "deeper").mkdir()
    second = make_model_file(tmp_path / "deeper" / "second.zip")
    other = make_model_file(tmp_path / "other.zip", seed=1)
    assert first.read_bytes() == second.read_bytes()
    digests = [read_model_description(path)[1] for path in (first, second, other)]
    assert digests[0] == digests[1] != digests[2]


def test_an_unpacked_model_is_a_checkpoint_with_the_digest_of_the_training(
    model: Path, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    description = unpack_model(model, checkpoint)
    assert checkpoint_digest(checkpoint) == description.weights_digest
    assert read_checkpoint(checkpoint)["iteration"] == 6
    network = load_network(checkpoint)
    assert (network.num_channels, network.intensity, network.voxel_size) == (
        4,
        Intensity(0.0, 255.0),
        (8, 8, 8),
    )


def test_a_model_file_holds_no_pickle(model: Path) -> None:
    for content in members_of(model).values():
        with pytest.raises(
            (pickle.UnpicklingError, ValueError, KeyError, IndexError, AttributeError, EOFError)
        ):
            pickle.loads(content)
    assert set(members_of(model)) - {"model.json"} == {
        f"weights/{name}.npy" for name in create_weights(describe_model())
    }


def change(path: Path, name: str, content: bytes) -> None:
    write_archive(path, {**members_of(path), name: content})


def change_description(path: Path, **changes: Any) -> None:
    values = json.loads(members_of(path)["model.json"])
    change(path, "model.json", json.dumps({**values, **changes}).encode())


def first_weight(path: Path) -> str:
    return next(name for name in members_of(path) if name.endswith(".npy"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(npy(np.array([{}], dtype=object), allow_pickle=True), "expected numbers", id="a pickle"),
        pytest.param(npy(np.zeros(2, "M8[s]")), "expected numbers", id="times"),
        pytest.param(npy(np.zeros((3, 2), order="F")), "expected numbers in the order of C", id="order of Fortran"),
        pytest.param(b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }".ljust(128), "expected the shape", id="a huge shape"),
        pytest.param(b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os'), }".ljust(128), "is not an array", id="code"),
        pytest.param(npy(np.zeros(3, np.float32))[:-1], "found 11 bytes", id="truncated"),
        pytest.param(b"", "is not an array", id="empty"),
    ],
)  # fmt: skip
def test_a_member_that_is_not_a_plain_array_is_refused(model: Path, content: bytes, message: str) -> None:
    change(model, first_weight(model), content)
    with pytest.raises(ModelFileError, match=message):
        read_model_weights(model)


def test_other_weights_under_the_same_description_are_refused(model: Path) -> None:
    name = first_weight(model)
    array = np.load(io.BytesIO(members_of(model)[name]))
    change(model, name, npy(array + 1))
    with pytest.raises(ModelFileError, match="are not those that the training wrote"):
        read_model_weights(model)


def test_another_network_over_the_same_weights_is_refused(model: Path) -> None:
    change_description(model, intensity={"minimum": 0.0, "maximum": 1.0})
    with pytest.raises(ModelFileError, match="are not those that the training wrote"):
        read_model_weights(model)


def test_a_network_that_is_larger_than_its_weights_is_not_created(model: Path) -> None:
    architecture = describe_model()["architecture"] | {"num_fmaps": 10**9}
    change_description(model, architecture=architecture)
    with pytest.raises(ModelFileError, match="but the network in the description has more than"):
        read_model_weights(model)


def test_a_further_member_is_refused(model: Path) -> None:
    change(model, "../../.bashrc", b"echo")
    with pytest.raises(ModelFileError, match=r"found the member '\.\./\.\./\.bashrc'"):
        read_model_weights(model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"version": 2, "written_by": "attacca 9"}, "version 2 of the format, written by 'attacca 9'.*install a newer", id="newer"),
        pytest.param({"format": "other"}, "not a model file of Attacca: found format 'other'", id="another format"),
        pytest.param({"surprise": 1}, "surprise: Extra inputs", id="an unknown key"),
        pytest.param({"task": {"type": "pretrained", "weights": "/etc/passwd", "sub_task_config": {}}}, "task", id="a task that names a file"),
        pytest.param({"architecture": {"type": "unet", "num_fmaps": -1}}, r"architecture\.num_fmaps", id="an impossible network"),
        pytest.param({"name": "\x1b[2J"}, "control character", id="an escape sequence"),
        pytest.param({"name": "x" * 300}, "name: String should have at most 200", id="a long name"),
        pytest.param({"voxel_size": [8, 8]}, "voxel_size: its number of axes", id="another number of axes"),
        pytest.param({"intensity": {"minimum": 0.0}}, "intensity: found", id="no maximum"),
    ],
)  # fmt: skip
def test_an_invalid_description_is_refused_with_its_key(
    model: Path, changes: dict[str, Any], message: str
) -> None:
    change_description(model, **changes)
    with pytest.raises(ModelFileError, match=message):
        read_model_description(model)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"{", "is not JSON", id="truncated"),
        pytest.param(b"[" * 200_000, "is not JSON", id="deep"),
        pytest.param(b'{"format": "attacca model", "version": 1, "seed": NaN}', "found NaN", id="not a number"),
        pytest.param(b"[]", "found format None", id="a list"),
    ],
)  # fmt: skip
def test_a_description_that_is_not_json_is_refused(model: Path, content: bytes, message: str) -> None:
    change(model, "model.json", content)
    with pytest.raises(ModelFileError, match=message):
        read_model_description(model)


def test_another_zip_file_is_refused_with_its_members(tmp_path: Path) -> None:
    write_archive(tmp_path / "photos.zip", {"holiday.jpg": b""})
    with pytest.raises(ModelFileError, match=r"found a ZIP file with holiday\.jpg, expected model\.json"):
        read_model_description(tmp_path / "photos.zip")
