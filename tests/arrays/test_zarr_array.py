"""Arrays on disk: metadata, opening without changing, writing without reading."""

import json
import pickle

import numpy as np
import pytest
import zarr
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray, ZarrArrayConfig
from attacca.arrays.links import write_link
from attacca.errors import MissingInputError, VolumeError

ROI = Roi((400, -80, 0), (600, 240, 400))
VOXEL = Coordinate((100, 8, 8))


def create(path, name="raw/s0", dtype=np.uint16, channels=None, write_size=(300, 80, 80), **options):
    identifier = LocalArrayIdentifier(path / "volume.zarr", name)
    return ZarrArray.create_from_array_identifier(
        identifier, ["c", "z", "y", "x"], ROI, channels, VOXEL, dtype, write_size=write_size, **options
    )


def files(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_metadata_survive_the_way_to_disk_and_back(tmp_path):
    made = create(tmp_path, channels=2, unit="angstrom", value_scale=1 / 255, value_offset=-0.5, name="a/b")
    array = ZarrArray.open_from_array_identifier(
        LocalArrayIdentifier(tmp_path / "volume.zarr", "a/b"), "name"
    )
    for name in (
        "roi",
        "voxel_size",
        "axes",
        "unit",
        "dtype",
        "num_channels",
        "value_scale",
        "value_offset",
        "shape",
    ):
        assert getattr(array, name) == getattr(made, name), name
    assert array.name == "name" and array.chunk_size == (300, 80, 80)
    assert (array.mode, array.writable, made.mode) == ("r", False, "a")
    assert array.directory == str(tmp_path / "volume.zarr" / "a" / "b")
    assert array.attrs["offset"] == [400, -80, 0] and array.attrs["units"][1:] == ["angstrom"] * 3


def test_two_dimensional_arrays_have_no_z(tmp_path):
    identifier = LocalArrayIdentifier(tmp_path / "flat.zarr", "image")
    made = ZarrArray.create_from_array_identifier(
        identifier, ["y", "x"], Roi((0, 4), (40, 80)), None, (4, 4), "u1"
    )
    made[Roi((4, 8), (8, 8))] = 3
    array = ZarrArray.open_from_array_identifier(identifier)
    assert array.dims == 2 and array.spatial_axes == ["y", "x"] and array.data[:].sum() == 12


def test_default_chunks_hold_at_most_five_mebibytes(tmp_path):
    identifier = LocalArrayIdentifier(tmp_path / "big.zarr", "raw")
    roi = Roi((0, 0, 0), (1000, 1000, 100))
    array = ZarrArray.create_from_array_identifier(
        identifier, ["c", "z", "y", "x"], roi, 3, (1, 1, 1), np.float32
    )
    edge = int((5 * 2**20 / 3 / 4) ** (1 / 3))
    assert array.data.shards == (3, edge, edge, edge) and array.data.chunks == (3, 25, 25, 25)


def test_opening_and_creating_again_change_nothing(tmp_path):
    array = create(tmp_path)
    array[Roi((400, -80, 0), (300, 80, 80))] = 5
    before = files(tmp_path)
    assert create(tmp_path)[array.roi].sum() == array[array.roi].sum()
    ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "volume.zarr", "raw/s0"), mode="a")
    assert files(tmp_path) == before


def test_another_array_in_the_same_place_is_refused_unless_it_may_be_overwritten(tmp_path):
    create(tmp_path)[ROI] = 5
    with pytest.raises(VolumeError, match="dtype: found <u2, expected <f4"):
        create(tmp_path, dtype=np.float32)
    assert not create(tmp_path, dtype=np.float32, overwrite=True)[ROI].any()


def test_an_array_whose_creation_was_interrupted_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTACCA_ZARR_FORMAT", "2")
    array = create(tmp_path)
    (tmp_path / "volume.zarr" / "raw" / "s0" / ".zattrs").unlink()
    assert create(tmp_path).roi == array.roi


def test_an_array_opened_for_reading_cannot_be_changed(tmp_path):
    create(tmp_path)
    array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "volume.zarr", "raw/s0"))
    with pytest.raises(VolumeError, match="reading only"):
        array[ROI] = 1
    with pytest.raises(VolumeError, match="reading only"):
        array.add_metadata({"a": 1})


def test_metadata_can_be_added(tmp_path):
    create(tmp_path).add_metadata({"note": "stained"})
    array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "volume.zarr", "raw/s0"))
    assert array.attrs["note"] == "stained" and array.roi == ROI


