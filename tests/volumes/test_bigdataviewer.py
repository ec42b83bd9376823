"""XML files of BigDataViewer: views, transformations, units, damages."""

import numpy as np
import pytest

from attacca.config.volumes import ArraySource, VolumeConfig
from attacca.errors import AttaccaError, MissingInputError
from attacca.volumes import open_source, plan_volume
from attacca.volumes.content_fingerprint import compute_content_fingerprint
from format_cases.bigdataviewer import CALIBRATION, HDF5, bdv_hdf5, bdv_n5, describe_images
from format_cases.case import WIDE


def write(directory, **options):
    bdv_hdf5(**options)(directory)
    return directory / "a.xml"


def place(path, unit="nanometer", **source):
    return plan_volume(VolumeConfig(raw=ArraySource(path=path, **source), unit=unit))


def refused(path, kind=AttaccaError, **source):
    with pytest.raises(kind) as caught:
        place(path, **source)
    assert path.name in str(caught.value)
    return str(caught.value)


def test_values_beyond_the_signed_range_are_read_and_the_file_gives_the_voxel_size(tmp_path):
    plan = place(write(tmp_path))
    source = plan.arrays["raw"].sources[0].source
    assert WIDE.max() > 2**15 and source.dtype == "u2"
    np.testing.assert_array_equal(source.read((0, 0, 0), WIDE.shape), WIDE)
    assert tuple(plan.voxel_size) == (40, 4, 4) and "the voxelSize in a.xml of" in plan.voxel_size_from
    config = VolumeConfig(raw=ArraySource(path=tmp_path / "a.xml"), voxel_size=[45, 4, 4])
    assert tuple(plan_volume(config).voxel_size) == (45, 4, 4)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("t00000/s01", 1), ("s01", 1), ("s0", 0), ("setup1", 1), ("setup1/timepoint0", 1), ("/t0/s1/", 1)],
)
def test_a_view_has_the_name_of_its_group_in_hdf5_or_n5(tmp_path, name, expected):
    source = open_source(ArraySource(path=write(tmp_path, setups=2), dataset=name))
    np.testing.assert_array_equal(source.read((0, 0, 0), WIDE.shape), WIDE + expected)


@pytest.mark.parametrize("name", ["s02", "t00001/s00", "raw", "t00000/s00/0/cells", "s" + "9" * 400])
def test_an_unknown_view_is_refused_with_the_existing_ones(tmp_path, name):
    message = refused(write(tmp_path, setups=2), MissingInputError, dataset=name)
    assert "s00 (channel 1, 16 x 20 x 6 voxels), s01 (channel 2" in message and "points of time 0" in message


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ('<Timepoints type="range"><first>0</first><last>9</last></Timepoints>', "points of time 0 to 9"),
        ('<Timepoints type="range"><first>0</first><last>999999999</last></Timepoints>', "0 to 999999999"),
        ('<Timepoints type="pattern"><integerpattern>0-4:2, 7</integerpattern></Timepoints>', "0 to 4, 7"),
        ('<Timepoints type="list"><Timepoint><id>0</id></Timepoint><Timepoint><id>5</id></Timepoint></Timepoints>', "0, 5"),
        ("", "points of time ''"),
        ('<Timepoints type="range"><first>5</first><last>1</last></Timepoints>', "'5-1'"),
        ('<Timepoints type="pattern"><integerpattern>x</integerpattern></Timepoints>', "'x'"),
    ],
)  # fmt: skip
def test_several_points_of_time_are_listed(tmp_path, times, expected):
    path = write(tmp_path, times=times)
    assert expected in refused(path)
    if "last>9" in times:
        assert open_source(ArraySource(path=path, dataset="t00000/s00")).shape == WIDE.shape


@pytest.mark.parametrize(
    ("transforms", "size", "expected"),
    [
        ((CALIBRATION,), (40, 4, 4), (0, 0, 0)),
        (("4 0 0 8  0 4 0 -12  0 0 40 80",), (40, 4, 4), (80, -12, 8)),
        (("1 0 0 2  0 1 0 -3  0 0 10 20",), (40, 4, 4), (80, -12, 8)),
        # The last transformation is applied first.
        (("1 0 0 8  0 1 0 0  0 0 1 0", CALIBRATION), (40, 4, 4), (0, 0, 8)),
        ((CALIBRATION, "1 0 0 2  0 1 0 0  0 0 1 0"), (40, 4, 4), (0, 0, 8)),
        ((), (40, 4, 4), (0, 0, 0)),
    ],
)
def test_scales_and_translations_give_the_offset(tmp_path, transforms, size, expected):
    plan = place(write(tmp_path, transforms=transforms))
    assert tuple(plan.voxel_size) == size and tuple(plan.roi.begin) == expected


