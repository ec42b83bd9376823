"""Zarr, OME-Zarr and N5 containers of other programs are read right, or refused before anything runs."""

import itertools
import json
import os
import struct

import numpy as np
import pytest
import zarr
from numcodecs import Zstd

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.config.volumes import ArraySource, VolumeConfig
from attacca.errors import AttaccaError, MissingInputError, VolumeError
from attacca.volumes import open_source, plan_volume
from attacca.volumes.check_sources import check_sources

RAW = np.random.default_rng(0).integers(1, 255, (6, 8, 10), dtype=np.uint8)


def write_ome(
    path, data, version="0.4", axes="zyx", unit="nanometer", scale=None, translation=None, whole=None
):
    """A multiscale group with one scale, as other programs write it."""
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    group.create_array("0", data=data, chunks=(4,) * data.ndim)
    types = {"c": "channel", "t": "time"}
    image = {"version": version, "datasets": [{"path": "0"}]}
    if version == "0.3":
        image["axes"] = list(axes)
    elif version not in ("0.1", "0.2"):
        image["axes"] = [{"name": a, "type": types.get(a, "space")} for a in axes]
        for axis in image["axes"]:
            if axis["type"] == "space" and unit is not None:
                axis["unit"] = unit
        steps = [{"type": "scale", "scale": scale or [1.0] * len(axes)}]
        steps += [{"type": "translation", "translation": translation}] if translation else []
        image["datasets"][0]["coordinateTransformations"] = steps
        if whole:
            image["coordinateTransformations"] = whole
    group.attrs.update(
        {"ome": {"version": "0.5", "multiscales": [image]}} if version == "0.5" else {"multiscales": [image]}
    )
    return path


def write_n5(directory, data, compression=None, encode=bytes, **attributes):
    """An N5 array in one block, with lists in the order x, y, z."""
    shape = list(data.shape[::-1])
    block = directory / "/".join("0" * data.ndim)
    block.parent.mkdir(parents=True)
    values = {"dimensions": shape, "blockSize": shape, "dataType": data.dtype.name}
    storage = {"compression": compression or {"type": "raw"}}
    storage = compression if compression and "compressionType" in compression else storage
    (directory / "attributes.json").write_text(json.dumps({**values, **storage, **attributes}))
    header = struct.pack(f">HH{data.ndim}I", 0, data.ndim, *shape)
    block.write_bytes(header + encode(data.astype(data.dtype.newbyteorder(">")).tobytes()))
    return directory


def volume(path, dataset=None, **more):
    return plan_volume(VolumeConfig.model_validate({"raw": {"path": path, "dataset": dataset}, **more}))


def read(path, dataset=None):
    source = open_source(ArraySource(path=path, dataset=dataset))
    return source, source.read((0,) * source.dims, source.spatial_shape)


@pytest.mark.parametrize("unit", ["pixel", "", " ", None, "parsec", "Mm"])
def test_a_voxel_size_without_a_unit_of_length_is_not_used_and_can_be_configured(tmp_path, unit):
    path = write_ome(tmp_path / "raw.zarr", RAW, unit=unit, translation=[3.0, 0.0, 0.0])
    with pytest.raises(VolumeError, match=r"raw\.zarr/0: the scale in 'multiscales' is .*set voxel_size"):
        volume(path)
    plan = volume(path, voxel_size=[8, 8, 8])
    assert plan.voxel_size == (8, 8, 8) and plan.roi.begin == (0, 0, 0)
    assert plan.voxel_size_from == "configuration"
    assert any("the configured voxel size and offset are used" in warning for warning in plan.warnings)


@pytest.mark.parametrize(
    ("unit", "scale"),
    [
        ("micron", 0.008),
        ("um", 0.008),
        ("µm", 0.008),
        ("μm", 0.008),
        ("micrometer", 0.008),
        ("nm", 8),
        ("angstrom", 80),
    ],
)
def test_all_spellings_of_a_unit_give_the_same_voxel_size(tmp_path, unit, scale):
    plan = volume(
        write_ome(tmp_path / "raw.zarr", RAW, unit=unit, scale=[scale] * 3, translation=[scale * 5, 0, 0])
    )
    assert plan.voxel_size == (8, 8, 8) and plan.roi.begin == (40, 0, 0)
    assert (
        plan.voxel_size_from.startswith("file: the scale in 'multiscales' of")
        and "raw.zarr/0" in plan.voxel_size_from
    )


