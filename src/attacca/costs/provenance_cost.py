"""Memory and time of the job that digests all results of a run, from the files and bytes that it reads."""

import math
from pathlib import Path

from attacca.arrays.identifier import is_url
from attacca.config.run import Configuration
from attacca.jobs.block_shape import ASSUMED, read_block_shape
from attacca.jobs.stage import Scope, StageInstance
from attacca.layout import Layout
from attacca.provenance.content_digest import WHOLE_BYTES
from attacca.stages.provenance import PROVENANCE
from attacca.stages.registry import STAGES

# Memory per file: its name and size for a local file, the description of a client for one in an object store.
_LOCAL_FILE_BYTES, _REMOTE_FILE_BYTES = 30, 2000
# Files that a network file system lists, and bytes that one thread reads from there.
_FILES_PER_SECOND = 3000
_BYTES_PER_SECOND = 50e6
# Voxels of a chunk, of which most are larger, and bytes per voxel on the disk, all channels together.
_CHUNK_VOXELS = 32**3
_VOXEL_BYTES = 4


def digest_megabytes(files: int, remote: bool) -> float:
    """Return the memory in MB to digest one array after another.

    Args:
        files: files of the largest array.
        remote: whether arrays are in an object store.
    """
    return PROVENANCE.cost.process_mb + files * (_REMOTE_FILE_BYTES if remote else _LOCAL_FILE_BYTES) / 1e6


def digest_seconds(files: int, sizes: list[float], threads: int) -> float:
    """Return the time in seconds to digest arrays.

    Args:
        files: files of all arrays together.
        sizes: bytes of each array; of a large array, a sample is read.
        threads: files that are read at the same time.
    """
    read = sum(min(size, WHOLE_BYTES) for size in sizes)
    return files / _FILES_PER_SECOND + read / (_BYTES_PER_SECOND * max(1, threads))


def planned_voxels(configuration: Configuration, run: str) -> list[int]:
    """Return the voxels of each array of a run and of its volumes, from the plans of their stages."""
    layout = Layout(configuration.results, configuration.storage)
    volumes = configuration.runs[run].volumes
    plans: dict[Path, int] = {}
    for volume in (*volumes.train, *volumes.segmented):
        for stage in STAGES:
            if stage.is_blockwise:
                run_of_stage = "" if stage.scope is Scope.VOLUME else run
                path = StageInstance(stage, run_of_stage, volume).plan(layout)
                shape = read_block_shape(path)
                if shape is not None:
                    plans[path] = shape.blocks * shape.write_voxels
    return list(plans.values()) or [ASSUMED.blocks * ASSUMED.write_voxels]


def planned_megabytes(configuration: Configuration, run: str) -> float:
    """Return ``digest_megabytes`` of a run, as far as its stages are planned."""
    largest = max(planned_voxels(configuration, run))
    return digest_megabytes(math.ceil(largest / _CHUNK_VOXELS), is_url(configuration.storage or ""))


def planned_seconds(configuration: Configuration, run: str, threads: int) -> float:
    """Return ``digest_seconds`` of a run, as far as its stages are planned."""
    voxels = planned_voxels(configuration, run)
    files = math.ceil(sum(voxels) / _CHUNK_VOXELS)
    return digest_seconds(files, [count * _VOXEL_BYTES for count in voxels], threads)
