"""Data sets of webKnossos: layers, magnifications, bounding boxes, missing and damaged cubes."""

import json
import pickle
import shutil
import sys

import numpy as np
import pytest

from attacca.arrays import ZarrArray
from attacca.config.volumes import ArraySource, VolumeConfig
from attacca.errors import AttaccaError, MissingInputError, VolumeError
from attacca.volumes import open_source, plan_volume
from attacca.volumes.content_fingerprint import compute_content_fingerprint
from format_cases.case import COLOR, VOXELS, WIDE
from format_cases.webknossos import (
    BEGIN,
    LZ4,
    RAW,
    dataset,
    describe_layer,
    write_cubes,
    write_description,
    write_zarr,
)


def write(directory, data=VOXELS, **options):
    return directory / dataset(data, **options)(directory)["path"]


def edit(path, **layer):
    file = path / "datasource-properties.json"
    values = json.loads(file.read_text())
    values["dataLayers"][0].update(layer)
    file.write_text(json.dumps(values))
    return path


def read(path, **config):
    source = pickle.loads(pickle.dumps(open_source(ArraySource(path=path, **config))))
    result = source.read((0,) * source.dims, source.spatial_shape)
    np.testing.assert_array_equal(source.read((1, 2, 3), source.spatial_shape), result[..., 1:, 2:, 3:])
    return source, result


def refused(path, kind=AttaccaError, **config):
    with pytest.raises(kind) as caught:
        plan_volume(VolumeConfig(raw=ArraySource(path=path, **config)))
    return str(caught.value)


@pytest.mark.parametrize("compression", [RAW, LZ4])
def test_the_bounding_box_is_read_at_its_position(tmp_path, compression):
    plan = plan_volume(VolumeConfig(raw=ArraySource(path=write(tmp_path, WIDE, compression=compression))))
    source = plan.arrays["raw"].sources[0].source
    np.testing.assert_array_equal(source.read((0, 0, 0), WIDE.shape), WIDE)
    assert tuple(plan.voxel_size) == (40, 4, 4)
    assert tuple(plan.roi.begin) == tuple(b * n for b, n in zip(BEGIN, (40, 4, 4)))
    assert "the scale in datasource-properties.json" in plan.voxel_size_from


@pytest.mark.parametrize("keys", [("color", None), ("color/1", None), ("", "color"), ("", "color/1"), ("color", "1-1-1"),
    ("datasource-properties.json", "color"), ("color/1/header.wkw", None)])  # fmt: skip
def test_the_path_or_the_data_set_names_layer_and_magnification(tmp_path, keys):
    source, result = read(write(tmp_path) / keys[0], dataset=keys[1])
    np.testing.assert_array_equal(result, VOXELS)
    assert source.metadata.voxel_size == (40, 4, 4)


def test_several_layers_and_unknown_ones_are_listed(tmp_path):
    path = write(tmp_path)
    layers = [{**describe_layer(VOXELS), "name": name} for name in ("color", "cells")]
    write_description(path, *layers)
    assert "several layers; it has cells, color" in refused(path, MissingInputError)
    assert "no layer 'raw'; it has cells, color" in refused(path, MissingInputError, dataset="raw")
    assert "no magnification '2'; it has 1" in refused(path, MissingInputError, dataset="color/2")
    np.testing.assert_array_equal(read(path, dataset="color")[1], VOXELS)
    message = refused(path, MissingInputError, dataset="cells")
    assert "cells/1, which does not exist" in message


def test_a_coarser_magnification_has_larger_voxels(tmp_path):
    path = write(tmp_path)
    coarse = VOXELS[:, ::2, ::2]
    write_cubes(path / "color" / "2-2-1", coarse, (3, 4, 2))
    layer = describe_layer(VOXELS, (3, 8, 4))
    layer["wkwResolutions"].append({"resolution": [2, 2, 1], "cubeLength": 16})
    write_description(path, layer)
    source, result = read(path, dataset="color/2-2-1")
    np.testing.assert_array_equal(result, coarse)
    assert source.metadata.voxel_size == (40, 8, 8) and source.metadata.offset == (120, 32, 16)
    assert read(path)[0].metadata.voxel_size == (40, 4, 4)


