"""Digests of arrays that a volume is read from where they stand: of the part that the volume takes, and of no other."""

import numpy as np
import pytest
import zarr
from funlib.geometry import Coordinate, Roi

from attacca.arrays.links import write_link
from attacca.arrays.zarr_opening import ZarrArrayConfig
from attacca.provenance.content_digest import digest_linked_array

pytestmark = pytest.mark.filterwarnings("ignore:The N5Store:FutureWarning")

SHAPE = (2, 24, 20, 30)


@pytest.fixture(params=["dots", "slashes", "n5"])
def linked(request, tmp_path):
    """A data set that links to voxels 8 to 16, 5 to 15 and 10 to 30 of an array with two channels."""
    name = "source.n5" if request.param == "n5" else "source.zarr"
    store = (
        zarr.N5Store(str(tmp_path / name)) if request.param == "n5" else zarr.DirectoryStore(tmp_path / name)
    )
    separator = (
        {} if request.param == "n5" else {"dimension_separator": "." if request.param == "dots" else "/"}
    )
    array = zarr.open_group(store, mode="w").create_dataset(
        "raw", shape=SHAPE, chunks=(1, 8, 10, 10), dtype=np.uint8, **separator
    )
    array[:] = np.random.default_rng(0).integers(0, 255, SHAPE)
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


def test_an_array_of_the_volume_itself_is_no_link(tmp_path):
    zarr.open_group(str(tmp_path / "volume.zarr"), mode="w").create_dataset("raw/s0", shape=(4, 4))
    assert digest_linked_array(str(tmp_path / "volume.zarr"), "raw/s0") is None
