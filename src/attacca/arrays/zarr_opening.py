"""Opening of stored arrays by name, including the first scale of a multiscale group."""

import json
import lzma
import math
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import zarr
from funlib.geometry import Coordinate, Roi
from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore

from attacca.arrays.blosc import use_complete_chunks
from attacca.arrays.identifier import is_url, join_path
from attacca.arrays.n5 import N5Array, is_n5_container, list_n5_members, read_attributes_file
from attacca.arrays.precomputed import PrecomputedArray, is_precomputed
from attacca.arrays.server_errors import explain_server_errors
from attacca.arrays.storage import open_store
from attacca.arrays.stored_array import StoredArray
from attacca.errors import AttaccaError, MissingInputError, VolumeError, summarize_error

_LARGEST_ARRAY = 2**63 - 1
_LARGEST_CHUNK = 2**36
"""Bytes of an array, and of a chunk, beyond which a header is considered damaged."""
_MOST_CHUNKS = 2**32
_MOST_NAMES = 10_000
FIRST_SCALES = ("s0", "0", "scale0")
"""Names of the first scale, for multiscale groups without OME metadata."""

use_complete_chunks()


@dataclass(frozen=True)
class ZarrArrayConfig:
    """Location of an array, and values that replace the metadata in its attributes.

    Args:
        file_name: path or URL of the container.
        dataset: name of the array, or of a multiscale group, in the container.
        name: display name; by default the data set.
        snap_to_grid: world units; the ROI is shrunk to multiples of it.
        axes: names of all axes.
        mode: ``"r"`` to read, ``"a"`` to read and write.
        unit: unit of world coordinates; stored numbers are converted to it.
        voxel_size, offset: in ``unit``.
        roi: the part of the array to use, in world units and on the voxel grid.
        contents: ``raw`` or ``labels`` if each block is checked for values that such data must not hold when it is
            read; empty for no check.
        missing_chunks: ``refuse`` if a missing chunk is an error when it is read, ``zero`` if it holds fill values.
        stored_axes: names of the axes as they are stored, if ``axes`` are others; see ``ReorderedArray``.
        points: index along each stored axis that is left out.
    """

    file_name: Path | str
    dataset: str
    name: str = ""
    snap_to_grid: Coordinate | None = None
    axes: Sequence[str] | None = None
    mode: str = "r"
    unit: str | None = None
    voxel_size: Coordinate | None = None
    offset: Coordinate | None = None
    roi: Roi | None = None
    contents: str = ""
    missing_chunks: str = "zero"
    stored_axes: Sequence[str] | None = None
    points: Mapping[str, int] = field(default_factory=dict)


def open_zarr(container: Path | str, dataset: str, mode: str) -> tuple[StoredArray, str]:
    """Open a Zarr (format 2 or 3), N5 or Precomputed array, or the first scale of a multiscale group.

    Args:
        container: path or URL.
        dataset: name of the array or group in the container.
        mode: ``"r"`` to read, ``"a"`` to read and write.

    Returns:
        The array, and its own name in the container.

    Raises:
        MissingInputError: the array does not exist; the message lists the members of the nearest group.
        VolumeError: the metadata cannot be read, or the server cannot be reached.

    >>> group = zarr.open_group(open_store("memory://opening.zarr", "a"), path="raw")
    >>> array = group.create_array("s0", shape=(2, 4, 4), dtype="u1")
    >>> array, name = open_zarr("memory://opening.zarr", "raw", "r")
    >>> array.shape, name
    ((2, 4, 4), 'raw/s0')
    """
    path = str(dataset).strip("/")
    if mode == "r" and is_precomputed(container):
        scale = PrecomputedArray(container, path)
        return scale, scale.path
    if is_n5_container(container):
        with explain_server_errors(container):
            return _open_n5(container, path, mode)
    store = open_store(container, mode)
    with explain_server_errors(container):
        node = open_node(store, path, writable=mode != "r")
        if isinstance(node, zarr.Array):
            return node, path
        if node is None:
            raise MissingInputError(
                f"{join_path(container, path)}: no such array{_list_members(store, path)}"
            )
        first = first_scale(node.attrs)
        arrays = [] if first else list_group(store, path)
        for candidate in [first] if first else [*FIRST_SCALES, *(arrays if len(arrays) == 1 else [])]:
            name = f"{path}/{candidate}".strip("/")
            array = open_node(store, name, writable=mode != "r")
            if isinstance(array, zarr.Array):
                return array, name
        key = "another 'dataset'" if path else "'dataset'"
        raise MissingInputError(
            f"{join_path(container, path)} is a group, not an array{_list_members(store, path)}; "
            f"name an array with {key}"
        )


