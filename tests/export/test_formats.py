"""Volumes in the formats of other programs, read with the libraries of these programs."""

import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import tensorstore
import tifffile
import zarr

from attacca.config.export import Hdf5Export, PrecomputedExport, TiffExport, WebKnossosExport
from attacca.errors import VolumeError
from attacca.export.writers import SegmentationWriter


def read_bytes(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_tiff_stack_holds_the_ids_and_the_voxel_size_for_imagej(store, ids, tmp_path):
    SegmentationWriter(store(ids), "run").write(tmp_path / "a.tif", TiffExport())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_imagej
        assert np.array_equal(file.asarray(), ids)
        assert file.pages[0].dtype == np.uint32
        assert file.imagej_metadata["slices"] == len(ids)
        assert (file.imagej_metadata["spacing"], file.imagej_metadata["unit"]) == (40, "nm")
        assert file.pages[0].resolution == (1 / 8, 1 / 8)


def test_ids_beyond_the_type_are_an_error_and_can_be_renumbered(store, ids, tmp_path):
    wide = ids + np.uint64(1 << 40) * (ids > 0)
    writer = SegmentationWriter(store(wide), "run")
    with pytest.raises(
        VolumeError, match=r"largest id .* 1099511635776, and uint32 .* 4294967295.*consecutive"
    ):
        writer.write(tmp_path / "a.tif", TiffExport())
    writer.write(tmp_path / "b.tif", TiffExport(dtype="uint16", ids="consecutive"))
    stored = tifffile.imread(tmp_path / "b.tif")
    rows = [line.split("\t") for line in writer.format_table().splitlines()[1:]]
    table = np.array([0, *(int(segment) for _, segment in rows)], np.uint64)
    assert [int(number) for number, _ in rows] == list(range(1, 9))
    assert np.array_equal(table[stored], wide)


def test_an_hdf5_file_has_the_array_under_the_names_of_ilastik_and_cremi(store, ids, tmp_path):
    SegmentationWriter(store(ids), "run").write(tmp_path / "a.h5", Hdf5Export())
    with h5py.File(tmp_path / "a.h5") as file:
        neurons = file["volumes/labels/neuron_ids"]
        assert file["exported_data"] == neurons
        assert np.array_equal(neurons[:], ids)
        assert neurons.dtype == np.uint64
        assert neurons.attrs["resolution"].tolist() == [40, 8, 8]
        assert neurons.attrs["offset"].tolist() == [80, 16, 32]
        assert '"key": "z"' in neurons.attrs["axistags"]


@pytest.mark.parametrize("sharded", [True, False])
def test_tensorstore_reads_each_scale_of_a_precomputed_volume(store, ids, tmp_path, sharded):
    writer = SegmentationWriter(store(ids, offset=(160, 64, 64)), "run")
    written = writer.write(tmp_path / "precomputed", PrecomputedExport(sharded=sharded))
    assert written["scales"] == len(writer.scales) == 4
    for index, scale in enumerate(writer.scales):
        volume = tensorstore.open(
            {
                "driver": "neuroglancer_precomputed",
                "kvstore": {"driver": "file", "path": str(tmp_path / "precomputed") + "/"},
                "scale_index": index,
            }
        ).result()
        assert np.array_equal(volume.read().result()[..., 0].T, scale.array[scale.array.roi])
        assert [step.to_json()[0] for step in volume.dimension_units[:3]] == list(scale.voxel_size[::-1])
        assert volume.domain.inclusive_min[:3] == scale.voxel_offset[::-1]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="cloud-volume does not resolve on Python 3.14")
def test_cloud_volume_reads_a_precomputed_volume_in_nanometers(store, ids, tmp_path):
    cloudvolume = pytest.importorskip("cloudvolume")
    array = store(ids, voxel_size=(400, 80, 80), offset=(800, 160, 320), unit="angstrom")
    SegmentationWriter(array, "run").write(tmp_path / "precomputed", PrecomputedExport())
    volume = cloudvolume.CloudVolume(f"file://{tmp_path}/precomputed", progress=False)
    assert volume.resolution.tolist() == [8, 8, 40]
    assert volume.bounds.minpt.tolist() == [4, 2, 2]
    assert np.array_equal(np.asarray(volume[:])[..., 0].T, ids)


