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
from attacca.arrays.n5 import create_n5_array, is_n5_container
from attacca.arrays.storage import open_store, zarr_format
from attacca.arrays.stored_array import StoredArray
from attacca.arrays.zarr_opening import list_group, open_node, open_zarr
from attacca.errors import MissingInputError, VolumeError

_CHUNK_BYTES = 5 * 2**20

# The threads of Blosc store the parts of a chunk in the order in which they finish, so that equal data would have
# different bytes, and different digests, from run to run.
blosc.use_threads = False


class Layout(NamedTuple):
    """Storage of a new array: shapes in voxels, all axes, channels first.

    Args:
        shape: shape of the array.
        shard: write block of an array with shards, one stored object; it may exceed the array.
        inner_chunk: chunks that divide a shard.
        chunk: write block of an array without shards (Zarr 2, N5), one stored object.
        dtype: stored dtype.
        axes: names of all axes.
        fill_value: value of voxels that are not stored.
    """

    shape: tuple[int, ...]
    shard: tuple[int, ...]
    inner_chunk: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype
    axes: list[str]
    fill_value: float

    def is_storage_of(self, array: StoredArray) -> bool:
        """Return whether an existing array has this storage, in its own format."""
        return (array.shape, clip_write_block(array), array.dtype) == (
            self.shape,
            self.write_block_in(array),
            self.dtype,
        )

    def write_block_in(self, array: StoredArray) -> tuple[int, ...]:
        """Return the write block that an existing array should have, clipped to the array; it depends on its format."""
        block = self.chunk if array.shards is None else self.shard
        return tuple(min(edge, extent) for edge, extent in zip(block, self.shape))


def plan_layout(
    identifier: LocalArrayIdentifier,
    axes: Sequence[str],
    roi: Roi,
    num_channels: int | None,
    voxel_size: Coordinate,
    dtype: np.dtype,
    write_size: Sequence[int] | None = None,
    fill_value: float = 0,
    chunk_size: Sequence[int] | None = None,
) -> Layout:
    """Return the storage of a new array; see ``ZarrArray.create_from_array_identifier`` for the arguments.

    Raises:
        VolumeError: axes, ROI and voxel size differ in their number of axes, or a size is not a multiple of the voxel
            size.

    >>> raw = LocalArrayIdentifier("volume.zarr", "raw/s0")
    >>> layout = plan_layout(raw, "zyx", Roi((0, 0, 0), (80, 16, 16)), None, Coordinate(40, 4, 4), np.dtype("u1"))
    >>> layout.shape, layout.shard, layout.chunk
    ((2, 4, 4), (2, 4, 4), (2, 4, 4))
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
        block = _count_voxels(identifier, "write size", write_size, voxel_size)
    inner = None
    if chunk_size is not None:
        inner = _count_voxels(identifier, "chunk size", chunk_size, voxel_size)
    shard, inner_chunk = shard_and_chunk(block, spatial, inner)
    chunk = inner_chunk if inner else tuple(min(edge, extent) for edge, extent in zip(block, spatial))
    return Layout(
        (*lead, *spatial), (*lead, *shard), (*lead, *inner_chunk), (*lead, *chunk), dtype, names, fill_value
    )


def _count_voxels(
    identifier: LocalArrayIdentifier, name: str, size: Sequence[int], voxel_size: Coordinate
) -> tuple[int, ...]:
    _check_multiple(identifier, name, Coordinate(size), voxel_size)
    return tuple(max(1, int(edge)) for edge in Coordinate(size) / voxel_size)


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
        array = create_n5_array(identifier.container, path, layout.shape, layout.chunk, layout.dtype)
        array.attrs.put(attributes)
    else:
        _create_zarr(identifier, path, layout, attributes)


def _create_zarr(
    identifier: LocalArrayIdentifier, path: str, layout: Layout, attributes: dict[str, Any]
) -> None:
    is_float = layout.dtype.kind == "f"
    # Images and predictions of one byte hardly become smaller at level 3, which takes twice the time; labels do
    # (benchmarks/compression.txt).
    level = 1 if is_float or layout.dtype.itemsize == 1 else 3
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
            chunks=layout.chunk,
            compressors=Blosc("zstd", clevel=level, shuffle=shuffle),
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )
        array.attrs.put(attributes)
        return
    codec: BloscCodec | ZstdCodec = ZstdCodec(level=level)
    if is_float:
        codec = BloscCodec(cname="zstd", clevel=level, shuffle="bitshuffle")
    zarr.create_array(
        **options,
        zarr_format=3,
        shards=layout.shard,
        chunks=layout.inner_chunk,
        compressors=[codec, Crc32cCodec()],
        attributes=attributes,
        dimension_names=layout.axes,
    )
