"""MRC files of microscopes and of IMOD: types, voxel sizes, axes, damages."""

import pickle

import mrcfile
import numpy as np
import pytest

from attacca.config.volumes import ArraySource, VolumeConfig
from attacca.errors import VolumeError
from attacca.volumes import open_source, plan_volume

RAW = np.random.default_rng(0).integers(0, 120, (5, 12, 9), dtype=np.int16)


def write(path, data=RAW, voxel_size=40.0, **header):
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(data)
        file.set_volume()
        file.voxel_size = voxel_size
        for name, value in header.items():
            file.header[name] = value
    return path


def change(path, position, content):
    with path.open("rb+") as file:
        file.seek(position)
        file.write(content)
    return path


def read(path, axes=None):
    source = open_source(ArraySource(path=path, axes=axes))
    source = pickle.loads(pickle.dumps(source))
    result = source.read((0,) * source.dims, source.spatial_shape)
    assert result.dtype == source.dtype
    np.testing.assert_array_equal(source.read((1, 2, 3), source.spatial_shape), result[1:, 2:, 3:])
    return source, result


def refused(path, **config):
    with pytest.raises(VolumeError) as caught:
        plan_volume(VolumeConfig(raw=ArraySource(path=path, **config)))
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["mrc", "rec", "map", "st", "MRC"])
@pytest.mark.parametrize("dtype", ["i1", "i2", "f4", "u2", "f2"])
def test_values_of_each_type_and_the_voxel_size_in_angstrom_are_read(tmp_path, suffix, dtype):
    source, result = read(write(tmp_path / f"a.{suffix}", RAW.astype(dtype), (4.6, 4.6, 50)))
    np.testing.assert_array_equal(result, RAW)
    assert source.dtype == ("f4" if dtype == "f2" else dtype) and source.warnings == ()
    assert source.metadata.voxel_size == (50, 4.6, 4.6) and source.metadata.unit == "angstrom"


def test_a_voxel_size_of_0_is_unknown(tmp_path):
    path = write(tmp_path / "a.mrc", voxel_size=0)
    assert read(path)[0].metadata.voxel_size is None
    assert "has no voxel size" in refused(path)
    config = VolumeConfig(raw=ArraySource(path=path), voxel_size=[50, 4, 4])
    assert tuple(plan_volume(config).voxel_size) == (50, 4, 4)


def test_the_placeholder_of_1_angstrom_gives_a_warning(tmp_path):
    assert "1 angstrom" in read(write(tmp_path / "a.mrc", voxel_size=1))[0].warnings[0]


def test_the_origin_and_the_size_of_sections_of_a_stack_are_not_assumed(tmp_path):
    assert (
        "origin in its header (0, 0, 7 voxels along z, y, x)"
        in read(write(tmp_path / "a.mrc", nxstart=7))[0].warnings[0]
    )
    path = write(tmp_path / "b.mrc", origin=(80, 0, 400.5))
    assert "(400.5, 0, 80 angstrom along z, y, x) is not used" in read(path)[0].warnings[0]
    source, _ = read(write(tmp_path / "b.mrc", mz=1))
    assert source.metadata.voxel_size is None and "distance of sections" in source.warnings[0]


@pytest.mark.parametrize("numbers", [(1, 2, 3), (3, 2, 1), (2, 1, 3), (3, 1, 2), (2, 3, 1), (1, 3, 2)])
def test_columns_rows_and_sections_are_transposed_to_z_y_x(tmp_path, numbers):
    order = ["xyz"[number - 1] for number in numbers[::-1]]
    stored = np.transpose(RAW, ["zyx".index(axis) for axis in order])
    header = dict(zip(("mapc", "mapr", "maps"), numbers))
    # The sampling of the cell counts along x, y, z.
    header |= {f"m{axis}": size for axis, size in zip("zyx", RAW.shape)}
    path = write(tmp_path / "a.map", np.ascontiguousarray(stored), **header)
    np.testing.assert_array_equal(read(path)[1], RAW)
    np.testing.assert_array_equal(read(path, axes="".join(order))[1], RAW)
    np.testing.assert_array_equal(read(path, axes="zyx")[1], stored)