def test_an_array_travels_to_another_process_by_name(tmp_path):
    array = create(tmp_path)
    array[ROI] = 3
    again = pickle.loads(pickle.dumps(array))
    assert again.roi == ROI and again.writable and (again[ROI] == 3).all()


def test_a_missing_array_is_reported_with_the_existing_ones(tmp_path):
    create(tmp_path)
    with pytest.raises(MissingInputError, match="holds raw"):
        ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "volume.zarr", "labels"))
    with pytest.raises(MissingInputError, match="nearest names"):
        ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "volum.zarr", "raw"))
    with pytest.raises(MissingInputError, match="group"):
        zarr.open_group(str(tmp_path / "empty.zarr"), mode="w")
        ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "empty.zarr", ""))


def test_a_group_of_scales_opens_as_its_first(tmp_path):
    create(tmp_path)
    assert (
        ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "volume.zarr", "raw")).dataset
        == "raw/s0"
    )


def test_the_roi_snaps_inward_to_a_coarser_grid(tmp_path):
    create(tmp_path)[ROI] = np.arange(6 * 30 * 50).reshape(6, 30, 50)
    config = ZarrArrayConfig(tmp_path / "volume.zarr", "raw", snap_to_grid=Coordinate((300, 24, 24)))
    array = ZarrArray(config)
    assert array.roi == Roi((600, -72, 0), (300, 216, 384))
    assert array[Roi((600, -72, 0), (100, 8, 8))].item() == 2 * 30 * 50 + 50
    with pytest.raises(VolumeError):
        array[ROI]


def test_a_link_represents_a_part_of_another_array_and_is_never_written(tmp_path):
    create(tmp_path)[ROI] = np.arange(6 * 30 * 50).reshape(6, 30, 50)
    part = Roi((500, 0, 0), (200, 80, 80))
    target = ZarrArrayConfig(tmp_path / "volume.zarr", "raw/s0", roi=part)
    write_link(tmp_path / "linked.zarr", "raw", target)
    for name in ("raw", "raw/s0"):
        array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "linked.zarr", name))
        assert array.roi == part and array.shape == (2, 10, 10)
        assert array[part][0, 0, 0] == 30 * 50 + 10 * 50
        assert pickle.loads(pickle.dumps(array)).roi == part
        with pytest.raises(VolumeError, match="never written"):
            ZarrArray.open_from_array_identifier(
                LocalArrayIdentifier(tmp_path / "linked.zarr", name), mode="a"
            )


def foreign(tmp_path, **attributes) -> LocalArrayIdentifier:
    """An array that another program has written: 8 x 8 x 8 voxels of 4 nm, full of sevens."""
    made = zarr.create_array(
        tmp_path / "foreign.zarr", name="raw", shape=(8, 8, 8), chunks=(8, 8, 8), dtype="u1", zarr_format=2
    )
    made[:] = 7
    made.attrs.update(attributes)
    return LocalArrayIdentifier(tmp_path / "foreign.zarr", "raw")


@pytest.mark.parametrize("mode", ["a", "r"])
def test_an_equal_array_of_another_program_is_opened_with_its_data(tmp_path, mode):
    identifier = foreign(tmp_path, offset=[4, 4, 4], resolution=[4, 4, 4])
    roi = Roi((4, 4, 4), (32, 32, 32))
    before = {path: path.read_bytes() for path in (tmp_path / "foreign.zarr").rglob("*") if path.is_file()}
    array = ZarrArray.create_from_array_identifier(
        identifier, ["z", "y", "x"], roi, None, (4, 4, 4), np.uint8, mode=mode
    )
    assert (array[roi] == 7).all()
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize(
    ("voxel_size", "dtype", "attributes"),
    [
        ((8, 8, 8), np.uint8, {"resolution": [4, 4, 4]}),
        ((4, 4, 4), np.float32, {"resolution": [4, 4, 4]}),
        ((4, 4, 4), np.float32, {}),
    ],
)
def test_another_array_of_another_program_is_not_replaced(tmp_path, voxel_size, dtype, attributes):
    identifier = foreign(tmp_path, **attributes)
    roi = Roi((0, 0, 0), Coordinate(voxel_size) * 8)
    with pytest.raises(VolumeError, match="another array exists already"):
        ZarrArray.create_from_array_identifier(identifier, ["z", "y", "x"], roi, None, voxel_size, dtype)
    assert (zarr.open(str(tmp_path / "foreign.zarr/raw"), mode="r")[:] == 7).all()


