"""From users' files to volumes: every format, and every problem that a user can mend."""

import json
from itertools import product

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from funlib.geometry import Coordinate, Roi
from PIL import Image

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.n5 import create_n5_array
from attacca.config.volumes import ArraySource, VolumeConfig
from attacca.errors import MissingInputError, VolumeError
from attacca.layout import VOLUME_IMAGES
from attacca.volumes import (
    ImportBlocks,
    check_unchanged,
    compute_content_fingerprint,
    examine_volume,
    finish_volume,
    open_source,
    plan_volume,
    prepare_volume,
)
from attacca.volumes.readers.section_names import find_missing_numbers

RAW = np.random.default_rng(0).integers(0, 255, (5, 12, 9), dtype=np.uint8)
LABELS = np.random.default_rng(1).integers(0, 9, (5, 12, 9), dtype=np.uint32)


class Whole:
    def __init__(self, roi):
        self.write_roi = roi


def write_stack(directory, data, suffix="png", name="section_{}"):
    directory.mkdir(parents=True)
    for index, section in enumerate(data):
        path = directory / f"{name.format(index)}.{suffix}"
        tifffile.imwrite(path, section) if suffix == "tif" else Image.fromarray(section).save(path)
    return directory


def write_hdf5(path, data=LABELS, dataset="labels", **attrs):
    with h5py.File(path, "a") as file:
        file.create_dataset(dataset, data=data).attrs.update(attrs)
    return path


def write_zarr(path, dataset="raw", data=RAW, **attrs):
    array = zarr.create_array(
        path,
        name=dataset,
        shape=data.shape,
        dtype=data.dtype,
        chunks=(2, 4, 4),
        zarr_format=2,
        overwrite=True,
    )
    array[:] = data
    array.attrs.update(attrs)
    return path


