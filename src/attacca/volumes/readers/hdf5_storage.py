"""Checks that all voxels of an HDF5 data set are stored and can be decoded.

HDF5 returns the fill value, usually 0, for chunks that were never written, for missing source files of virtual data
sets. None of these is an error of the library.
"""

import importlib.util
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from attacca.errors import MissingInputError, VolumeError
from attacca.volumes.readers.hdf5_links import find_object, locate_linked, open_linked

_FILTERS = {
    305: "LZO",
    307: "bzip2",
    32000: "LZF",
    32001: "Blosc",
    32004: "LZ4",
    32008: "bitshuffle",
    32013: "ZFP",
    32015: "Zstandard",
    32017: "SZ",
    32018: "FCIDECOMP",
    32019: "JPEG",
    32024: "SZ3",
    32026: "Blosc2",
    32028: "SPERR",
}
_NOT_IN_PLUGIN = (305, 32019)
_DEEPEST = 4


def check_filters(dataset: Any, name: str) -> None:
    """Raise an error if the compression of a data set is not installed.

    Raises:
        VolumeError: names the filter, and the package that holds it.
    """
    # deferred: h5py takes 0.1 s to import
    import h5py

    properties = dataset.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        code, _, _, label = properties.get_filter(index)
        if h5py.h5z.filter_avail(code):
            continue
        if importlib.util.find_spec("hdf5plugin") is not None:
            # deferred: an optional package, which registers filters when it is imported
            import hdf5plugin  # noqa: F401

            if h5py.h5z.filter_avail(code):
                continue
        text = _FILTERS.get(code) or label.decode(errors="replace") or "without a name"
        again = "h5repack -f GZIP=4 FILE COPY on a computer that has the filter"
        raise VolumeError(
            f"{name} is compressed with the HDF5 filter {code} ({text}), which is not installed",
            fix=f"compress it with gzip: {again}"
            if code in _NOT_IN_PLUGIN
            else f"pip install hdf5plugin; if it does not hold the filter, {again}",
        )


def check_files(dataset: Any, path: Path, name: str, depth: int = 0) -> None:
    """Raise an error if voxels of a data set are in other files that are missing, too small or not HDF5.

    Args:
        dataset: the data set.
        path: its file.
        name: file and data set, for messages.
        depth: number of virtual data sets between this one and the configured one.

    Raises:
        MissingInputError: a file or data set is missing.
        VolumeError: a file is too small or has no header, or parts of a virtual data set have no source.
    """
    if dataset.external:
        file = os.fsdecode(dataset.external[0][0])
        raise VolumeError(
            f"{name} keeps its voxels in another file without a header, {file}",
            fix="copy them to an HDF5 file",
        )
    if not dataset.is_virtual:
        return
    if depth >= _DEEPEST:
        raise VolumeError(f"{name} is a virtual data set of virtual data sets", fix="copy it to one file")
    mapped = 0
    opened: dict[str, Any] = {}
    for target, file_name, source_name, space in dataset.virtual_sources():
        what = f"the virtual data set {name}"
        if "%" in file_name.replace("%%", "") or "%" in source_name.replace("%%", ""):
            raise VolumeError(f"{name} is a virtual data set with numbered files", fix="copy it to one file")
        if file_name not in opened:
            opened[file_name] = dataset.file if file_name == "." else open_linked(path, file_name, what)
        located = path if file_name == "." else locate_linked(path, file_name) or path
        source = find_object(opened[file_name], located, source_name)
        if source is None:
            raise MissingInputError(
                f"{located} has no data set {source_name!r}, from which {what} is composed",
                fix="restore the file",
            )
        if not _is_large_enough(source, target, space):
            raise VolumeError(
                f"{located}:{source_name} has the shape {source.shape}, which is smaller than {what} expects",
                fix="restore the file",
            )
        check_filters(source, f"{located}:{source_name}")
        check_files(source, located, f"{located}:{source_name}", depth + 1)
        missing = describe_missing(source)
        if missing:
            raise VolumeError(f"{located}:{source_name}, a part of {what}: {missing}", fix="restore the file")
        mapped += target.get_select_npoints()
    if mapped < math.prod(dataset.shape):
        raise VolumeError(
            f"{name} is a virtual data set of which {math.prod(dataset.shape) - mapped} of "
            f"{math.prod(dataset.shape)} voxels have no source",
            fix="add the missing files to the virtual data set, or copy the existing voxels to one file",
        )


def _is_large_enough(source: Any, target: Any, space: Any) -> bool:
    """Return True if a source of a virtual data set contains the selection that is read from it.

    Args:
        source: the data set.
        target: selection in the virtual data set.
        space: selection in the source; a selection of everything has no bounds.
    """
    try:
        _, last = space.get_select_bounds()
    except ValueError:
        return math.prod(source.shape) >= int(target.get_select_npoints())
    return len(last) == len(source.shape) and all(size > end for size, end in zip(source.shape, last))


def describe_missing(dataset: Any) -> str:
    """Return how many chunks of a data set were never written, or an empty text."""
    if dataset.is_virtual or dataset.external or not math.prod(dataset.shape):
        return ""
    if dataset.chunks is None:
        return "no voxel was ever written" if dataset.id.get_storage_size() == 0 else ""
    expected = math.prod(-(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks))
    written = dataset.id.get_num_chunks()
    return f"{expected - written} of {expected} chunks were never written" if written < expected else ""


_MOST_CHUNKS = 4_000_000


def check_chunk_table(dataset: Any, name: str) -> None:
    """Raise an error if the index of the chunks is damaged: most HDF5 files protect it by no checksum.

    Raises:
        VolumeError: chunks are listed twice, outside the data set or the file, or overlap in the file.
    """
    if dataset.is_virtual or dataset.external or dataset.chunks is None:
        return
    if not 0 < dataset.id.get_num_chunks() <= _MOST_CHUNKS:
        return
    corners: list[tuple[int, ...]] = []
    places: list[tuple[int, int]] = []

    def visit(info: Any) -> None:
        corners.append(info.chunk_offset)
        places.append((info.byte_offset, info.size))

    dataset.id.chunk_iter(visit)
    grid, stored = np.array(corners, dtype=np.uint64), np.array(places, dtype=np.uint64)
    stored = stored[np.argsort(stored[:, 0], kind="stable")]
    begin, end = stored[:, 0], stored.sum(axis=1)
    problem = ""
    if (grid % np.array(dataset.chunks, np.uint64)).any() or (
        grid >= np.array(dataset.shape, np.uint64)
    ).any():
        problem = "a chunk that is not in its grid"
    elif len(np.unique(grid, axis=0)) < len(grid):
        problem = "a chunk twice"
    elif int(end.max()) > dataset.file.id.get_filesize() or (begin[1:] < end[:-1]).any():
        problem = "chunks that overlap or are outside the file"
    if problem:
        raise VolumeError(
            f"{name}: the index of its chunks is damaged: it lists {problem}", fix="copy the file again"
        )


def list_linked_files(dataset: Any, path: Path) -> list[Path]:
    """Return the other files from which the voxels of a data set of ``path`` are read, in the order of their use."""
    own = Path(dataset.file.filename)
    files = [] if own == path else [own]
    if dataset.is_virtual:
        names = dict.fromkeys(source.file_name for source in dataset.virtual_sources())
        located = (locate_linked(own, name) for name in names if name != ".")
        files += [file for file in located if file is not None]
    return list(dict.fromkeys(files))