@pytest.mark.parametrize(
    ("version", "axes"), [("0.1", None), ("0.2", None), ("0.3", "tczyx"), ("0.4", "tczyx"), ("0.5", "tczyx")]
)
def test_every_version_of_ome_zarr_with_five_axes_is_read(tmp_path, version, axes):
    path = write_ome(tmp_path / "raw.zarr", RAW[None, None], version, axes or "tczyx", scale=[1, 1, 40, 4, 4])
    source, data = read(path)
    assert source.axes == ["c", "z", "y", "x"] and np.array_equal(data[0], RAW)
    plan = volume(path, **({} if version in ("0.4", "0.5") else {"voxel_size": [40, 4, 4]}))
    assert plan.voxel_size == (40, 4, 4) and plan.arrays["raw"].link is None


def test_old_ome_zarr_has_no_voxel_size(tmp_path):
    with pytest.raises(VolumeError, match="has no voxel size; set voxel_size"):
        volume(write_ome(tmp_path / "raw.zarr", RAW, "0.3"))


def test_transformations_of_the_scale_and_of_the_image_are_combined(tmp_path):
    whole = [{"type": "scale", "scale": [2, 4, 4]}, {"type": "translation", "translation": [100, 0, 8]}]
    plan = volume(
        write_ome(tmp_path / "raw.zarr", RAW, scale=[20, 1, 1], translation=[10, 0, 2], whole=whole)
    )
    assert plan.voxel_size == (40, 4, 4) and plan.roi.begin == (120, 0, 16)


def test_a_transformation_of_another_kind_is_not_ignored(tmp_path):
    whole = [{"type": "affine", "affine": [[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0]]}]
    with pytest.raises(VolumeError, match=r"'affine'.*set voxel_size"):
        volume(write_ome(tmp_path / "raw.zarr", RAW, whole=whole))


@pytest.mark.parametrize(
    "axes", ["".join(item) for item in itertools.permutations("zyx")] + ["zyxc", "xyzct", "czxy"]
)
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_axes_in_any_order_are_transposed_with_their_voxel_size_and_offset(tmp_path, axes, version):
    names = "tczyx"
    data = RAW[None, None].transpose(
        [names.index(a) for a in axes] + [i for i, a in enumerate(names) if a not in axes]
    )
    data = data.reshape(data.shape[: len(axes)])
    lengths = dict(zip("tczyx", [1, 1, 40, 6, 4]))
    scale = [lengths[a] for a in axes]
    offset = [lengths[a] * (a in "zyx") for a in axes]
    path = write_ome(tmp_path / "raw.zarr", data, version, axes, scale=scale, translation=offset)
    source, found = read(path)
    assert np.array_equal(found.reshape(RAW.shape), RAW) and source.stored_axes == axes
    plan = volume(path)
    assert plan.voxel_size == (40, 6, 4) and plan.roi.begin == (40, 6, 4)
    assert (plan.arrays["raw"].link is not None) == (len(axes) == 3)


@pytest.mark.parametrize(
    ("axes", "shape", "message"),
    [
        pytest.param("tzyx", (3, 4, 4, 4), r"3 points along the axis 't'", id="points in time"),
        pytest.param("zyxx", (4, 4, 4, 4), "each once", id="twice"),
        pytest.param("ijk", (4, 4, 4), "expected z, y and x", id="unknown names"),
        pytest.param("yx", (4, 4, 4), "2 names .* for 3 axes", id="too few names"),
    ],
)
def test_axes_that_are_not_those_of_an_image_are_refused(tmp_path, axes, shape, message):
    path = write_ome(tmp_path / "raw.zarr", np.ones(shape, "u1"), "0.3", axes)
    with pytest.raises(VolumeError, match=message):
        volume(path, voxel_size=[8, 8, 8])


