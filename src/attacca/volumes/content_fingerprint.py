"""A cheap digest of what a volume is made of, by which a changed file is noticed."""

import os
from pathlib import Path
from typing import Any

from attacca.arrays.identifier import is_url, join_path
from attacca.arrays.storage import open_store
from attacca.arrays.zarr_opening import open_zarr
from attacca.config.volumes import ArraySource, VolumeConfig
from attacca.errors import MissingInputError
from attacca.fingerprint import digest
from attacca.volumes.readers.open_source import list_files
from attacca.volumes.readers.zarr_container import split_container

# Another number makes every synthetic volume again: the tissue of a seed has changed.
TISSUE_VERSION = 1
_METADATA = (".zarray", ".zattrs", ".zgroup", "attributes.json")
_MOST_DIRECTORIES = 2000


def compute_content_fingerprint(config: VolumeConfig) -> str:
    """Digest of the state of all files that a volume is read from.

    Files count with path, size and time of last change; voxels are not read. Of a Zarr or N5 array its
    metadata files
    count, and the times of its directories, the first 2000: a chunk that is written again changes its
        directory's
    time. Of an array in an object store its metadata count. So a file that was changed while size and time
    were kept goes unnoticed, and a file that was merely touched counts as changed. A missing file counts as
    missing.
    """
    if config.synthetic is not None:
        return digest({"tissue": TISSUE_VERSION})
    sources = [config.raw, *(config.labels.sources if config.labels else []), config.mask]
    return digest([_state(source) for source in sources if source is not None])


def _state(source: ArraySource) -> Any:
    container = split_container(source.path, source.dataset)
    if container is not None:
        if is_url(container.container):
            return [str(container), _remote_metadata(str(container.container), container.dataset)]
        return [str(container), _directories(Path(join_path(container.container, container.dataset)))]
    files = list_files(source)
    return [_file(path) for path in files] if files else [str(source.path), "missing"]


def _file(path: Path) -> list[Any]:
    try:
        state = path.stat()
    except OSError:
        return [str(path), "missing"]
    return [str(path), state.st_size, state.st_mtime_ns]


def _directories(top: Path) -> list[Any]:
    found: list[Any] = []
    for directory, names, files in os.walk(top):
        names.sort()
        found.append([directory, os.stat(directory).st_mtime_ns])
        found.extend(_file(Path(directory) / name) for name in sorted(files) if name in _METADATA)
        if len(found) >= _MOST_DIRECTORIES:
            break
    return found or [str(top), "missing"]


def _remote_metadata(container: str, dataset: str) -> list[Any]:
    store = open_store(container, "r")
    try:
        _, array = open_zarr(container, dataset, "r")
    except MissingInputError:
        return ["missing"]
    groups = dict.fromkeys([dataset, array])
    keys = [f"{group}/{name}".strip("/") for group in groups for name in (".zarray", ".zattrs", ".zgroup")]
    return [[key, store[key].decode() if key in store else "missing"] for key in keys]
