"""Digest of the files of a volume, by which changed files are detected without reading voxels."""

import os
from pathlib import Path
from typing import Any

from attacca.arrays.identifier import is_url, join_path
from attacca.arrays.storage import remote_file_system
from attacca.arrays.zarr_opening import open_zarr
from attacca.config.volumes import ArraySource, VolumeConfig
from attacca.errors import MissingInputError
from attacca.fingerprint import digest
from attacca.volumes.readers.open_source import list_files
from attacca.volumes.readers.precomputed import is_precomputed, read_info
from attacca.volumes.readers.zarr_container import split_container

# Increment it when the tissue of a seed changes: all synthetic volumes are recomputed.
TISSUE_VERSION = 1
_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", "attributes.json")
_MOST_DIRECTORIES = 2000


def compute_content_fingerprint(config: VolumeConfig) -> str:
    """Compute a digest of the state of all files from which a volume is read.

    Files count with path, size and modification time; voxels are not read. A Zarr or N5 array counts with its metadata
    files and the modification times of its first 2000 directories, which change when a chunk is written. An array in an
    object store counts with its metadata. Therefore a change that preserves size and time is not detected, and a file
    of which only the time changed counts as changed. A missing file counts as missing.
    """
    if config.synthetic is not None:
        return digest({"tissue": TISSUE_VERSION})
    sources = [config.raw, *(config.labels.sources if config.labels else []), config.mask]
    return digest([_describe_source(source) for source in sources if source is not None])


def _describe_source(source: ArraySource) -> Any:
    if is_precomputed(source.path):
        return [str(source.path), source.dataset, read_info(source.path)]
    container = split_container(source.path, source.dataset)
    if container is not None:
        if is_url(container.container):
            return [str(container), _read_remote_metadata(str(container.container), container.dataset)]
        return [
            str(container),
            _describe_directories(Path(join_path(container.container, container.dataset))),
        ]
    files = list_files(source)
    return [_describe_file(path) for path in files] if files else [str(source.path), "missing"]


def _describe_file(path: Path) -> list[Any]:
    try:
        state = path.stat()
    except OSError:
        return [str(path), "missing"]
    return [str(path), state.st_size, state.st_mtime_ns]


def _describe_directories(top: Path) -> list[Any]:
    states: list[Any] = []
    for directory, names, files in os.walk(top):
        names.sort()
        states.append([directory, os.stat(directory).st_mtime_ns])
        states.extend(_describe_file(Path(directory) / name) for name in sorted(files) if name in _METADATA)
        if len(states) >= _MOST_DIRECTORIES:
            break
    return states or [str(top), "missing"]


def _read_remote_metadata(container: str, dataset: str) -> list[Any]:
    try:
        _, array = open_zarr(container, dataset, "r")
    except MissingInputError:
        return ["missing"]
    system, root = remote_file_system(container)
    groups = dict.fromkeys([dataset, array])
    keys = [f"{group}/{name}".strip("/") for group in groups for name in _METADATA]
    found = {key: _read_remote(system, f"{root.rstrip('/')}/{key}") for key in keys}
    return [[key, value] for key, value in found.items() if value is not None] or ["missing"]


def _read_remote(system: Any, path: str) -> str | None:
    try:
        return str(system.cat_file(path).decode())
    except FileNotFoundError:
        return None