def test_axes_without_order_are_z_y_x_and_impossible_ones_are_refused(tmp_path):
    np.testing.assert_array_equal(read(write(tmp_path / "a.mrc", mapc=0, mapr=0, maps=0))[1], RAW)
    assert "mapc, mapr, maps = 1, 1, 3" in refused(write(tmp_path / "b.mrc", mapc=1, mapr=1, maps=3))


def imod_flags(flags):
    return np.array([1146047817, flags], "<i4").tobytes()


def test_bytes_are_signed_or_unsigned_as_the_header_of_imod_says(tmp_path):
    data = np.arange(5 * 12 * 9).reshape(5, 12, 9).astype(np.uint8)
    path = write(tmp_path / "a.mrc", data.view(np.int8))
    np.testing.assert_array_equal(read(path)[1], data.view(np.int8))
    source, result = read(change(path, 152, imod_flags(0)))
    assert source.dtype == "u1"
    np.testing.assert_array_equal(result, data)
    source, result = read(change(path, 152, imod_flags(1)))
    assert source.dtype == "i1"
    np.testing.assert_array_equal(result, data.view(np.int8))


def test_bytes_are_unsigned_if_the_largest_value_of_the_header_says_so(tmp_path):
    data = np.arange(5 * 12 * 9).reshape(5, 12, 9).astype(np.uint8)
    path = write(tmp_path / "a.mrc", data.view(np.int8), dmin=0, dmax=255)
    np.testing.assert_array_equal(read(path)[1], data)


def test_an_extended_header_is_skipped(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(RAW)
        file.set_extended_header(np.arange(300, dtype=np.int32))
    np.testing.assert_array_equal(read(tmp_path / "a.mrc")[1], RAW)


def test_big_endian_files_are_read(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(RAW.astype(">i2"))
    np.testing.assert_array_equal(read(tmp_path / "a.mrc")[1], RAW)


def test_damaged_files_are_refused(tmp_path):
    good = write(tmp_path / "good.mrc").read_bytes()
    cases = {
        "cut": (good[:-10], "truncated: found 2094 bytes, expected 2104"),
        "header": (good[:500], "not an MRC file"),
        "empty": (b"", "an empty file"),
        "text": (b"hello " * 500, "not an MRC file"),
        "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        "negative": (good[:8] + b"\xff\xff\xff\xff" + good[12:], "(-1, 12, 9) voxels in its header"),
        "huge": (good[:8] + b"\xff\xff\xff\x7f" + good[12:], "truncated"),
        "mode": (good[:12] + b"\x63\0\0\0" + good[16:], "the mode 99"),
        "packed": (good[:12] + b"\x65\0\0\0" + good[16:], "4-bit"),
        "complex": (good[:12] + b"\x04\0\0\0" + good[16:], "complex"),
        "extended": (good[:92] + b"\xff\xff\xff\x0f" + good[96:], "truncated"),
    }
    for name, (content, expected) in cases.items():
        (tmp_path / f"{name}.mrc").write_bytes(content)
        message = refused(tmp_path / f"{name}.mrc")
        assert f"{name}.mrc" in message and expected in message, message


def test_bytes_after_the_voxels_give_a_warning(tmp_path):
    path = write(tmp_path / "a.mrc")
    path.write_bytes(path.read_bytes() + bytes(10))
    assert "10 bytes more" in read(path)[0].warnings[0]


def test_a_stack_of_volumes_is_refused(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(np.zeros((2, 5, 12, 9), np.int16))
    assert "a stack of several volumes" in refused(tmp_path / "a.mrc")


def test_whole_floating_point_numbers_are_ids_and_others_are_refused(tmp_path):
    path = write(tmp_path / "a.mrc", RAW.astype(np.float32))
    source = open_source(ArraySource(path=path), "labels")
    np.testing.assert_array_equal(source.read((0, 0, 0), source.spatial_shape), RAW)
    assert source.dtype == "u4" and "whole numbers stored as float32 are read as ids" in source.warnings[0]
    path = write(tmp_path / "b.mrc", RAW.astype(np.float32) / 120)
    source = open_source(ArraySource(path=path), "labels")
    with pytest.raises(VolumeError, match="probability map"):
        source.read((0, 0, 0), source.spatial_shape)