def test_cubes_without_description_are_read_as_they_are(tmp_path):
    write_cubes(tmp_path / "a", VOXELS, (16, 0, 32))
    shutil.rmtree(tmp_path / "a" / "z0")
    source, result = read(tmp_path / "a")
    np.testing.assert_array_equal(result[:6, :20, 32:48], VOXELS)
    assert "the first voxel is at (16, 0, 0)" in source.warnings[0]
    assert "has no voxel size" in refused(tmp_path / "a")
    assert "is not a container" in refused(tmp_path / "a", dataset="color")
    assert "the directory that holds header.wkw" in refused(tmp_path / "a/z1/y0/x0.wkw")


def test_missing_cubes_are_refused_or_accepted_as_zeros(tmp_path):
    path = write(tmp_path, begin=(0, 0, 0))
    (path / "color/1/z0/y1/x0.wkw").unlink()
    assert "1 of 2 cubes were never written" in refused(path)
    source = open_source(ArraySource(path=path, missing_chunks="zero"))
    expected = np.where(np.arange(20)[:, None] < 16, VOXELS, 0)
    np.testing.assert_array_equal(source.read((0, 0, 0), VOXELS.shape), expected)
    assert plan_volume(VolumeConfig(raw=ArraySource(path=path, missing_chunks="zero"))).warnings == ()
    edit(path, boundingBox={"topLeft": [0, 0, 0], "width": 2**30, "height": 2**30, "depth": 2**30})
    assert "of 302231454903657293676544 cubes" in refused(path)
    edit(path, boundingBox={"topLeft": [0, 0, 0], "width": 2**40, "height": 1, "depth": 1})
    assert "expected positive numbers" in refused(path)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ({"elementClass": "uint16"}, "describes values of uint16"),
        ({"elementClass": "uint12"}, "the elementClass 'uint12'"),
        ({"dataFormat": "zarr3"}, "the format 'zarr3' in"),
        ({"dataFormat": "tiff"}, "the format 'tiff', expected wkw"),
        ({"boundingBox": {"topLeft": [0, 0, -1], "width": 1, "height": 1, "depth": 1}}, "boundingBox"),
        ({"boundingBox": None}, "boundingBox"),
        ({"wkwResolutions": [{"resolution": [1, 1]}]}, "the magnification [1, 1]"),
        ({"wkwResolutions": []}, "has no magnification; it has none"),
        ({"wkwResolutions": 3}, "no list 'wkwResolutions'"),
    ],
)
def test_contradictions_and_damages_of_the_description_are_refused(tmp_path, layer, expected):
    assert expected in refused(edit(write(tmp_path), **layer))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"dataLayers": [3]}'])
def test_a_file_without_layers_is_refused(tmp_path, content):
    path = write(tmp_path)
    (path / "datasource-properties.json").write_bytes(content)
    assert "datasource-properties.json" in refused(path)


def test_scales_in_other_units_or_of_older_versions_are_read(tmp_path):
    path = write(tmp_path)
    write_description(path, describe_layer(VOXELS), scale=[5, 5, 50])
    assert read(path)[0].metadata.voxel_size == (50, 5, 5)
    write_description(
        path, describe_layer(VOXELS), scale={"factor": [0.004, 0.004, 0.04], "unit": "micrometer"}
    )
    assert tuple(plan_volume(VolumeConfig(raw=ArraySource(path=path))).voxel_size) == (40, 4, 4)
    for scale in (None, [1, 2], {"factor": [4, 4, 40], "unit": "parsec"}):
        write_description(path, describe_layer(VOXELS), scale=scale)
        assert "set voxel_size" in refused(path)


