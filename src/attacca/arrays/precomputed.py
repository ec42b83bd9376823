"""Volumes in the format Neuroglancer Precomputed, sharded or not, read through TensorStore.

Reference: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/volume.md
"""

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from attacca.arrays.identifier import is_url
from attacca.arrays.metadata import GridMetadata
from attacca.arrays.storage import check_regular_file
from attacca.arrays.tensorstore_array import TensorStoreArray, describe_error, locate_kvstore
from attacca.errors import MissingInputError, VolumeError

_PREFIX = "precomputed://"
_INFO = "info"
_CHUNK_NAME = re.compile(r"(\d+)-\d+_(\d+)-\d+_(\d+)-\d+")
_COMPRESSED = (".gz", ".br", ".zstd")
_OTHER_CONTAINERS = ("zarr.json", ".zarray", ".zgroup", ".zattrs", "attributes.json")


def is_precomputed(container: Path | str) -> bool:
    """Return whether a container is a Precomputed volume: by ``precomputed://``, or by ``info`` in a local directory.

    >>> is_precomputed("precomputed://gs://bucket/em"), is_precomputed("s3://bucket/volume.zarr")
    (True, False)
    """
    if str(container).startswith(_PREFIX):
        return True
    if is_url(container) or not os.path.isdir(container) or not os.path.lexists(Path(container) / _INFO):
        return False
    return not any(os.path.lexists(Path(container) / name) for name in _OTHER_CONTAINERS)


def locate_precomputed(container: Path | str) -> str:
    """Return the path or address of a Precomputed volume without the prefixes of its format.

    >>> locate_precomputed("precomputed://gs://bucket/em/"), locate_precomputed("precomputed://file:///data/em")
    ('gs://bucket/em', '/data/em')
    """
    return str(container).removeprefix(_PREFIX).removeprefix("file://").rstrip("/")


class PrecomputedArray(TensorStoreArray):
    """One scale of a Precomputed volume of images or segments, with the axes ``[c,] z, y, x``.

    Args:
        container: local directory, or an address that begins with ``precomputed://``.
        path: key or number of the scale; the finest if it is empty.

    Attributes:
        path: key of the scale.

    Raises:
        MissingInputError: the volume or the scale does not exist.
        VolumeError: the volume cannot be read.
    """

    def __init__(self, container: Path | str, path: str = "") -> None:
        location = locate_precomputed(container)
        scales = read_info(container)["scales"]
        keys = [str(scale.get("key")) for scale in scales]
        requested = path.strip("/") or keys[0]
        if requested not in keys and not (requested.isdecimal() and int(requested) < len(keys)):
            raise MissingInputError(
                f"{location} has no scale {requested!r}; it holds {', '.join(keys)}",
                fix="correct 'dataset'",
            )
        index = keys.index(requested) if requested in keys else int(requested)
        self.path = keys[index]
        self._is_sharded = scales[index].get("sharding") is not None
        spec = {
            "driver": "neuroglancer_precomputed",
            "kvstore": locate_kvstore(location),
            "scale_index": index,
        }
        self._open(spec, f"{location}/{_INFO}")
        self.attrs = _NoAttributes()
        self.chunks = tuple(self._view.chunk_layout.read_chunk.shape)
        size, begin = scales[index]["resolution"], scales[index].get("voxel_offset", [0, 0, 0])
        self._begin = tuple(int(number) for number in begin[::-1])
        self._grid = GridMetadata(
            ["c", "z", "y", "x"][-self.ndim :],
            tuple(float(length) for length in size[::-1]),
            tuple(float(a) * float(b) for a, b in zip(begin[::-1], size[::-1])),
            "nanometer",
            "'resolution' in info",
        )
        if not self._is_sharded and not is_url(location):
            _check_compression(Path(location) / self.path)

    @property
    def has_unnamed_objects(self) -> bool:
        return self._is_sharded

    def _arrange(self, view: Any) -> Any:
        return view if view.shape[0] > 1 else view[0]

    def read_grid_metadata(self) -> GridMetadata:
        return self._grid

    def name_object(self, index: tuple[int, ...]) -> str:
        """Return the name of the file of a chunk; in a sharded volume, several chunks share a file of another name."""
        spans = []
        for number, edge, size, begin in zip(index[-3:], self.chunks[-3:], self.shape[-3:], self._begin):
            low, high = number * edge, min((number + 1) * edge, size)
            spans.append(f"{begin + low}-{begin + high}")
        return "_".join(spans[::-1])

    def list_indices(self, names: Iterable[str]) -> Iterator[tuple[int, ...]]:
        """Yield the indices of chunks with these names of files; other names are ignored."""
        lead = (0,) * (self.ndim - 3)
        for name in names:
            parts = _CHUNK_NAME.fullmatch(name)
            if parts is None:
                continue
            corner = [int(number) - begin for number, begin in zip(parts.groups()[::-1], self._begin)]
            index = (*lead, *(number // edge for number, edge in zip(corner, self.chunks[-3:])))
            if min(corner) >= 0 and self.name_object(index) == name:
                yield index


class _NoAttributes(dict[str, Any]):
    """Attributes of an array that has none."""

    def asdict(self) -> dict[str, Any]:
        """Return an empty dictionary."""
        return dict(self)


def read_info(container: Path | str) -> dict[str, Any]:
    """Return the metadata of a Precomputed volume.

    Raises:
        MissingInputError: the volume does not exist.
        VolumeError: the file ``info`` cannot be read, or is not that of a volume.

    >>> read_info("precomputed:///nowhere")
    Traceback (most recent call last):
    attacca.errors.MissingInputError: /nowhere/info: no such file; correct 'path'
    """
    location = locate_precomputed(container)
    where = f"{location}/{_INFO}"
    if not is_url(location):
        check_regular_file(Path(where))
    # deferred: only Precomputed volumes need it
    import tensorstore

    try:
        stored = tensorstore.KvStore.open(locate_kvstore(location)).result().read(_INFO).result()
    except (ValueError, OSError) as error:
        raise VolumeError(f"{where} cannot be read: {describe_error(error)}") from error
    if stored.state != "value":
        raise MissingInputError(f"{where}: no such file", fix="correct 'path'")
    try:
        info = json.loads(stored.value)
    except (ValueError, RecursionError):
        info = None
    scales = info.get("scales") if isinstance(info, dict) else None
    if not isinstance(scales, list) or not scales or not all(isinstance(scale, dict) for scale in scales):
        raise VolumeError(
            f"{where} is damaged: expected a JSON object with 'scales' of a volume, found {stored.value[:40]!r}",
            fix="restore the file, or correct 'path'",
        )
    return dict(info)


def _check_compression(directory: Path) -> None:
    """Raise an error for chunks that cloud-volume compressed, by the endings of their names.

    A web server decompresses them. On a disk, the format's names of the chunks do not exist.
    """
    try:
        with os.scandir(directory) as files:
            name = next((file.name for file in files if file.name.endswith(_COMPRESSED)), None)
    except OSError:
        return
    if name is not None:
        raise VolumeError(
            f"{directory}: found compressed files such as {name}, which are read under an address of a server alone",
            fix=f"decompress them, for example with: gunzip -r {directory}"
            if name.endswith(".gz")
            else "copy the volume with cloud-volume and compress=False",
        )
