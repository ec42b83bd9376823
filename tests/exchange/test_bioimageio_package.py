"""Packages of the BioImage Model Zoo: the format's own program runs them and gives Attacca's predictions."""

import gc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from funlib.geometry import Coordinate, Roi

from attacca.arrays import NumpyArray
from attacca.arrays.border import map_to_inside
from attacca.cli.main import main
from attacca.config.architecture import UNetConfig
from attacca.config.prediction import PredictionConfig
from attacca.errors import ModelFileError
from attacca.exchange import bioimageio_check
from attacca.exchange.attached_model import ATTACHED
from attacca.exchange.bioimageio_check import find_problems
from attacca.exchange.bioimageio_package import write_bioimageio_package
from attacca.exchange.portable_network import open_portable_network
from attacca.prediction.tiles import TiledNetwork
from model_files import DISTANCES, make_model_file

core = pytest.importorskip("bioimageio.core", reason="needs the extra 'bioimage'")

TOLERANCE = 1e-4
"""Largest difference that ``docs/models.md`` states."""
CITATION = "Author et al. (2026), https://journal.example/article."
FLAT = {"type": "affinities", "neighborhood": [[1, 0], [0, 1], [-3, 0]]}


@pytest.fixture(autouse=True, scope="module")
def quick_collections() -> Iterator[None]:
    """Exclude existing objects from the collections of garbage that bioimageio.core starts for each network."""
    gc.freeze()
    yield
    gc.unfreeze()


def describe(**network: Any) -> dict[str, Any]:
    small = {"num_fmaps": 2, "downsample_factors": ((2,) * len(network["input_shape"]),)}
    return UNetConfig(**{**small, **network}).model_dump(mode="json")


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks in 3D without padding, with batch normalization, for percentiles of images of 16 bits."""
    volume = {
        "name": "cube",
        "purpose": "train",
        "shape": [32, 32, 32],
        "dtype": "uint16",
        "digest": "0" * 64,
    }
    return make_model_file(
        tmp_path_factory.mktemp("deep") / "model.zip",
        DISTANCES,
        architecture=describe(input_shape=(28, 28, 28), padding="valid", normalization="batch", members=2),
        intensity={"low_percentile": 1.0, "high_percentile": 99.0},
        voxel_size=[40, 8, 8],
        volumes=[volume],
        about={"authors": ["A. Author", "B/C"], "license": "for our friends", "citation": CITATION},
    )


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network in 2D with padding, for fixed intensities."""
    return make_model_file(
        tmp_path_factory.mktemp("flat") / "model.zip",
        FLAT,
        architecture=describe(input_shape=(16, 16)),
        intensity={"minimum": 20.0, "maximum": 200.0},
        voxel_size=[4, 4],
        about={"license": "CC-BY-4.0", "citation": "Author (2026), doi:10.1234/abc-5."},
    )


def predict_with_attacca(model: Path, raw: np.ndarray) -> np.ndarray:
    """Return Attacca's prediction of a whole volume (channels, *spatial), in tiles."""
    portable = open_portable_network(model)
    voxel_size = Coordinate(portable.description.voxel_size)
    shape = raw.shape[1:]
    roi = Roi((0,) * len(shape), Coordinate(shape) * voxel_size)
    array = NumpyArray.from_np_array(raw, roi, voxel_size, ["c", *"zyx"[-len(shape) :]])
    network = portable.network.fit_intensity(array)
    tiles = TiledNetwork(network, PredictionConfig(), torch.device("cpu"))
    box = ((0,) * len(shape), shape)
    begin, end = tiles.read_box(box)
    for axis, (first, last) in enumerate(zip(begin, end)):
        indices = map_to_inside(np.arange(first, last), shape[axis], "reflect")
        raw = np.take(raw, indices, axis=axis + 1)
    result = np.empty((network.num_channels, *shape), np.float32)
    for part, values in tiles.run(network.normalize(raw), box):
        result[(slice(None), *part)] = values
    return result.clip(*network.value_range)


def predict_with_bioimageio(package: Path, raw: np.ndarray, steps: int) -> np.ndarray:
    """Return the prediction (channels, *spatial) of the format's program, block by block."""
    axes = ("batch", "channel", *"zyx"[-(raw.ndim - 1) :])
    sample = core.predict(
        model=core.load_model_description(package),
        inputs={"raw": core.Tensor.from_numpy(raw[None], dims=axes)},
        blocksize_parameter=steps,
    )
    return sample.members["prediction"].data.to_numpy()[0]