def blocks_of(plan):
    """Blocks of the import, in reverse order."""
    counts = [range(-(-n // s)) for n, s in zip(plan.roi.shape, plan.block_size)]
    rois = [Roi(plan.roi.begin + Coordinate(i) * plan.block_size, plan.block_size) for i in product(*counts)]
    return [Whole(roi.intersect(plan.roi)) for roi in reversed(rois)]


def imported(tmp_path, **config):
    config = VolumeConfig.model_validate(config)
    container = str(tmp_path / "imported.zarr")
    plan = prepare_volume(config, container)
    fill = ImportBlocks(config, container)
    for block in blocks_of(plan):
        fill(block)
    finish_volume(config, container)
    names = plan.arrays
    return {
        name: ZarrArray.open_from_array_identifier(LocalArrayIdentifier(container, VOLUME_IMAGES[name]))
        for name in names
    }


def problem(tmp_path, error=VolumeError, **config):
    with pytest.raises(error) as caught:
        imported(tmp_path, **config)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sections_are_stacked_in_natural_order(tmp_path, suffix):
    data = np.random.default_rng(2).integers(0, 255, (12, 6, 7), dtype=np.uint8)
    stack = write_stack(tmp_path / "raw", data, suffix)
    arrays = imported(tmp_path, raw={"path": stack}, voxel_size=[40, 4, 4], chunk=[4, 4, 4])
    assert np.array_equal(arrays["raw"].data[:], data)
    assert arrays["raw"].voxel_size == (40, 4, 4) and arrays["raw"].chunk_size == (160, 16, 16)


def test_a_pattern_chooses_among_files_and_sixteen_bits_stay(tmp_path):
    data = (RAW.astype(np.uint16) * 200)[:3]
    stack = write_stack(tmp_path / "raw", data)
    (stack / "notes.txt").write_text("mine")
    write_stack(stack / "other", data)
    arrays = imported(tmp_path, raw={"path": stack / "section_*.png"}, voxel_size=[40, 4, 4])
    assert arrays["raw"].dtype == np.uint16 and np.array_equal(arrays["raw"].data[:], data)


@pytest.mark.parametrize("compression", [None, "zlib", "pillow-lzw"])
def test_multipage_tiff_files_are_read_section_by_section(tmp_path, compression):
    path = tmp_path / "stack.tif"
    if compression == "pillow-lzw":
        pages = [Image.fromarray(section) for section in RAW]
        pages[0].save(path, save_all=True, append_images=pages[1:], compression="tiff_lzw")
    else:
        tifffile.imwrite(path, RAW, compression=compression)
    arrays = imported(tmp_path, raw={"path": path}, voxel_size=[40, 4, 4], chunk=[2, 5, 5])
    assert np.array_equal(arrays["raw"].data[:], RAW)


def test_imagej_and_ome_tiffs_bring_their_voxel_size(tmp_path):
    tifffile.imwrite(
        tmp_path / "j.tif",
        RAW,
        imagej=True,
        resolution=(250.0, 250.0),
        metadata={"spacing": 0.04, "unit": "um"},
    )
    assert plan_volume(VolumeConfig.model_validate({"raw": {"path": tmp_path / "j.tif"}})).voxel_size == (
        40,
        4,
        4,
    )
    sizes = {"PhysicalSizeZ": 40, "PhysicalSizeZUnit": "nm", "PhysicalSizeY": 4, "PhysicalSizeYUnit": "nm"}
    sizes |= {"PhysicalSizeX": 4, "PhysicalSizeXUnit": "nm", "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "o.ome.tif", RAW, metadata=sizes)
    assert plan_volume(VolumeConfig.model_validate({"raw": {"path": tmp_path / "o.ome.tif"}})).voxel_size == (
        40,
        4,
        4,
    )


def test_a_single_image_is_a_volume_of_two_dimensions(tmp_path):
    Image.fromarray(RAW[0]).save(tmp_path / "image.png")
    stack = write_stack(tmp_path / "labels", LABELS[:1].astype(np.uint8))
    arrays = imported(
        tmp_path,
        raw={"path": tmp_path / "image.png"},
        labels={"path": stack},
        voxel_size=[4, 4],
        chunk=[5, 5],
    )
    assert arrays["raw"].axes == ["y", "x"] and np.array_equal(arrays["raw"].data[:], RAW[0])
    assert np.array_equal(arrays["labels"].data[:], LABELS[0])


def test_hdf5_attributes_give_voxel_size_and_offset(tmp_path):
    path = write_hdf5(tmp_path / "both.h5", RAW, "volumes/raw", resolution=(40, 4, 4), offset=(400, 0, 8))
    write_hdf5(path, LABELS[2:4], "volumes/labels", resolution=(40, 4, 4), offset=(480, 0, 8))
    arrays = imported(
        tmp_path,
        raw={"path": path, "dataset": "volumes/raw"},
        labels={"path": path, "dataset": "volumes/labels", "unlabelled": 0},
        chunk=[4, 4, 4],
    )
    assert arrays["raw"].roi == Roi((400, 0, 8), (200, 48, 36))
    assert arrays["labels"].roi == Roi((480, 0, 8), (80, 48, 36)) and arrays["labels"].dtype == np.uint32
    assert np.array_equal(arrays["labels"].data[:], LABELS[2:4])


def test_labels_on_another_chunk_grid_are_complete_whatever_the_order_of_blocks(tmp_path):
    raw = np.random.default_rng(3).integers(0, 255, (20, 20, 20), dtype=np.uint8)
    labels = np.random.default_rng(4).integers(1, 99, (11, 13, 7), dtype=np.uint16)
    write_hdf5(tmp_path / "raw.h5", raw, "raw")
    write_hdf5(tmp_path / "labels.h5", labels, "labels", offset=(5, 3, 9))
    arrays = imported(
        tmp_path,
        raw={"path": tmp_path / "raw.h5"},
        labels={"path": tmp_path / "labels.h5"},
        voxel_size=[1, 1, 1],
        roi={"offset": [2, 2, 2], "shape": [16, 17, 18]},
        chunk=[4, 6, 5],
    )
    assert arrays["raw"].roi == Roi((2, 2, 2), (16, 17, 18))
    assert np.array_equal(arrays["raw"].data[:], raw[2:18, 2:19, 2:20])
    assert arrays["labels"].roi == Roi((5, 3, 9), (11, 13, 7))
    assert np.array_equal(arrays["labels"].data[:], labels)


@pytest.mark.parametrize("in_place", [True, False])
def test_zarr_and_n5_are_used_in_place_or_copied(tmp_path, in_place):
    write_zarr(tmp_path / "raw.zarr", "s0", resolution=[40, 4, 4])
    made = create_n5_array(tmp_path / "labels.n5", "gt", LABELS.shape, LABELS.shape, np.uint32)
    made[...] = LABELS
    made.attrs.update({"resolution": [4, 4, 40], "offset": [0, 8, 0]})
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "raw.zarr").rglob("*")}
    arrays = imported(
        tmp_path,
        raw={"path": tmp_path / "raw.zarr" / "s0"},
        labels={"path": tmp_path / "labels.n5", "dataset": "gt"},
        roi={"offset": [40, 0, 0], "shape": [120, 48, 36]},
        in_place=in_place,
    )
    assert (str(tmp_path / "raw.zarr") in arrays["raw"].directory) == in_place
    assert np.array_equal(arrays["raw"][arrays["raw"].roi], RAW[1:4])
    assert arrays["labels"].roi == Roi((40, 8, 0), (120, 40, 36))
    assert np.array_equal(arrays["labels"][arrays["labels"].roi], LABELS[1:4, :10])
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "raw.zarr").rglob("*")}


