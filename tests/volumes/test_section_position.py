"""Labels whose section numbers or resolution contradict their position in the image, and reversed voxel sizes."""

import h5py
import numpy as np
import pytest
from PIL import Image

from attacca.config.volumes import VolumeConfig
from attacca.errors import VolumeError
from attacca.volumes import plan_volume

RAW = np.random.default_rng(0).integers(0, 255, (10, 12, 9), dtype=np.uint8)
LABELS = np.random.default_rng(1).integers(1, 9, (10, 12, 9), dtype=np.uint8)
NUMBERS = range(101, 111)


def write_sections(directory, data, numbers, name="s_{:04d}.png"):
    directory.mkdir()
    for section, number in zip(data, numbers, strict=True):
        Image.fromarray(section).save(directory / name.format(number))
    return directory


def plan(directory, labels_numbers, offset=None, raw_numbers=NUMBERS, labels=LABELS):
    raw = write_sections(directory / "em", RAW[: len(raw_numbers)], raw_numbers)
    section = {
        "path": write_sections(directory / "seg", labels[: len(labels_numbers)], labels_numbers, "{}.png")
    }
    section |= {"offset": offset} if offset else {}
    config = {"raw": {"path": raw}, "labels": section, "voxel_size": [40, 4, 4]}
    return plan_volume(VolumeConfig.model_validate(config))


def test_labels_of_later_sections_are_refused_with_their_offset(tmp_path):
    with pytest.raises(VolumeError) as caught:
        plan(tmp_path, range(104, 109))
    assert "begin with section 104, which is the 4th section" in str(caught.value)
    assert "set 'offset: [120, 0, 0]'" in str(caught.value)


@pytest.mark.parametrize("offset", [[120, 0, 0], [0, 0, 0]])
def test_a_configured_offset_overrules_the_numbers_of_sections(tmp_path, offset):
    found = plan(tmp_path, range(104, 109), offset)
    assert list(found.arrays["labels"].roi.begin) == offset and not found.warnings


def test_labels_of_the_first_sections_need_no_offset(tmp_path):
    assert not plan(tmp_path, range(101, 106)).warnings


def test_labels_of_every_third_section_are_refused(tmp_path):
    with pytest.raises(VolumeError) as caught:
        plan(tmp_path, range(101, 111, 3))
    text = str(caught.value)
    assert "not consecutive sections" in text and "without labels: 102, 103, 105, 106, 108, ..." in text
    assert "a file of the labels for each section" in text and "'unlabelled'" in text


def test_equal_numbers_of_sections_with_different_gaps_are_refused(tmp_path):
    raw = [n for n in NUMBERS if n != 103]
    with pytest.raises(VolumeError, match=r"without labels: 107; without image: 103"):
        plan(tmp_path, [n for n in NUMBERS if n != 107], raw_numbers=raw)


def test_sections_that_are_counted_from_0_and_from_1_belong_together(tmp_path):
    found = plan(tmp_path, range(1, 11), raw_numbers=range(10))
    assert found.arrays["labels"].roi == found.arrays["raw"].roi


def test_numbers_with_another_step_do_not_count_the_same_sections(tmp_path):
    found = plan(tmp_path, range(10), raw_numbers=range(0, 1000, 100))
    assert found.arrays["labels"].roi == found.arrays["raw"].roi


def plan_hdf5(path, labels, sizes, **settings):
    with h5py.File(path, "w") as file:
        for name, data, size in zip(("raw", "labels"), (RAW, labels), sizes, strict=True):
            file.create_dataset(name, data=data).attrs.update({"resolution": size} if size else {})
    config = {name: {"path": path, "dataset": name} for name in ("raw", "labels")}
    config["labels"] |= {"offset": settings.pop("offset")} if "offset" in settings else {}
    return plan_volume(VolumeConfig.model_validate(config | settings))


def test_labels_of_a_lower_resolution_are_refused_also_with_a_configured_voxel_size(tmp_path):
    reduced, sizes = LABELS[::2, ::2, ::2], ([8, 8, 8], [16, 16, 16])
    with pytest.raises(VolumeError) as caught:
        plan_hdf5(tmp_path / "a.h5", reduced, sizes, voxel_size=[8, 8, 8])
    text = str(caught.value)
    assert "lower resolution" in text and "2 times fewer voxels along z, y and x" in text
    plan_hdf5(tmp_path / "b.h5", reduced, sizes, voxel_size=[8, 8, 8], offset=[0, 0, 0])


def test_labels_of_half_the_pixels_without_a_voxel_size_may_have_another_resolution(tmp_path):
    (warning,) = plan_hdf5(tmp_path / "a.h5", LABELS[:, ::2, ::2], ([40, 4, 4], None)).warnings
    assert "2 times fewer voxels along y and x, perhaps another resolution" in warning


@pytest.mark.parametrize(
    ("size", "is_reported"),
    [([8, 8, 40], True), ([40, 8, 8], False), ([8, 8, 8], False), ([6, 8, 12], False)],
)
def test_a_voxel_size_that_is_long_along_x_alone_may_be_reversed(tmp_path, size, is_reported):
    warnings = plan_hdf5(tmp_path / "a.h5", LABELS, (size, size)).warnings
    assert len(warnings) == is_reported
    assert not is_reported or "set voxel_size: [40, 8, 8]" in warnings[0]


def test_labels_in_the_order_x_y_z_are_refused_with_the_order(tmp_path):
    with pytest.raises(VolumeError) as caught:
        plan_hdf5(tmp_path / "a.h5", LABELS.T, ([40, 4, 4], [40, 4, 4]))
    assert "axes seem to be in reverse order" in str(caught.value) and "axes: xyz" in str(caught.value)
