"""Files of Gatan DigitalMicrograph: types, calibrations, stacks, damages, the optional package."""

import pickle
import sys

import numpy as np
import pytest

from attacca.config.volumes import ArraySource, VolumeConfig
from attacca.errors import VolumeError
from attacca.volumes import open_source, plan_volume
from attacca.volumes.readers import micrograph_stack
from format_cases.micrographs import NANOMETERS, Tags, dm

RAW = np.random.default_rng(0).integers(0, 120, (5, 12, 9), dtype=np.int16)


def write(directory, data=RAW, calibration=NANOMETERS, **options):
    return directory / dm(data, calibration=calibration, **options)(directory)["path"]


def write_sections(directory, data=RAW, calibrations=None, suffix=".dm4"):
    directory.mkdir()
    for z, section in enumerate(data):
        tags = Tags(int(suffix[-1]))
        image = tags.image(section, calibrations[z] if calibrations else NANOMETERS[:2])
        (directory / f"s{z}{suffix}").write_bytes(tags.file(image))
    return directory


def read(path, **config):
    source = pickle.loads(pickle.dumps(open_source(ArraySource(path=path, **config))))
    result = source.read((0,) * source.dims, source.spatial_shape)
    assert result.dtype == source.dtype
    np.testing.assert_array_equal(
        source.read((1,) * source.dims, source.spatial_shape), result[(slice(1, None),) * source.dims]
    )
    return source, result


def refused(path, **config):
    with pytest.raises(VolumeError) as caught:
        plan_volume(VolumeConfig(raw=ArraySource(path=path), **config))
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"])
def test_values_of_each_type_and_byte_order_are_read(tmp_path, version, order, dtype):
    source, result = read(write(tmp_path, RAW.astype(dtype), version=version, order=order))
    np.testing.assert_array_equal(result, RAW)
    assert source.dtype == dtype and source.warnings == ()


def test_rosettasciio_reads_the_same_voxels_and_calibration(tmp_path):
    from rsciio.digitalmicrograph import file_reader

    (image,) = file_reader(write(tmp_path))
    np.testing.assert_array_equal(image["data"], RAW)
    assert [(axis["name"], axis["scale"]) for axis in image["axes"]] == [("z", 40), ("y", 4), ("x", 4)]


def test_units_are_converted_and_the_configuration_overrules_them(tmp_path):
    path = write(tmp_path, calibration=((0.0046, "µm"), (0.0046, "um"), (50, "nm")))
    plan = plan_volume(VolumeConfig(raw=ArraySource(path=path), unit="angstrom"))
    assert tuple(plan.voxel_size) == (500, 46, 46)
    assert "the calibration of" in plan.voxel_size_from and plan.warnings == ()
    plan = plan_volume(VolumeConfig(raw=ArraySource(path=path), voxel_size=[45, 4, 4]))
    assert tuple(plan.voxel_size) == (45, 4, 4) and "the configured" in plan.warnings[0]


@pytest.mark.parametrize(
    ("calibration", "expected"),
    [
        (((1, ""),) * 3, "no unit along z and y and x"),
        (((4, "nm"), (4, "nm"), (1, "")), "no unit along z"),
        (((4, "nm"), (4, "nm"), (1, "pixel")), "'pixel', which is not a unit of length"),
        (((4, "nm"), (4, "nm"), (0, "nm")), "expected positive numbers"),
        (((4, "nm"), (4, "nm")), "2 axes, and the image has 3"),
        ((), "0 axes"),
    ],
)
def test_an_incomplete_calibration_is_not_used(tmp_path, calibration, expected):
    path = write(tmp_path, calibration=calibration)
    assert expected in refused(path)
    plan = plan_volume(VolumeConfig(raw=ArraySource(path=path), voxel_size=[40, 4, 4]))
    assert tuple(plan.voxel_size) == (40, 4, 4) and expected in plan.warnings[0]


@pytest.mark.parametrize(("unit", "expected"), [("eV", "energies"), ("deg", "angles"), ("s", "times")])
def test_stacks_along_something_else_than_a_distance_are_refused(tmp_path, unit, expected):
    path = write(tmp_path, calibration=((4, "nm"), (4, "nm"), (1, unit)))
    assert expected in refused(path, voxel_size=[40, 4, 4])


def test_diffraction_patterns_and_other_numbers_of_axes_are_refused(tmp_path):
    assert "spatial frequencies" in refused(write(tmp_path, RAW[0], ((4, "1/nm"), (4, "1/nm"))))
    assert "9 x 12 x 5 x 1 voxels" in refused(write(tmp_path, RAW[None]))
    assert "the unknown type 99" in refused(write(tmp_path, code=99))


