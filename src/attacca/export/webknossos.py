"""Segmentations as webKnossos datasets with arrays in Zarr 3."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import zarr

from attacca.atomic import write_json
from attacca.errors import VolumeError
from attacca.export.labels import Labels

_LARGEST_ID = (1 << 53) - 1
_CHUNK, _SHARD = 64, 256


def write_webknossos(directory: Path, scales: Sequence[Labels], largest_id: int, name: str) -> int:
    """Write the scales of a segmentation as a dataset with one segmentation layer, axes c, x, y, z.

    Arrays start at the origin of the dataset, and chunks below the offset of the segmentation are not stored. Coarser
    scales end before the first that is not on the dataset's grid. Memory: one shard of 256³ voxels.

    Args:
        directory: new directory.
        scales: the segmentation at each scale, the finest first.
        largest_id: largest id of the segmentation.
        name: name of the dataset.

    Returns:
        Number of scales that were written.

    Raises:
        VolumeError: the offset is negative or not a whole number of voxels, or an id is above 2^53 - 1.
    """
    finest = scales[0]
    if finest.voxel_offset is None or min(finest.voxel_offset) < 0:
        raise VolumeError(
            f"export.webknossos: the offset {finest.offset} nm of the segmentation is not a positive whole number of "
            f"voxels of {finest.voxel_size} nm (z, y, x), which webKnossos requires; correct the offset of the volume"
        )
    if largest_id > _LARGEST_ID:
        raise VolumeError(
            f"export.webknossos: the largest id is {largest_id}, and webKnossos shows ids up to {_LARGEST_ID}"
        )
    used = list(
        scales[: next((i for i, scale in enumerate(scales) if scale.voxel_offset is None), len(scales))]
    )
    mags = []
    for labels in used:
        factors = [round(a / b) for a, b in zip(labels.voxel_size[::-1], finest.voxel_size[::-1])]
        path = "segmentation/" + "-".join(map(str, factors))
        offset = (labels.voxel_offset or (0, 0, 0))[::-1]
        array = zarr.create_array(
            directory / path,
            shape=(1, *(n + start for n, start in zip(labels.shape[::-1], offset))),
            dtype="uint64",
            chunks=(1, _CHUNK, _CHUNK, _CHUNK),
            shards=(1, _SHARD, _SHARD, _SHARD),
            dimension_names=("c", "x", "y", "z"),
            zarr_format=3,
        )
        # A box is one shard, which is written once.
        for box in labels.divide((_SHARD,) * 3, corner=offset[::-1]):
            x, y, z = (slice(a.start + start, a.stop + start) for a, start in zip(reversed(box), offset))
            array[0, x, y, z] = labels.read(box).astype(np.uint64).T
        mags.append({"mag": factors, "path": f"./{path}", "axisOrder": {"c": 0, "x": 1, "y": 2, "z": 3}})
    width, height, depth = finest.shape[::-1]
    bounds = {"topLeft": list(finest.voxel_offset[::-1]), "width": width, "height": height, "depth": depth}
    layer = {
        "name": "segmentation",
        "category": "segmentation",
        "boundingBox": bounds,
        "elementClass": "uint64",
        "dataFormat": "zarr3",
        "largestSegmentId": largest_id,
        "mags": mags,
    }
    properties = {
        "version": 1,
        "id": {"name": name, "team": ""},
        "scale": {"factor": list(finest.voxel_size[::-1]), "unit": "nanometer"},
        "dataLayers": [layer],
    }
    write_json(directory / "datasource-properties.json", properties)
    return len(used)