def test_units_are_converted(tmp_path):
    path = write(tmp_path, unit="µm", size="0.0046 0.0046 0.05", transforms=("1 0 0 0  0 1 0 0  0 0 1 0",))
    assert tuple(place(path, "angstrom").voxel_size) == (500, 46, 46)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"unit": "pixel"}, "'pixel', which is not a unit of length"),
        ({"unit": ""}, "has no unit"),
        ({"size": "4 4 0"}, "expected positive numbers"),
        ({"size": "4 4"}, "'4 4' as <size> of <voxelSize>, expected 3 numbers"),
        ({"size": "4 4 nan"}, "expected 3 numbers"),
        (
            {"transforms": ("4 0 0 0  0 4 0 0  0 0 50 0",)},
            "its transformation scales voxels to (50.0, 4.0, 4.0)",
        ),
        ({"transforms": ("4 0.1 0 0  0 4 0 0  0 0 40 0",)}, "rotates, shears or mirrors"),
        ({"transforms": ("4 0 0 0  0 -4 0 0  0 0 40 0",)}, "rotates, shears or mirrors"),
        ({"transforms": ("4 0 0",)}, "expected 12 numbers"),
        ({"head": '<!DOCTYPE a [<!ENTITY b "c">]>'}, "document type definition"),
    ],
)
def test_what_does_not_place_the_voxels_is_refused(tmp_path, options, expected):
    assert expected in refused(write(tmp_path, **options))


def test_a_translation_of_an_image_without_scale_is_reported(tmp_path):
    plan = place(write(tmp_path, transforms=("1 0 0 5  0 1 0 0  0 0 1 0",)))
    assert tuple(plan.roi.begin) == (0, 0, 0)
    assert "the translation (0.0, 0.0, 5.0) of setup 0 is not used" in plan.warnings[0]


def test_entities_are_not_expanded(tmp_path):
    path = write(tmp_path)
    bomb = '<!DOCTYPE a [<!ENTITY a "xx">' + "".join(
        f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9)
    )
    text = describe_images(HDF5, head=f"{bomb}]>").replace("channel 1", "&j;")
    path.write_text(text, encoding="utf-16")
    assert "unknown format" in refused(path)
    path.write_text(text)
    assert "document type definition" in refused(path)


def test_deep_nesting_is_refused(tmp_path):
    path = write(tmp_path)
    path.write_text(f"<SpimData>{'<a>' * 200_000}{'</a>' * 200_000}</SpimData>")
    assert "points of time ''" in refused(path)


@pytest.mark.parametrize("suffix", ["", ".xml", ".zarr", ".h5"])
def test_names_that_are_too_long_are_missing(tmp_path, suffix):
    path = tmp_path / f"{'a' * 300}{suffix}"
    assert "no such file" in refused(path)
    config = VolumeConfig(raw=ArraySource(path=path))
    assert compute_content_fingerprint(config) == compute_content_fingerprint(config)


def test_images_that_do_not_fit_the_description_are_refused(tmp_path):
    path = write(tmp_path)
    path.write_text(describe_images(HDF5, shape=(6, 20, 17)))
    assert "describes an image of (6, 20, 17) voxels along z, y, x" in refused(path)
    path.write_text(describe_images(HDF5.replace("a.h5", "b.h5")))
    assert "b.h5, which does not exist" in refused(path)
    path.write_text(describe_images(HDF5.replace("a.h5", "a.xml")))
    assert "is not a container" in refused(path)
    path.write_text(describe_images(HDF5.replace("bdv.hdf5", "bdv.multimg.zarr")))
    assert "'bdv.multimg.zarr', expected bdv.hdf5 or bdv.n5" in refused(path)
    path.write_text(describe_images("", setups=0))
    assert "describes no image" in refused(path)


def test_images_in_n5_are_used_in_place(tmp_path):
    bdv_n5()(tmp_path)
    plan = place(tmp_path / "a.xml")
    link = plan.arrays["raw"].link
    assert link is not None and tuple(link.voxel_size) == (40, 4, 4)
    (tmp_path / "a.n5/setup0/timepoint0/s0/0/0/1").unlink()
    source = open_source(ArraySource(path=tmp_path / "a.xml"))
    with pytest.raises(AttaccaError, match="missing"):
        source.read((0, 0, 0), WIDE.shape)


def test_the_fingerprint_depends_on_both_files(tmp_path):
    path = write(tmp_path)
    config = VolumeConfig(raw=ArraySource(path=path))
    first = compute_content_fingerprint(config)
    path.write_text(path.read_text().replace("channel", "Channel"))
    second = compute_content_fingerprint(config)
    write(tmp_path, data=WIDE // 2)
    path.write_text(path.read_text().replace("channel", "Channel"))
    assert len({first, second, compute_content_fingerprint(config)}) == 3


def test_other_xml_files_have_an_unknown_format(tmp_path):
    (tmp_path / "b.xml").write_text("<other/>")
    assert "unknown format" in refused(tmp_path / "b.xml")