def test_going_from_a_link_to_a_copy_and_back_leaves_nothing_behind(tmp_path):
    path = write_zarr(tmp_path / "raw.zarr", resolution=[40, 4, 4])
    for in_place in (True, False, True):
        array = imported(tmp_path, raw={"path": path}, in_place=in_place)["raw"]
        assert np.array_equal(array[array.roi], RAW)
        assert (tmp_path / "imported.zarr" / "raw" / "s0").exists() != in_place


@pytest.mark.parametrize("in_place", [True, False])
def test_the_percentiles_of_the_region_are_recorded_for_copies_and_in_place(tmp_path, in_place):
    path = write_zarr(tmp_path / "raw.zarr", resolution=[40, 4, 4])
    region = {"offset": [40, 0, 0], "shape": [120, 48, 36]}
    config = VolumeConfig.model_validate({"raw": {"path": path}, "roi": region, "in_place": in_place})
    container = str(tmp_path / "imported.zarr")
    plan = prepare_volume(config, container)
    fill = ImportBlocks(config, container)
    for block in blocks_of(plan):
        fill(block)
    measured = finish_volume(config, container)["raw"]["percentiles"]
    assert [measured[name] for name in ("0", "1", "99.5")] == pytest.approx(
        np.percentile(RAW[1:4], [0, 1, 99.5])
    )


def test_classes_in_files_of_their_own_become_ids_or_channels(tmp_path):
    membranes = np.zeros((2, 6, 6), bool)
    membranes[:, :3] = True
    cells = np.zeros((2, 6, 6), np.uint8)
    cells[0, 2:5, 1:3], cells[1, 2:5, 4:], cells[0, 5, 5] = 7, 8, 200
    raw = write_stack(tmp_path / "raw", RAW[:2, :6, :6])
    classes = [
        {"name": "membrane", "path": write_stack(tmp_path / "membranes", membranes)},
        {"name": "mitochondria", "path": write_stack(tmp_path / "cells", cells), "values": [7, 8]},
    ]
    labels = {"classes": classes}
    config = {"raw": {"path": raw}, "voxel_size": [500, 46, 46], "unit": "angstrom"}
    ids = imported(tmp_path, **config, labels=labels)["labels"]
    expected = np.where(np.isin(cells, [7, 8]), 2, membranes)
    assert np.array_equal(ids.data[:], expected) and ids.unit == "angstrom"
    assert ids.attrs["attacca"]["classes"] == ["membrane", "mitochondria"]
    channels = imported(tmp_path, **config, labels={**labels, "combine": "channels"})["labels"]
    assert np.array_equal(channels.data[:], [membranes, np.where(cells == 200, 0, cells)])


def test_masks_become_zero_and_one(tmp_path):
    raw = write_hdf5(tmp_path / "a.h5", RAW, "raw", resolution=(4, 4, 4))
    write_hdf5(raw, LABELS.astype(np.float32), "mask")
    mask = imported(tmp_path, raw={"path": raw, "dataset": "raw"}, mask={"path": raw, "dataset": "mask"})[
        "mask"
    ]
    assert mask.dtype == np.uint8 and np.array_equal(mask.data[:], LABELS != 0)


def test_one_channel_of_a_color_image_can_be_chosen(tmp_path):
    Image.fromarray(np.stack([RAW[0], RAW[1], RAW[2]], axis=-1)).save(tmp_path / "color.png")
    message = problem(tmp_path, raw={"path": tmp_path / "color.png"}, voxel_size=[4, 4])
    assert "3 channels" in message and "channel: 0" in message
    arrays = imported(tmp_path, raw={"path": tmp_path / "color.png", "channel": 1}, voxel_size=[4, 4])
    assert np.array_equal(arrays["raw"].data[:], RAW[1])


