"""Import of the model file that is attached to a model in another format, and refusal of files from other programs."""

import zipfile
from pathlib import Path

import pytest
import yaml

from attacca.config.model_description import read_model_description
from attacca.errors import MissingInputError, ModelFileError
from attacca.exchange.attached_model import ATTACHED, import_model, read_model
from model_files import make_model_file

FOREIGN = {
    "type": "model",
    "name": "nuclei of mice",
    "format_version": "0.5.3",
    "weights": {"torchscript": {"source": "weights.pt"}, "onnx": {"source": "weights.onnx"}},
    "inputs": [
        {
            "id": "image",
            "axes": [{"type": "batch"}, {"type": "space", "id": "y"}, {"type": "space", "id": "x"}],
        }
    ],
    "outputs": [{"name": "old", "axes": "byx"}],
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model_file(tmp_path / "model.zip")


def pack(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize("name", [ATTACHED, f"model/{ATTACHED}"])
def test_an_import_restores_the_same_bytes(model: Path, tmp_path: Path, name: str) -> None:
    package = pack(tmp_path / "package.zip", {"rdf.yaml": b"type: model\n", name: model.read_bytes()})
    import_model(package, tmp_path / "restored.zip")
    assert (
        (tmp_path / "restored.zip").read_bytes()
        == model.read_bytes()
        == read_model(package)
        == read_model(model)
    )


def test_a_model_of_another_program_is_refused_with_its_weights_and_tensors(tmp_path: Path) -> None:
    package = pack(
        tmp_path / "nuclei.zip",
        {"bioimageio.yaml": yaml.safe_dump(FOREIGN, sort_keys=False).encode(), "weights.pt": b""},
    )
    with pytest.raises(ModelFileError) as caught:
        import_model(package, tmp_path / "restored.zip")
    message = str(caught.value)
    assert (
        "the model 'nuclei of mice' of the BioImage Model Zoo (format 0.5.3; weights: torchscript, onnx"
        in message
    )
    assert "inputs image (batch y x); outputs old (byx)), without a model file of Attacca" in message
    assert "docs/extending.md" in message
    assert not (tmp_path / "restored.zip").exists()
    with pytest.raises(ModelFileError, match="nuclei of mice"):
        read_model(package)


def test_a_description_that_would_be_endless_text_is_described_in_short(tmp_path: Path) -> None:
    lines = [
        "a0: &a0 [x, x]",
        *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)),
        "name: *a39",
    ]
    package = pack(tmp_path / "laughs.zip", {"rdf.yaml": "\n".join(lines).encode()})
    with pytest.raises(ModelFileError, match="the \\? '\\?' of the BioImage Model Zoo"):
        import_model(package, tmp_path / "restored.zip")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00: [", "with an unreadable rdf.yaml"),
        (b"[]", "it is not a mapping"),
        (b"#" * 5_000_000, "has more than 4194304 bytes"),
    ],
)
def test_a_package_with_an_unreadable_description_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    package = pack(tmp_path / "package.zip", {"rdf.yaml": content})
    with pytest.raises(ModelFileError, match=message):
        import_model(package, tmp_path / "restored.zip")


def test_a_changed_model_file_is_refused_and_nothing_is_written(model: Path, tmp_path: Path) -> None:
    content = bytearray(model.read_bytes())
    # Bytes of a weight, whose checksum in the ZIP file is then wrong, too.
    content[content.index(b"weights/0.down.0.layers.0.weight.npy") + 200] ^= 1
    package = pack(tmp_path / "package.zip", {ATTACHED: bytes(content)})
    with pytest.raises(ModelFileError, match="damaged"):
        import_model(package, tmp_path / "restored.zip")
    assert not (tmp_path / "restored.zip").exists()


def test_a_damaged_package_is_refused(model: Path, tmp_path: Path) -> None:
    package = pack(tmp_path / "package.zip", {ATTACHED: model.read_bytes()}, zipfile.ZIP_STORED)
    content = bytearray(package.read_bytes())
    content[len(content) // 2] ^= 1
    package.write_bytes(content)
    with pytest.raises(ModelFileError, match="is damaged"):
        import_model(package, tmp_path / "restored.zip")


def test_files_that_hold_no_attached_model_are_refused(model: Path, tmp_path: Path) -> None:
    target = tmp_path / "restored.zip"
    with pytest.raises(MissingInputError, match="no such file"):
        import_model(tmp_path / "missing.zip", target)
    with pytest.raises(ModelFileError, match="is a model file of Attacca already"):
        import_model(model, target)
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(ModelFileError, match="is not a ZIP file"):
        import_model(tmp_path / "text.zip", target)
    two = pack(tmp_path / "two.zip", {ATTACHED: b"", f"deeper/{ATTACHED}": b""})
    with pytest.raises(ModelFileError, match="a ZIP file with 2 members, without"):
        import_model(two, target)
    assert not target.exists()


def test_a_configuration_that_names_a_package_is_answered_with_the_import(
    model: Path, tmp_path: Path
) -> None:
    package = pack(tmp_path / "package.zip", {ATTACHED: model.read_bytes()}, zipfile.ZIP_STORED)
    with pytest.raises(ModelFileError, match="attacca model import"):
        read_model_description(package)