def test_a_network_without_padding_gives_the_same_values_block_by_block(
    deep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError(f"the internet was used: {arguments}")

    monkeypatch.setattr(httpx, "request", refuse)
    monkeypatch.setattr(httpx, "stream", refuse)
    package = tmp_path / "package.zip"
    assert write_bioimageio_package(deep, package) == []
    raw = np.random.default_rng(1).integers(100, 5000, (1, 26, 30, 34)).astype(np.uint16)
    expected = predict_with_attacca(deep, raw)
    assert np.abs(predict_with_bioimageio(package, raw, 4) - expected).max() < TOLERANCE < expected.std()
    values = read_description(package)
    assert [axis.get("scale") for axis in values["inputs"][0]["axes"]] == [None, None, 40, 8, 8]
    assert values["authors"] == [{"name": "A. Author"}, {"name": "B-C"}]
    assert (
        values["license"]["source"] == "LICENSE.txt" and read(package, "LICENSE.txt") == b"for our friends\n"
    )
    assert values["cite"] == [{"text": CITATION, "url": "https://journal.example/article"}]
    assert values["inputs"][0]["data"] == {"type": "uint16"}


def test_the_command_exports_and_imports_a_model(
    flat: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package, restored = tmp_path / "package.zip", tmp_path / "restored.zip"
    assert main(["model", "export", str(flat), "--format", "bioimageio", "--out", str(package)]) == 0
    assert "for a publication, it has no authors: set 'about'" in capsys.readouterr().out
    assert main(["model", "import", str(package), "--out", str(restored)]) == 0
    assert restored.read_bytes() == flat.read_bytes()
    values = read_description(package)
    assert values["license"] == "CC-BY-4.0"
    assert values["cite"] == [{"text": "Author (2026), doi:10.1234/abc-5.", "doi": "10.1234/abc-5"}]
    assert values["outputs"][0]["axes"][1]["channel_names"] == [
        "affinity(1,0)",
        "affinity(0,1)",
        "affinity(-3,0)",
    ]
    assert values["config"]["attacca"]["offsets"] == FLAT["neighborhood"]
    assert values["inputs"][0]["axes"][2]["size"] == {"min": 18, "step": 2}
    page = read(package, "README.md").decode()
    assert "| voxel size | 4 x 4 nm |" in page and "| intensities | black 20, white 200 |" in page
    here = str(Path(__file__).parents[2]).encode()
    with zipfile.ZipFile(package) as file:
        members = {name: file.read(name) for name in file.namelist()}
    assert not [name for name, content in members.items() if here in content or str(flat).encode() in content]
    # The check finds an example that the network does not give.
    members["test_output.npy"] = members["test_output.npy"][:-400] + bytes(400)
    del values["outputs"][0]["test_tensor"]["sha256"]
    members["rdf.yaml"] = yaml.safe_dump(values).encode()
    assert "elements disagree with expected values" in " ".join(find_problems(members, "rdf.yaml"))
    members["rdf.yaml"] = yaml.safe_dump({**values, "inputs": []}).encode()
    assert "inputs" in " ".join(find_problems(members, "rdf.yaml"))


def test_a_network_that_has_no_torchscript_is_refused(
    flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("unsupported\nsecond line")

    monkeypatch.setattr(torch.jit, "trace", refuse)
    with pytest.raises(ModelFileError, match=r"cannot make TorchScript of the network: unsupported$"):
        write_bioimageio_package(flat, tmp_path / "package.zip")
    assert not (tmp_path / "package.zip").exists()


def test_a_missing_package_and_a_wrong_suffix_are_reported(
    flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bioimageio_check, "PROGRAM", "bioimageio_absent.core")
    command = ["model", "export", str(flat), "--format", "bioimageio", "--out"]
    assert main([*command, str(tmp_path / "package.zip")]) == 2
    assert "python -m pip install 'attacca[bioimage]'" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "package.pt2")]) == 2
    assert "expected a file that ends with .zip" in capsys.readouterr().err
    assert not (tmp_path / "package.zip").exists()


def read(package: Path, name: str) -> bytes:
    with zipfile.ZipFile(package) as file:
        return file.read(name)


def read_description(package: Path) -> dict[str, Any]:
    values = yaml.safe_load(read(package, "rdf.yaml"))
    assert values["attachments"][0]["source"] == ATTACHED
    return dict(values)