def test_a_layer_in_zarr_is_used_in_place_within_its_bounding_box(tmp_path):
    path = tmp_path / write_zarr(tmp_path)["path"]
    for keys in ({"path": path}, {"path": path / "color" / "1"}):
        plan = plan_volume(VolumeConfig(raw=ArraySource(**keys)))
        array = plan.arrays["raw"]
        np.testing.assert_array_equal(array.sources[0].source.read((0, 0, 0), WIDE.shape), WIDE)
        np.testing.assert_array_equal(ZarrArray(array.link)[array.roi], WIDE)
        assert tuple(plan.roi.begin) == tuple(b * n for b, n in zip(BEGIN, (40, 4, 4)))
    edit(path, boundingBox={"topLeft": [0, 0, 0], "width": 100, "height": 1, "depth": 1})
    assert "its description a box of (1, 1, 100)" in refused(path)


@pytest.mark.parametrize(
    "order", [None, {}, {"x": 0, "y": 1}, {"c": 0, "x": 1, "y": 2, "z": 2}, {"x": 0, "y": 1, "z": 9}]
)
def test_a_zarr_layer_without_order_of_axes_is_refused(tmp_path, order):
    path = tmp_path / write_zarr(tmp_path)["path"]
    assert "axisOrder" in refused(edit(path, mags=[{"mag": 1, "path": "color/1", "axisOrder": order}]))


def test_channels_are_chosen(tmp_path):
    path = write(tmp_path, COLOR)
    assert read(path)[0].axes == ["c", "z", "y", "x"]
    plan = plan_volume(VolumeConfig(raw=ArraySource(path=path, channel=1)))
    np.testing.assert_array_equal(
        plan.arrays["raw"].sources[0].source.read((0, 0, 0), VOXELS.shape), COLOR[1]
    )


@pytest.mark.parametrize("compression", [RAW, LZ4])
def test_damaged_cubes_are_refused(tmp_path, compression):
    path = write(tmp_path, compression=compression)
    cube = path / "color/1/z0/y0/x0.wkw"
    good = cube.read_bytes()
    table = (
        [good[:16] + bytes(8) + good[24:], good[:72] + b"\xff" * 8 + good[80:]] if compression == LZ4 else []
    )
    for damaged in (good[:-1], good[:100], b"", good + b"1", b"WKX" + good[3:], good[:8] + b"\x11" + good[9:], *table,
        good[:4] + b"\x22" + good[5:], good[:6] + b"\x07" + good[7:]):  # fmt: skip
        cube.write_bytes(damaged)
        with pytest.raises(VolumeError, match=r"x0\.wkw"):
            read(path)
    cube.write_bytes(good)
    np.testing.assert_array_equal(read(path)[1], VOXELS)
    (path / "color/1/header.wkw").write_bytes(b"WKW")
    assert "header.wkw is not a header" in refused(path)


def test_the_fingerprint_depends_on_cubes_and_description(tmp_path):
    path = write(tmp_path)
    config = VolumeConfig(raw=ArraySource(path=path))
    found = [compute_content_fingerprint(config)]
    edit(path, category="segmentation")
    found.append(compute_content_fingerprint(config))
    cube = path / "color/1/z0/y0/x0.wkw"
    cube.write_bytes(cube.read_bytes()[:-1] + b"\x07")
    found.append(compute_content_fingerprint(config))
    shutil.copytree(path, tmp_path / "copy" / "a")
    moved = VolumeConfig(raw=ArraySource(path=tmp_path / "copy" / "a"))
    assert len(set(found)) == 3 and compute_content_fingerprint(moved) == found[-1]


def test_without_the_package_the_message_names_the_extra(tmp_path, monkeypatch):
    path = write(tmp_path)
    monkeypatch.setitem(sys.modules, "wkw", None)
    assert "python -m pip install 'attacca[webknossos]'" in refused(path)
