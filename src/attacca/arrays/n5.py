"""N5 arrays, read and written through TensorStore with the interface of a Zarr array.

N5 stores lists in the order x, y, z. Here axes are reversed, so that an N5 array is indexed as a Zarr array is:
``z, y, x``.

Reference: Saalfeld, S. et al. N5: a scalable Java API for hierarchies of chunked n-dimensional tensors.
https://github.com/saalfeldlab/n5
"""

import json
import math
import os
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attacca.arrays.identifier import is_url, join_path
from attacca.arrays.storage import parse_metadata_file, remote_file_system
from attacca.arrays.tensorstore_array import TensorStoreArray, locate_kvstore
from attacca.atomic import write_text
from attacca.errors import MissingInputError, VolumeError

ATTRIBUTES_FILE = "attributes.json"
_RESERVED = ("dimensions", "blockSize", "dataType", "compression", "compressionType", "n5")


class N5Attributes(MutableMapping[str, Any]):
    """Attributes of an N5 array or group without those that describe its storage."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def __getitem__(self, key: str) -> Any:
        return self.asdict()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __delitem__(self, key: str) -> None:
        values = read_attributes_file(self._directory) or {}
        del values[key]
        _write_attributes_file(self._directory, values)

    def __iter__(self) -> Iterator[str]:
        return iter(self.asdict())

    def __len__(self) -> int:
        return len(self.asdict())

    def asdict(self) -> dict[str, Any]:
        """Return all attributes as a dictionary."""
        values = read_attributes_file(self._directory) or {}
        return {key: value for key, value in values.items() if key not in _RESERVED}

    def update(self, values: Any = (), /, **more: Any) -> None:
        """Store attributes beside the existing ones."""
        stored = read_attributes_file(self._directory) or {}
        _write_attributes_file(self._directory, {**stored, **dict(values), **more})

    def put(self, values: dict[str, Any]) -> None:
        """Replace all attributes except those that describe the storage."""
        stored = read_attributes_file(self._directory) or {}
        kept = {key: value for key, value in stored.items() if key in _RESERVED}
        _write_attributes_file(self._directory, {**kept, **values})


class N5Array(TensorStoreArray):
    """An N5 array.

    Args:
        container: path or URL of the container.
        path: name of the array in it.
        writable: open it for writing as well.

    Raises:
        MissingInputError: the array does not exist.
        VolumeError: its metadata or its codec cannot be read.
    """

    def __init__(self, container: str | Path, path: str, writable: bool = False) -> None:
        # deferred: only N5 containers need TensorStore
        import tensorstore

        self.container = container
        self.path = path.strip("/")
        self.directory = join_path(container, self.path)
        values = read_attributes_file(self.directory)
        if values is None or "dimensions" not in values:
            raise MissingInputError(
                f"{self.directory}: no such N5 array; correct the path or the name of the data set"
            )
        if values.get("isLabelMultiset"):
            raise VolumeError(
                f"{self.directory}: found an N5 label multiset, expected one id per voxel; export it with Paintera's "
                "paintera-conversion-helper (extract-highest-resolution-labels) first"
            )
        context = tensorstore.Context()
        # Other attributes, such as a resolution of another length, must not keep TensorStore from opening the array.
        storage = _clean_storage(self.directory, values)
        memory = tensorstore.KvStore.open("memory://", context=context).result()
        memory[ATTRIBUTES_FILE] = json.dumps(storage).encode()
        overlay = {"base": {"driver": "memory", "path": ATTRIBUTES_FILE}, "exact": ATTRIBUTES_FILE}
        layers = [{"base": locate_kvstore(self.directory)}, overlay]
        spec = {"driver": "n5", "kvstore": {"driver": "kvstack", "layers": layers}}
        self._open(spec, join_path(self.directory, ATTRIBUTES_FILE), context, writable)
        self.chunks = tuple(values["blockSize"][::-1])
        self.attrs = N5Attributes(self.directory)

    def read_grid_metadata(self) -> None:
        """None: the attributes hold it."""

    def name_object(self, index: tuple[int, ...]) -> str:
        return "/".join(map(str, index[::-1]))


_CODECS = {
    "raw": (),
    "gzip": ("level", "useZlib"),
    "bzip2": ("blockSize",),
    "xz": ("preset",),
    "blosc": ("cname", "clevel", "shuffle", "blocksize"),
    "zstd": ("level",),
}
"""Codecs that TensorStore decodes, and the settings that it accepts: others, such as the number of threads, are left out."""


def _clean_storage(directory: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of the storage as of N5 version 2.

    Raises:
        VolumeError: the codec is unknown, or the array has more voxels than can be counted.
    """
    path = join_path(directory, ATTRIBUTES_FILE)
    # The first version of N5 stored the name alone.
    compression = values.get("compression", {"type": values.get("compressionType")})
    if isinstance(compression, str):
        compression = {"type": compression}
    kind = compression.get("type") if isinstance(compression, dict) else compression
    if not isinstance(kind, str) or kind not in _CODECS:
        raise VolumeError(
            f"{path}: found the compression {kind!r}, expected {', '.join(_CODECS)}",
            fix="convert the data set to one of these, for example to gzip with n5-utils or Fiji",
        )
    settings = {key: compression[key] for key in ("type", *_CODECS[kind]) if key in compression}
    sizes = [values.get("dimensions"), values.get("blockSize")]
    for key, size in zip(("dimensions", "blockSize"), sizes):
        is_valid = isinstance(size, list) and all(type(edge) is int and edge >= 1 for edge in size)
        if (
            not is_valid
            or len(size or ()) != len(sizes[0] or ())
            or math.prod(size or ()) >= _MOST_VOXELS[key]
        ):
            raise VolumeError(
                f"{path}: found the {key} {str(size)[:80]}, expected a positive number of voxels for each axis",
                fix="restore the file, or copy the volume again",
            )
    return {**{key: values[key] for key in _RESERVED if key in values}, "compression": settings}


