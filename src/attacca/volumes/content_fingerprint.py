"""Digest of the files of a volume, by which changed files are detected."""

import os
import stat
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from attacca.arrays.identifier import is_url, join_path
from attacca.arrays.ome_zarr import read_grid_metadata
from attacca.arrays.precomputed import is_precomputed, locate_precomputed, read_info
from attacca.arrays.server_errors import is_server_error
from attacca.arrays.storage import list_objects, read_metadata_file
from attacca.arrays.stored_array import StoredArray
from attacca.arrays.zarr_opening import open_zarr
from attacca.config.volumes import ArraySource, VolumeConfig
from attacca.errors import AttaccaError, MissingInputError, VolumeError
from attacca.fingerprint import digest, digest_file
from attacca.volumes.readers.descriptions import find_description
from attacca.volumes.readers.open_source import list_files
from attacca.volumes.readers.zarr_container import split_container

# Increment it when the tissue of a seed changes: all synthetic volumes are recomputed.
TISSUE_VERSION = 1
_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", "attributes.json")
_MOST_DIRECTORIES = 2000
_MOST_FILES = 20_000
_DIGEST_LIMIT = 2**30
"""Sources of at most this many bytes count with their content."""

type Description = list[Any]


def compute_content_fingerprint(config: VolumeConfig) -> str:
    """Compute a digest of the state of all files from which a volume is read.

    Files count with their names below their common directory, and with their content: a moved or copied project has the
    same digest. Of a source of more than 1 GiB or 20,000 files, the content is not read: files count with their sizes
    and modification times, and directories of a Zarr or N5 array with the modification times of the first 2000 and
    with their metadata files. A copy of such a source counts as the same if it keeps the times (``cp -a``). A
    Precomputed volume counts with its file ``info`` and the files of the scale that is read. An array that is named inside
    a group counts also with the voxel size, offset and unit that the group's metadata give it. A missing file counts as
    missing.

    An array at an address counts with the address and its metadata, in S3 and Google Cloud Storage also with the names,
    sizes and digests of its first 20,000 objects. Voxels that change on other servers without their metadata are not
    detected.
    """
    if config.synthetic is not None:
        return digest({"tissue": TISSUE_VERSION})
    sources = [config.raw, *(config.labels.sources if config.labels else []), config.mask]
    return digest([_describe_source(source) for source in sources if source is not None])


def check_unchanged(config: VolumeConfig, fingerprint: str) -> None:
    """Check that the files of a volume are still those from which it was imported.

    Args:
        config: the volume.
        fingerprint: ``compute_content_fingerprint`` at the start of the workflow.

    Raises:
        VolumeError: a file was changed since.

    >>> config = VolumeConfig.model_validate({"synthetic": {"shape": [8, 8, 8]}, "voxel_size": [4, 4, 4]})
    >>> check_unchanged(config, compute_content_fingerprint(config))
    """
    if compute_content_fingerprint(config) != fingerprint:
        sources = [config.raw, *(config.labels.sources if config.labels else []), config.mask]
        paths = ", ".join(dict.fromkeys(str(source.path) for source in sources if source is not None))
        raise VolumeError(
            f"files were replaced or changed while they were imported: {paths}. When nothing writes to them, start the "
            "workflow again, which imports them again"
        )


def _describe_source(source: ArraySource) -> Any:
    try:
        description = find_description(source)
    except AttaccaError:
        # The check reports it.
        description = None
    if description is not None:
        return [_describe_files(description.files), _describe_stored(description.source)]
    return _describe_stored(source)


def _describe_stored(source: ArraySource) -> Any:
    container = None if source.reader is not None else split_container(source.path, source.dataset)
    if container is not None:
        return _describe_container(container.container, container.dataset)
    files = list_files(source)
    return _describe_files(files) if files else [Path(source.path).name, "missing"]


