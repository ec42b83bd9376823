"""Bytes and files that stages leave on the disk."""

import math
from typing import Protocol

from attacca.config.run import Configuration
from attacca.costs.extents import Extent
from attacca.costs.fragment_count import fragments_in
from attacca.costs.resources import channels_of
from attacca.workflow.catalogue import StageInstance

# Bytes on the disk for each byte of the array, typically: images hardly shrink, labels vanish.
_RAW_RATIO, _LABELS_RATIO, _TARGETS_RATIO, _PREDICTION_RATIO, _SEGMENTS_RATIO = 1.0, 0.02, 0.06, 0.75, 0.032
_PYRAMID = {2: 1.34, 3: 1.15}
# Of the graph, for each fragment.
_GRAPH_BYTES = 450
_GRAPH_COLUMNS = 7
# Weights, their moving average and two moments of the optimiser, four bytes each.
_CHECKPOINT_BYTES = 16
_SNAPSHOT_BYTES = 2
# Plan, shards, manifest, logs and benchmark of a stage, and the metadata of its array.
_FILES_AROUND = 18


class StoredNetwork(Protocol):
    """What of a network decides how much is stored."""

    @property
    def channels(self) -> int: ...

    @property
    def parameters(self) -> int: ...


def stage_storage(
    configuration: Configuration,
    instance: StageInstance,
    extent: Extent | None,
    network: StoredNetwork | None,
    chunk: tuple[int, ...],
    blocks: int,
) -> tuple[float, int]:
    """Bytes and files that a stage leaves on the disk.

    Args:
        configuration: of which the stage is a part.
        instance: the stage.
        extent: of its volume.
        network: of its run.
        chunk: voxels of a stored chunk.
        blocks: of the stage.
    """
    name, run = instance.stage.name, instance.run
    size: float
    if name == "train" and network is not None:
        training, sample = configuration.runs[run].training, configuration.runs[run].architecture.input_shape
        kept = training.checkpoint.keep_last + 1
        if training.checkpoint.keep_every is not None:
            kept += training.iterations // training.checkpoint.keep_every
        snapshots = training.iterations // (training.snapshot_interval or training.checkpoint.interval)
        size = kept * network.parameters * _CHECKPOINT_BYTES
        return size + snapshots * math.prod(sample) * _SNAPSHOT_BYTES, kept + snapshots + 10
    if name == "tune" or extent is None:
        return 2e5, 10
    dims = len(extent.shape)
    chunks = math.prod(math.ceil(size / edge) for size, edge in zip(extent.shape, chunk))
    voxels = extent.voxels
    if name == "volume":
        if not extent.copied:
            return 1e4, _FILES_AROUND
        arrays = 2 if extent.has_labels else 1
        size = voxels * extent.channels * extent.bytes_per_voxel * _RAW_RATIO * _PYRAMID[dims]
        size += voxels * 8 * _LABELS_RATIO * _PYRAMID[dims] if extent.has_labels else 0
        return size, math.ceil(arrays * chunks * _PYRAMID[dims]) + _FILES_AROUND
    if name == "targets":
        channels = network.channels if network is not None else 1
        return voxels * channels * 8 * _TARGETS_RATIO, 2 * chunks + _FILES_AROUND
    if name == "predict":
        bytes_each = {"uint8": 1, "float16": 2, "float32": 4}[configuration.runs[run].prediction.dtype]
        channels = network.channels if network is not None else channels_of(configuration, run)
        size = voxels * channels * bytes_each * (_PREDICTION_RATIO if bytes_each == 1 else 0.8)
        return size * _PYRAMID[dims], math.ceil(chunks * _PYRAMID[dims]) + _FILES_AROUND
    if name in ("fragments", "relabel", "classes"):
        pyramid = 1.0 if name == "fragments" else _PYRAMID[dims]
        return voxels * 8 * _SEGMENTS_RATIO * pyramid, math.ceil(chunks * pyramid) + _FILES_AROUND
    fragments = fragments_in(configuration, run, voxels)
    if name == "graph":
        # Two tables of each block, and the columns of all of them.
        return fragments * _GRAPH_BYTES, 2 * blocks + _GRAPH_COLUMNS + _FILES_AROUND
    return 1e4 + fragments * 16, 5
