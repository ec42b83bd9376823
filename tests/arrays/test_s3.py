"""Volumes in an object store, against a real S3 server process on the loopback."""

import fsspec
import numpy as np
import pytest
from funlib.geometry import Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.pyramid import build_pyramid
from attacca.arrays.storage import delete
from attacca.config.volumes import VolumeConfig
from attacca.errors import MissingInputError, VolumeError
from attacca.layout import VOLUME_IMAGES
from attacca.volumes import ImportBlocks, compute_content_fingerprint, finish_volume, prepare_volume


def create(bucket, name="volume.zarr", shape=(160, 240, 240)):
    return ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(f"{bucket}/{name}", "raw/s0"),
        ["z", "y", "x"],
        Roi((80, 0, 0), shape),
        None,
        (8, 8, 8),
        np.uint8,
        write_size=(80, 80, 80),
    )


def test_an_array_is_written_and_read_in_an_object_store(bucket):
    array = create(bucket)
    assert array.directory == f"{bucket}/volume.zarr/raw/s0"
    values = np.random.default_rng(0).integers(0, 255, (20, 30, 30), dtype=np.uint8)
    array[array.roi] = values
    part = Roi((160, 80, 0), (80, 80, 160))
    array[part] = 9
    values[10:, 10:20, :20] = 9
    again = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(f"{bucket}/volume.zarr", "raw/s0"))
    assert np.array_equal(again[again.roi], values)
    assert create(bucket)[part].min() == 9
    scales = build_pyramid(f"{bucket}/volume.zarr/raw")
    assert scales == ["s0"]
    first = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(f"{bucket}/volume.zarr", "raw"))
    assert first.roi == array.roi
    delete(f"{bucket}/volume.zarr/raw")
    with pytest.raises(MissingInputError):
        ZarrArray.open_from_array_identifier(LocalArrayIdentifier(f"{bucket}/volume.zarr", "raw"))


class Whole:
    def __init__(self, roi):
        self.write_roi = roi


@pytest.mark.parametrize("in_place", [True, False])
def test_a_volume_is_imported_from_and_to_an_object_store(bucket, in_place):
    for source in ("other.zarr", "source.zarr"):
        array = create(bucket, source, (160, 80, 80))
        array[array.roi] = 5
    config = VolumeConfig.model_validate(
        {
            "raw": {"path": f"{bucket}/source.zarr/raw"},
            "labels": {"path": f"{bucket}/other.zarr", "dataset": "raw"},
        }
        | {"in_place": in_place}
    )
    container = f"{bucket}/imported-{in_place}.zarr"
    plan = prepare_volume(config, container)
    ImportBlocks(config, container)(Whole(plan.roi))
    facts = finish_volume(config, container)
    assert facts["labels"]["in_place"] is in_place
    for name in ("raw", "labels"):
        made = ZarrArray.open_from_array_identifier(
            LocalArrayIdentifier(container, f"{VOLUME_IMAGES[name]}/s0")
        )
        assert made.roi == array.roi and (made[made.roi] == 5).all()
    before = compute_content_fingerprint(config)
    assert before == compute_content_fingerprint(config)
    array.add_metadata({"changed": f"copied: {not in_place}"})
    assert before != compute_content_fingerprint(config)


def test_a_missing_array_in_a_store_is_reported(bucket):
    config = VolumeConfig.model_validate({"raw": {"path": f"{bucket}/nowhere.zarr"}, "voxel_size": [8, 8, 8]})
    with pytest.raises(MissingInputError, match="nowhere"):
        prepare_volume(config, f"{bucket}/never.zarr")


@pytest.fixture
def refuse(monkeypatch):
    """``refuse()``: from now on, the server refuses all requests."""

    async def raise_error(*arguments, **options):
        raise PermissionError("Forbidden")

    return lambda: monkeypatch.setattr("s3fs.core.S3FileSystem._call_s3", raise_error)


def test_voxels_that_a_server_refuses_are_not_called_damaged(bucket, refuse):
    array = create(bucket)
    array[array.roi] = 5
    again = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(f"{bucket}/volume.zarr", "raw/s0"))
    refuse()
    message = f"^{array.directory}: a request to the server failed: PermissionError: Forbidden$"
    with pytest.raises(VolumeError, match=message) as refused:
        again[again.roi]
    # A block with this error is tried again.
    assert refused.value.__cause__ is not None


def test_a_write_into_a_bucket_that_was_deleted_names_the_address(bucket):
    array = create(bucket)
    store = fsspec.filesystem("s3")
    store.rm(bucket, recursive=True)
    with pytest.raises(VolumeError, match=f"^{array.directory}: a request .* FileNotFoundError: .* bucket"):
        array[array.roi] = 5


def test_a_failure_of_the_server_does_not_look_like_a_changed_volume(bucket, refuse):
    array = create(bucket, "source.zarr")
    array[array.roi] = 5
    config = VolumeConfig.model_validate({"raw": {"path": f"{bucket}/source.zarr/raw/s0"}})
    compute_content_fingerprint(config)
    refuse()
    with pytest.raises(VolumeError, match="PermissionError: Forbidden"):
        compute_content_fingerprint(config)
