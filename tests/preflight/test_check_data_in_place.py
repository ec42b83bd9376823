"""Checks of the data that a configuration uses at their location."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr

from attacca.arrays.n5 import create_n5_array
from attacca.config.load import load_configuration
from attacca.errors import ConfigurationError, DamagedDataError
from attacca.preflight.check_configuration import CheckedConfiguration, check_configuration
from attacca.volumes import finish_volume, prepare_volume
from attacca.volumes.check_sources import check_sources
from attacca.volumes.volume_plan import plan_volume

SHAPE = (24, 48, 48)
GRAY = np.random.default_rng(0).integers(1, 255, SHAPE, dtype=np.uint8)
IDS = np.random.default_rng(1).integers(0, 9, SHAPE, dtype=np.int64)


def write(path: Path, data: np.ndarray, omit: tuple[str, ...] = (), **options: Any) -> None:
    array = zarr.create_array(
        str(path), shape=data.shape, dtype=data.dtype, attributes={"resolution": [8, 8, 8]},
        **{"chunks": (12, 24, 24), "config": {"write_empty_chunks": True}, **options},
    )  # fmt: skip
    array[:] = data
    for name in omit:
        (path / name).unlink()


def check(directory: Path, raw: Any = None, labels: Any = None, **volume: Any) -> CheckedConfiguration:
    if labels is None:
        write(directory / "ids.zarr", IDS.astype(np.uint64), overwrite=True)
    volume = {
        "raw": {"path": "raw.zarr", **(raw or {})},
        "labels": {"path": "ids.zarr", **(labels or {})},
        **volume,
    }
    run = {
        "task": {"type": "affinities", "neighborhood": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]},
        "architecture": {"input_shape": [24, 24, 24], "num_fmaps": 4, "downsample_factors": [[2, 2, 2]]},
        "training": {"intensity": [0, 255]},
        "volumes": {"train": ["cube"]},
    }
    path = directory / "config.yaml"
    path.write_text(yaml.safe_dump({"volumes": {"cube": volume}, "runs": {"run": run}}))
    return check_configuration(load_configuration(path), path)


STORAGE = {
    "zarr 2": ({"zarr_format": 2}, ("1.1.0", "1.1.1")),
    "zarr 3": ({}, ("c/1/1/0", "c/1/1/1")),
    "zarr 3 with dots": ({"chunk_key_encoding": {"name": "default", "separator": "."}}, ("c.1.1.0", "c.1.1.1")),
    "nested zarr 2": ({"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}}, ("1/1/0", "1/1/1")),
}  # fmt: skip


@pytest.mark.parametrize("kind", STORAGE)
@pytest.mark.parametrize("in_place", [True, False])
def test_missing_chunks_of_an_image_are_refused_with_their_number_and_position(tmp_path, kind, in_place):
    options, omit = STORAGE[kind]
    write(tmp_path / "raw.zarr", GRAY, omit, **options)
    with pytest.raises(ConfigurationError) as caught:
        check(tmp_path, in_place=in_place)
    message = str(caught.value)
    assert "volumes.cube.raw" in message and "missing_chunks: zero" in message
    assert f"2 of 8 chunks are missing, in the voxels [12..24, 24..48, 0..48]: {', '.join(omit)}" in message


@pytest.mark.parametrize("kind", STORAGE)
def test_missing_chunks_that_the_configuration_accepts_are_zeros(tmp_path, kind):
    options, omit = STORAGE[kind]
    write(tmp_path / "raw.zarr", GRAY, omit, **options)
    checked = check(tmp_path, raw={"missing_chunks": "zero"})
    assert checked.warnings == []
    source = checked.plans["cube"].arrays["raw"].sources[0].source
    data = source.read((0, 0, 0), SHAPE)
    expected = GRAY.copy()
    expected[12:, 24:] = 0
    np.testing.assert_array_equal(data, expected)


def test_missing_shards_and_missing_chunks_in_shards_are_found(tmp_path):
    write(tmp_path / "raw.zarr", GRAY, ("c/1/0/0",), shards=(12, 48, 48), chunks=(12, 24, 24))
    with pytest.raises(ConfigurationError, match=r"1 of 2 shards are missing, in the voxels \[12\.\.24"):
        check(tmp_path)
    gray = GRAY.copy()
    gray[:12, 24:, :24] = 0
    options = {"shards": (12, 48, 48), "chunks": (12, 24, 24), "config": {"write_empty_chunks": False}}
    write(tmp_path / "raw.zarr", gray, overwrite=True, **options)
    with pytest.raises(ConfigurationError) as caught:
        check(tmp_path)
    assert "1 of 8 chunks in shards are missing, in the voxels [0..12, 24..48, 0..24]" in str(caught.value)


def test_missing_blocks_of_an_n5_image_are_refused(tmp_path):
    array = create_n5_array(tmp_path / "raw.n5", "em", SHAPE, (12, 24, 24), np.dtype("u1"))
    array[:] = GRAY
    (tmp_path / "raw.n5/em/0/1/1").unlink()
    raw = {"path": "raw.n5", "dataset": "em"}
    with pytest.raises(ConfigurationError, match=r"1 of 8 chunks are missing, in the voxels \[12\.\.24, 24"):
        check(tmp_path, raw=raw, voxel_size=[8, 8, 8])


def test_missing_chunks_outside_the_region_do_not_matter(tmp_path):
    write(tmp_path / "raw.zarr", GRAY, ("c/1/1/1",))
    roi = {"offset": [0, 0, 0], "shape": [192, 192, 384]}
    assert check(tmp_path, roi=roi).warnings == []


def test_missing_chunks_of_labels_are_a_warning(tmp_path):
    write(tmp_path / "raw.zarr", GRAY)
    write(tmp_path / "ids.zarr", IDS.astype(np.uint64), ("c/0/0/0",))
    (warning,) = check(tmp_path, labels={}).warnings
    assert "1 of 8 chunks are missing" in warning and "volumes.cube" in warning
    assert check(tmp_path, labels={"missing_chunks": "zero"}).warnings == []
    with pytest.raises(ConfigurationError, match=r"volumes\.cube\.labels"):
        check(tmp_path, labels={"missing_chunks": "refuse"})


def test_missing_chunks_of_labels_are_reported_with_their_fill_value(tmp_path):
    write(tmp_path / "raw.zarr", GRAY)
    write(tmp_path / "ids.zarr", IDS, ("c/0/0/0",), fill_value=-1)
    (warning,) = check(tmp_path, labels={"unlabelled": -1}).warnings
    assert "They are read as -1" in warning


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_value_that_is_not_finite_is_refused(tmp_path, value):
    data = GRAY.astype(np.float32)
    data[3, 40, 41] = value
    write(tmp_path / "raw.zarr", data)
    with pytest.raises(ConfigurationError, match="not finite"):
        check(tmp_path)


def test_one_negative_label_away_from_all_sampled_sections_is_refused(tmp_path):
    write(tmp_path / "raw.zarr", GRAY)
    ids = IDS.copy()
    ids[1, 0, 0] = -1
    write(tmp_path / "ids.zarr", ids)
    with pytest.raises(ConfigurationError) as caught:
        check(tmp_path, labels={})
    message = str(caught.value)
    assert "volumes.cube.labels" in message and message.count("negative label -1") == 1


def test_the_output_names_the_examined_part(tmp_path):
    write(tmp_path / "raw.zarr", GRAY.astype(np.float32))
    checked = check(tmp_path)
    assert checked.notes["cube"] == ["raw, used in place: the values of all voxels are finite"]
    config = load_configuration(tmp_path / "config.yaml").volumes["cube"]
    large = zarr.create_array(
        str(tmp_path / "raw.zarr"), shape=(24, 480, 480), dtype="f4", chunks=(24, 480, 480), overwrite=True,
        attributes={"resolution": [8, 8, 8]},
    )  # fmt: skip
    large[:] = 1
    (note,) = check_sources(config, plan_volume(config), limit=10 << 20).notes
    assert "of 16 blocks are finite; jobs check each block that they read" in note


@pytest.mark.parametrize("kind", ["missing", "nan", "negative"])
def test_a_job_that_meets_damage_in_data_used_in_place_reports_it(tmp_path, kind):
    from attacca.arrays import LocalArrayIdentifier, ZarrArray

    write(tmp_path / "raw.zarr", GRAY.astype(np.float32))
    write(tmp_path / "ids.zarr", IDS)
    check(tmp_path, labels={})
    config = load_configuration(tmp_path / "config.yaml").volumes["cube"]
    prepare_volume(config, str(tmp_path / "cube.zarr"))
    finish_volume(config, str(tmp_path / "cube.zarr"))
    image, expected = {
        "missing": ("raw", "missing"), "nan": ("raw", "not finite"), "negative": ("labels/ground_truth", "negative label"),
    }[kind]  # fmt: skip
    array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "cube.zarr", f"{image}/s0"))
    before = array[array.roi]
    if kind == "missing":
        (tmp_path / "raw.zarr/c/0/1/0").unlink()
    elif kind == "nan":
        zarr.open(str(tmp_path / "raw.zarr"), mode="r+")[0, 30, 1] = np.nan
    else:
        zarr.open(str(tmp_path / "ids.zarr"), mode="r+")[0, 30, 1] = -7
    with pytest.raises(DamagedDataError, match=expected):
        array[array.roi]
    assert before.shape == SHAPE
