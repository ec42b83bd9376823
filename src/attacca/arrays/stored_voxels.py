"""Voxels of a stored array: writes of whole stored objects, and reads that report damaged ones."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import zarr
from funlib.geometry import Roi

from attacca.arrays.array_creation import write_block_of
from attacca.arrays.damage_notes import note_damage
from attacca.arrays.damaged_objects import (
    MISSING,
    MOST_NAMED,
    describe_decoding_error,
    find_damaged_objects,
)
from attacca.arrays.direct_access import access_directly, read_voxels, write_voxels
from attacca.arrays.server_errors import explain_failed_requests, is_server_error
from attacca.arrays.stored_array import StoredArray, refuse_missing_chunks
from attacca.arrays.stored_values import ACCEPT_MISSING_CHUNKS, check_values
from attacca.arrays.zarr_opening import DECODING_ERRORS
from attacca.errors import DamagedDataError, VolumeError, join_names


class StoredVoxels:
    """Voxels of an array in a container.

    A missing chunk of an array that Attacca wrote is damage, because Attacca stores each chunk of a finished array. An
    array that was opened for writing may be unfinished: its missing chunks hold fill values. Arrays of other programs that
    are used in place are checked as configured.

    Args:
        array: the stored array.
        directory: its path or URL.
        is_writable: whether it was opened for writing.
        contents: kind of data in an array that is used in place (``raw`` or ``labels``), which excludes some values; empty
            for any values.
        missing_chunks: ``refuse`` or ``zero``, for an array that is used in place.

    >>> from zarr.storage import MemoryStore
    >>> array = zarr.create_array(MemoryStore(), shape=(4,), dtype="u1", chunks=(2,))
    >>> voxels = StoredVoxels(array, "memory://volume.zarr", True)
    >>> voxels.write((slice(1, 3),), Roi((1,), (2,)), 7)
    >>> voxels.read((slice(0, 4),), Roi((0,), (4,))).tolist()
    [0, 7, 7, 0]
    """

    def __init__(
        self,
        array: StoredArray,
        directory: str,
        is_writable: bool,
        contents: str = "",
        missing_chunks: str = "zero",
    ) -> None:
        self._array, self._directory, self._is_writable = array, directory, is_writable
        self._contents, self._missing_chunks = contents, missing_chunks

    @property
    def is_own(self) -> bool:
        """True for an array that Attacca wrote: each of its chunks is stored, even if it holds zeros alone."""
        return "attacca" in self._array.attrs

    def write(self, slices: Sequence[slice], roi: Roi, value: np.ndarray | float) -> None:
        """Write voxels. A write block whose voxels in the array are all covered is written without being read first.

        Args:
            slices: one slice per axis.
            roi: their region in world units, for messages.
            value: an array of their shape, or one number.

        Raises:
            VolumeError: the value has another shape, or a request to the server failed.
        """
        shape = self._array.shape
        begin = [s.start or 0 for s in slices]
        end = [n if s.stop is None else s.stop for s, n in zip(slices, shape)]
        value = np.asarray(value, dtype=self._array.dtype)
        extent = tuple(e - b for b, e in zip(begin, end))
        if value.ndim and value.shape != extent:
            raise VolumeError(
                f"{self._directory}: {roi} holds {extent} voxels, the data have the shape {value.shape}"
            )
        data = np.broadcast_to(value, extent)
        block = write_block_of(self._array)
        covers_blocks = all(
            b % k == 0 and (e % k == 0 or e == n) for b, e, k, n in zip(begin, end, block, shape)
        )
        if not covers_blocks or not isinstance(self._array, zarr.Array):
            with explain_failed_requests(self._directory):
                self._array[tuple(slices)] = data
            return
        # zarr reads a block before writing it unless the data contain all its voxels, even those beyond the array.
        padding = [(0, -e % k) for e, k in zip(end, block)]
        whole = tuple(slice(b, e + after) for b, e, (_, after) in zip(begin, end, padding))
        if any(after for _, after in padding):
            data = np.pad(data, padding, constant_values=self._array.fill_value or 0)
        with explain_failed_requests(self._directory):
            write_voxels(self._padded, whole, data)

    def read(self, slices: tuple[slice, ...], roi: Roi) -> np.ndarray:
        """Return the stored voxels.

        Args:
            slices: one slice per axis.
            roi: their region in world units, for messages.

        Raises:
            DamagedDataError: a stored object is missing or fails its checksum, or an array that is used in place holds
                values that its kind of data must not hold.
            VolumeError: stored data cannot be read, or a request to the server failed.
        """
        with explain_failed_requests(self._directory):
            try:
                data = read_voxels(self._checked, slices)
            except DECODING_ERRORS as error:
                # The data are not damaged, and must not be deleted, if a server fails.
                if is_server_error(error):
                    raise
                kind = VolumeError if isinstance(error, OSError) else DamagedDataError
                raise kind(self._describe_damaged_objects(slices, roi, error)) from error
        if self._contents:
            check_values(data, self._contents, self._directory, roi)
        return data

    @cached_property
    def _checked(self) -> StoredArray:
        """The array, which raises an error instead of filling a missing chunk with zeros where that is damage."""
        is_finished = self.is_own and not self._is_writable and isinstance(self._array, zarr.Array)
        refuses = is_finished or self._missing_chunks == "refuse"
        array = refuse_missing_chunks(self._array) if refuses else self._array
        return access_directly(array) if self.is_own else array

    @cached_property
    def _padded(self) -> StoredArray:
        """The array as if its shape were a multiple of its write block, so that each block is written whole.

        Blocks of fill values are stored as well, so that each written block has its file.
        """
        array = self._array
        assert isinstance(array, zarr.Array)
        block = write_block_of(array)
        shape = tuple(-(-n // k) * k for n, k in zip(array.shape, block))
        metadata: Any = replace(array.metadata, shape=shape)
        padded: Any = zarr.AsyncArray(
            metadata=metadata, store_path=array.store_path, config={"write_empty_chunks": True}
        )
        return access_directly(zarr.Array(padded))

    def _describe_damaged_objects(self, slices: tuple[slice, ...], roi: Roi, error: Exception) -> str:
        """Return a message that names the stored objects that cannot be read, and note them for the next start."""
        found = list(find_damaged_objects(self._checked, slices))
        damaged = [key for key, _ in found]
        is_noted = self.is_own and not isinstance(error, OSError) and note_damage(self._directory, damaged)
        reason = found[0][1] if found else describe_decoding_error(error)
        advice = ""
        if is_noted:
            advice = "; run the workflow again: it is recomputed"
        elif self.is_own:
            advice = "; delete this array and run the workflow again to recompute it"
        elif any(cause == MISSING for _, cause in found):
            advice = f"; {ACCEPT_MISSING_CHUNKS}"
        names = join_names(damaged, MOST_NAMED) or roi
        return f"{self._directory}: the stored data cannot be read: {names} ({reason}){advice}"