def open_node(store: Store, path: str, writable: bool = False) -> zarr.Array[Any] | zarr.Group | None:
    """Open an array or group of Zarr format 2 or 3; None if neither exists.

    Consolidated metadata are not used: they may be older than the array.

    Raises:
        VolumeError: the metadata are damaged, or name a codec or dtype that is not installed.

    >>> store = zarr.storage.MemoryStore()
    >>> array = zarr.open_group(store, path="raw").create_array("s0", shape=(4,), dtype="u1")
    >>> [type(open_node(store, path)).__name__ for path in ("raw", "raw/s0", "labels")]
    ['Group', 'Array', 'NoneType']
    """
    mode: Any = "r+" if writable else "r"
    with _explain_damaged_metadata(store, path):
        try:
            array = zarr.open_array(store, path=path, mode=mode)
        except (FileNotFoundError, zarr.errors.ContainsGroupError, zarr.errors.NodeTypeValidationError):
            try:
                return zarr.open_group(store, path=path, mode=mode, use_consolidated=False)
            except FileNotFoundError:
                return None
        _check_extent(array)
    return array if writable else match_chunk_names(array)


def first_scale(attributes: Mapping[str, Any]) -> str | None:
    """Return the name of the finest scale in OME metadata of version 0.1 to 0.5; None without them.

    >>> first_scale({"ome": {"multiscales": [{"datasets": [{"path": "s0"}, {"path": "s1"}]}]}})
    's0'
    """
    images = multiscales(attributes)
    datasets = images[0].get("datasets") if images else None
    first = datasets[0] if isinstance(datasets, list) and datasets else None
    return str(first["path"]) if isinstance(first, Mapping) and "path" in first else None


def ome_attributes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the OME metadata in the attributes of a group: below ``ome`` since OME-Zarr 0.5, on their own before.

    >>> ome_attributes({"ome": {"version": "0.5"}, "attacca": {}}), ome_attributes({"omero": {}})
    ({'version': '0.5'}, {'omero': {}})
    """
    ome = attributes.get("ome")
    return ome if isinstance(ome, Mapping) else attributes


def multiscales(attributes: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the multiscale images in the attributes of a group, of OME-Zarr 0.5 or earlier.

    >>> multiscales({"ome": {"multiscales": [{"name": "raw"}]}}), multiscales({"multiscales": [{"name": "raw"}]})
    ([{'name': 'raw'}], [{'name': 'raw'}])
    """
    images = ome_attributes(attributes).get("multiscales") or []
    return [image for image in images if isinstance(image, Mapping)] if isinstance(images, list) else []


def list_group(store: Store, path: str) -> list[str]:
    """Return the sorted names of a group's members; empty without such a group.

    >>> store = zarr.storage.MemoryStore()
    >>> array = zarr.open_group(store, path="raw").create_array("s0", shape=(4,), dtype="u1")
    >>> list_group(store, "raw"), list_group(store, "labels")
    (['s0'], [])
    """
    node = open_node(store, path)
    if not isinstance(node, zarr.Group):
        return []
    try:
        return sorted(node.keys())
    except (FileNotFoundError, NotADirectoryError, NotImplementedError):
        # Web servers do not list directories.
        return []


def _open_n5(container: Path | str, path: str, mode: str) -> tuple[N5Array, str]:
    attributes = (
        read_attributes_file(join_path(container, path)) if path else read_attributes_file(str(container))
    )
    if attributes is not None and "dimensions" in attributes:
        return N5Array(container, path, writable=mode != "r"), path
    first = first_scale(attributes or {})
    for candidate in [first] if first else FIRST_SCALES:
        name = f"{path}/{candidate}".strip("/")
        scale = read_attributes_file(join_path(container, name))
        if scale is not None and "dimensions" in scale:
            return N5Array(container, name, writable=mode != "r"), name
    group = path
    while group and read_attributes_file(join_path(container, group)) is None:
        group = group.rpartition("/")[0]
    members = ", ".join(list_n5_members(container, group)[:20]) or "nothing"
    raise MissingInputError(
        f"{join_path(container, path)}: no such array; {group or 'the container'} holds {members}"
    )


_METADATA_FILES = ("zarr.json", ".zarray", ".zattrs", ".zgroup")
_DAMAGE = (
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    NotImplementedError,
    AssertionError,
    RecursionError,
    MemoryError,
    ImportError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    EOFError,
)
DECODING_ERRORS = (*_DAMAGE, RuntimeError, OSError)
"""Errors of libraries that decode damaged metadata or voxels."""


@contextmanager
def _explain_damaged_metadata(store: Store, path: str) -> Iterator[None]:
    """Convert errors of zarr at the opening of an array or group to one that names the damaged file."""
    try:
        yield
    except AttaccaError:
        raise
    except OSError as error:
        if not isinstance(store, LocalStore):
            raise
        where = error.filename or join_path(store.root, path)
        raise VolumeError(
            f"{where} cannot be read: {error.strerror or summarize_error(error)}",
            fix="ask its owner for permission, or correct the path",
        ) from error
    except _DAMAGE as error:
        where = join_path(locate_store(store), path)
        existing = []
        for name in _METADATA_FILES:
            try:
                data = sync(store.get(f"{path}/{name}".strip("/"), prototype=default_buffer_prototype()))
            except DECODING_ERRORS:
                continue
            if data is None:
                continue
            existing.append(name)
            if not _is_json_object(data.to_bytes()):
                raise VolumeError(
                    f"{where}/{name} is damaged: expected a JSON object, found "
                    f"{data.to_bytes()[:40].decode(errors='replace')!r} ({len(data)} bytes)",
                    fix="restore the file, or copy the volume again",
                ) from error
        raise VolumeError(
            f"{where}/{' and '.join(existing)}: found metadata that describe no readable array "
            f"({type(error).__name__}: {summarize_error(error)[:300]})",
            fix="restore the file, or write the array with other settings if it names a codec or type that is unknown here",
        ) from error