def _describe_container(container: Path | str, dataset: str) -> Description:
    if is_precomputed(container):
        location = locate_precomputed(container)
        try:
            _, key = open_zarr(container, dataset, "r")
        except AttaccaError:
            # A failure of a server must not look like a change of the volume.
            if is_url(location):
                raise
            # The check reports it.
            return [location, "unreadable"]
        if is_url(location):
            return [location, key, read_info(container), list_objects(join_path(location, key))]
        return [read_info(container), key, _describe_directory(Path(join_path(location, key)))]
    if is_url(container):
        address = str(container)
        return [join_path(address, dataset), *_describe_remote_array(address, dataset)]
    path = Path(container)
    if path.is_file():
        return _describe_files([path])
    files = _describe_directory(path / dataset)
    if not dataset:
        return files
    try:
        array, key = open_zarr(container, dataset, "r")
    except (AttaccaError, OSError):
        # The check reports it.
        return files
    return [*files, *(_describe_grid(array) if key == dataset else [])]


def _describe_grid(array: StoredArray) -> Description:
    """Return the grid of an array in a group, whose metadata are not below the array's own directory."""
    try:
        grid = asdict(read_grid_metadata(array))
    except (AttaccaError, OSError) as error:
        if is_server_error(error):
            raise
        # The check reports it.
        return []
    return [[name, grid[name]] for name in ("axes", "voxel_size", "offset", "unit")]


def _describe_files(paths: Sequence[Path]) -> Description:
    """Return names below the common directory, sizes, and contents (or modification times) of files."""
    top = os.path.commonpath([path.parent for path in paths])
    found = [(path, _read_state(path)) for path in paths]
    reads_content = (
        len(paths) <= _MOST_FILES and sum(state.st_size for _, state in found if state) <= _DIGEST_LIMIT
    )
    states: Description = []
    for path, state in found:
        name = os.path.relpath(path, top)
        if state is None:
            states.append([name, "missing"])
        elif reads_content:
            states.append([name, _digest_unchanged_file(path, state.st_size, state.st_mtime_ns)])
        else:
            states.append([name, state.st_size, state.st_mtime_ns])
    return states


def _read_state(path: Path) -> os.stat_result | None:
    """Return the state of a regular file; None for anything else."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state if stat.S_ISREG(state.st_mode) else None


@lru_cache(maxsize=_MOST_FILES)
def _digest_unchanged_file(path: Path, size: int, time: int) -> str:
    """Return the digest of a file's bytes; ``size`` and ``time`` only distinguish its states."""
    try:
        return digest_file(path)
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _describe_directory(top: Path) -> Description:
    files: list[Path] = []
    size = 0
    for directory, names, found in os.walk(top):
        names.sort()
        for name in sorted(found):
            files.append(Path(directory) / name)
            state = _read_state(files[-1])
            size += state.st_size if state else 0
        if len(files) > _MOST_FILES or size > _DIGEST_LIMIT:
            return _describe_directories(top)
    return [
        [os.path.relpath(path, top), *description[1:]]
        for path, description in zip(files, _describe_files(files) if files else [])
    ] or ["missing"]


def _describe_directories(top: Path) -> Description:
    states: Description = []
    for directory, names, files in os.walk(top):
        names.sort()
        states.append([os.path.relpath(directory, top), os.stat(directory).st_mtime_ns])
        metadata = [Path(directory) / name for name in sorted(files) if name in _METADATA]
        states.extend(_describe_files([path]) for path in metadata)
        if len(states) >= _MOST_DIRECTORIES:
            break
    return states


def _describe_remote_array(container: str, dataset: str) -> Description:
    try:
        array, key = open_zarr(container, dataset, "r")
    except MissingInputError:
        return ["missing"]
    groups = dict.fromkeys([dataset, key])
    found = {}
    for group in groups:
        for name in _METADATA:
            data = read_metadata_file(join_path(container, group, name))
            if data is not None:
                found[f"{group}/{name}".strip("/")] = data.decode(errors="replace")
    grid = _describe_grid(array) if dataset and key == dataset else []
    return [found or "missing", list_objects(join_path(container, key)), *grid]
