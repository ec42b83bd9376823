"""HDF5 files as programs of the field write them: axes, links, virtual data sets, attributes, damages."""

import fcntl
import itertools
import json
import os
import pickle
import subprocess
import sys

import h5py
import numpy as np
import pytest
from funlib.geometry import Roi

from attacca.config.volumes import ArraySource, LabelsSource, VolumeConfig
from attacca.errors import MissingInputError, VolumeError
from attacca.volumes import compute_content_fingerprint, examine_volume, open_source, plan_volume
from attacca.volumes.import_volume import import_block

RAW = np.random.default_rng(0).integers(0, 255, (6, 12, 9), dtype=np.uint8)


def write(path, data=RAW, name="raw", attributes=None, **options):
    with h5py.File(path, "a") as file:
        file.create_dataset(name, data=data, **options).attrs.update(attributes or {})
    return path


def read(path, dataset=None, axes=None):
    """The whole source, read in two boxes that do not begin at 0, and around."""
    source = open_source(ArraySource(path=path, dataset=dataset, axes=axes))
    source = pickle.loads(pickle.dumps(source))
    result = source.read((0,) * source.dims, source.spatial_shape)
    begin = tuple(size // 3 for size in source.spatial_shape)
    window = tuple(slice(b, None) for b in begin)
    np.testing.assert_array_equal(source.read(begin, source.spatial_shape), result[(..., *window)])
    return source, result


def refused(path, dataset=None, error=VolumeError, **config):
    with pytest.raises(error) as caught:
        plan_volume(VolumeConfig(raw=ArraySource(path=path, dataset=dataset, **config), voxel_size=[8, 8, 8]))
    return str(caught.value)


def tags(order, **resolutions):
    axes = [{"key": key, "typeFlags": 2, "resolution": 0, "description": ""} for key in order]
    return json.dumps({"axes": axes})


ORDERS = ["".join(order) for order in itertools.permutations("zyx")]


@pytest.mark.parametrize("order", [*ORDERS, "zyxc", "tzyxc", "czyx", "xyzct", "cxyt", "ztycx", "yx", "xyc"])
@pytest.mark.parametrize("named", ["axistags", "_ARRAY_DIMENSIONS", "DIMENSION_LABELS", "configuration"])
def test_axes_of_any_order_are_transposed_to_z_y_x(tmp_path, order, named):
    spatial = [axis for axis in "zyx" if axis in order]
    volume = RAW if len(spatial) == 3 else RAW[2]
    stored = np.transpose(volume, [spatial.index(axis) for axis in order if axis in "zyx"])
    stored = stored[tuple(slice(None) if axis in "zyx" else None for axis in order)]
    attributes = {"axistags": tags(order)} if named == "axistags" else {}
    if named == "_ARRAY_DIMENSIONS":
        attributes = {named: list(order)}
    path = write(tmp_path / "a.h5", stored, attributes=attributes)
    if named == "DIMENSION_LABELS":
        with h5py.File(path, "a") as file:
            for index, axis in enumerate(order):
                file["raw"].dims[index].label = axis
    source, result = read(path, axes=order if named == "configuration" else None)
    assert source.axes == (["c"] if "c" in order else []) + spatial
    np.testing.assert_array_equal(result.reshape(volume.shape), volume)


def test_the_configured_axes_overrule_those_of_the_file(tmp_path):
    path = write(tmp_path / "a.h5", attributes={"axistags": tags("xyz")})
    np.testing.assert_array_equal(read(path)[1], RAW.T)
    np.testing.assert_array_equal(read(path, axes="zyx")[1], RAW)


def test_all_channels_are_read_first(tmp_path):
    channels = np.stack([RAW, 255 - RAW, RAW // 2])
    path = write(tmp_path / "a.h5", channels.transpose(1, 2, 0, 3), attributes={"axistags": tags("zycx")})
    source, result = read(path)
    assert source.num_channels == 3
    np.testing.assert_array_equal(result, channels)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((6, 12, 9), "zyx"), ((12, 9), "yx"), ((6, 12, 9, 1), "czyx"), ((4, 12, 9, 1), "czyx"), ((1, 6, 12, 9), "czyx"), ((1, 6, 12, 9, 1), "czyx")],
)  # fmt: skip
def test_axes_without_names_follow_from_the_shape(tmp_path, shape, axes):
    data = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    source, result = read(write(tmp_path / "a.h5", data))
    assert "".join(source.axes) == axes
    np.testing.assert_array_equal(result.squeeze(), data.squeeze())


@pytest.mark.parametrize("shape", [(3, 40, 50, 3), (40, 50, 3), (2, 6, 12, 9, 1), (6, 12, 9, 2, 1, 1)])
def test_axes_that_cannot_be_known_have_to_be_configured(tmp_path, shape):
    assert "set 'axes'" in refused(write(tmp_path / "a.h5", np.zeros(shape, np.uint8)))


@pytest.mark.parametrize(
    ("order", "shape", "expected"),
    [
        ("tzyx", (3, 6, 12, 9), "3 points of time"),
        ("zxc", (6, 9, 3), "expected y and x"),
        ("zyy", (6, 12, 9), "expected y and x"),
        ("zynx", (6, 12, 2, 9), "expected y and x"),
        ("zyx", (1, 6, 12, 9), "names 3 axes of 4"),
    ],
)
def test_axistags_that_do_not_fit_a_volume_are_refused(tmp_path, order, shape, expected):
    path = write(tmp_path / "a.h5", np.zeros(shape, np.uint8), attributes={"axistags": tags(order)})
    assert expected in refused(path)


@pytest.mark.parametrize("text", ["{", "[]", '{"axes": [1]}', "", "[" * 5000])
def test_damaged_axistags_are_refused(tmp_path, text):
    path = write(tmp_path / "a.h5", attributes={"axistags": text})
    assert "'axistags' is damaged" in refused(path)
    np.testing.assert_array_equal(read(path, axes="zyx")[1], RAW)


def test_the_order_of_a_matlab_array_has_to_be_configured(tmp_path):
    # MATLAB stores the array (y, x, z) in reverse order: z, x, y.
    path = write(tmp_path / "a.mat", RAW.transpose(0, 2, 1), attributes={"MATLAB_class": np.bytes_("uint8")})
    message = refused(path)
    assert "MATLAB" in message and "(12, 9, 6)" in message and "axes: zxy" in message
    np.testing.assert_array_equal(read(path, axes="zxy")[1], RAW)


@pytest.mark.parametrize(
    ("attributes", "size", "unit"),
    [
        ({"resolution": [40, 4, 4]}, (40, 4, 4), None),
        ({"resolution": np.array([40.0, 4, 4], ">f4")}, (40, 4, 4), None),
        ({"resolution": b"[40, 4, 4]"}, (40, 4, 4), None),
        ({"resolution": "40 4 4", "units": np.array(["nm"] * 3, "S2")}, (40, 4, 4), "nanometer"),
        ({"resolution": 8}, (8, 8, 8), None),
        ({"resolution": np.float64(8)}, (8, 8, 8), None),
        ({"voxel_size": (40, 4, 4), "units": ["nm", "nm", "nm"]}, (40, 4, 4), "nanometer"),
        ({"element_size_um": [0.04, 0.004, 0.004]}, (0.04, 0.004, 0.004), "micrometer"),
        ({"element_size_um": np.array([0.04, 0.004, 0.004])}, (0.04, 0.004, 0.004), "micrometer"),
        ({"element_size_um": b"[0.04, 0.004, 0.004]"}, (0.04, 0.004, 0.004), "micrometer"),
        ({"element_size_um": 0.008}, (0.008, 0.008, 0.008), "micrometer"),
        ({"resolution": [0.04, 0.004, 0.004], "unit": "\u00b5m"}, (0.04, 0.004, 0.004), "micrometer"),
        ({"resolution": [40, 4, 4], "unit": b"nm"}, (40, 4, 4), "nanometer"),
        ({"resolution": [40, 4, 4], "unit": "parsec"}, None, None),
        ({"resolution": h5py.Empty("f8")}, None, None),
        ({"_ARRAY_DIMENSIONS": [b"x", b"y", b"z"], "resolution": [4, 5, 40]}, (40, 5, 4), None),
        ({"axistags": tags("zyxc"), "element_size_um": [0.04, 0.004, 0.004]}, (0.04, 0.004, 0.004), "micrometer"),
    ],
)  # fmt: skip
def test_attributes_of_any_type_give_the_voxel_size(tmp_path, attributes, size, unit):
    data = RAW
    if "_ARRAY_DIMENSIONS" in attributes:
        data = RAW.T
    elif "axistags" in attributes:
        data = RAW[..., None]
    metadata = read(write(tmp_path / "a.h5", data, attributes=attributes))[0].metadata
    assert metadata.voxel_size == size and (unit is None or metadata.unit == unit)
    if list(attributes)[-1] == "element_size_um":
        assert metadata.origin == "the attribute 'element_size_um'"


def test_values_of_an_unknown_order_are_not_used(tmp_path):
    attributes = {"axistags": tags("xyz"), "element_size_um": [0.04, 0.004, 0.004]}
    source, _ = read(write(tmp_path / "a.h5", RAW.T, attributes=attributes))
    assert source.metadata.voxel_size is None
    assert "is not used: the axes are xyz" in source.warnings[0]


def test_soft_hard_and_external_links_are_followed(tmp_path):
    write(tmp_path / "sub.h5", name="store/raw")
    with h5py.File(tmp_path / "main.h5", "w") as file:
        file["far"] = h5py.ExternalLink("sub.h5", "/store")
        file["direct"] = h5py.ExternalLink("sub.h5", "/store/raw")
        file["soft"] = h5py.SoftLink("/far/raw")
        file.create_group("group")["relative"] = h5py.SoftLink("../soft")
        file["group/near"] = h5py.SoftLink("relative")
    for name in ("far/raw", "direct", "soft"):
        np.testing.assert_array_equal(read(tmp_path / "main.h5", name)[1], RAW)
    # The file is found beside the other one, from any working directory, and is the only data set.
    np.testing.assert_array_equal(read(tmp_path / "main.h5")[1], RAW)
    with h5py.File(tmp_path / "hard.h5", "w") as file:
        file["raw"] = RAW
        file["again"] = file["raw"]
    np.testing.assert_array_equal(read(tmp_path / "hard.h5")[1], RAW)


def test_a_relative_soft_link_is_followed(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/raw"] = RAW
        file["group/link"] = h5py.SoftLink("raw")
    np.testing.assert_array_equal(read(tmp_path / "a.h5", "group/link")[1], RAW)


def test_broken_links_name_what_is_missing(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    os.mkfifo(tmp_path / "fifo.h5")
    write(tmp_path / "other.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["gone"] = h5py.ExternalLink("gone.h5", "/raw")
        file["lacks"] = h5py.ExternalLink("other.h5", "/labels")
        file["text"] = h5py.ExternalLink("text.h5", "/raw")
        file["fifo"] = h5py.ExternalLink("fifo.h5", "/raw")
        file["soft"] = h5py.SoftLink("/nowhere")
        file["circle"] = h5py.SoftLink("/back")
        file["back"] = h5py.SoftLink("/circle")
    path = tmp_path / "a.h5"
    assert f"{tmp_path}/gone.h5, to which the link /gone" in refused(path, "gone", MissingInputError)
    assert "gone.h5" in refused(path, "gone/raw", MissingInputError)
    message = refused(path, "lacks", MissingInputError)
    assert "/labels in" in message and "other.h5" in message
    assert "text.h5" in refused(path, "text") and "fifo.h5" in refused(path, "fifo")
    assert "/nowhere" in refused(path, "soft", MissingInputError)
    assert "in a circle" in refused(path, "circle")
    assert "has no data set 'nothing'; it holds no data set" in refused(path, "nothing", MissingInputError)


def virtual(path, parts, shape=(6, 12, 9), extent=(3, 12, 9)):
    layout = h5py.VirtualLayout(shape, "u1")
    for index, (name, dataset) in enumerate(parts):
        layout[3 * index : 3 * index + 3] = h5py.VirtualSource(name, dataset, extent)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("raw", layout)
    return path


def test_a_virtual_data_set_is_read_or_its_missing_part_is_named(tmp_path):
    write(tmp_path / "one.h5", RAW[:3])
    write(tmp_path / "two.h5", RAW[3:])
    path = virtual(tmp_path / "all.h5", [("one.h5", "raw"), ("two.h5", "raw")])
    np.testing.assert_array_equal(read(path)[1], RAW)
    assert "324 of 648 voxels have no source" in refused(virtual(tmp_path / "a.h5", [("one.h5", "raw")]))
    assert "'labels'" in refused(virtual(tmp_path / "b.h5", [("one.h5", "labels"), ("two.h5", "raw")]), error=MissingInputError)  # fmt: skip
    write(tmp_path / "short.h5", RAW[:2])
    assert "short.h5:raw has the shape (2, 12, 9)" in refused(
        virtual(tmp_path / "c.h5", [("short.h5", "raw"), ("two.h5", "raw")])
    )
    layout = h5py.VirtualLayout((3, 12, 9), "u1")
    layout[:] = h5py.VirtualSource("short.h5", "raw", (6, 12, 9))[3:6]
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file.create_virtual_dataset("raw", layout)
    assert "short.h5:raw has the shape (2, 12, 9)" in refused(tmp_path / "d.h5")
    (tmp_path / "two.h5").unlink()
    assert f"{tmp_path}/two.h5" in refused(path, error=MissingInputError)


def test_files_behind_links_belong_to_the_fingerprint(tmp_path):
    write(tmp_path / "one.h5", RAW[:3])
    write(tmp_path / "two.h5", RAW[3:])
    virtual(tmp_path / "all.h5", [("one.h5", "raw"), ("two.h5", "raw")])
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["raw"] = h5py.ExternalLink("two.h5", "/raw")
    for name in ("all.h5", "link.h5"):
        config = VolumeConfig(raw=ArraySource(path=tmp_path / name), voxel_size=[8, 8, 8])
        before = compute_content_fingerprint(config)
        write(tmp_path / "two.h5", RAW, f"more-{name}")
        assert compute_content_fingerprint(config) != before


def test_chunks_that_were_never_written_are_counted(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name in ("raw", "labels"):
            file.create_dataset(name, (6, 12, 9), "u1", chunks=(2, 4, 9))[:3] = RAW[:3]
        file.create_dataset("nothing", (6, 12, 9), "u1")
    assert "3 of 9 chunks were never written" in refused(path, "raw")
    assert "no voxel was ever written" in refused(path, "nothing")
    raw = ArraySource(path=path, dataset="raw", missing_chunks="zero")
    labels = LabelsSource(path=path, dataset="labels")
    plan = plan_volume(VolumeConfig(raw=raw, labels=labels, voxel_size=[8, 8, 8]))
    assert len(plan.warnings) == 1 and "3 of 9 chunks were never written" in plan.warnings[0]


def test_voxels_in_a_file_without_header_are_refused(tmp_path):
    RAW.tofile(tmp_path / "voxels.raw")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", RAW.shape, "u1", external=[("voxels.raw", 0, RAW.size)])
    assert "voxels.raw" in refused(tmp_path / "a.h5")


def test_the_only_link_is_named_if_it_is_broken(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = h5py.ExternalLink("gone.h5", "/raw")
    assert f"{tmp_path}/gone.h5" in refused(tmp_path / "a.h5", error=MissingInputError)


def test_a_filter_that_is_not_installed_is_named(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((6, 12, 9))
        properties.set_filter(32026, h5py.h5z.FLAG_OPTIONAL, (0, 0, 0, 0))
        space = h5py.h5s.create_simple(RAW.shape)
        h5py.h5d.create(file.id, b"raw", h5py.h5t.NATIVE_UINT8, space, properties)
    if h5py.h5z.filter_avail(32026):
        pytest.skip("the filter is installed")
    message = refused(path)
    assert "filter 32026 (Blosc2), which is not installed" in message and "hdf5plugin" in message


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (np.zeros((4, 5, 6), [("a", "u1"), ("b", "f4")]), "records of a, b"),
        (np.zeros((4, 5, 6), "c8"), "complex64"),
        (np.full((4, 5, 6), b"text"), "S4"),
        (np.uint8(3), "found 0 axes"),
        (np.zeros(7, "u1"), "found 1 axes"),
        (h5py.Empty("f4"), "is empty"),
        (np.zeros((0, 5, 6), "u1"), "is empty"),
    ],
)
def test_data_sets_that_are_not_volumes_are_refused(tmp_path, data, expected):
    assert expected in refused(write(tmp_path / "a.h5", data), "raw")


def test_one_volume_among_other_data_sets_needs_no_name(tmp_path):
    path = write(tmp_path / "a.h5")
    two = write(write(tmp_path / "two.h5"), RAW, "labels")
    group = write(tmp_path / "group.h5", RAW, "g/x")
    for name, data in (("table", np.zeros(9, [("a", "u1")])), ("text", "hello"), ("factor", 2.5)):
        write(path, data, name)
    np.testing.assert_array_equal(read(path)[1], RAW)
    message = refused(two, error=MissingInputError)
    assert "2 data sets, name one: labels (6, 12, 9), raw (6, 12, 9)" in message
    assert "has a group" in refused(group, "g", MissingInputError)


def test_damaged_and_foreign_files_are_named(tmp_path):
    data = write(tmp_path / "good.h5").read_bytes()
    contents = {
        "cut.h5": (data[: len(data) // 2], "cannot be read as HDF5"),
        "empty.h5": (b"", "an empty file"),
        "zeros.h5": (bytes(4096), "begins with zeros"),
        "lfs.h5": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        "page.hdf5": (b"<!DOCTYPE html><title>404</title>", "HTML"),
        "old.mat": (b"MATLAB 5.0 MAT-file", "-v7.3"),
        "stack.h5": (b"II*\0" + bytes(90), "a TIFF"),
    }
    for name, (content, expected) in contents.items():
        (tmp_path / name).write_bytes(content)
        message = refused(tmp_path / name)
        assert name in message and expected in message, message
    os.mkfifo(tmp_path / "fifo.h5")
    assert "not a regular file" in refused(tmp_path / "fifo.h5")


def test_hdf5_is_recognized_by_its_content(tmp_path):
    path = write(tmp_path / "a.h5").rename(tmp_path / "scan.data")
    np.testing.assert_array_equal(read(path)[1], RAW)


def test_a_file_that_is_open_for_writing_is_refused(tmp_path):
    path = write(tmp_path / "a.h5")
    with path.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "open for writing in another program" in refused(path)
    # A program that was killed leaves a mark in the file.
    code = "import h5py, os, sys; f = h5py.File(sys.argv[1], 'w', libver='latest'); f['raw'] = 1; f.flush(); os._exit(1)"
    subprocess.run([sys.executable, "-c", code, tmp_path / "killed.h5"])
    message = refused(tmp_path / "killed.h5")
    assert "did not close it" in message and "h5clear" in message


def test_bigdataviewer_stores_unsigned_values_in_a_signed_type(tmp_path):
    data = (RAW.astype(np.uint16) * 257).view(np.int16)
    path = write(tmp_path / "a.h5", data, "t00000/s00/0/cells")
    source, result = read(path, "t00000/s00/0/cells")
    assert source.dtype == "u2"
    np.testing.assert_array_equal(result, RAW.astype(np.uint16) * 257)


def test_big_endian_values_and_booleans_are_read(tmp_path):
    path = write(tmp_path / "a.h5", RAW.astype(">u4") * 99999)
    np.testing.assert_array_equal(read(path)[1], RAW.astype("u4") * 99999)
    source, result = read(write(tmp_path / "b.h5", RAW > 99))
    assert source.dtype == "bool"
    np.testing.assert_array_equal(result, RAW > 99)


def imported_labels(path, unlabelled):
    labels = {"path": path, "dataset": "labels", "unlabelled": unlabelled}
    config = VolumeConfig(raw={"path": path, "dataset": "raw"}, labels=labels, voxel_size=[8, 8, 8])
    plan = plan_volume(config)
    roi = Roi((0, 0, 0), plan.roi.shape)
    return config, import_block(config, plan, plan.arrays["labels"], roi)


def test_ids_of_64_bits_and_the_background_of_cremi_are_exact(tmp_path):
    labels = RAW.astype(np.uint64) + 2**63 + 2**53
    labels[:, :2] = 2**64 - 1
    labels[:, 2] = 2**64 - 2
    path = write(write(tmp_path / "a.h5"), labels, "labels")
    config, imported = imported_labels(path, 2**64 - 1)
    assert config.unlabelled == 2**64 - 1 and imported.dtype == np.uint64
    np.testing.assert_array_equal(imported, labels)
    assert (imported == config.unlabelled).sum() == labels[:, :2].size


@pytest.mark.parametrize("value", [-1, -100, -(2**31)])
def test_a_negative_value_without_annotation_can_be_declared(tmp_path, value):
    labels = RAW.astype(np.int32)
    labels[:2] = value
    path = write(write(tmp_path / "a.h5"), labels, "labels")
    config, imported = imported_labels(path, value)
    assert config.unlabelled == 2**64 + value and imported.dtype == np.uint64
    np.testing.assert_array_equal(imported == config.unlabelled, labels == value)
    np.testing.assert_array_equal(imported[2:], labels[2:])
    with pytest.raises(VolumeError, match=f"set unlabelled: {value} under labels"):
        imported_labels(path, None)
    with pytest.raises(VolumeError, match=f"negative label {value}"):
        imported_labels(path, value - 1)


def test_problems_of_image_and_labels_are_reported_together(tmp_path):
    path = write(tmp_path / "a.h5")
    plan, problems = examine_volume(
        VolumeConfig(raw={"path": path, "dataset": "a"}, labels={"path": path, "dataset": "b"})
    )
    assert plan is None and [problem.key for problem in problems] == [
        ("raw", "dataset"),
        ("labels", "dataset"),
    ]


def test_links_are_not_followed_out_of_the_listing_without_end(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["g/raw"] = RAW
        file["g/up"] = h5py.SoftLink("/")
        file["g/hard"] = file["/"]
        file["other"] = h5py.ExternalLink("a.h5", "/")
    source = open_source(ArraySource(path=tmp_path / "a.h5"))
    assert source.name == f"{tmp_path}/a.h5:g/raw"


def test_labels_off_the_image_give_one_message(tmp_path):
    path = write(write(tmp_path / "a.h5"), RAW, "labels")
    labels = {"path": path, "dataset": "labels", "offset": [1600, 0, 0]}
    _, problems = examine_volume(
        VolumeConfig(raw={"path": path, "dataset": "raw"}, labels=labels, voxel_size=[8, 8, 8])
    )
    assert [problem.key for problem in problems] == [("labels", "offset")]
    assert "do not overlap the image" in str(problems[0].error)
