"""Voxels of stored arrays: whole objects are written without being read, damage is reported."""

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.damage_notes import read_damage
from attacca.errors import DamagedDataError, VolumeError

ROI = Roi((400, -80, 0), (600, 240, 400))
VOXEL = Coordinate((100, 8, 8))


def create(path, dtype=np.uint16, write_size=(300, 80, 80)):
    identifier = LocalArrayIdentifier(path / "volume.zarr", "raw/s0")
    return ZarrArray.create_from_array_identifier(
        identifier, ["z", "y", "x"], ROI, None, VOXEL, dtype, write_size=write_size
    )


@pytest.mark.parametrize("begin", [(400, -80, 0), (700, 0, 240), (500, -72, 8)])
def test_a_region_comes_back_as_it_was_written_and_touches_nothing_else(tmp_path, begin):
    array = create(tmp_path)
    array[array.roi] = 7
    part = Roi(begin, (300, 80, 160))
    values = np.random.default_rng(0).integers(0, 2**16, (3, 10, 20), dtype=np.uint16)
    array[part] = values
    assert np.array_equal(array[part], values)
    assert (array[array.roi] == 7).sum() >= array.data.size - values.size


def test_whole_chunks_are_written_without_being_read_also_at_the_far_border(tmp_path):
    array = create(tmp_path, write_size=(400, 80, 120))
    array[array.roi] = 1
    reads = []
    store = array.data.store
    original = type(store).get

    class Watched(type(store)):
        async def get(self, key, *arguments, **options):
            reads.append(key)
            return await original(self, key, *arguments, **options)

        def get_sync(self, key, **options):
            reads.append(key)
            return super().get_sync(key, **options)

    store.__class__ = Watched
    array[Roi((800, 80, 360), (200, 80, 40))] = 2
    array[Roi((400, -80, 0), (600, 80, 400))] = 3
    assert reads == []
    array[Roi((400, -80, 0), (100, 8, 8))] = 4
    assert set(reads) == {"raw/s0/c/0/0/0"}
    assert (array[Roi((800, 80, 360), (200, 80, 40))] == 2).all()


def test_data_of_another_shape_are_refused(tmp_path):
    with pytest.raises(VolumeError, match="shape"):
        create(tmp_path)[Roi((400, -80, 0), (300, 80, 80))] = np.zeros((3, 10, 9))


def test_nothing_is_left_of_a_chunk_that_was_half_written(tmp_path):
    array = create(tmp_path)
    chunk = tmp_path / "volume.zarr" / "raw" / "s0" / "c" / "0" / "0"
    chunk.mkdir(parents=True)
    (chunk / ".0.partial").write_bytes(b"torn")
    array[Roi((400, -80, 0), (300, 80, 80))] = 1
    assert sorted(path.name for path in chunk.iterdir()) == ["0"]


def test_a_flipped_bit_in_a_shard_is_an_error(tmp_path):
    array = create(tmp_path)
    array[array.roi] = np.random.default_rng(0).integers(0, 9, array.shape, dtype=np.uint16)
    path = tmp_path / "volume.zarr/raw/s0/c/1/1/1"
    data = bytearray(path.read_bytes())
    for position in (5, len(data) // 2, len(data) - 20):
        damaged = data.copy()
        damaged[position] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(VolumeError, match=r"c/1/1/1|checksum"):
            array[array.roi]


# Chunks of Zarr 2 have no checksums.
@pytest.mark.parametrize(
    ("zarr_format", "damage"),
    [("3", "deleted"), ("3", "truncated"), ("3", "flipped"), ("2", "deleted"), ("2", "truncated")],
)
def test_damage_of_a_finished_array_is_an_error_that_names_the_file(
    tmp_path, monkeypatch, zarr_format, damage
):
    monkeypatch.setenv("ATTACCA_ZARR_FORMAT", zarr_format)
    identifier = LocalArrayIdentifier(tmp_path / "out.zarr", "prediction/s0")
    roi = Roi((0, 0, 0), (16, 16, 16))
    array = ZarrArray.create_from_array_identifier(
        identifier, "zyx", roi, None, (1, 1, 1), np.float32, write_size=(8, 8, 8)
    )
    array[roi] = np.random.default_rng(0).random((16, 16, 16), np.float32)
    key = "c/1/0/1" if zarr_format == "3" else "1/0/1"
    path = tmp_path / "out.zarr/prediction/s0" / key
    content = bytearray(path.read_bytes())
    if damage == "deleted":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 16
        path.write_bytes(content)
    array = ZarrArray.open_from_array_identifier(identifier)
    with pytest.raises(DamagedDataError) as caught:
        array[roi]
    assert f"cannot be read: {key} (" in str(caught.value)
    assert read_damage(array.directory) == [key]
    assert array[Roi((0, 0, 0), (8, 16, 16))].shape == (8, 16, 16)
