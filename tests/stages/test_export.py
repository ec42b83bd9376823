"""The job that exports a segmentation, with the arrays in an object store."""

import json

import h5py
import numpy as np
import tensorstore
import tifffile
from funlib.geometry import Coordinate, Roi

from attacca.arrays import ZarrArray
from attacca.arrays.pyramid import build_pyramid
from attacca.config.export import ExportConfig
from attacca.jobs.open_results import result_array
from attacca.jobs.stage import StageInstance, plain_values
from attacca.jobs.stage_main import StageArguments
from attacca.layout import Layout
from attacca.manifest import Manifest
from attacca.stages.export import work
from attacca.stages.relabel import RELABEL


def test_a_segmentation_in_an_object_store_is_exported_to_the_disk(tmp_path, bucket):
    layout = Layout(tmp_path / "results", f"{bucket}/project")
    location = result_array(StageInstance(RELABEL, "first", "cube"), layout)
    assert str(location.container).startswith("s3://")
    ids = np.random.default_rng(0).integers(0, 50, (20, 40, 70), dtype=np.uint64)
    roi, size = Roi((0, 0, 0), Coordinate(ids.shape) * 8), Coordinate(8, 8, 8)
    array = ZarrArray.create_from_array_identifier(
        location, ["z", "y", "x"], roi, None, size, np.uint64, write_size=Coordinate(32, 32, 32) * 8
    )
    array[roi] = ids
    build_pyramid(array.directory.rpartition("/")[0], kind="labels")
    formats = ExportConfig(tiff=True, hdf5=True, precomputed=True, webknossos=True).formats
    output = layout.manifest("first", "cube", "export")
    arguments = StageArguments(
        "run",
        layout,
        "first",
        "cube",
        {"export": {name: plain_values(settings) for name, settings in formats.items()}},
        {"segmentation": Manifest(RELABEL.name, 1, {}, {})},
        output,
    )
    work(arguments)
    export = layout.export("first", "cube")
    assert json.loads(output.read_text())["result"]["files"] == [
        f"export/{name}" for name in ("precomputed", "webknossos", "segmentation.tif", "segmentation.h5")
    ]
    assert np.array_equal(tifffile.imread(export / "segmentation.tif"), ids)
    with h5py.File(export / "segmentation.h5") as file:
        assert np.array_equal(file["exported_data"][:], ids)
    for driver, path, axes in (
        ("neuroglancer_precomputed", "precomputed/", np.s_[..., 0]),
        ("zarr3", "webknossos/segmentation/1-1-1/", np.s_[0]),
    ):
        stored = tensorstore.open({"driver": driver, "kvstore": f"file://{export / path}"}).result()
        assert np.array_equal(stored[axes].read().result().T, ids), driver
