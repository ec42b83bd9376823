"""Arrays that are read through TensorStore, and its names of directories."""

import copy
import os
from typing import Any, Self

import numpy as np
import zarr

from attacca.arrays.identifier import is_url
from attacca.arrays.stored_array import ForeignArray
from attacca.errors import VolumeError, summarize_error


class TensorStoreArray(ForeignArray):
    """An array that TensorStore opens, with the axes in the reversed order: ``z, y, x``."""

    def _open(self, spec: dict[str, Any], where: str, context: Any = None, writable: bool = False) -> None:
        """Open the array and set its shape and dtype.

        Args:
            spec: TensorStore's specification.
            where: path of the metadata, for the message.
            context: TensorStore's context.
            writable: open it for writing as well.

        Raises:
            VolumeError: the metadata describe no array that can be read.
        """
        # deferred: only containers other than Zarr need it
        import tensorstore

        self._spec, self._where, self._context = spec, where, context
        try:
            opened = tensorstore.open(spec, open=True, read=True, write=writable, context=context).result()
        except (ValueError, OSError) as error:
            raise VolumeError(
                f"{where}: found metadata that describe no readable array: {describe_error(error)}",
                fix="restore the file, or copy the volume again",
            ) from error
        self._view = self._arrange(opened.T[tensorstore.d[:].translate_to[0]])
        self.shape = tuple(self._view.shape)
        self.dtype = np.dtype(opened.dtype.numpy_dtype)

    def _arrange(self, view: Any) -> Any:
        """Return the view with the axes of this array, from one that is counted from the first voxel."""
        return view

    def refuse_missing_chunks(self) -> Self:
        strict = copy.copy(self)
        strict._open({**self._spec, "fill_missing_data_reads": False}, self._where, self._context)
        return strict

    def read_slices(self, slices: tuple[slice, ...]) -> np.ndarray:
        try:
            return np.asarray(self._view[slices].read().result())
        except ValueError as error:
            if str(error).startswith("NOT_FOUND"):
                raise zarr.errors.ChunkNotFoundError(describe_error(error)) from error
            raise

    def __setitem__(self, index: Any, value: Any) -> None:
        slices, picked = self._to_slices(index)
        target = tuple(part.start if axis in picked else part for axis, part in enumerate(slices))
        self._view[target].write(np.asarray(value, self.dtype)).result()


def describe_error(error: Exception) -> str:
    """Return the first line of an error of TensorStore, without the location in its source.

    >>> describe_error(ValueError("NOT_FOUND: chunk is missing [source locations='cache.cc:1']"))
    'NOT_FOUND: chunk is missing'
    """
    return summarize_error(error).partition(" [")[0]


def locate_kvstore(directory: str) -> dict[str, Any] | str:
    """Return TensorStore's specification of a directory, by its path or address.

    >>> locate_kvstore("gs://bucket/em")
    'gs://bucket/em/'
    """
    if not is_url(directory):
        return {"driver": "file", "path": os.path.abspath(directory) + "/"}
    protocol, _, rest = directory.partition("://")
    if protocol == "s3":
        bucket, _, path = rest.partition("/")
        store: dict[str, Any] = {"driver": "s3", "bucket": bucket, "path": path.rstrip("/") + "/"}
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if endpoint:
            store["endpoint"] = endpoint
        if os.environ.get("ATTACCA_S3_ANONYMOUS"):
            store["aws_credentials"] = {"type": "anonymous"}
        return store
    return f"{protocol}://{rest.rstrip('/')}/"
