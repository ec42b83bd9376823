"""Directory of an application: what the command line becomes, and what is refused before anything is computed."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml

from attacca.config.load import load_configuration
from attacca.errors import AttaccaError, ConfigurationError
from attacca.exchange.attached_model import ATTACHED
from attacca.preflight.check_configuration import check_configuration
from attacca.workflow.application import (
    Application,
    InputVolume,
    join_voxel_size,
    parse_setting,
    prepare_application,
)
from model_files import make_model_file


def write_volume(path: Path, shape: tuple[int, ...] = (32, 32, 32), dtype: str = "uint8") -> str:
    tifffile.imwrite(path, np.random.default_rng(0).integers(0, 200, shape).astype(dtype))
    return str(path)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model_file(tmp_path / "model.zip")


def application(model: Path, *raw: str, **changes: Any) -> Application:
    return Application(model, [InputVolume(path) for path in raw], **{"voxel_size": [8, 8, 8], **changes})


def test_a_configuration_with_a_copy_of_the_model_is_written_and_checked(model: Path, tmp_path: Path) -> None:
    raw = write_volume(tmp_path / "tissue one.tif")
    path = prepare_application(
        application(model, raw, settings={"execution.shards.predict": 4}), tmp_path / "out"
    )
    values = yaml.safe_load(path.read_text())
    assert values["runs"] == {"applied": {"model": "model.zip", "volumes": {"test": ["tissue-one"]}}}
    assert values["execution"] == {"shards": {"predict": 4}}
    assert (tmp_path / "out" / "model.zip").read_bytes() == model.read_bytes()
    assert load_configuration(path).results == tmp_path / "out"


def test_the_same_application_is_written_again_and_another_directory_is_never_touched(
    model: Path, tmp_path: Path
) -> None:
    raw = write_volume(tmp_path / "tissue.tif")
    first = prepare_application(application(model, raw), tmp_path / "out").read_text()
    assert prepare_application(application(model, raw), tmp_path / "out").read_text() == first
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "config.yaml").write_text("results: results\n")
    with pytest.raises(ConfigurationError, match="holds no application of a model"):
        prepare_application(application(model, raw), tmp_path / "own")
    assert (tmp_path / "own" / "config.yaml").read_text() == "results: results\n"
    with pytest.raises(ConfigurationError, match="is a file"):
        prepare_application(application(model, raw), Path(raw))


def test_volumes_of_one_name_get_names_of_their_own(model: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    paths = [write_volume(tmp_path / "volumes.tif"), write_volume(tmp_path / "b" / "VOLUMES.tif")]
    path = prepare_application(application(model, *paths), tmp_path / "out")
    assert list(yaml.safe_load(path.read_text())["volumes"]) == ["volumes-volume", "VOLUMES"]


def test_images_and_labels_are_pairs() -> None:
    pairs = InputVolume.pair(["a.h5:raw", "b.h5:raw"], ["a.h5:labels", "b.h5:labels"])
    assert [(item.raw, item.labels, item.name) for item in pairs] == [
        ("a.h5:raw", "a.h5:labels", "a"),
        ("b.h5:raw", "b.h5:labels", "b"),
    ]
    with pytest.raises(ConfigurationError, match="1 label volumes for 2 images"):
        InputVolume.pair(["a", "b"], ["c"])


@pytest.mark.parametrize(
    ("parts", "has_more_sizes"),
    [([(8,)], False), ([(8, 8, 8, 8)], True), ([(8,)] * 6, True), ([(8, 8, 8), (8, 8, 8)], True)],
)
def test_numbers_that_are_not_one_voxel_size_are_refused_with_the_numbers_of_a_2d_and_a_3d_image(
    parts: list[tuple[float, ...]], has_more_sizes: bool
) -> None:
    with pytest.raises(ConfigurationError, match="--voxel-size: found 8") as caught:
        join_voxel_size(parts)
    assert "three numbers (z,y,x) for a 3D image, such as 40,4,4, or two (y,x) for a 2D" in str(caught.value)
    assert ("all images get this size" in str(caught.value)) == has_more_sizes


def test_a_setting_without_a_key_is_refused() -> None:
    assert parse_setting("runs.applied.export.tiff={}") == ("runs.applied.export.tiff", {})
    for text in ("shards", "=1", "a..b=1"):
        with pytest.raises(ValueError, match="expected KEY=VALUE"):
            parse_setting(text)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"voxel_size": None}, "fix:      set --voxel-size z,y,x in nanometer", id="a voxel size is not guessed"),
        pytest.param({"voxel_size": None}, "trained on [8, 8, 8] nm: if the image has this size, add --voxel-size 8,8,8", id="the voxel size of the model is named"),
        pytest.param({"voxel_size": [8, 8, 16]}, "the model was trained on [8, 8, 8] nm", id="another voxel size"),
        pytest.param({"voxel_size": [8, 8, 16]}, "fix:      correct --voxel-size if it is wrong", id="a wrong voxel size"),
        pytest.param({"voxel_size": [8, 8]}, "the number of values of --voxel-size", id="a voxel size with two numbers for a 3D image"),
        pytest.param({"voxel_size": [0.5, 8, 8]}, "--voxel-size is (0.5, 8, 8) nanometer, but must be whole numbers; use --unit angstrom", id="a voxel size that is not whole"),
        pytest.param({"unit": "micrometer"}, "[8, 8, 8] µm", id="another unit"),
        pytest.param({"settings": {"runs.applied.prediction.checkpoint": 5}}, "one checkpoint, that of iteration 6", id="another checkpoint"),
        pytest.param({"settings": {"results.x": 5}}, "results is a value and has no keys", id="a key of a value"),
    ],
)  # fmt: skip
def test_a_volume_that_does_not_fit_the_model_is_refused(
    model: Path, tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    raw = write_volume(tmp_path / "tissue.tif")
    with pytest.raises(AttaccaError) as caught:
        prepare_application(application(model, raw, **changes), tmp_path / "out")
    assert expected in str(caught.value)


def test_intensities_that_the_model_does_not_know_give_a_warning(model: Path, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "deep.tif", np.full((32, 32, 32), 30_000, "uint16"))
    path = prepare_application(application(model, str(tmp_path / "deep.tif")), tmp_path / "out")
    warnings = check_configuration(load_configuration(path), path).warnings
    assert any("the model takes 0 for black and 255 for white" in text for text in warnings)


def test_a_model_with_percentiles_knows_all_intensities_but_needs_contrast(tmp_path: Path) -> None:
    rule = {"low_percentile": 1.0, "high_percentile": 99.0}
    model = make_model_file(tmp_path / "model.zip", intensity=rule)
    for name, values in (("bright", [30_000, 31_000]), ("constant", [30_000, 30_000])):
        data = np.resize(np.array(values, "uint16"), (33, 33, 33))
        tifffile.imwrite(tmp_path / f"{name}.tif", data)
        path = prepare_application(application(model, str(tmp_path / f"{name}.tif")), tmp_path / name)
        warnings = check_configuration(load_configuration(path), path).warnings
        has_warning = [text for text in warnings if "holds the value 30000 only" in text]
        assert bool(has_warning) == (name == "constant") and len(warnings) == len(has_warning)


def test_a_package_of_another_format_is_applied_through_its_attached_model(
    model: Path, tmp_path: Path
) -> None:
    package = tmp_path / "package.zip"
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("rdf.yaml", "type: model\n")
        file.write(model, ATTACHED)
    path = prepare_application(application(package, write_volume(tmp_path / "tissue.tif")), tmp_path / "out")
    assert (tmp_path / "out" / "model.zip").read_bytes() == model.read_bytes()
    assert load_configuration(path).results == tmp_path / "out"


def test_warnings_of_the_check_are_returned(model: Path, tmp_path: Path) -> None:
    raw = tmp_path / "bright.tif"
    tifffile.imwrite(raw, np.full((32, 32, 32), 20000, np.uint16))
    warnings: list[str] = []
    prepare_application(application(model, str(raw)), tmp_path / "out", warnings)
    assert len(warnings) == 1 and "clipped" in warnings[0]
