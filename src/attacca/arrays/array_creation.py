"""Creation of Zarr and N5 arrays: their shape, write blocks and codecs."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import zarr
from funlib.geometry import Coordinate, Roi
from numcodecs import Blosc, blosc
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

from attacca.arrays.chunk_shapes import shard_and_chunk
from attacca.arrays.identifier import LocalArrayIdentifier
from attacca.arrays.n5 import StoredArray, create_n5_array, is_n5_container
from attacca.arrays.storage import open_store, zarr_format
from attacca.arrays.zarr_opening import list_group, open_node, open_zarr
from attacca.errors import MissingInputError, VolumeError

_CHUNK_BYTES = 5 * 2**20

# The threads of Blosc store the parts of a chunk in the order in which they finish, so that equal data would have
# different bytes, and different digests, from run to run.
blosc.use_threads = False


class Layout(NamedTuple):
    """Storage of a new array: shape and write block in voxels, all axes, channels first."""

    shape: tuple[int, ...]
    write_block: tuple[int, ...]
    dtype: np.dtype
    axes: list[str]
    fill_value: float

    def is_storage_of(self, array: StoredArray) -> bool:
        """Return whether an existing array has this storage."""
        return (array.shape, clip_write_block(array), array.dtype) == (
            self.shape,
            self.write_block,
            self.dtype,
        )


def plan_layout(
    identifier: LocalArrayIdentifier,
    axes: Sequence[str],
    roi: Roi,
    num_channels: int | None,
    voxel_size: Coordinate,
    dtype: np.dtype,
    write_size: Sequence[int] | None = None,
    fill_value: float = 0,
) -> Layout:
    """Return the storage of a new array; see ``ZarrArray.create_from_array_identifier`` for the arguments.

    Raises:
        VolumeError: axes, ROI and voxel size differ in their number of axes, or a size is not a multiple of the voxel
            size.

    >>> raw = LocalArrayIdentifier("volume.zarr", "raw/s0")
    >>> layout = plan_layout(raw, "zyx", Roi((0, 0, 0), (80, 16, 16)), None, Coordinate(40, 4, 4), np.dtype("u1"))
    >>> layout.shape, layout.write_block
    ((2, 4, 4), (2, 4, 4))
    """
    names = [axis for axis in axes if axis != "c" or num_channels is not None]
    if num_channels is not None and "c" not in names:
        names = ["c", *names]
    num_spatial = len(names) - (num_channels is not None)
    if num_spatial != roi.dims or voxel_size.dims != roi.dims:
        raise VolumeError(
            f"{identifier}: found {num_spatial} spatial axes ({', '.join(axes)}), a ROI of {roi.dims} axes ({roi}) and "
            f"a voxel size of {voxel_size.dims} axes {tuple(voxel_size)}, expected the same number of axes"
        )
    _check_multiple(identifier, "shape of the ROI", roi.shape, voxel_size)
    lead = () if num_channels is None else (int(num_channels),)
    spatial = tuple(int(size) for size in roi.shape / voxel_size)
    if write_size is None:
        edge = int((_CHUNK_BYTES / max(1, num_channels or 1) / dtype.itemsize) ** (1 / roi.dims))
        block = tuple(max(1, min(edge, size)) for size in spatial)
    else:
        _check_multiple(identifier, "write size", Coordinate(write_size), voxel_size)
        requested = Coordinate(write_size) / voxel_size
        block = tuple(max(1, min(int(size), limit)) for size, limit in zip(requested, spatial))
    return Layout((*lead, *spatial), (*lead, *block), dtype, names, fill_value)


def _check_multiple(
    identifier: LocalArrayIdentifier, name: str, size: Coordinate, voxel_size: Coordinate
) -> None:
    if any(size % voxel_size):
        raise VolumeError(
            f"{identifier}: the {name} is not a multiple of the voxel size: found {tuple(size)}, expected multiples of "
            f"{tuple(voxel_size)}"
        )


def write_block_of(array: StoredArray) -> tuple[int, ...]:
    """Return the shape of a stored object, in voxels: a shard, or a chunk without shards; it may exceed the array.

    >>> from zarr.storage import MemoryStore
    >>> array = zarr.create_array(MemoryStore(), shape=(4, 6), shards=(4, 8), chunks=(2, 4), dtype="u1")
    >>> write_block_of(array), clip_write_block(array)
    ((4, 8), (4, 6))
    """
    return array.shards or array.chunks


def clip_write_block(array: StoredArray) -> tuple[int, ...]:
    """Return the shape of a stored object, clipped to the array; see ``write_block_of``."""
    return tuple(min(edge, extent) for edge, extent in zip(write_block_of(array), array.shape))


def find_existing_array(identifier: LocalArrayIdentifier, path: str) -> StoredArray | None:
    """Return the array of exactly this name, or None.

    Raises:
        VolumeError: a group with members has the name.
    """
    if is_n5_container(identifier.container):
        try:
            array, name = open_zarr(identifier.container, path, "r")
        except MissingInputError:
            return None
        if name == path:
            return array
        members = [name.removeprefix(f"{path}/")]
    else:
        store = open_store(identifier.container, "a")
        node = open_node(store, path)
        if isinstance(node, zarr.Array):
            return node
        members = list_group(store, path)
    if members:
        raise VolumeError(
            f"{identifier} is a group that holds {', '.join(members[:20])}; choose another name for the array"
        )
    return None


def create_stored_array(
    identifier: LocalArrayIdentifier, path: str, layout: Layout, attributes: dict[str, Any]
) -> None:
    """Create an array, and replace an existing one.

    Args:
        identifier: location; its container decides between Zarr and N5.
        path: name of the array in the container.
        layout: see ``plan_layout``.
        attributes: see ``build_attributes``.
    """
    if is_n5_container(identifier.container):
        array = create_n5_array(identifier.container, path, layout.shape, layout.write_block, layout.dtype)
        array.attrs.put(attributes)
    else:
        _create_zarr(identifier, path, layout, attributes)


def _create_zarr(
    identifier: LocalArrayIdentifier, path: str, layout: Layout, attributes: dict[str, Any]
) -> None:
    is_float = layout.dtype.kind == "f"
    lead = len(layout.shape) - sum(axis in ("z", "y", "x") for axis in layout.axes)
    options: dict[str, Any] = {
        "store": open_store(identifier.container, "a"),
        "name": path,
        "shape": layout.shape,
        "dtype": layout.dtype,
        "fill_value": layout.dtype.type(layout.fill_value),
        "overwrite": True,
    }
    if zarr_format() == 2:
        shuffle = Blosc.BITSHUFFLE if is_float else Blosc.SHUFFLE
        array = zarr.create_array(
            **options,
            zarr_format=2,
            chunks=layout.write_block,
            compressors=Blosc("zstd", clevel=1 if is_float else 3, shuffle=shuffle),
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )
        array.attrs.put(attributes)
        return
    shard, chunk = shard_and_chunk(layout.write_block[lead:], layout.shape[lead:])
    codec = BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle") if is_float else ZstdCodec(level=3)
    zarr.create_array(
        **options,
        zarr_format=3,
        shards=(*layout.shape[:lead], *shard),
        chunks=(*layout.shape[:lead], *chunk),
        compressors=[codec, Crc32cCodec()],
        attributes=attributes,
        dimension_names=layout.axes,
    )