@pytest.mark.parametrize("explicit", [False, True])
def test_chunks_in_nested_directories_are_found_without_a_separator_in_the_metadata(tmp_path, explicit):
    path = tmp_path / "nested.zarr"
    array = zarr.create_array(
        path, data=RAW, chunks=(3, 4, 5), zarr_format=2, chunk_key_encoding={"name": "v2", "separator": "/"}
    )
    array.attrs["resolution"] = [8, 8, 8]
    metadata = json.loads((path / ".zarray").read_text())
    metadata.pop("dimension_separator")
    (path / ".zarray").write_text(
        json.dumps({**metadata, **({"dimension_separator": "."} if explicit else {})})
    )
    assert np.array_equal(read(path)[1], RAW)
    opened = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(path, ""))
    assert np.array_equal(opened[opened.roi], RAW)
    (path / "0.0.0").write_bytes((path / "0/0/0").read_bytes())
    with pytest.raises(VolumeError, match="chunks with both names"):
        read(path)


def test_arrays_count_and_not_their_consolidated_metadata(tmp_path):
    group = zarr.open_group(tmp_path / "raw.zarr", mode="w", zarr_format=2)
    group.create_array("s0", data=RAW)
    zarr.consolidate_metadata(group.store)
    path = tmp_path / "raw.zarr/.zmetadata"
    path.write_text(path.read_text().replace("8", "5"))
    assert np.array_equal(read(tmp_path / "raw.zarr", "s0")[1], RAW)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".zarray", '{"shape": [32, 32'),
        (".zarray", ""),
        (".zarray", "[]"),
        (".zarray", "\x00\xff"),
        (".zattrs", '{"resolution"'),
    ],
)
def test_the_damaged_metadata_file_is_named(tmp_path, name, text):
    path = tmp_path / "raw.zarr"
    zarr.create_array(path, data=RAW, zarr_format=2).attrs["resolution"] = [8, 8, 8]
    (path / name).write_text(text, encoding="latin-1")
    with pytest.raises(
        VolumeError, match=rf"raw\.zarr/{name} is damaged: expected a JSON object.*restore the file"
    ):
        volume(path, voxel_size=[8, 8, 8])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"shape": [10**18, 10**18, 10**18]}, id="huge shape"),
        pytest.param({"shape": [-1, 4, 4]}, id="negative shape"),
        pytest.param({"shape": "x"}, id="shape as text"),
        pytest.param({"chunks": [0, 4, 4]}, id="empty chunk"),
        pytest.param({"chunks": [10**9, 10**9, 10**9]}, id="huge chunk"),
        pytest.param({"chunks": [4]}, id="chunk of other dimension"),
        pytest.param({"dtype": "|u99"}, id="dtype"),
        pytest.param({"dtype": None}, id="no dtype"),
        pytest.param({"compressor": {"id": "unheard"}}, id="codec"),
        pytest.param({"compressor": {"id": "pickle"}}, id="pickle"),
        pytest.param({"filters": 3}, id="filters"),
        pytest.param({"zarr_format": 7}, id="format"),
        pytest.param({"dtype": [["a", "<u1"], ["b", "<f4"]]}, id="structured"),
        pytest.param({"dtype": "|S4"}, id="text"),
        pytest.param({"dtype": "<M8[ns]"}, id="dates"),
    ],
)
def test_metadata_that_describe_no_image_are_refused_with_their_file(tmp_path, change):
    path = tmp_path / "raw.zarr"
    zarr.create_array(path, data=RAW, zarr_format=2)
    values = json.loads((path / ".zarray").read_text())
    (path / ".zarray").write_text(json.dumps({**values, **change}))
    with pytest.raises(VolumeError, match=r"raw\.zarr"):
        volume(path, voxel_size=[8, 8, 8])


def test_a_chunk_that_was_cut_is_named(tmp_path):
    path = tmp_path / "raw.zarr"
    zarr.create_array(path, data=RAW, chunks=(3, 4, 5), zarr_format=2)
    (path / "1.0.1").write_bytes((path / "1.0.1").read_bytes()[:20])
    source = open_source(ArraySource(path=path))
    with pytest.raises(VolumeError, match=r"raw\.zarr: the stored voxels cannot be read: 1\.0\.1 "):
        source.read((0, 0, 0), RAW.shape)