def _is_json_object(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False


def locate_store(store: Store) -> str:
    """Return the path or URL of a store.

    >>> locate_store(open_store("memory://located.zarr", "a"))
    'memory:///located.zarr'
    """
    if isinstance(store, LocalStore):
        return str(store.root)
    if isinstance(store, FsspecStore):
        protocol = store.fs.protocol if isinstance(store.fs.protocol, str) else store.fs.protocol[0]
        if protocol in ("abstract", "file"):
            protocol = "memory"
        return store.path if is_url(store.path) else f"{protocol}://{store.path}"
    return str(getattr(store, "path", store))


def _check_extent(array: zarr.Array[Any]) -> None:
    """Raise an error for a shape or a codec that no array of voxels has.

    Raises:
        ValueError: more voxels than can be counted, chunks that do not fit in memory, or pickled objects.
    """
    size = max(1, array.dtype.itemsize)
    if math.prod(array.shape) * size > _LARGEST_ARRAY:
        raise ValueError(f"found the shape {array.shape}, which is more than {_LARGEST_ARRAY} bytes")
    if math.prod(-(-n // k) for n, k in zip(array.shape, array.shards or array.chunks)) > _MOST_CHUNKS:
        raise ValueError(f"found the shape {array.shape}, which is more than {_MOST_CHUNKS} chunks")
    if getattr(array.metadata, "_stored_document", None) is not None:
        raise ValueError("found chunks of 0 voxels")
    if min(array.chunks, default=1) < 1 or math.prod(array.chunks) * size > _LARGEST_CHUNK:
        raise ValueError(
            f"found chunks of {array.chunks} voxels, expected 1 to {_LARGEST_CHUNK} bytes in a chunk"
        )
    if array.metadata.zarr_format == 2:
        codecs = [array.metadata.compressor, *(array.metadata.filters or ())]
        if any(getattr(codec, "codec_id", "") == "pickle" for codec in codecs):
            # Unpickling executes code.
            raise ValueError("found the codec 'pickle', which is never decoded")


def match_chunk_names(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """Return an array that finds its chunks, even if ``.zarray`` names the wrong separator of their indices.

    Old versions of zarr stored chunks in nested directories (``0/0/0``) without a ``dimension_separator``; copies
    between stores have renamed them. Metadata without chunks, and arrays of Zarr 3, are returned as they are.

    Raises:
        VolumeError: there are chunks with both separators.

    >>> store = zarr.storage.MemoryStore()
    >>> array = zarr.create_array(store, shape=(4, 4), dtype="u1", chunks=(2, 2), zarr_format=2)
    >>> match_chunk_names(array) is array
    True
    """
    metadata: Any = array.metadata
    if metadata.zarr_format != 2 or array.ndim < 2:
        return array
    declared = metadata.dimension_separator
    other = "/" if declared == "." else "."
    store, path = array.store, array.path
    if isinstance(store, LocalStore):
        found = list(_list_separators(Path(store.root) / path, array.ndim, declared))
    else:
        first = [separator.join("0" * array.ndim) for separator in (declared, other)]
        keys = [f"{path}/{name}".strip("/") for name in first]
        found = []
        if declared == "." and not sync(store.exists(keys[0])) and sync(store.exists(keys[1])):
            found = [other]
    if len(found) > 1:
        raise VolumeError(
            f"{join_path(locate_store(store), path)}: found chunks with both names, such as "
            f"{'.'.join('0' * array.ndim)} and {'/'.join('0' * array.ndim)}",
            fix="remove those of an older array, or copy the volume again",
        )
    if found != [other]:
        return array
    corrected: Any = replace(metadata, dimension_separator=other)
    return zarr.Array(zarr.AsyncArray(metadata=corrected, store_path=array.store_path))


def _list_separators(directory: Path, ndim: int, declared: str) -> Iterator[str]:
    """Yield the separators of the chunks in a directory. Once the declared one is found, few more names are read."""
    dotted = re.compile(r"\.".join([r"\d+"] * ndim))
    seen: set[str] = set()
    with os.scandir(directory) as files:
        for number, item in enumerate(files):
            if declared in seen and number > _MOST_NAMES:
                return
            if dotted.fullmatch(item.name):
                separator = "."
            elif item.name.isdecimal() and item.is_dir():
                separator = "/"
            else:
                continue
            if separator not in seen:
                seen.add(separator)
                yield separator


def _list_members(store: Store, path: str) -> str:
    """Return the end of a message that lists the members of the nearest existing group."""
    while path and not isinstance(open_node(store, path), zarr.Group):
        path = path.rpartition("/")[0]
    names = list_group(store, path)
    return f"; {path or 'the container'} holds {', '.join(names[:20]) or 'nothing'}"
