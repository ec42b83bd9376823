"""Reading and writing of voxels in local arrays by the calling thread.

zarr-python reads and writes in an event loop of another thread, with coroutines for each chunk of a shard. In a local
directory they take as much processor time as the codecs, and each read or write waits for two other threads. Here, zarr's
codecs and store are called directly. The stored bytes are the same.
"""

import os
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from typing import Any, TypeGuard

import numpy as np
import zarr
from zarr.abc.codec import GetResult
from zarr.abc.store import ByteGetter, ByteSetter
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import NDBuffer
from zarr.core.chunk_utils import ChunkTransform
from zarr.core.codec_pipeline import BatchedCodecPipeline, FusedCodecPipeline
from zarr.core.indexing import SelectorTuple
from zarr.storage import LocalStore

from attacca.arrays.stored_array import StoredArray


class DirectCodecPipeline(FusedCodecPipeline):
    """Codecs of a local array. Coroutines that use it never wait, so they run without an event loop.

    Several shards are read or written by a pool of threads.
    """

    async def read(
        self,
        batch_info: Iterable[tuple[ByteGetter, ArraySpec, SelectorTuple, SelectorTuple, bool]],
        out: NDBuffer,
        drop_axes: tuple[int, ...] = (),
    ) -> tuple[GetResult, ...]:
        return self.read_sync(batch_info, out, drop_axes, max_workers=os.cpu_count() or 1)

    async def write(
        self,
        batch_info: Iterable[tuple[ByteSetter, ArraySpec, SelectorTuple, SelectorTuple, bool]],
        value: NDBuffer,
        drop_axes: tuple[int, ...] = (),
    ) -> None:
        self.write_sync(batch_info, value, drop_axes, max_workers=os.cpu_count() or 1)


def access_directly(array: StoredArray) -> StoredArray:
    """Return the same array for direct access; arrays in other stores, and those with other codecs, are returned unchanged.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     array = access_directly(zarr.create_array(directory, shape=(4,), dtype="u1", shards=(4,), chunks=(2,)))
    ...     write_voxels(array, (slice(0, 4),), np.arange(4, dtype="u1"))
    ...     read_voxels(array, (slice(1, 3),)).tolist()
    [1, 2]
    """
    if not isinstance(array, zarr.Array) or not isinstance(array.store, LocalStore):
        return array
    base = array.async_array
    if not isinstance(base.codec_pipeline, BatchedCodecPipeline):
        return array
    codecs = tuple(base.codec_pipeline)
    try:
        transform = ChunkTransform(codecs=codecs)
    except TypeError:
        # A codec computes in coroutines only.
        return array
    copy: Any = zarr.AsyncArray(metadata=base.metadata, store_path=base.store_path, config=base.config)
    pipeline = replace(DirectCodecPipeline.from_codecs(codecs), sync_transform=transform)
    # zarr chooses the pipeline from its configuration, which holds for the whole process.
    object.__setattr__(copy, "codec_pipeline", pipeline)
    return zarr.Array(copy)


def read_voxels(array: StoredArray, window: tuple[slice, ...]) -> np.ndarray:
    """Return the voxels in a window, one slice per axis.

    >>> read_voxels(zarr.ones(store=zarr.storage.MemoryStore(), shape=(2, 4), dtype="u1"), (slice(1, 2), slice(0, 3)))
    array([[1, 1, 1]], dtype=uint8)
    """
    if _is_direct(array):
        return np.asarray(_run(array.async_array.getitem(window)))
    return np.asarray(array[window])


def write_voxels(array: StoredArray, window: tuple[slice, ...], data: np.ndarray) -> None:
    """Write the voxels in a window, one slice per axis.

    >>> array = zarr.zeros(store=zarr.storage.MemoryStore(), shape=(4,), dtype="u1")
    >>> write_voxels(array, (slice(1, 3),), np.array([7, 7], "u1"))
    >>> array[:].tolist()
    [0, 7, 7, 0]
    """
    if _is_direct(array):
        _run(array.async_array.setitem(window, data))
    else:
        array[window] = data


def _is_direct(array: StoredArray) -> TypeGuard[zarr.Array[Any]]:
    return isinstance(array, zarr.Array) and isinstance(array.async_array.codec_pipeline, DirectCodecPipeline)


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits, and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise RuntimeError("a coroutine of a local array waits for an event loop")
