"""Memory and time of the job that digests all results of a run: from the files and bytes that it reads."""

import math
from pathlib import Path

from attacca.config.run import Configuration
from attacca.costs.planned_blocks import ASSUMED, read_block_shape
from attacca.layout import Layout
from attacca.provenance.content_digest import WHOLE_BYTES
from attacca.workflow.catalogue import CATALOGUE, StageInstance

THREADS = 4
"""Files that the job reads side by side at most."""

_PROCESS_MB = 200
# A local file's share of its directory's names, and its size; what the client of an object store tells of one.
_LOCAL_FILE_BYTES, _REMOTE_FILE_BYTES = 30, 2000
# Names and sizes of files that a network file system tells, and bytes that one thread reads from there.
_FILES_PER_SECOND = 3000
_BYTES_PER_SECOND = 50e6
# Of a chunk; most are larger. Of a voxel on the disk, all channels together.
_CHUNK_VOXELS = 32**3
_VOXEL_BYTES = 4


def digest_megabytes(files: int, remote: bool) -> float:
    """Memory to digest one array after another, of which the largest has so many files.

    Args:
        files: of the largest array.
        remote: whether arrays stand in an object store.
    """
    return _PROCESS_MB + files * (_REMOTE_FILE_BYTES if remote else _LOCAL_FILE_BYTES) / 1e6


def digest_seconds(files: int, sizes: list[float], threads: int) -> float:
    """Time to digest arrays.

    Args:
        files: of all arrays together.
        sizes: bytes of each array; of large ones a sample is read.
        threads: files that are read side by side.
    """
    read = sum(min(size, WHOLE_BYTES) for size in sizes)
    return files / _FILES_PER_SECOND + read / (_BYTES_PER_SECOND * max(1, threads))


def planned_voxels(configuration: Configuration, run: str) -> list[int]:
    """Voxels of each array of a run, and of the volumes that it uses, as the plans of their stages tell."""
    layout = Layout(configuration.results, configuration.storage)
    volumes = configuration.runs[run].volumes
    plans: dict[Path, int] = {}
    for volume in (*volumes.train, *volumes.segmented):
        for stage in CATALOGUE:
            if stage.blockwise:
                path = StageInstance(stage, "" if stage.name == "volume" else run, volume).plan(layout)
                shape = read_block_shape(path)
                if shape is not None:
                    plans[path] = shape.blocks * shape.write_voxels
    return list(plans.values()) or [ASSUMED.blocks * ASSUMED.write_voxels]


def planned_megabytes(configuration: Configuration, run: str) -> float:
    """``digest_megabytes`` of a run, as far as its stages are planned."""
    largest = max(planned_voxels(configuration, run))
    return digest_megabytes(math.ceil(largest / _CHUNK_VOXELS), "://" in (configuration.storage or ""))


def planned_seconds(configuration: Configuration, run: str, threads: int) -> float:
    """``digest_seconds`` of a run, as far as its stages are planned."""
    voxels = planned_voxels(configuration, run)
    files = math.ceil(sum(voxels) / _CHUNK_VOXELS)
    return digest_seconds(files, [count * _VOXEL_BYTES for count in voxels], threads)