@pytest.mark.parametrize("name", [".zarray", "zarr.json", ".zattrs", "0.0.0"])
def test_pipes_and_dangling_links_in_a_container_are_reported_without_waiting(tmp_path, name):
    for kind in ("pipe", "link"):
        path = tmp_path / f"{kind}.zarr"
        zarr.create_array(path, data=RAW, chunks=RAW.shape, zarr_format=2)
        (path / name).unlink(missing_ok=True)
        if kind == "pipe":
            os.mkfifo(path / name)
        else:
            os.symlink("nothing", path / name)
        with pytest.raises(
            VolumeError, match=rf"{kind}\.zarr.*{name}.*{'pipe' if kind == 'pipe' else 'does not exist'}"
        ):
            read(path)


def test_a_directory_that_may_not_be_entered_is_reported(tmp_path, monkeypatch):
    path = tmp_path / "raw"
    path.mkdir()
    stat = os.stat

    def refuse(name, *args, **options):
        if str(name).startswith(f"{path}{os.sep}"):
            raise PermissionError(13, "Permission denied", str(name))
        return stat(name, *args, **options)

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(
        VolumeError, match=r"raw: the directory cannot be read: Permission denied.*ask its owner"
    ):
        open_source(ArraySource(path=path))


@pytest.mark.parametrize(
    ("compression", "encode"),
    [
        pytest.param({"type": "zstd", "level": 3, "nbWorkers": 0}, Zstd(3).encode, id="zstd of Janelia"),
        pytest.param({"type": "zstd", "level": 3}, Zstd(3).encode, id="zstd"),
        pytest.param({"type": "raw"}, bytes, id="raw"),
        pytest.param({"compressionType": "raw"}, bytes, id="first version"),
    ],
)
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "u8", "f4"])
def test_n5_codecs_give_the_right_voxels_in_the_right_order_of_bytes(tmp_path, compression, encode, dtype):
    data = RAW.astype(dtype) * (200 if np.dtype(dtype).itemsize > 1 else 1)
    write_n5(tmp_path / "raw.n5/s0", data, compression, encode, resolution=[4, 6, 40])
    source, found = read(tmp_path / "raw.n5")
    assert np.array_equal(found, data) and found.dtype == dtype
    assert source.metadata.voxel_size == (40, 6, 4)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"compression": {"type": "lz4", "blockSize": 65536}}, "lz4.*convert"),
        ({"isLabelMultiset": True}, "label multiset.*paintera-conversion-helper"),
        ({"dimensions": [10**18, 10**18, 10**18]}, "dimensions|bounds"),
        ({"blockSize": "x"}, "blockSize"),
        ({"dataType": "object"}, "dataType|object"),
    ],
)
def test_n5_that_cannot_be_read_is_refused_with_the_reason(tmp_path, attributes, message):
    write_n5(tmp_path / "raw.n5/s0", RAW, **attributes)
    with pytest.raises(VolumeError, match=message):
        volume(tmp_path / "raw.n5", voxel_size=[8, 8, 8])


PIXELS = {"dimensions": [4.0, 6.0, 40.0], "unit": "nm"}
TRANSFORM = {
    "axes": ["z", "y", "x"],
    "scale": [40.0, 6.0, 4.0],
    "translate": [80.0, 0.0, 8.0],
    "units": ["nm"] * 3,
}


@pytest.mark.parametrize(
    ("own", "group", "offset"),
    [
        pytest.param({"transform": TRANSFORM}, {}, (80, 0, 8), id="transform"),
        pytest.param(
            {"transform": {k: v[::-1] for k, v in TRANSFORM.items()}},
            {},
            (80, 0, 8),
            id="transform in the order x y z",
        ),
        pytest.param(
            {"transform": TRANSFORM, "pixelResolution": [1, 1, 1]}, {}, (80, 0, 8), id="transform first"
        ),
        pytest.param({"pixelResolution": PIXELS}, {}, (0, 0, 0), id="pixelResolution"),
        pytest.param({"pixelResolution": [4, 6, 40]}, {}, (0, 0, 0), id="pixelResolution as a list"),
        pytest.param({}, {"pixelResolution": PIXELS}, (0, 0, 0), id="pixelResolution of the group"),
        pytest.param({}, {"resolution": [4, 6, 40], "offset": [8, 0, 80]}, (80, 0, 8), id="Paintera"),
        pytest.param(
            {},
            {"multiscales": [{"datasets": [{"path": "s0", "transform": TRANSFORM}]}]},
            (80, 0, 8),
            id="multiscales",
        ),
    ],
)
def test_conventions_of_n5_give_voxel_size_and_offset(tmp_path, own, group, offset):
    write_n5(tmp_path / "raw.n5/em/s0", RAW, **own)
    (tmp_path / "raw.n5/em/attributes.json").write_text(json.dumps(group))
    plan = volume(tmp_path / "raw.n5", "em")
    assert plan.voxel_size == (40, 6, 4) and plan.roi.begin == offset and plan.unit == "nanometer"