def test_a_section_of_another_size_or_type_is_named(tmp_path):
    stack = write_stack(tmp_path / "raw", RAW)
    Image.fromarray(RAW[0, :5]).save(stack / "section_3.png")
    message = problem(tmp_path, raw={"path": stack}, voxel_size=[4, 4, 4])
    assert "section_3.png is 9 x 5 pixels" in message and "section_0.png is 9 x 12" in message
    Image.fromarray(RAW[0].astype(np.uint16)).save(stack / "section_3.png")
    assert "uint16" in problem(tmp_path, raw={"path": stack}, voxel_size=[4, 4, 4])
    (stack / "section_3.png").write_bytes(b"no image")
    assert "cannot be read as an image" in problem(tmp_path, raw={"path": stack}, voxel_size=[4, 4, 4])


def test_missing_files_are_reported_with_the_nearest_names(tmp_path):
    write_stack(tmp_path / "images", RAW)
    for path, expected in (
        (tmp_path / "image", "did you mean images?"),
        (tmp_path / "images" / "x*.png", "no file matches"),
        (tmp_path / "imagse" / "section_0.png", "did you mean images?"),
        (tmp_path / "images" / "more", "holds section_0.png"),
    ):
        assert expected in problem(tmp_path, MissingInputError, raw={"path": path}, voxel_size=[4, 4, 4])
    (tmp_path / "empty").mkdir()
    text = problem(tmp_path, MissingInputError, raw={"path": tmp_path / "empty"}, voxel_size=[4, 4, 4])
    assert "holds no images" in text


def test_unreadable_hdf5_and_missing_data_sets_are_reported(tmp_path):
    path = tmp_path / "broken.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"0" * 100)
    assert "cannot be read as HDF5" in problem(tmp_path, raw={"path": path}, voxel_size=[4, 4, 4])
    good = write_hdf5(tmp_path / "good.h5", RAW, "volumes/raw")
    text = problem(tmp_path, MissingInputError, raw={"path": good, "dataset": "raw"}, voxel_size=[4, 4, 4])
    assert "it holds volumes/raw (5, 12, 9)" in text
    both = write_hdf5(write_hdf5(tmp_path / "two.h5", RAW, "first"), RAW, "second")
    text = problem(tmp_path, MissingInputError, raw={"path": both}, voxel_size=[4, 4, 4])
    assert "2 data sets, name one: first (5, 12, 9), second" in text


def with_labels(tmp_path, labels, **attrs):
    raw = write_hdf5(tmp_path / "raw.h5", RAW, "raw", resolution=(4, 4, 4))
    path = write_hdf5(tmp_path / "labels.h5", labels, "labels", **attrs)
    return {"raw": {"path": raw}, "labels": {"path": path}}


def test_float_labels_are_refused(tmp_path):
    text = problem(tmp_path, **with_labels(tmp_path, LABELS.astype(np.float32)))
    assert "floating-point" in text and "labels.h5" in text


def test_negative_labels_are_refused(tmp_path):
    assert "negative label -1" in problem(tmp_path, **with_labels(tmp_path, LABELS.astype(np.int64) - 1))


@pytest.mark.parametrize("value", [0, 7])
def test_labels_without_annotation_are_refused(tmp_path, value):
    config = with_labels(tmp_path, np.full_like(LABELS, value))
    config["labels"]["unlabelled"] = value
    assert f"hold only {value}" in problem(tmp_path, **config)


@pytest.mark.parametrize(
    ("values", "unlabelled", "warned"),
    [
        pytest.param([3], None, "hold only 3 in", id="one value"),
        pytest.param([0], None, "no object is annotated", id="an example without objects"),
        pytest.param([0, 3], 0, "hold only 3 and the unlabelled 0", id="one value and unlabeled voxels"),
        pytest.param([0, 3], None, None, id="background and one object"),
        pytest.param([0, 3, 4], 0, None, id="two objects"),
    ],
)
def test_labels_with_one_value_only_are_warned_of(tmp_path, caplog, values, unlabelled, warned):
    config = with_labels(tmp_path, np.resize(np.array(values, np.uint32), LABELS.shape))
    config["labels"]["unlabelled"] = unlabelled
    imported(tmp_path, **config)
    messages = [record.getMessage() for record in caplog.records if "labels of" in record.getMessage()]
    assert len(messages) == (warned is not None)
    assert warned is None or (warned in messages[0] and "labels.h5" in messages[0])


