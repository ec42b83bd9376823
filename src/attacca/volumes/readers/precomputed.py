"""Volumes in the format Neuroglancer Precomputed, sharded or not, read through TensorStore.

Reference: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/volume.md
"""

import json
import math
import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from attacca.arrays.identifier import is_url
from attacca.arrays.metadata import GridMetadata
from attacca.arrays.n5 import locate_kvstore
from attacca.arrays.storage import check_regular_file
from attacca.arrays.stored_values import ACCEPT_MISSING_CHUNKS
from attacca.errors import MissingInputError, VolumeError, summarize_error
from attacca.volumes.readers.image_file import IMAGE_SUFFIXES
from attacca.volumes.readers.source import Source

_PREFIX = "precomputed://"
_INFO = "info"


def is_precomputed(path: Path | str) -> bool:
    """Return whether a path is a Precomputed volume: by ``precomputed://``, or by ``info`` in a local directory.

    >>> is_precomputed("precomputed://gs://bucket/em"), is_precomputed("s3://bucket/volume.zarr")
    (True, False)
    """
    if str(path).startswith(_PREFIX):
        return True
    if is_url(path) or not os.path.isdir(path) or not os.path.lexists(Path(path) / _INFO):
        return False
    # A directory of sections may hold a file of this name as well.
    return not any(name.lower().endswith(IMAGE_SUFFIXES) for name in os.listdir(path))


class PrecomputedSource(Source):
    """One scale of a Precomputed volume of images or segments.

    Args:
        path: local directory, or an address that begins with ``precomputed://``.
        dataset: key or number of the scale; the finest by default.
        refuses_missing: True if a missing chunk is an error when it is read; otherwise it holds zeros.

    Attributes:
        missing: number of missing chunks of a local volume without shards, as text.

    Raises:
        MissingInputError: the volume or the scale does not exist.
        VolumeError: the volume cannot be read.
    """

    def __init__(self, path: Path | str, dataset: str | None = None, refuses_missing: bool = False) -> None:
        self._path = _strip(path)
        self._refuses_missing = refuses_missing
        self.name = self._path
        info = read_info(path)
        scales = info["scales"]
        keys = [str(scale.get("key")) for scale in scales]
        requested = (dataset or keys[0]).strip("/")
        if requested not in keys and not (requested.isdecimal() and int(requested) < len(keys)):
            raise MissingInputError(
                f"{self._path} has no scale {requested!r}; it holds {', '.join(keys)}",
                fix="correct 'dataset'",
            )
        self._index = keys.index(requested) if requested in keys else int(requested)
        self.name = f"{self._path}/{keys[self._index]}"
        self._view: Any = None
        shape, self.dtype = self._open().shape, np.dtype(self._open().dtype.numpy_dtype)
        self.axes = ["c", "z", "y", "x"] if shape[0] > 1 else ["z", "y", "x"]
        self.shape = tuple(shape[4 - len(self.axes) :])
        if not is_url(self._path) and "sharding" not in scales[self._index]:
            self.missing = self._describe_missing(scales[self._index].get("voxel_offset", [0, 0, 0]))
        self.stored_axes = "xyzc" if shape[0] > 1 else "xyz"
        size, begin = (
            scales[self._index].get("resolution"),
            scales[self._index].get("voxel_offset", [0, 0, 0]),
        )
        corner = tuple(float(a) * float(b) for a, b in zip(begin[::-1], size[::-1]))
        lengths = tuple(float(value) for value in size[::-1])
        self.metadata = GridMetadata(["z", "y", "x"], lengths, corner, "nanometer", "'resolution' in info")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_view": None}

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        window = tuple(slice(int(b), int(e)) for b, e in zip(begin, end))
        try:
            data = np.asarray(self._open()[(slice(None), *window)].read().result())
        except (ValueError, OSError) as error:
            reason = summarize_error(error).partition(" [")[0]
            raise VolumeError(
                f"{self.name}: the stored voxels cannot be read: {reason}",
                fix=ACCEPT_MISSING_CHUNKS
                if "is missing" in reason
                else "copy the volume again, or restore the file",
            ) from error
        return data if "c" in self.axes else data[0]

    def _describe_missing(self, corner: Sequence[int]) -> str:
        """Return how many chunks of a local volume without shards are missing, or an empty text.

        Args:
            corner: first voxel along x, y, z.

        Raises:
            VolumeError: the chunks are compressed files, which TensorStore does not find.
        """
        sizes = self._open().chunk_layout.read_chunk.shape[:0:-1]
        ranges = [
            [f"{a}-{min(a + step, first + extent)}" for a in range(first, first + extent, step)]
            for first, extent, step in zip(corner, self._open().shape[:0:-1], sizes)
        ]
        names = set(os.listdir(self.name)) if os.path.isdir(self.name) else set()
        absent = [name for name in map("_".join, product(*ranges)) if name not in names]
        if any(f"{name}.gz" in names for name in absent):
            raise VolumeError(
                f"{self.name} holds chunks with the suffix .gz, as CloudVolume writes them, which are not read",
                fix=f"gunzip -r {self.name}",
            )
        total = math.prod(map(len, ranges))
        return f"{len(absent):,} of {total:,} chunks are missing, such as {absent[0]}" if absent else ""

    def _open(self) -> Any:
        # deferred: only Precomputed volumes need it
        import tensorstore

        if self._view is None:
            spec = {
                "driver": "neuroglancer_precomputed",
                "kvstore": locate_kvstore(self._path),
                "scale_index": self._index,
                "fill_missing_data_reads": not self._refuses_missing,
            }
            try:
                opened = tensorstore.open(spec, open=True, read=True).result()
            except (ValueError, OSError) as error:
                raise VolumeError(
                    f"{self._path}/{_INFO}: found metadata that describe no readable volume: "
                    f"{summarize_error(error).partition(' [')[0]}",
                    fix="restore the file, or convert the volume with igneous or cloud-volume",
                ) from error
            # In the order channel, z, y, x, counted from the first stored voxel.
            self._view = opened.T[tensorstore.d[:].translate_to[0]]
        return self._view


def read_info(path: Path | str) -> dict[str, Any]:
    """Return the metadata of a Precomputed volume.

    Raises:
        MissingInputError: the volume does not exist.
        VolumeError: the file ``info`` cannot be read, or is not that of a volume.

    >>> read_info("precomputed:///nowhere")
    Traceback (most recent call last):
    attacca.errors.MissingInputError: /nowhere/info: no such file; correct 'path'
    """
    location = _strip(path)
    where = f"{location}/{_INFO}"
    if not is_url(location):
        check_regular_file(Path(where))
    # deferred: only Precomputed volumes need it
    import tensorstore

    try:
        stored = tensorstore.KvStore.open(locate_kvstore(location)).result().read(_INFO).result()
    except (ValueError, OSError) as error:
        raise VolumeError(f"{where} cannot be read: {summarize_error(error).partition(' [')[0]}") from error
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


def _strip(path: Path | str) -> str:
    return str(path).removeprefix(_PREFIX).removeprefix("file://").rstrip("/")
