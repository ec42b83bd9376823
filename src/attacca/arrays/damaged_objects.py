"""Search for stored objects that cannot be read, to name them in messages."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, product

from zarr.errors import ChunkNotFoundError

from attacca.arrays.array_creation import write_block_of
from attacca.arrays.stored_array import StoredArray, name_stored_object
from attacca.arrays.zarr_opening import DECODING_ERRORS
from attacca.errors import AttaccaError, VolumeError, summarize_error

MISSING = "missing"
"""Reason of an object that does not exist."""

MOST_NAMED = 5
"""Largest number of damaged objects that a message names."""


def list_objects(
    array: StoredArray, selection: Sequence[slice | int]
) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield index and name of each stored object (shard or chunk) that holds voxels of a selection.

    Args:
        array: the array.
        selection: one slice or index per axis.

    >>> import zarr
    >>> array = zarr.create_array(zarr.storage.MemoryStore(), shape=(4, 4), dtype="u1", chunks=(2, 4))
    >>> list(list_objects(array, (slice(1, 3), 0)))
    [((0, 0), 'c/0/0'), ((1, 0), 'c/1/0')]
    """
    ranges = []
    for part, size, edge in zip(selection, array.shape, write_block_of(array)):
        begin, end, _ = part.indices(size) if isinstance(part, slice) else (part, part + 1, 1)
        ranges.append(range(begin // edge, -(-end // edge)))
    for index in product(*ranges):
        yield index, name_stored_object(array, index)


def find_damaged_objects(array: StoredArray, selection: Sequence[slice | int]) -> Iterator[tuple[str, str]]:
    """Read each stored object of a selection, and yield name and reason of those that cannot be read.

    Args:
        array: the array.
        selection: one slice or index per axis.

    >>> import zarr
    >>> store = zarr.storage.MemoryStore()
    >>> array = zarr.create_array(store, shape=(4,), dtype="u1", chunks=(2,), compressors=None)
    >>> array[:] = 7
    >>> store._store_dict["c/1"] = store._store_dict["c/1"][:1]
    >>> [key for key, _ in find_damaged_objects(array, (slice(0, 4),))]
    ['c/1']
    """
    block = write_block_of(array)
    for index, key in list_objects(array, selection):
        window = tuple(slice(i * k, min((i + 1) * k, n)) for i, k, n in zip(index, block, array.shape))
        try:
            _ = array[window]
        except DECODING_ERRORS as error:
            yield key, describe_decoding_error(error)


def describe_decoding_error(error: Exception) -> str:
    """Return the reason for which an object cannot be read.

    >>> describe_decoding_error(ValueError("wrong length"))
    'ValueError: wrong length'
    """
    if isinstance(error, ChunkNotFoundError):
        return MISSING
    return f"{type(error).__name__}: {summarize_error(error)[:300]}"


@contextmanager
def explain_damaged_data(array: StoredArray, name: str, selection: tuple[slice | int, ...]) -> Iterator[None]:
    """Convert errors of a library while voxels are read to one that names the damaged objects.

    Args:
        array: the array.
        name: its path, for the message.
        selection: the voxels that are read, one slice or index per axis.

    Raises:
        VolumeError: the voxels cannot be read.

    >>> import zarr
    >>> array = zarr.create_array(zarr.storage.MemoryStore(), shape=(4,), dtype="u1", chunks=(4,))
    >>> with explain_damaged_data(array, "volume.zarr/raw", (slice(0, 2),)):
    ...     raise RuntimeError("the checksum differs")
    Traceback (most recent call last):
    attacca.errors.VolumeError: volume.zarr/raw: the stored voxels cannot be read: ... the checksum differs)...
    """
    try:
        yield
    except AttaccaError:
        raise
    except DECODING_ERRORS as error:
        damaged = [key for key, _ in islice(find_damaged_objects(array, selection), MOST_NAMED)]
        raise VolumeError(
            f"{name}: the stored voxels cannot be read: {', '.join(damaged) or 'an object'} "
            f"({type(error).__name__}: {summarize_error(error)[:300]})",
            fix="copy the volume again, or restore these files",
        ) from error