def test_a_webknossos_dataset_has_each_scale_at_its_place(store, ids, tmp_path):
    writer = SegmentationWriter(store(ids, offset=(160, 64, 64)), "run")
    assert writer.write(tmp_path / "webknossos", WebKnossosExport()) == {"scales": 4}
    properties = json.loads((tmp_path / "webknossos" / "datasource-properties.json").read_text())
    (layer,) = properties["dataLayers"]
    assert properties["scale"] == {"factor": [8, 8, 40], "unit": "nanometer"}
    assert layer["boundingBox"] == {"topLeft": [8, 8, 4], "width": 80, "height": 40, "depth": 70}
    assert layer["largestSegmentId"] == 8000
    assert [mag["mag"] for mag in layer["mags"]][:2] == [[1, 1, 1], [2, 2, 1]]
    for mag, scale in zip(layer["mags"], writer.scales):
        path = str(tmp_path / "webknossos" / mag["path"])
        stored = tensorstore.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": path}}).result()
        voxels = stored.read().result()[0].T
        z, y, x = scale.voxel_offset
        assert np.array_equal(voxels[z:, y:, x:], scale.array[scale.array.roi])
        assert np.count_nonzero(voxels) == np.count_nonzero(voxels[z:, y:, x:])


def test_each_shard_of_a_webknossos_dataset_is_written_once(store, ids, tmp_path, monkeypatch):
    array = store(np.tile(ids, (1, 8, 1)), offset=(40 * 250, 8 * 200, 8 * 3))
    written = []
    original = zarr.storage.LocalStore.set

    async def record(self, key, value):
        written.append(f"{self.root}/{key}")
        await original(self, key, value)

    monkeypatch.setattr(zarr.storage.LocalStore, "set", record)
    SegmentationWriter(array, "run").write(tmp_path / "webknossos", WebKnossosExport())
    shards = sorted(name.partition("segmentation/1-1-1/")[2] for name in written if "/1-1-1/c/" in name)
    assert shards == [f"c/0/0/{y}/{z}" for y in (0, 1, 2) for z in (0, 1)]


@pytest.mark.skipif("ATTACCA_WEBKNOSSOS" not in os.environ, reason="ATTACCA_WEBKNOSSOS names no Python")
def test_the_webknossos_package_reads_a_dataset(store, ids, tmp_path):
    # An interpreter of its own: the package requires other versions of common packages.
    writer = SegmentationWriter(store(ids, offset=(160, 64, 64)), "run")
    writer.write(tmp_path / "webknossos", WebKnossosExport())
    script = """
import sys, numpy, webknossos
dataset = webknossos.Dataset.open(sys.argv[1])
layer = dataset.get_layer("segmentation")
numpy.savez(sys.argv[2], **{str(mag): layer.get_mag(mag).read()[0].T for mag in layer.mags})
print(tuple(dataset.voxel_size), tuple(layer.bounding_box.topleft), layer.largest_segment_id, layer.category)
"""
    command = [os.environ["ATTACCA_WEBKNOSSOS"], "-c", script, tmp_path / "webknossos", tmp_path / "read.npz"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "(8.0, 8.0, 40.0) (8, 8, 4) 8000 segmentation"
    with np.load(tmp_path / "read.npz") as read:
        for mag, scale in zip(("1", "2-2-1"), writer.scales):
            assert np.array_equal(read[mag], scale.array[scale.array.roi])
        assert len(read.files) == 4


def test_an_offset_between_voxels_is_refused_by_precomputed(store, ids, tmp_path):
    writer = SegmentationWriter(store(ids, offset=(80, 16, 33)), "run")
    with pytest.raises(VolumeError, match="not a whole number of voxels"):
        writer.write(tmp_path / "precomputed", PrecomputedExport())


def test_coarser_scales_end_where_their_offset_is_between_voxels(store, ids, tmp_path):
    writer = SegmentationWriter(store(ids, offset=(80, 16, 40)), "run")
    assert len(writer.scales) > 2
    assert writer.write(tmp_path / "precomputed", PrecomputedExport()) == {"scales": 1}


@pytest.mark.parametrize("settings", [TiffExport(), Hdf5Export(), PrecomputedExport()])
def test_equal_segmentations_give_equal_bytes(store, ids, tmp_path, settings):
    writer = SegmentationWriter(store(ids), "run")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        writer.write(tmp_path / name / "product", settings)
    assert read_bytes(tmp_path / "a") == read_bytes(tmp_path / "b") != {}


@pytest.mark.parametrize("settings", [TiffExport(), Hdf5Export(), PrecomputedExport()])
def test_a_two_dimensional_segmentation_has_one_section(store, ids, tmp_path, settings):
    section = ids[5]
    SegmentationWriter(store(section, voxel_size=(8, 8), offset=(16, 32)), "run").write(
        tmp_path / "product", settings
    )
    if isinstance(settings, TiffExport):
        assert np.array_equal(tifffile.imread(tmp_path / "product"), section)
    elif isinstance(settings, Hdf5Export):
        with h5py.File(tmp_path / "product") as file:
            assert np.array_equal(file["exported_data"][0], section)
    else:
        path = str(tmp_path / "product") + "/"
        spec = {"driver": "neuroglancer_precomputed", "kvstore": {"driver": "file", "path": path}}
        assert np.array_equal(tensorstore.open(spec).result().read().result()[..., 0, 0].T, section)
