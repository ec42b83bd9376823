"""Coarser scales of an image, built block by block from the finest."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise, product
from typing import Any, Literal

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays.identifier import LocalArrayIdentifier
from attacca.arrays.ome_zarr import write_multiscale_metadata
from attacca.arrays.zarr_array import ZarrArray
from attacca.errors import MissingInputError, VolumeError

_SMALLEST = 64
MOST_SCALES = 12
"""Largest number of scales of an image, the finest included."""


def build_pyramid(
    group_path: str, kind: Literal["raw", "labels"] = "raw", num_workers: int = 1, name: str = ""
) -> list[str]:
    """Build ``s1``, ``s2``, ... from ``s0`` until no axis is longer than 64 voxels, and write the OME metadata.

    Each scale halves the axes whose voxels are less than twice as large as the smallest, so that anisotropic voxels
    become isotropic first. Existing coarser scales are replaced. Each thread holds one write block of the coarse scale,
    and the part of the fine scale that one of its chunks covers.

    Args:
        group_path: path or URL of the group that holds ``s0``.
        kind: ``raw`` averages (integers are rounded half up), ``labels`` takes the most frequent id, of equally
            frequent ids the first in z, y, x order.
        num_workers: number of threads.
        name: name of the image in the OME metadata; by default that of the group.

    Returns:
        Names of all scales, the finest first.

    >>> from attacca.arrays import LocalArrayIdentifier, ZarrArray
    >>> s0 = LocalArrayIdentifier("memory://pyramid.zarr/raw", "s0")
    >>> array = ZarrArray.create_from_array_identifier(s0, "yx", Roi((0, 0), (400, 400)), None, (4, 4), "u1")
    >>> array[array.roi] = 7
    >>> build_pyramid("memory://pyramid.zarr/raw")
    ['s0', 's1']
    """
    arrays = create_scales(group_path, overwrite=True)
    with ThreadPoolExecutor(max_workers=max(1, num_workers)) as pool:
        for fine, coarse in pairwise(arrays):
            build = partial(downsample_box, fine, coarse, kind=kind)
            list(pool.map(build, _divide(coarse.roi, coarse.chunk_size)))
    scales = [f"s{number}" for number in range(len(arrays))]
    write_multiscale_metadata(group_path, scales, name=name)
    return scales


def create_scales(group_path: str, overwrite: bool = False) -> list[ZarrArray]:
    """Create the arrays of the coarser scales of an image, and return the arrays of all scales, the finest first.

    Args:
        group_path: path or URL of the group that holds ``s0``.
        overwrite: replace existing arrays; otherwise only those of another shape, chunk or dtype are replaced.

    >>> from attacca.arrays import LocalArrayIdentifier, ZarrArray
    >>> s0 = LocalArrayIdentifier("memory://scales.zarr/raw", "s0")
    >>> array = ZarrArray.create_from_array_identifier(s0, "yx", Roi((0, 0), (400, 400)), None, (4, 4), "u1")
    >>> [scale.voxel_size for scale in create_scales("memory://scales.zarr/raw")]
    [(4, 4), (8, 8)]
    """
    fine = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(group_path, "s0"))
    block, chunk = fine.chunk_size / fine.voxel_size, fine.inner_chunk_size / fine.voxel_size
    arrays = [fine]
    while len(arrays) < MOST_SCALES and max(fine.roi.shape / fine.voxel_size) > _SMALLEST:
        factor = choose_scale_factor(fine.voxel_size, fine.roi.shape / fine.voxel_size)
        if max(factor) == 1:
            break
        identifier = LocalArrayIdentifier(group_path, f"s{len(arrays)}")
        try:
            fine = _create_scale(fine, identifier, factor, block, chunk, overwrite)
        except (VolumeError, MissingInputError):
            fine = _create_scale(fine, identifier, factor, block, chunk, overwrite=True)
        arrays.append(fine)
    return arrays


def choose_scale_factor(voxel_size: Sequence[int], shape: Sequence[int]) -> Coordinate:
    """Return 2 for each axis that the next scale halves, 1 for the others.

    Args:
        voxel_size: world units.
        shape: in voxels; axes of one voxel are ignored.

    >>> choose_scale_factor((500, 46, 46), (100, 1024, 1024)), choose_scale_factor((500, 368, 368), (100, 128, 128))
    ((1, 2, 2), (2, 2, 2))
    """
    smallest = min(size for size, extent in zip(voxel_size, shape) if extent > 1)
    return Coordinate(2 if size < 2 * smallest and n > 1 else 1 for size, n in zip(voxel_size, shape))


def _create_scale(
    fine: ZarrArray,
    identifier: LocalArrayIdentifier,
    factor: Coordinate,
    block: Sequence[int],
    chunk: Sequence[int],
    overwrite: bool,
) -> ZarrArray:
    voxel_size = fine.voxel_size * factor
    shape = Coordinate(-(-n // f) for n, f in zip(fine.roi.shape / fine.voxel_size, factor))
    return ZarrArray.create_from_array_identifier(
        identifier,
        fine.axes,
        Roi(fine.roi.begin, shape * voxel_size),
        fine.num_channels,
        voxel_size,
        fine.dtype,
        write_size=Coordinate(block) * voxel_size,
        chunk_size=Coordinate(chunk) * voxel_size,
        overwrite=overwrite,
        unit=fine.unit,
        value_scale=fine.value_scale,
        value_offset=fine.value_offset,
    )


def downsample_box(fine: ZarrArray, coarse: ZarrArray, box: Roi, kind: Literal["raw", "labels"]) -> None:
    """Write a box of a coarser scale, reading the part of the finer one that a chunk covers at a time.

    Args:
        fine: the finer scale.
        coarse: the coarser scale; may be written by several threads, each with boxes of its own.
        box: whole write blocks of the coarser scale, in world units.
        kind: see ``build_pyramid``.

    >>> from attacca.arrays import LocalArrayIdentifier, ZarrArray
    >>> s0 = LocalArrayIdentifier("memory://boxes.zarr/raw", "s0")
    >>> fine = ZarrArray.create_from_array_identifier(s0, "yx", Roi((0, 0), (400, 400)), None, (4, 4), "u1")
    >>> fine[fine.roi] = 7
    >>> _, coarse = create_scales("memory://boxes.zarr/raw")
    >>> downsample_box(fine, coarse, coarse.roi, "raw")
    >>> int(coarse[coarse.roi].min())
    7
    """
    factor = tuple(coarse.voxel_size / fine.voxel_size)
    lead = () if coarse.num_channels is None else (coarse.num_channels,)
    data = np.empty((*lead, *(box.shape / coarse.voxel_size)), coarse.dtype)
    for part in _divide(box, coarse.inner_chunk_size):
        location: tuple[Any, ...] = (..., *((part - box.begin) / coarse.voxel_size).to_slices())
        # An odd axis ends with half a coarse voxel: its last fine voxel is used twice.
        data[location] = downsample(fine.read(part, fill="edge"), factor, kind)
    coarse[box] = data


def _divide(roi: Roi, size: Coordinate) -> Iterator[Roi]:
    """Yield the boxes of a size that cover a ROI, clipped to it."""
    for index in product(*(range(-(-extent // edge)) for extent, edge in zip(roi.shape, size))):
        yield Roi(roi.begin + Coordinate(index) * size, size).intersect(roi)


def downsample(block: np.ndarray, factor: Sequence[int], kind: Literal["raw", "labels"]) -> np.ndarray:
    """Return a block with its last axes reduced by whole factors.

    Args:
        block: any number of leading axes, then one axis per factor, whose size is a multiple of the factor.
        factor: one per spatial axis.
        kind: ``raw`` (mean) or ``labels`` (most frequent id), see ``build_pyramid``.

    >>> downsample(np.array([[1, 1, 5, 6], [2, 1, 5, 5]]), (2, 2), "labels").tolist()
    [[1, 5]]
    """
    if kind == "raw" and block.dtype.kind == "f":
        lead = block.ndim - len(factor)
        shape: list[int] = list(block.shape[:lead])
        for n, f in zip(block.shape[lead:], factor):
            shape += [n // f, f]
        inner = tuple(range(lead + 1, len(shape), 2))
        return block.reshape(shape).mean(axis=inner, dtype=np.float32).astype(block.dtype)
    members = []
    for corner in product(*(range(f) for f in factor)):
        location: tuple[Any, ...] = (..., *(slice(first, None, f) for first, f in zip(corner, factor)))
        members.append(block[location])
    return _average(members) if kind == "raw" else _find_most_frequent(members)


def _average(members: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of arrays of integers, rounded half up."""
    count, dtype = len(members), members[0].dtype
    largest = count * int(np.iinfo(dtype).max) + count
    # Small integers are added several times faster than those of 64 bits.
    wide = np.min_scalar_type(-largest if dtype.kind == "i" else largest) if dtype.itemsize < 8 else np.int64
    total = np.full(members[0].shape, count // 2, wide)
    for member in members:
        np.add(total, member, out=total, dtype=wide, casting="unsafe")
    return (total // count).astype(dtype)


def _find_most_frequent(members: Sequence[np.ndarray]) -> np.ndarray:
    """Return the most frequent id among arrays of ids, of equally frequent ids the one in the first array."""
    result = members[0].copy()
    mixed = np.zeros(result.shape, bool)
    for member in members[1:]:
        mixed |= member != result
    # Inside objects, all ids are equal.
    candidates = [member[mixed] for member in members]
    winner = result[mixed]
    most = np.zeros(winner.shape, np.uint8)
    for candidate in candidates:
        votes = np.zeros(winner.shape, np.uint8)
        for other in candidates:
            votes += candidate == other
        better = votes > most
        winner[better] = candidate[better]
        most = np.maximum(most, votes)
    result[mixed] = winner
    return result
