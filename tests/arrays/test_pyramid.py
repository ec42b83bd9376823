"""Pyramids and OME-NGFF metadata."""

import itertools

import numpy as np
import pytest
import zarr
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.pyramid import build_pyramid, choose_scale_factor, downsample


def create(path, data, voxel_size, chunk, channels=None):
    spatial = data.shape if channels is None else data.shape[1:]
    voxel_size = Coordinate(voxel_size)
    array = ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(path, "s0"),
        ["c", "z", "y", "x"] if len(spatial) == 3 else ["c", "y", "x"],
        Roi((80,) * len(spatial), Coordinate(spatial) * voxel_size),
        channels,
        voxel_size,
        data.dtype,
        write_size=Coordinate(chunk) * voxel_size,
        unit="angstrom",
        value_scale=0.5,
    )
    array[array.roi] = data
    return array


def test_axes_with_large_voxels_wait_until_the_others_have_caught_up():
    assert choose_scale_factor((500, 46, 46), (100, 900, 900)) == (1, 2, 2)
    assert choose_scale_factor((500, 368, 368), (100, 200, 200)) == (2, 2, 2)
    assert choose_scale_factor((8, 8, 8), (1, 90, 90)) == (1, 2, 2)


def test_gray_values_are_means_rounded_half_up():
    block = np.array([[0, 1, 5, 6], [1, 0, 5, 5]], np.uint8)
    assert downsample(block, (2, 2), "raw").tolist() == [[1, 5]]
    assert downsample(np.array([[1e6, 1], [0, 0]], np.float32), (2, 2), "raw").tolist() == [[250000.25]]


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4"])
def test_means_of_the_largest_and_smallest_integers_do_not_overflow(dtype):
    limits = np.iinfo(dtype)
    block = (
        np.random.default_rng(0).choice([limits.min, limits.max - 1, limits.max], (3, 4, 6, 8)).astype(dtype)
    )
    result = downsample(block, (2, 2, 2), "raw")
    assert result.dtype == dtype
    for c, z, y, x in itertools.product(range(3), range(2), range(3), range(4)):
        members = block[c, 2 * z : 2 * z + 2, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel().tolist()
        assert result[c, z, y, x] == (sum(members) + 4) // 8


def test_labels_are_the_most_frequent_id_and_of_equal_ones_the_first():
    block = np.random.default_rng(0).integers(0, 4, (2, 6, 4, 4), dtype=np.uint64) + 2**63
    result = downsample(block, (2, 2, 2), "labels")
    for c, z, y, x in itertools.product(range(2), range(3), range(2), range(2)):
        members = block[c, 2 * z : 2 * z + 2, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel().tolist()
        expected = max(dict.fromkeys(members), key=members.count)
        assert result[c, z, y, x] == expected


@pytest.mark.parametrize("workers", [1, 3])
def test_a_pyramid_covers_the_volume_and_does_not_depend_on_blocks_or_workers(tmp_path, workers):
    data = np.random.default_rng(0).integers(0, 255, (2, 20, 150, 131), dtype=np.uint8)
    for name, chunk in (("a", (20, 150, 131)), ("b", (7, 32, 16))):
        create(tmp_path / name, data, (40, 8, 8), chunk, channels=2)
        assert build_pyramid(str(tmp_path / name), "raw", num_workers=workers) == ["s0", "s1", "s2"]
    for scale in ("s1", "s2"):
        a, b = (ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / n, scale)) for n in "ab")
        assert np.array_equal(a.data[:], b.data[:])
        assert a.unit == "angstrom" and a.value_scale == 0.5
    assert b.voxel_size == (40, 32, 32) and b.data.shape == (2, 20, 38, 33)
    s1 = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "a", "s1"))
    padded = np.pad(data.astype(int), ((0, 0), (0, 0), (0, 0), (0, 1)), mode="edge")
    means = padded.reshape(2, 20, 75, 2, 66, 2).sum(axis=(3, 5))
    assert np.array_equal(s1.data[:], (means + 2) // 4)


def test_a_scale_has_one_file_for_each_of_its_blocks_and_does_not_depend_on_the_chunks_in_them(tmp_path):
    data = np.random.default_rng(0).integers(0, 5, (100, 150, 131), dtype=np.uint64)
    for name, chunk in (("whole", None), ("parts", (24, 24, 24))):
        array = ZarrArray.create_from_array_identifier(
            LocalArrayIdentifier(tmp_path / name, "s0"), ["z", "y", "x"], Roi((0, 0, 0), data.shape), None, (1, 1, 1),
            data.dtype, write_size=(48, 48, 48), chunk_size=chunk,
        )  # fmt: skip
        array[array.roi] = data
        assert build_pyramid(str(tmp_path / name), "labels") == ["s0", "s1", "s2"]
    for scale, blocks in (("s0", 3 * 4 * 3), ("s1", 2 * 2 * 2), ("s2", 1)):
        whole, parts = (zarr.open_array(tmp_path / name / scale) for name in ("whole", "parts"))
        assert (
            np.array_equal(whole[:], parts[:]) and whole.chunks[0] in (48, 25) and parts.chunks[0] in (24, 25)
        )
        files = [path for path in (tmp_path / "parts" / scale / "c").rglob("*") if path.is_file()]
        assert len(files) == blocks


def test_scales_lie_exactly_on_one_another_by_their_ome_metadata(tmp_path):
    create(tmp_path / "image", np.zeros((30, 140, 140), np.uint8), (40, 8, 8), (30, 70, 70))
    build_pyramid(str(tmp_path / "image"), name="raw")
    ome = zarr.open_group(str(tmp_path / "image"), mode="r").attrs["ome"]
    image = ome["multiscales"][0]
    assert ome["version"] == "0.5" and image["name"] == "raw"
    assert [axis["unit"] for axis in image["axes"]] == ["angstrom"] * 3
    for dataset in image["datasets"]:
        scale, translation = (t[t["type"]] for t in dataset["coordinateTransformations"])
        array = ZarrArray.open_from_array_identifier(
            LocalArrayIdentifier(tmp_path / "image", dataset["path"])
        )
        center = np.array(translation)
        # The first voxel's corner, half a voxel before its center, in a frame half a fine voxel away from
        # ours.
        corner = center - np.array(scale) / 2 + np.array([40, 8, 8]) / 2
        assert corner.tolist() == list(array.roi.begin) and scale == list(array.voxel_size)


def test_flat_images_have_pyramids_too_and_small_ones_have_none(tmp_path):
    create(tmp_path / "flat", np.ones((200, 100), np.uint32), (4, 4), (64, 64))
    assert build_pyramid(str(tmp_path / "flat"), "labels") == ["s0", "s1", "s2"]
    create(tmp_path / "small", np.ones((4, 64, 64), np.uint8), (4, 4, 4), (64, 64, 64))
    assert build_pyramid(str(tmp_path / "small")) == ["s0"]