_MOST_VOXELS = {"dimensions": 2**60, "blockSize": 2**33}


def create_n5_array(
    container: str | Path, path: str, shape: Sequence[int], chunks: Sequence[int], dtype: np.dtype
) -> N5Array:
    """Create an N5 array of zeros, gzip-compressed, and replace an existing one.

    Args:
        container: path or URL.
        path: name of the array in the container.
        shape, chunks: voxels, in the order ``z, y, x``.
        dtype: dtype of the voxels.

    >>> import tempfile
    >>> directory = tempfile.TemporaryDirectory()
    >>> array = create_n5_array(f"{directory.name}/volume.n5", "raw", (4, 8, 16), (4, 8, 8), np.dtype("u1"))
    >>> array[0, :2, 3] = 7
    >>> array.shape, array[0, :, 3].tolist()
    ((4, 8, 16), [7, 7, 0, 0, 0, 0, 0, 0])
    """
    # deferred: only N5 containers need TensorStore
    import tensorstore

    directory = join_path(container, path.strip("/"))
    metadata = {
        "dimensions": [int(size) for size in shape[::-1]],
        "blockSize": [int(size) for size in chunks[::-1]],
        "dataType": np.dtype(dtype).name,
        "compression": {"type": "gzip"},
    }
    spec = {"driver": "n5", "kvstore": locate_kvstore(directory), "metadata": metadata}
    tensorstore.open(spec, create=True, delete_existing=True).result()
    _mark_groups(container, path)
    return N5Array(container, path, writable=True)


def is_n5_container(container: str | Path) -> bool:
    """Return whether a container holds N5: by its name, or by the attributes file of a local directory.

    >>> is_n5_container("s3://bucket/volume.n5"), is_n5_container("s3://bucket/volume.zarr")
    (True, False)
    """
    if str(container).rstrip("/").endswith(".n5"):
        return True
    return not is_url(container) and (Path(container) / ATTRIBUTES_FILE).exists()


def read_attributes_file(directory: str) -> dict[str, Any] | None:
    """Return the values of ``attributes.json``; None if the file does not exist.

    Args:
        directory: path or URL of an N5 group or array.

    Raises:
        VolumeError: the file is not a JSON object, or may not be read.

    >>> system, root = remote_file_system("memory://volume.n5/raw/attributes.json")
    >>> system.pipe_file(root, b'{"dimensions": [16, 8, 4]}')
    >>> read_attributes_file("memory://volume.n5/raw"), read_attributes_file("memory://volume.n5/labels")
    ({'dimensions': [16, 8, 4]}, None)
    """
    return parse_metadata_file(join_path(directory, ATTRIBUTES_FILE))


def list_n5_members(container: str | Path, path: str) -> list[str]:
    """Return the sorted names of the groups and arrays below a group.

    Args:
        container: path or URL.
        path: name of the group in the container.

    >>> system, root = remote_file_system("memory://members.n5/labels/neurons/attributes.json")
    >>> system.pipe_file(root, b"{}")
    >>> list_n5_members("memory://members.n5", "labels")
    ['neurons']
    """
    directory = join_path(container, path.strip("/"))
    if is_url(directory):
        system, root = remote_file_system(directory)
        names = [str(item).rstrip("/").rpartition("/")[2] for item in system.ls(root, detail=False)]
        return sorted(name for name in names if name != ATTRIBUTES_FILE)
    if not os.path.isdir(directory):
        return []
    return sorted(name for name in os.listdir(directory) if os.path.isdir(os.path.join(directory, name)))


def _write_attributes_file(directory: str, values: dict[str, Any]) -> None:
    path, text = join_path(directory, ATTRIBUTES_FILE), json.dumps(values, indent=2)
    if is_url(directory):
        system, root = remote_file_system(path)
        system.pipe_file(root, text.encode())
        return
    write_text(Path(path), text)


def _mark_groups(container: str | Path, path: str) -> None:
    """Write the attributes file that readers of N5 expect in the container's root."""
    values = read_attributes_file(str(container)) or {}
    if "n5" not in values:
        _write_attributes_file(str(container), {"n5": "2.0.0", **values})
