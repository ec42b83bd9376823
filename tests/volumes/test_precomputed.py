"""Neuroglancer Precomputed volumes are read with their voxel size and offset."""

import json

import numpy as np
import pytest
import tensorstore

from attacca.config.volumes import ArraySource, VolumeConfig
from attacca.errors import AttaccaError, MissingInputError, VolumeError
from attacca.volumes import compute_content_fingerprint, open_source, plan_volume

SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "preshift_bits": 1,
    "minishard_bits": 1,
    "shard_bits": 1,
    "hash": "identity",
    "minishard_index_encoding": "gzip",
    "data_encoding": "gzip",
}


def write(path, data, encoding="raw", kind="image", sharding=None, key="8_8_40"):
    """Write c, z, y, x voxels that start at voxel (10, 20, 30) of x, y, z."""
    scale = {
        "key": key,
        "size": list(data.shape[:0:-1]),
        "resolution": [8, 8, 40],
        "voxel_offset": [10, 20, 30],
        "chunk_size": [8, 8, 8],
        "encoding": encoding,
    }
    scale |= {"sharding": sharding} if sharding else {}
    scale |= (
        {"compressed_segmentation_block_size": [4, 4, 4]} if encoding == "compressed_segmentation" else {}
    )
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "multiscale_metadata": {"type": kind, "data_type": data.dtype.name, "num_channels": data.shape[0]},
        "scale_metadata": scale,
    }
    tensorstore.open(spec, create=True).result().write(data.T).result()
    return path


@pytest.mark.parametrize("prefix", ["", "precomputed://file://"])
@pytest.mark.parametrize("sharding", [None, SHARDING])
@pytest.mark.parametrize(
    ("dtype", "encoding", "kind", "channels"),
    [
        ("u1", "raw", "image", 1),
        ("u1", "raw", "image", 3),
        ("u8", "compressed_segmentation", "segmentation", 1),
    ],
)
def test_voxels_voxel_size_and_offset_are_right(tmp_path, prefix, sharding, dtype, encoding, kind, channels):
    data = np.random.default_rng(0).integers(1, 200, (channels, 5, 12, 9)).astype(dtype)
    path = write(tmp_path / "em", data, encoding, kind, sharding)
    source = open_source(ArraySource(path=f"{prefix}{path}"))
    found = source.read((1, 2, 3), (5, 12, 9))
    assert np.array_equal(found.reshape(channels, 4, 10, 6), data[:, 1:, 2:, 3:]) and found.dtype == dtype
    config = VolumeConfig.model_validate({"raw": {"path": f"{prefix}{path}", "channel": 0}})
    plan = plan_volume(config)
    assert plan.voxel_size == (40, 8, 8) and plan.roi.begin == (1200, 160, 80)
    assert plan.voxel_size_from.startswith("file: 'resolution' in info")
    before = compute_content_fingerprint(config)
    info = json.loads((path / "info").read_text())
    info["scales"][0]["voxel_offset"] = [0, 0, 0]
    (path / "info").write_text(json.dumps(info))
    assert compute_content_fingerprint(config) != before


def test_scales_are_chosen_by_key_or_number_and_missing_ones_are_listed(tmp_path):
    data = np.ones((1, 4, 4, 4), np.uint8)
    path = write(write(tmp_path / "em", data), data * 2, key="16_16_40")
    assert open_source(ArraySource(path=path, dataset="16_16_40")).read((0, 0, 0), (1, 1, 1)).item() == 2
    assert open_source(ArraySource(path=path, dataset="1")).read((0, 0, 0), (1, 1, 1)).item() == 2
    with pytest.raises(MissingInputError, match="it holds 8_8_40, 16_16_40"):
        open_source(ArraySource(path=path, dataset="2"))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"scales": []}', '{"scales": [{}]}', '{"scales": [3]}'])
def test_a_damaged_info_file_is_named(tmp_path, text):
    path = write(tmp_path / "em", np.ones((1, 4, 4, 4), np.uint8))
    (path / "info").write_text(text)
    with pytest.raises(VolumeError, match="em/info"):
        open_source(ArraySource(path=path))


def test_an_address_without_a_volume_is_reported(tmp_path):
    with pytest.raises(AttaccaError, match="nothing/info"):
        open_source(ArraySource(path=f"precomputed://file://{tmp_path}/nothing"))