def test_a_directory_of_sections_is_stacked_and_needs_the_distance_of_sections(tmp_path):
    path = write_sections(tmp_path / "a")
    np.testing.assert_array_equal(read(path)[1], RAW)
    np.testing.assert_array_equal(read(path / "*.dm4")[1], RAW)
    assert "do not hold the distance of sections, only 4 x 4 nanometer" in refused(path)
    assert tuple(plan_volume(VolumeConfig(raw=ArraySource(path=path), voxel_size=[40, 4, 4])).voxel_size) == (
        40,
        4,
        4,
    )


def test_one_section_is_an_image_with_its_pixel_size(tmp_path):
    source, result = read(write(tmp_path, RAW[1]))
    np.testing.assert_array_equal(result, RAW[1])
    assert source.axes == ["y", "x"] and source.metadata.voxel_size == (4, 4)


def test_sections_that_differ_are_refused_or_reported(tmp_path):
    path = write_sections(tmp_path / "a", calibrations=[NANOMETERS[:2]] * 4 + [((5, "nm"), (5, "nm"))])
    plan = plan_volume(VolumeConfig(raw=ArraySource(path=path), voxel_size=[40, 4, 4]))
    assert (
        "s4.dm4 has (5.0, 5.0) nanometer in its calibration, and s0.dm4 (4.0, 4.0) nanometer"
        in plan.warnings[0]
    )
    (path / "s4.dm4").write_bytes((write_sections(tmp_path / "b", RAW[:, :6]) / "s0.dm4").read_bytes())
    assert "one size and one type" in refused(path)


def test_sections_beyond_the_parsed_ones_are_compared_when_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(micrograph_stack, "_MOST_PARSED", 2)
    path = write_sections(tmp_path / "a")
    np.testing.assert_array_equal(read(path)[1], RAW)
    turned = write_sections(tmp_path / "b", RAW.transpose(0, 2, 1)) / "s4.dm4"
    (path / "s4.dm4").write_bytes(turned.read_bytes())
    source = open_source(ArraySource(path=path))
    np.testing.assert_array_equal(source.read((0, 0, 0), (4, 12, 9)), RAW[:4])
    with pytest.raises(VolumeError, match=r"s4\.dm4 holds \(9, 12\)"):
        source.read((4, 0, 0), (5, 12, 9))


def change(path, old, new):
    content = path.read_bytes()
    assert content.count(old) >= 1
    path.write_bytes(content.replace(old, new))
    return path


def test_an_origin_gives_a_warning(tmp_path):
    origin = Tags().value("Origin", 0, "f4")
    path = change(write(tmp_path), origin, Tags().value("Origin", 7, "f4"))
    assert "origin" in read(path)[0].warnings[0]


def test_damaged_files_are_refused_or_reported(tmp_path):
    path = write(tmp_path)
    good = path.read_bytes()
    cases = {
        "cut.dm4": (good[: len(good) // 2], "cut.dm4"),
        "header.dm4": (good[:10], "cannot be read"),
        "empty.dm4": (b"", "an empty file"),
        "text.dm4": (b"hello " * 500, "its version is not 3 or 4"),
        "lfs.dm4": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        "renamed.dm4": (good.replace(b"DataType", b"DataTyqe"), "no tag ImageData.DataType"),
        "voxels.dm4": (good.replace(b"\x04Data\0", b"\x04Dbta\0"), "has no voxels"),
        "thumbnail.dm4": (good.replace(b"ImageIndex", b"ImageIndey"), "holds 2 images"),
    }
    for name, (content, expected) in cases.items():
        (tmp_path / name).write_bytes(content)
        assert expected in refused(tmp_path / name)
    (tmp_path / "more.dm4").write_bytes(good + bytes(10))
    assert "10 bytes more" in read(tmp_path / "more.dm4")[0].warnings[0]


def test_a_length_that_the_file_cannot_hold_is_refused_at_once(tmp_path):
    path, tags = write(tmp_path), Tags()
    sizes = [tags._lengths(20, 4, count) for count in (2, 1 << 50, -1)]
    for damaged in sizes[1:]:
        (tmp_path / "a.dm4").write_bytes(path.read_bytes().replace(sizes[0], damaged, 1))
        assert "found a tag of" in refused(tmp_path / "a.dm4")
        write(tmp_path)


def test_arrays_of_nothing_do_not_take_hours(tmp_path):
    tags = Tags()
    info = (20, 15, 0, 0, 1 << 50)
    endless = tags._tag(21, "Endless", b"%%%%" + tags._lengths(len(info), *info))
    (tmp_path / "a.dm4").write_bytes(tags.file(tags.image(RAW, NANOMETERS, 0, "cell", endless)))
    assert "1125899906842624 values" in refused(tmp_path / "a.dm4")


def test_without_the_package_the_message_names_the_extra(tmp_path, monkeypatch):
    path = write(tmp_path)
    monkeypatch.setitem(sys.modules, "rsciio.digitalmicrograph._api", None)
    message = refused(path)
    assert "rosettasciio" in message and "python -m pip install 'attacca[dm]'" in message
