"""Arrays in N5 containers."""

import json

import numpy as np
import pytest
from funlib.geometry import Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.errors import MissingInputError, VolumeError


@pytest.mark.parametrize("channels", [None, 2])
def test_n5_is_written_as_it_is_read(tmp_path, channels):
    identifier = LocalArrayIdentifier(tmp_path / "made.n5", "volumes/made")
    roi = Roi((100, 0, 8), (150, 24, 20))
    arguments = (identifier, ["c", "z", "y", "x"], roi, channels, (50, 6, 4), np.float32)
    made = ZarrArray.create_from_array_identifier(*arguments, write_size=(100, 12, 8))
    values = np.random.default_rng(1).random(made.shape, np.float32)
    made[roi] = values
    for array in (
        ZarrArray.open_from_array_identifier(identifier),
        ZarrArray.create_from_array_identifier(*arguments, write_size=(100, 12, 8)),
    ):
        assert (array.voxel_size, array.roi, array.axes) == (made.voxel_size, roi, made.axes)
        assert np.array_equal(array[roi], values)
    stored = json.loads((tmp_path / "made.n5/volumes/made/attributes.json").read_text())
    assert stored["resolution"] == [4, 6, 50] and stored["dimensions"][:3] == [5, 4, 3]


def foreign_n5(directory, values, compression="raw", **attributes):
    """An N5 array as another program writes it: lists in the order x, y, z."""
    tensorstore = pytest.importorskip("tensorstore")
    metadata = {
        "dimensions": values.shape[::-1],
        "blockSize": [2, 2, 2],
        "dataType": str(values.dtype),
        "compression": {"type": compression},
    }
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": f"{directory}/"}, "metadata": metadata}
    tensorstore.open(spec, create=True).result().T.write(values).result()
    path = directory / "attributes.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **attributes}))


@pytest.mark.parametrize("compression", ["raw", "gzip", "bzip2", "xz", "zstd"])
def test_n5_is_read_with_its_reversed_attributes(tmp_path, compression):
    values = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    foreign_n5(
        tmp_path / "data.n5/volumes/raw", values, compression, resolution=[4, 6, 50], offset=[8, 0, 100]
    )
    array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "data.n5", "volumes/raw"))
    assert array.voxel_size == (50, 6, 4) and array.roi.begin == (100, 0, 8)
    assert np.array_equal(array[array.roi], values)
    assert array[Roi((150, 0, 8), (50, 6, 4))].item() == values[1, 0, 0]
    assert set(array.object_keys()) == {f"{x}/{y}/{z}" for x in range(3) for y in range(2) for z in range(2)}


def test_n5_pixel_resolution_is_understood(tmp_path):
    pixels = {"dimensions": [4.0, 6.0, 50.0], "unit": "nm"}
    foreign_n5(tmp_path / "data.n5/raw", np.zeros((3, 4, 5), np.uint8), pixelResolution=pixels)
    array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "data.n5", "raw"))
    assert array.voxel_size == (50, 6, 4) and array.unit == "nanometer"


def test_n5_that_cannot_be_read_is_refused_with_the_reason(tmp_path):
    foreign_n5(tmp_path / "data.n5/labels", np.zeros((3, 4, 5), np.uint8), isLabelMultiset=True)
    foreign_n5(tmp_path / "data.n5/lz4", np.zeros((3, 4, 5), np.uint8), compression="raw")
    path = tmp_path / "data.n5/lz4/attributes.json"
    path.write_text(path.read_text().replace('"raw"', '"lz4"'))
    with pytest.raises(VolumeError, match="label multiset"):
        ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "data.n5", "labels"))
    with pytest.raises(VolumeError, match=r"lz4.*expected raw, gzip"):
        ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "data.n5", "lz4"))
    with pytest.raises(MissingInputError, match="holds labels, lz4"):
        ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "data.n5", "raw"))