def test_labels_that_do_not_overlap_the_image_are_refused(tmp_path):
    text = problem(tmp_path, **with_labels(tmp_path, LABELS, offset=(400, 0, 0)))
    assert "do not overlap" in text and "400 to 420" in text and "0 to 20" in text


def test_labels_between_the_voxels_of_the_image_are_refused(tmp_path):
    text = problem(tmp_path, **with_labels(tmp_path, LABELS, offset=(2, 0, 0)))
    assert "not a whole number of voxels" in text


def test_smaller_labels_without_an_offset_are_reported_with_their_assumed_position(tmp_path):
    path = write_hdf5(tmp_path / "volume.h5", RAW, "raw")
    write_hdf5(path, LABELS[1:], "labels")
    volume = {"raw": {"path": path, "dataset": "raw"}, "labels": {"path": path, "dataset": "labels"}}
    volume["voxel_size"] = [40, 4, 4]
    (warning,) = plan_volume(VolumeConfig.model_validate(volume)).warnings
    assert "smaller than the image" in warning and "offset: [0, 0, 0]" in warning
    for offset in ([0, 0, 0], [40, 0, 0]):
        volume["labels"] = {"path": path, "dataset": "labels", "offset": offset}
        plan = plan_volume(VolumeConfig.model_validate(volume))
        assert plan.warnings == () and list(plan.arrays["labels"].roi.begin) == offset


def test_an_image_that_is_given_as_its_own_labels_is_refused(tmp_path):
    path = write_hdf5(tmp_path / "volume.h5", LABELS, "volume")
    text = problem(tmp_path, raw={"path": path}, labels={"path": path}, voxel_size=[40, 4, 4])
    assert f"raw and labels are the same array: {path}" in text and "correct one of the two paths" in text


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({"dataset": "larger"}, id="larger"),
        pytest.param({"dataset": "transposed"}, id="transposed"),
        pytest.param({"dataset": "labels", "offset": [80, 0, 0]}, id="shifted"),
    ],
)
def test_labels_that_extend_beyond_the_image_are_refused_without_a_roi(tmp_path, labels):
    path = write_hdf5(tmp_path / "volume.h5", RAW, "raw")
    write_hdf5(path)
    write_hdf5(path, np.pad(LABELS, ((0, 1), (0, 4), (0, 4))), "larger")
    write_hdf5(path, LABELS.T, "transposed")
    volume = {"raw": {"path": path, "dataset": "raw"}, "labels": {"path": path, **labels}}
    volume["voxel_size"] = [40, 4, 4]
    message = problem(tmp_path, **volume)
    assert (
        "extend beyond the image" in message
        and "has (5, 12, 9)" in message
        and "0 to 200, 0 to 48, 0 to 36" in message
    )
    assert "roi: { offset: [0, 0, 0], shape: [200, 48, 36] }" in message and "offset" in message
    origin = "is configured" if "offset" in labels else "is not configured, so 0"
    assert f"the offset of the image is not configured, so 0; that of the labels {origin}" in message
    volume["roi"] = {"offset": [0, 0, 0], "shape": [200, 48, 36]}
    plan = plan_volume(VolumeConfig.model_validate(volume))
    assert plan.roi.contains(plan.arrays["labels"].roi)
    assert ["extend beyond" in warning for warning in plan.warnings] == [True]


def test_labels_inside_the_image_are_taken_without_a_word(tmp_path):
    path = write_hdf5(tmp_path / "volume.h5", RAW, "raw")
    write_hdf5(path, LABELS[1:3, 2:8], offset=[40, 8, 0], resolution=[40, 4, 4])
    plan = plan_volume(
        VolumeConfig.model_validate(
            {"raw": {"path": path, "dataset": "raw"}, "labels": {"path": path, "dataset": "labels"}}
        )
    )
    assert plan.warnings == () and plan.arrays["labels"].roi == Roi((40, 8, 0), (80, 24, 36))


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        pytest.param(["s0.png", "s1.png", "s2.png"], [], id="none"),
        pytest.param(["s002.png", "s003.png", "s005.png", "s008.png"], [4, 6, 7], id="several"),
        pytest.param(["z_10_y1.png", "z_20_y1.png", "z_40_y1.png"], [30], id="numbers in tens"),
        pytest.param(["z_10.png", "z_20.png", "z_30.png"], [], id="equal steps"),
        pytest.param(["a1.png", "b3.png"], [], id="names of other kinds"),
        pytest.param(["1_5.png", "2_7.png", "4_9.png"], [], id="two numbers that change"),
        pytest.param(["20240101.png", "20250301.png"], [], id="dates"),
    ],
)
def test_a_gap_in_the_numbers_of_sections_is_found(names, missing):
    assert find_missing_numbers(names) == missing


