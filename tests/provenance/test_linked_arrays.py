"""Digests of arrays that a volume reads in place: they depend on the part that the volume uses, and on no other."""

import numpy as np
import pytest
import zarr
from funlib.geometry import Coordinate, Roi

from attacca.arrays.links import write_link
from attacca.arrays.n5 import create_n5_array
from attacca.arrays.zarr_opening import ZarrArrayConfig
from attacca.provenance.content_digest import digest_linked_array

SHAPE = (2, 24, 20, 30)


@pytest.fixture(params=["dots", "slashes", "n5", "shards"])
def linked(request, tmp_path):
    """A data set that links to voxels 8 to 16, 5 to 15 and 10 to 30 of an array with two channels."""
    name = "source.n5" if request.param == "n5" else "source.zarr"
    if request.param == "n5":
        array = create_n5_array(tmp_path / name, "raw", SHAPE, (1, 8, 10, 10), np.uint8)
    elif request.param == "shards":
        options = {"chunks": (1, 4, 5, 5), "shards": (1, 8, 10, 10)}
        array = zarr.create_array(tmp_path / name, name="raw", shape=SHAPE, dtype=np.uint8, **options)
    else:
        array = zarr.create_array(
            tmp_path / name, name="raw", shape=SHAPE, chunks=(1, 8, 10, 10), dtype=np.uint8, zarr_format=2,
            chunk_key_encoding={"name": "v2", "separator": "." if request.param == "dots" else "/"},
        )  # fmt: skip
    array[...] = np.random.default_rng(0).integers(0, 255, SHAPE)
    roi = Roi((80, 50, 100), (80, 100, 200))
    link = ZarrArrayConfig(
        tmp_path / name, "raw", axes=["c", "z", "y", "x"], unit="nanometer",
        voxel_size=Coordinate(10, 10, 10), offset=Coordinate(0, 0, 0), roi=roi,
    )  # fmt: skip
    write_link(tmp_path / "volume.zarr", "raw", link)
    return array, str(tmp_path / "volume.zarr")


def test_the_chunks_of_the_region_and_the_metadata_are_digested(linked):
    _, container = linked
    found = digest_linked_array(container, "raw/s0")
    # One chunk along z, two along y, two along x, two channels; and one file of metadata.
    assert found.files == 1 * 2 * 2 * 2 + 1
    assert len(found.digest) == 64


def test_a_voxel_in_the_region_is_seen_and_one_outside_of_its_chunks_is_not(linked):
    array, container = linked
    before = digest_linked_array(container, "raw/s0")
    array[1, 2, 3, 4] = array[1, 2, 3, 4] + 1
    assert digest_linked_array(container, "raw/s0") == before
    array[1, 9, 6, 12] = array[1, 9, 6, 12] + 1
    assert digest_linked_array(container, "raw/s0").digest != before.digest


def test_an_array_of_the_volume_itself_is_not_a_link(tmp_path):
    zarr.create_array(tmp_path / "volume.zarr", name="raw/s0", shape=(4, 4), dtype="u1")
    assert digest_linked_array(str(tmp_path / "volume.zarr"), "raw/s0") is None
