"""Segmentations as Neuroglancer Precomputed volumes."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore

from attacca.errors import VolumeError
from attacca.export.labels import Labels

MESH_DIRECTORY, SKELETON_DIRECTORY = "mesh", "skeletons"
"""Directories of meshes and skeletons in a volume."""

_CHUNK = 64
_SHARD_BITS = 6
_BLOCK = 256


def write_precomputed(directory: Path, scales: Sequence[Labels], sharded: bool) -> int:
    """Write the scales of a segmentation as a Neuroglancer Precomputed volume, uint64 with ``compressed_segmentation``.

    Positions are whole voxels in this format. The finest scale must be on this grid; coarser scales are written up to
    the first that is not. Memory: boxes of 256³ voxels.

    Args:
        directory: new directory.
        scales: the segmentation at each scale, the finest first.
        sharded: whether 64 chunks share a file.

    Returns:
        Number of scales that were written.

    Raises:
        VolumeError: the offset of the finest scale is not a whole number of voxels.
    """
    finest = scales[0]
    if finest.voxel_offset is None:
        raise VolumeError(
            f"export.precomputed: the offset {finest.offset} nm of the segmentation is not a whole number of voxels of "
            f"{finest.voxel_size} nm (z, y, x), which Neuroglancer Precomputed requires; correct the offset of the volume, "
            "or export another format"
        )
    used = list(
        scales[: next((i for i, scale in enumerate(scales) if scale.voxel_offset is None), len(scales))]
    )
    for index, labels in enumerate(used):
        store = _create_scale(directory, index, labels, sharded)
        # Whole chunks, and whole shards for volumes of about equal extents.
        for box in labels.divide((_BLOCK,) * 3):
            block = labels.read(box).astype(np.uint64)
            x, y, z = (slice(axis.start, axis.stop) for axis in reversed(box))
            origin = store.domain.inclusive_min[:3]
            target = tuple(slice(s.start + o, s.stop + o) for s, o in zip((x, y, z), origin))
            store[target].write(block.T[..., np.newaxis]).result()
    return len(used)


def add_to_info(directory: Path, **values: str) -> None:
    """Add keys to the file ``info`` of a volume, such as the directory of its meshes."""
    path = directory / "info"
    info = json.loads(path.read_text())
    path.write_text(json.dumps({**info, **values}, indent=2, sort_keys=True) + "\n")


def _create_scale(directory: Path, index: int, labels: Labels, sharded: bool) -> Any:
    size = labels.shape[::-1]
    scale: dict[str, Any] = {
        "key": f"s{index}",
        "size": list(size),
        "resolution": list(labels.voxel_size[::-1]),
        "voxel_offset": list((labels.voxel_offset or (0, 0, 0))[::-1]),
        "chunk_size": [_CHUNK] * 3,
        "encoding": "compressed_segmentation",
        "compressed_segmentation_block_size": [8, 8, 8],
    }
    if sharded:
        bits = sum((math.ceil(n / _CHUNK) - 1).bit_length() for n in size)
        scale["sharding"] = {
            "@type": "neuroglancer_uint64_sharded_v1",
            "hash": "identity",
            "preshift_bits": min(bits, _SHARD_BITS),
            "minishard_bits": 0,
            "shard_bits": max(0, bits - _SHARD_BITS),
            "minishard_index_encoding": "gzip",
            "data_encoding": "gzip",
        }
    return tensorstore.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{directory.resolve()}/"},
            "multiscale_metadata": {"type": "segmentation", "data_type": "uint64", "num_channels": 1},
            "scale_metadata": scale,
            "create": True,
        }
    ).result()