def test_a_stack_with_a_gap_is_reported_with_the_missing_numbers(tmp_path):
    stack = write_stack(tmp_path / "raw", RAW)
    (stack / "section_2.png").unlink()
    config = VolumeConfig.model_validate({"raw": {"path": stack}, "voxel_size": [40, 4, 4]})
    (warning,) = plan_volume(config).warnings
    assert "section_0.png to section_4.png" in warning and "2 is missing" in warning


def test_a_voxel_size_that_differs_between_file_and_configuration_is_reported_in_any_unit(tmp_path):
    path = write_hdf5(tmp_path / "volume.h5", RAW, "raw", resolution=[0.04, 0.004, 0.004], units=["um"] * 3)

    def warnings(size):
        config = {"raw": {"path": path, "dataset": "raw"}, "voxel_size": size}
        return plan_volume(VolumeConfig.model_validate(config)).warnings

    assert warnings([40, 4, 4]) == ()
    assert "[0.04, 0.004, 0.004] micrometer" in warnings([50, 4, 4])[0]


def test_a_truncated_tiff_is_named(tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, RAW)
    path.write_bytes(path.read_bytes()[:400])
    message = problem(tmp_path, raw={"path": path}, voxel_size=[40, 4, 4])
    assert "stack.tif is truncated" in message and "copy it again" in message


def test_all_invalid_sources_are_reported_each_with_its_key(tmp_path):
    path = write_hdf5(tmp_path / "volume.h5", LABELS / 3)
    config = VolumeConfig.model_validate(
        {
            "raw": {"path": tmp_path / "nothing.tif"},
            "labels": {"path": path, "dataset": "labels"},
            "mask": {"path": path, "dataset": "mask"},
        }
    )
    plan, problems = examine_volume(config)
    assert plan is None
    assert [problem.key for problem in problems] == [
        ("raw", "path"),
        ("mask", "dataset"),
        ("labels", "dataset"),
    ]
    with pytest.raises(VolumeError, match=r"nothing\.tif.*no data set 'mask'.*floating-point"):
        plan_volume(config)


def test_labels_of_another_voxel_size_are_refused(tmp_path):
    text = problem(tmp_path, **with_labels(tmp_path, LABELS, resolution=(8, 8, 8)))
    assert "different voxel sizes" in text and "(8, 8, 8)" in text


def test_an_unexpected_number_of_axes_is_refused(tmp_path):
    text = problem(tmp_path, **with_labels(tmp_path, LABELS[0]))
    assert "labels" in text and "has 2 axes" in text and "3 (z, y, x)" in text
    text = problem(tmp_path, raw={"path": tmp_path / "raw.h5"}, voxel_size=[4, 4])
    assert "has 3 axes" in text


def test_a_roi_outside_the_image_or_between_voxels_is_refused(tmp_path):
    config = with_labels(tmp_path, LABELS)
    text = problem(tmp_path, **config, roi={"offset": [0, 0, 0], "shape": [40, 48, 36]})
    assert "not contained in the image" in text and "0 to 20, 0 to 48, 0 to 36" in text
    text = problem(tmp_path, **config, roi={"offset": [2, 0, 0], "shape": [8, 48, 36]})
    assert "whole voxels" in text and "offset: [0, 0, 0]" in text


def test_a_missing_voxel_size_is_reported(tmp_path):
    stack = write_stack(tmp_path / "raw", RAW)
    assert "set voxel_size: [z, y, x]" in problem(tmp_path, raw={"path": stack})


def test_values_that_are_not_finite_are_refused(tmp_path):
    raw = RAW.astype(np.float64)
    raw[1, 2, 3] = np.nan
    text = problem(tmp_path, raw={"path": write_hdf5(tmp_path / "a.h5", raw, "raw")}, voxel_size=[4, 4, 4])
    assert "not finite" in text


def test_images_of_several_formats_or_of_none_are_refused(tmp_path):
    stack = write_stack(tmp_path / "raw", RAW)
    tifffile.imwrite(stack / "a.tif", RAW[0])
    assert "several formats" in problem(tmp_path, raw={"path": stack}, voxel_size=[4, 4, 4])
    (tmp_path / "raw.docx").write_text("")
    assert "unknown format" in problem(tmp_path, raw={"path": tmp_path / "raw.docx"}, voxel_size=[4, 4, 4])