@pytest.mark.parametrize("dataset", ["", "group"])
def test_a_group_with_members_is_replaced_by_an_array_only_on_request(tmp_path, dataset):
    kept = zarr.open_group(str(tmp_path / "c.zarr"), mode="a").create_array("group/s0", data=np.ones((2, 2)))
    identifier = LocalArrayIdentifier(tmp_path / "c.zarr", dataset)
    arguments = (identifier, ["y", "x"], Roi((0, 0), (4, 4)), None, (1, 1), np.uint8)
    with pytest.raises(VolumeError, match=r"is a group that holds (group|s0)"):
        ZarrArray.create_from_array_identifier(*arguments)
    assert kept[:].sum() == 4
    assert ZarrArray.create_from_array_identifier(*arguments, overwrite=True).shape == (4, 4)


def test_an_array_whose_maker_was_stopped_before_its_attributes_gets_them(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTACCA_ZARR_FORMAT", "2")
    create(tmp_path)
    attributes = tmp_path / "volume.zarr/raw/s0/.zattrs"
    text = attributes.read_text()
    attributes.unlink()
    assert create(tmp_path).voxel_size == create(tmp_path).voxel_size
    assert json.loads(attributes.read_text()) == json.loads(text)


def test_a_voxel_size_that_is_not_whole_makes_no_array(tmp_path):
    with pytest.raises(VolumeError, match="angstrom"):
        ZarrArray.create_from_array_identifier(
            LocalArrayIdentifier(tmp_path / "a.zarr", "raw"),
            ["z", "y", "x"],
            Roi((0, 0, 0), (500, 40, 40)),
            None,
            (50, 4.6, 4.6),
            np.uint8,
        )
    assert not (tmp_path / "a.zarr" / "raw").exists()


def test_voxel_sizes_that_are_not_whole_are_refused_with_the_unit_that_makes_them_whole(tmp_path):
    made = zarr.create_array(tmp_path / "a.zarr", shape=(3, 4, 5), dtype="u1")
    made.attrs["resolution"] = [50, 4.6, 4.6]
    identifier = LocalArrayIdentifier(tmp_path / "a.zarr", "")
    with pytest.raises(VolumeError, match=r"angstrom and \(500, 46, 46\)"):
        ZarrArray.open_from_array_identifier(identifier)
    assert ZarrArray.open_from_array_identifier(identifier, unit="angstrom").voxel_size == (500, 46, 46)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_foreign_multiscale_groups_give_voxel_size_and_offset(tmp_path, version):
    group = zarr.open_group(str(tmp_path / "ome.zarr"), mode="w", zarr_format=2 if version == "0.4" else 3)
    for name in ("0", "1"):
        group.create_array(name, shape=(2, 4, 4), dtype="u1")
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    transforms = [
        [{"type": "scale", "scale": s}, {"type": "translation", "translation": t}]
        for s, t in (([0.04, 0.008, 0.008], [0.4, 0, 0]), ([0.04, 0.016, 0.016], [0.4, 0.004, 0.004]))
    ]
    datasets = [{"path": p, "coordinateTransformations": t} for p, t in zip("01", transforms)]
    images = {"multiscales": [{"axes": axes, "datasets": datasets}]}
    group.attrs.update(images if version == "0.4" else {"ome": {"version": "0.5", **images}})
    fine = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "ome.zarr", ""), unit="nm")
    assert fine.voxel_size == (40, 8, 8) and fine.roi.begin == (400, 0, 0)
    coarse = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "ome.zarr", "1"), unit="nm")
    assert coarse.voxel_size == (40, 16, 16) and coarse.roi.begin == (400, 0, 0)


def test_a_write_block_is_one_shard_with_checksums_and_chunks_that_are_read_alone(tmp_path):
    array = create(tmp_path, dtype=np.uint64, write_size=(600, 1024, 1024))
    array[array.roi] = 1
    codecs = json.loads((tmp_path / "volume.zarr/raw/s0/zarr.json").read_text())["codecs"]
    assert [codec["name"] for codec in codecs] == ["sharding_indexed"]
    inner = codecs[0]["configuration"]
    assert [codec["name"] for codec in inner["codecs"]] == ["bytes", "zstd", "crc32c"]
    assert [codec["name"] for codec in inner["index_codecs"]] == ["bytes", "crc32c"]
    assert list(array.object_keys()) == ["c/0/0/0"]
    assert array.data.metadata.dimension_names == ("z", "y", "x")