@pytest.mark.parametrize(
    ("own", "group"),
    [
        ({"downsamplingFactors": [2, 2, 1]}, {"pixelResolution": PIXELS}),
        ({}, {"pixelResolution": PIXELS, "scales": [[1, 1, 1], [2, 2, 1]]}),
        ({"pixelResolution": PIXELS, "downsamplingFactors": [2, 2, 1]}, {}),
        (
            {"transform": {**TRANSFORM, "scale": [40.0, 12.0, 8.0], "translate": [80.0, 3.0, 10.0]}},
            {"multiscales": [{"datasets": [{"path": "s0", "transform": TRANSFORM}]}]},
        ),
    ],
)
def test_coarser_scales_have_their_own_voxel_size_and_the_same_corner(tmp_path, own, group):
    write_n5(tmp_path / "raw.n5/em/s1", RAW, **own)
    (tmp_path / "raw.n5/em/attributes.json").write_text(json.dumps(group))
    plan = volume(tmp_path / "raw.n5", "em/s1")
    assert plan.voxel_size == (40, 12, 8) and plan.roi.begin == (
        (80, 0, 8) if "transform" in own else (0, 0, 0)
    )


def test_a_coarser_scale_without_factors_does_not_get_the_voxel_size_of_the_first(tmp_path):
    write_n5(tmp_path / "raw.n5/em/s1", RAW)
    (tmp_path / "raw.n5/em/attributes.json").write_text(json.dumps({"pixelResolution": PIXELS}))
    with pytest.raises(VolumeError, match="downsampling factors of s1 are missing"):
        volume(tmp_path / "raw.n5", "em/s1")


def test_lengths_without_a_unit_are_not_taken_as_another_unit_than_nanometers(tmp_path):
    path = tmp_path / "raw.zarr"
    zarr.create_array(path, data=RAW, zarr_format=2).attrs.update(
        {"resolution": [8, 8, 8], "offset": [8, 0, 0]}
    )
    assert volume(path).voxel_size == (8, 8, 8)
    with pytest.raises(VolumeError, match="has no unit, and the volume's is angstrom"):
        volume(path, unit="angstrom")
    with pytest.raises(VolumeError, match=r"the offset .* has no unit"):
        volume(path, unit="angstrom", voxel_size=[80, 80, 80])
    assert volume(path, unit="angstrom", voxel_size=[80, 80, 80], offset=[80, 0, 0]).roi.begin == (80, 0, 0)


def test_the_configuration_overrules_voxel_size_and_offset_of_the_file(tmp_path):
    path = tmp_path / "raw.zarr"
    zarr.create_array(path, data=RAW, zarr_format=2).attrs.update({"resolution": "x", "offset": [8, 0, 0]})
    plan = volume(path, voxel_size=[16, 16, 16], offset=[32, 0, 0])
    assert plan.voxel_size == (16, 16, 16) and plan.roi.begin == (32, 0, 0)


def test_a_link_that_leads_nowhere_and_a_missing_member_are_reported(tmp_path):
    write_ome(tmp_path / "raw.zarr", RAW)
    with pytest.raises(MissingInputError, match="holds 0"):
        read(tmp_path / "raw.zarr", "s7")
    os.symlink("gone", tmp_path / "link.zarr")
    with pytest.raises(AttaccaError, match=r"link\.zarr"):
        read(tmp_path / "link.zarr")


def test_a_missing_chunk_of_a_transposed_array_is_reported(tmp_path):
    path = write_ome(tmp_path / "raw.zarr", RAW.transpose()[None], "0.4", "txyz")
    (path / "0/0.0.0.1").unlink()
    config = VolumeConfig.model_validate({"raw": {"path": path}})
    (problem,) = check_sources(config, plan_volume(config)).problems
    assert "1 of 12 chunks are missing, in the voxels [0..1, 0..4, 0..4, 4..6]" in str(problem.error)