def test_a_mask_with_values_that_are_not_finite_is_refused(tmp_path):
    mask = np.ones(RAW.shape, np.float32)
    mask[1, 2, 3] = np.nan
    sources = {"raw": RAW, "mask": mask}
    config = {
        name: {"path": write_hdf5(tmp_path / f"{name}.h5", data, name)} for name, data in sources.items()
    }
    text = problem(tmp_path, **config, voxel_size=[4, 4, 4])
    assert "mask.h5" in text and "not finite" in text and "1 inside the mask" in text


def test_values_beyond_the_range_of_the_stored_type_are_reported_as_such(tmp_path):
    raw = RAW.astype(np.float64)
    raw[1, 2, 3] = -1e40
    text = problem(tmp_path, raw={"path": write_hdf5(tmp_path / "a.h5", raw, "raw")}, voxel_size=[4, 4, 4])
    assert "values up to 1e+40, beyond the range of float32" in text and "NaN" not in text


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(
    "source", [{"path": "em.zarr", "dataset": "s0"}, {"path": "em.zarr/s0"}, {"path": "em.zarr"}]
)
def test_the_fingerprint_notices_another_scale_in_the_metadata_of_the_group(tmp_path, zarr_format, source):
    group = zarr.open_group(tmp_path / "em.zarr", mode="w", zarr_format=zarr_format)
    group.create_array("s0", data=RAW)
    config = VolumeConfig.model_validate({"raw": {**source, "path": tmp_path / source["path"]}})
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    fingerprints = set()
    for scale, begin in (([8, 8, 8], 0), ([40, 4, 4], 0), ([40, 4, 4], 80)):
        steps = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": [begin, 0, 0]}]
        image = {
            "version": "0.4",
            "axes": axes,
            "datasets": [{"path": "s0", "coordinateTransformations": steps}],
        }
        group.attrs.put({"multiscales": [image]} if zarr_format == 2 else {"ome": {"multiscales": [image]}})
        assert plan_volume(config).voxel_size == tuple(scale)
        fingerprints.add(compute_content_fingerprint(config))
    assert len(fingerprints) == 3


def test_the_fingerprint_notices_the_scale_of_the_group_in_n5(tmp_path):
    create_n5_array(tmp_path / "em.n5", "raw/s0", RAW.shape, RAW.shape, np.uint8)[...] = RAW
    source = {"path": tmp_path / "em.n5", "dataset": "raw/s0"}
    fingerprints = set()
    for resolution in ([8, 8, 8], [4, 4, 40]):
        attributes = {"pixelResolution": {"dimensions": resolution, "unit": "nm"}, "scales": [[1, 1, 1]]}
        (tmp_path / "em.n5" / "raw" / "attributes.json").write_text(json.dumps(attributes))
        config = VolumeConfig.model_validate({"raw": source})
        assert plan_volume(config).voxel_size == tuple(reversed(resolution))
        fingerprints.add(compute_content_fingerprint(config))
    assert len(fingerprints) == 2


