"""Containers that Attacca writes open in the programs that other labs use."""

import json

import numpy as np
import pytest
import zarr
from funlib.geometry import Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.ome_display import write_image_label, write_intensity_windows, write_root_metadata
from attacca.arrays.pyramid import build_pyramid

SHAPE = (40, 150, 130)
VOXEL = (40, 8, 8)


@pytest.fixture(scope="module", params=["3", "2"])
def container(request, tmp_path_factory):
    """An image with two coarser scales, affinities with channels, and labels with three classes."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("ATTACCA_ZARR_FORMAT", request.param)
    path = tmp_path_factory.mktemp("ome") / "volume.zarr"
    random = np.random.default_rng(0)
    roi = Roi((400, 0, -80), np.array(SHAPE) * VOXEL)
    for name, kind, channels, dtype in (
        ("raw", "raw", None, np.uint8),
        ("labels/classes", "labels", None, np.uint32),
    ):
        identifier = LocalArrayIdentifier(path / name, "s0")
        array = ZarrArray.create_from_array_identifier(
            identifier, ["z", "y", "x"], roi, channels, VOXEL, dtype, write_size=(1600, 1024, 1024)
        )
        array[roi] = random.integers(0, 4 if kind == "labels" else 255, SHAPE, dtype=dtype)
        scales = build_pyramid(str(path / name), kind, name=name)
        assert len(scales) > 1
        if kind == "raw":
            write_intensity_windows(str(path / name), scales, ["EM"])
        else:
            write_image_label(str(path / name), ["membrane", "mitochondrion", "vesicle"])
    write_root_metadata(str(path), ["classes", "missing"])
    yield path, request.param
    monkeypatch.undo()


def ome(path, version):
    values = dict(zarr.open_group(path, mode="r").attrs)
    return values["ome"] if version == "3" else values


def test_the_models_of_ome_zarr_accept_images_labels_and_the_container_as_a_whole(container):
    path, version = container
    models = pytest.importorskip("ome_zarr_models")
    package = models.v05 if version == "3" else models.v04
    for name in ("", "raw", "labels/classes"):
        group = zarr.open_group(path / name, mode="r")
        image = package.Image.from_zarr(group)
        multiscales = (image.ome_attributes if version == "3" else image.attributes).multiscales
        assert next(dataset.path for dataset in multiscales[0].datasets) == ("raw/s0" if name == "" else "s0")
    label = package.ImageLabel.from_zarr(zarr.open_group(path / "labels/classes", mode="r"))
    assert label is not None
    labels = package.Labels.from_zarr(zarr.open_group(path / "labels", mode="r"))
    listed = labels.ome_attributes if version == "3" else labels.attributes
    assert list(listed.labels) == ["classes"]


def test_windows_classes_and_colors_are_in_the_metadata(container):
    path, version = container
    channel = ome(path, version)["omero"]["channels"][0]
    assert channel["label"] == "EM" and 0 <= channel["window"]["start"] < channel["window"]["end"] <= 255
    label = ome(path / "labels/classes", version)["image-label"]
    assert label["source"] == {"image": "../../"}
    assert [item["name"] for item in label["properties"]] == ["membrane", "mitochondrion", "vesicle"]
    assert len({tuple(item["rgba"]) for item in label["colors"]}) == 3


def test_the_reader_of_ome_zarr_finds_all_scales_and_the_labels(container):
    path, _ = container
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    nodes = list(Reader(parse_url(str(path)))())
    shapes = [tuple(level.shape) for level in nodes[0].data]
    assert shapes[0] == SHAPE and len(shapes) > 1
    assert any("classes" in str(node.zarr) for node in nodes)


def test_the_reader_of_napari_gives_an_image_and_labels_in_nanometers(container):
    path, _ = container
    reader = pytest.importorskip("napari_ome_zarr", reason="needs napari-ome-zarr").napari_get_reader(
        str(path)
    )
    assert reader is not None
    layers = {kind: (data, keywords) for data, keywords, kind in reader(str(path))}
    assert set(layers) == {"image", "labels"}
    for kind, name in (("image", "raw/s0"), ("labels", "labels/classes/s0")):
        data, keywords = layers[kind]
        expected = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(path, name))
        assert len(data) > 1 and np.array_equal(np.asarray(data[0]), expected.data[:])
        assert list(keywords["scale"]) == list(VOXEL)


def test_tensorstore_reads_the_voxels(container):
    path, version = container
    tensorstore = pytest.importorskip("tensorstore")
    for name in ("raw/s0", "raw/s1", "labels/classes/s0"):
        spec = {"driver": "zarr3" if version == "3" else "zarr", "kvstore": f"file://{path / name}/"}
        stored = tensorstore.open(spec, open=True).result()
        expected = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(path, name))
        assert np.array_equal(stored.read().result(), expected.data[:])


def test_xarray_reads_the_names_of_axes(container):
    path, version = container
    xarray = pytest.importorskip("xarray")
    if version == "2":
        pytest.skip("xarray names the axes of format 2 by attributes that groups have")
    opened = xarray.open_dataset(path / "raw", engine="zarr", consolidated=False, drop_variables=["s1", "s2"])
    assert opened["s0"].dims == ("z", "y", "x") and opened["s0"].shape == SHAPE


def test_a_volume_has_at_most_one_file_per_block_and_scale_beside_metadata(container):
    path, version = container
    files = [item for item in (path / "raw").rglob("*") if item.is_file()]
    metadata = [item for item in files if item.name in ("zarr.json", ".zarray", ".zattrs", ".zgroup")]
    scales = len(ome(path / "raw", version)["multiscales"][0]["datasets"])
    # Two blocks of 128 voxels along y and x.
    assert len(files) - len(metadata) == 4 + (scales - 1)
    assert all(json.loads(item.read_text()) is not None for item in metadata)
