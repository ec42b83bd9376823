"""Programs of torch.export: PyTorch alone gives Attacca's predictions, and Attacca restores its model file."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from attacca.config.architecture import UNetConfig
from attacca.errors import ModelFileError
from attacca.exchange.attached_model import import_model
from attacca.exchange.portable_network import PredictedChannels, open_portable_network
from attacca.exchange.torch_program import METADATA, write_torch_program
from model_files import make_model_file

FLAT = {"type": "affinities", "neighborhood": [[1, 0], [0, 1]], "lsds": True}


def make_flat_model(path: Path, **network: Any) -> Path:
    config = {
        "input_shape": (16, 16),
        "num_fmaps": 2,
        "downsample_factors": ((2, 2),),
        "normalization": "batch",
    }
    architecture = UNetConfig(**{**config, **network}).model_dump(mode="json")
    return make_model_file(path, FLAT, architecture=architecture, voxel_size=[4, 8])


def load(path: Path) -> tuple[torch.nn.Module, dict[str, Any]]:
    extra = {METADATA: ""}
    program = torch.export.load(path, extra_files=extra)
    return program.module(), json.loads(extra[METADATA])


def test_a_program_gives_the_predictions_of_the_network_for_inputs_of_any_size(tmp_path: Path) -> None:
    model = make_flat_model(tmp_path / "model.zip", padding="valid", input_shape=(28, 28))
    write_torch_program(model, tmp_path / "program.pt2")
    module, facts = load(tmp_path / "program.pt2")
    network = open_portable_network(model).module
    sizes = facts["input"]["sizes"]
    assert sizes == {"y": {"minimum": 18, "step": 2}, "x": {"minimum": 18, "step": 2}}
    for batch, y, x in ((1, 18, 18), (3, 20, 40)):
        raw = torch.rand((batch, 1, y, x)) * 2 - 1
        output = module(raw)
        assert torch.allclose(output, network(raw), atol=1e-6)
        assert list(output.shape) == [batch, 2, y + facts["output"]["size_difference"]["y"], x - 16]
    assert facts["output"]["channels"] == ["affinity(1,0)", "affinity(0,1)"]
    assert facts["output"]["offsets"] == [[1, 0], [0, 1]]
    assert facts["input"]["voxel_size"] == [4, 8] and facts["input"]["intensity"] == {
        "minimum": 0,
        "maximum": 255,
    }
    import_model(tmp_path / "program.pt2", tmp_path / "restored.zip")
    assert (tmp_path / "restored.zip").read_bytes() == model.read_bytes()
    with zipfile.ZipFile(tmp_path / "program.pt2") as file:
        paths = [str(Path(__file__).parents[2]).encode(), str(tmp_path).encode()]
        assert not [name for name in file.namelist() if any(path in file.read(name) for path in paths)]


def test_the_program_of_a_network_with_a_fixed_input_shape_refuses_others(tmp_path: Path) -> None:
    model = make_flat_model(tmp_path / "model.zip", fixed_input_shape=True, input_shape=(32, 32))
    write_torch_program(model, tmp_path / "program.pt2")
    module, facts = load(tmp_path / "program.pt2")
    assert facts["input"]["sizes"] == {"y": 32, "x": 32}
    raw = torch.rand((2, 1, 32, 32))
    assert torch.allclose(module(raw), open_portable_network(model).module(raw), atol=1e-6)
    with pytest.raises(AssertionError, match="Guard failed"):
        module(torch.zeros((1, 1, 34, 32)))


def test_inputs_that_pytorch_excludes_are_not_listed(tmp_path: Path) -> None:
    # An output of one voxel would have another order in memory.
    model = make_flat_model(
        tmp_path / "model.zip", padding="valid", downsample_factors=(), normalization="none"
    )
    assert open_portable_network(model).input_shape() == (5, 5)
    write_torch_program(model, tmp_path / "program.pt2")
    module, facts = load(tmp_path / "program.pt2")
    smallest = facts["input"]["sizes"]["y"]["minimum"]
    assert module(torch.zeros((1, 1, smallest, smallest))).shape == (1, 2, smallest - 4, smallest - 4)


def test_a_network_that_cannot_be_exported_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(self: PredictedChannels, raw: torch.Tensor) -> torch.Tensor:
        return raw if raw.sum() > 0 else -raw

    monkeypatch.setattr(PredictedChannels, "forward", forward)
    with pytest.raises(ModelFileError, match=r"torch\.export cannot export the network"):
        write_torch_program(make_flat_model(tmp_path / "model.zip"), tmp_path / "program.pt2")
    assert not (tmp_path / "program.pt2").exists()