def test_the_fingerprint_notices_changed_added_and_missing_files(tmp_path):
    stack = write_stack(tmp_path / "raw", RAW)
    zarr_path = write_zarr(tmp_path / "labels.zarr", data=LABELS)
    config = VolumeConfig.model_validate(
        {"raw": {"path": stack}, "labels": {"path": zarr_path, "dataset": "raw"}, "voxel_size": [4, 4, 4]}
    )
    seen = [compute_content_fingerprint(config)]
    assert compute_content_fingerprint(config) == seen[0]
    Image.fromarray(RAW[1, ::-1] // 2).save(stack / "section_1.png")
    seen.append(compute_content_fingerprint(config))
    Image.fromarray(RAW[0]).save(stack / "section_5.png")
    seen.append(compute_content_fingerprint(config))
    (stack / "section_0.png").unlink()
    seen.append(compute_content_fingerprint(config))
    metadata = tmp_path / "labels.zarr" / "raw" / ".zattrs"
    metadata.write_text(json.dumps({"offset": [4, 0, 0]}))
    seen.append(compute_content_fingerprint(config))
    assert len(set(seen)) == 5


def test_sections_that_are_replaced_during_an_import_are_an_error_that_names_them(tmp_path):
    stack = write_stack(tmp_path / "raw", RAW)
    config = VolumeConfig.model_validate({"raw": {"path": stack}, "voxel_size": [4, 4, 4]})
    fingerprint = compute_content_fingerprint(config)
    check_unchanged(config, fingerprint)
    Image.fromarray(RAW[1, ::-1] // 2).save(stack / "section_1.png")
    with pytest.raises(
        VolumeError, match=f"changed while they were imported: {stack}.* start the workflow again"
    ):
        check_unchanged(config, fingerprint)


def test_each_section_is_decoded_once_for_a_layer_of_blocks(tmp_path, monkeypatch):
    from attacca.volumes.readers import image_stack

    stack = write_stack(tmp_path / "raw", RAW)
    source = open_source(ArraySource(path=stack))
    decoded = []
    original = image_stack.decode_image
    monkeypatch.setattr(
        image_stack, "decode_image", lambda path, page: decoded.append(path.name) or original(path, page)
    )
    for y, x in product(range(0, 12, 4), range(0, 9, 3)):
        source.read((0, y, x), (5, y + 4, x + 3))
    assert len(decoded) == 5


def test_chunks_are_about_cubes_in_the_world(tmp_path):
    from attacca.volumes.volume_plan import choose_chunk_shape

    config = VolumeConfig.model_validate({"raw": {"path": "x"}})
    assert choose_chunk_shape(config, (300, 300, 300), (8, 8, 8)) == (64, 64, 64)
    assert choose_chunk_shape(config, (16, 1024, 1024), (500, 46, 46)) == (16, 128, 128)
    assert choose_chunk_shape(config, (3000, 3000, 3000), (8, 8, 8)) == (128, 128, 128)
    assert choose_chunk_shape(config, (2000, 3000), (4, 4)) == (512, 512)
    assert choose_chunk_shape(config, (3, 40, 40), (8, 8, 8)) == (3, 40, 40)


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("shards", [None, (4, 8, 12)])
def test_zarr_of_format_3_is_read_sharded_or_not(tmp_path, in_place, shards):
    made = zarr.create_array(
        tmp_path / "raw.zarr", name="s0", shape=RAW.shape, chunks=(2, 4, 4), shards=shards, dtype=RAW.dtype,
        attributes={"resolution": [40, 4, 4]},
    )  # fmt: skip
    made[:] = RAW
    array = imported(tmp_path, raw={"path": tmp_path / "raw.zarr" / "s0"}, in_place=in_place)["raw"]
    assert np.array_equal(array[array.roi], RAW) and array.voxel_size == (40, 4, 4)


def test_a_zip_file_with_a_zarr_container_is_read(tmp_path):
    with zarr.storage.ZipStore(tmp_path / "raw.zarr.zip", mode="w") as store:
        zarr.create_array(store, name="raw/s0", data=RAW, attributes={"resolution": [40, 4, 4]})
    array = imported(tmp_path, raw={"path": tmp_path / "raw.zarr.zip", "dataset": "raw/s0"})["raw"]
    assert np.array_equal(array[array.roi], RAW)


def test_damaged_metadata_are_refused_with_their_location(tmp_path):
    path = tmp_path / "volume.zarr"
    path.mkdir()
    for text in ('{"zarr_format": 3, "node_type": "array"}', '{"zarr_format": 3, "no', "[]", ""):
        (path / "zarr.json").write_text(text)
        assert f"{path}" in problem(tmp_path, raw={"path": path}, voxel_size=[40, 4, 4])


def test_a_group_of_several_arrays_asks_for_one_of_them(tmp_path):
    path = write_zarr(write_zarr(tmp_path / "volume.zarr", "raw"), "labels", LABELS)
    message = problem(tmp_path, MissingInputError, raw={"path": path}, voxel_size=[40, 4, 4])
    assert "holds labels, raw; name an array with 'dataset'" in message


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        pytest.param(
            "brainmaps://bucket/volume.zarr", "the kind of address 'brainmaps://'", id="unknown kind"
        ),
        pytest.param(
            "http://localhost:1/volume.zarr",
            "cannot be reached: ClientConnectorError",
            id="unreachable server",
        ),
        pytest.param("s3://bucket/volume.zarr", "ATTACCA_S3_ANONYMOUS=1", id="no keys"),
    ],
)
def test_an_unreadable_address_is_reported_in_one_line(tmp_path, monkeypatch, address, expected):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "ATTACCA_S3_ANONYMOUS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    message = problem(tmp_path, raw={"path": address}, voxel_size=[40, 4, 4])
    assert expected in message and address in message and "\n" not in message