@pytest.mark.parametrize(
    ("container", "form", "block"), [("a.zarr", "3", 48), ("a.zarr", "2", 24), ("a.n5", "3", 24)]
)
def test_a_write_block_is_one_file_with_shards_and_one_for_each_chunk_without(
    tmp_path, monkeypatch, container, form, block
):
    monkeypatch.setenv("ATTACCA_ZARR_FORMAT", form)
    arguments = (
        LocalArrayIdentifier(tmp_path / container, "s0"),
        ["z", "y", "x"],
        Roi((0, 0, 0), (100, 70, 20)),
    )
    sizes = {"write_size": (48, 48, 48), "chunk_size": (24, 24, 24)}
    array = ZarrArray.create_from_array_identifier(*arguments, None, (1, 1, 1), np.uint8, **sizes)
    array[array.roi] = np.arange(100 * 70 * 20).reshape(array.shape) % 251
    assert array.chunk_size == (block, block, 20) and array.inner_chunk_size == (24, 24, 20)
    stored = [path for path in files(tmp_path) if path.name.isdigit()]
    assert len(stored) == -(-100 // block) * -(-70 // block) == len(list(array.object_keys()))
    # An array of the other format is kept: its chunks divide the block.
    monkeypatch.setenv("ATTACCA_ZARR_FORMAT", "2" if form == "3" else "3")
    again = ZarrArray.create_from_array_identifier(*arguments, None, (1, 1, 1), np.uint8, **sizes)
    assert np.array_equal(again[again.roi], array[array.roi]) and again.chunk_size == array.chunk_size


def test_a_chunk_size_that_does_not_divide_the_write_block_is_replaced_by_one_that_does(
    tmp_path, monkeypatch
):
    for form in ("2", "3"):
        monkeypatch.setenv("ATTACCA_ZARR_FORMAT", form)
        array = ZarrArray.create_from_array_identifier(
            LocalArrayIdentifier(tmp_path / f"{form}.zarr", "s0"), ["z", "y", "x"], Roi((0, 0, 0), (300, 300, 300)),
            None, (1, 1, 1), np.uint8, write_size=(100, 96, 30), chunk_size=(64, 48, 48),
        )  # fmt: skip
        assert array.inner_chunk_size == (50, 48, 30)


def test_chunks_of_equal_data_have_equal_bytes(tmp_path):
    # Long enough that Blosc would share a chunk out among threads.
    chunk = np.random.default_rng(0).random((60, 64, 64)).astype(np.float32) > 0.5
    size = VOXEL * Coordinate(60, 64, 64)
    place = LocalArrayIdentifier(tmp_path / "volume.zarr", "many/s0")
    array = ZarrArray.create_from_array_identifier(
        place,
        ["z", "y", "x"],
        Roi((0, 0, 0), size * Coordinate(60, 1, 1)),
        None,
        VOXEL,
        np.float32,
        write_size=size,
    )
    for index in range(60):
        array[Roi(size * Coordinate(index, 0, 0), size)] = chunk.astype(np.float32)
    written = [path for path in files(tmp_path) if path.name.isdigit()]
    assert len(written) == 60
    assert len({path.read_bytes() for path in written}) == 1


def test_neuroglancer_gets_axes_offset_and_kind(tmp_path):
    labels = create(tmp_path, dtype=np.uint64, channels=None, name="labels")
    assert labels._can_neuroglance() and labels._source_name() == "labels"
    assert labels._output_dimensions() == {"z": [100, "nm"], "y": [8, "nm"], "x": [8, "nm"]}
    assert labels._transform_matrix() == [[1, 0, 0, 4], [0, 1, 0, -10], [0, 0, 1, 0]]
    neuroglancer = pytest.importorskip("neuroglancer")
    layer, options = labels._neuroglancer_layer()
    assert isinstance(layer, neuroglancer.SegmentationLayer) and "visible" in options
    image = create(tmp_path, channels=2, name="image")
    assert isinstance(image._neuroglancer_layer()[0], neuroglancer.ImageLayer)
    assert list(image._output_dimensions()) == ["c^", "z", "y", "x"]
    assert image._neuroglancer_source().shape == (2, 6, 30, 50)


def test_the_same_array_opens_in_funlib_persistence(tmp_path):
    persistence = pytest.importorskip("funlib.persistence")
    array = create(tmp_path, channels=2)
    array[ROI] = 4
    for other in (array._daisy_array, persistence.open_ds(array.directory)):
        assert tuple(other.voxel_size) == tuple(VOXEL) and other.roi == ROI
        assert other.axis_names == ["c^", "z", "y", "x"]
        assert (other[ROI] == 4).all()
