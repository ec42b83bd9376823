"""Coarser scales of a stage's images, built by the shards of the stage as soon as the finer voxels exist.

A block of a coarser scale needs a few blocks of the finer one. After its own blocks, each shard builds those coarser
blocks whose voxels are all recorded, scale by scale; the last shard at a border between shards builds the blocks across
it. Each scale has a ledger, so that a killed job repeats nothing, and the job that finishes the stage builds what is left.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from attacca.arrays import ZarrArray
from attacca.arrays.ome_zarr import write_multiscale_metadata
from attacca.arrays.pyramid import MOST_SCALES, create_scales, downsample_box
from attacca.blockwise import BlockGrid, Ledger
from attacca.blockwise.ledger_files import remove_records
from attacca.errors import BlocksFailedError


class Image(NamedTuple):
    """An image of several scales.

    Attributes:
        group: path or URL of the group that holds ``s0``.
        kind: ``raw`` averages voxels, ``labels`` takes the most frequent id.
        name: name in the OME metadata.
    """

    group: str
    kind: Literal["raw", "labels"]
    name: str


class _Scale(NamedTuple):
    fine: ZarrArray
    coarse: ZarrArray
    grid: BlockGrid
    ledger: Ledger


class ShardedPyramid:
    """The coarser scales of one image.

    Args:
        image: the image; its finest scale exists.
        grid: blocks in which the finest scale is written.
        ledger: record of these blocks.
        state_directory: directory of ledgers if the image is in an object store.
    """

    def __init__(
        self, image: Image, grid: BlockGrid, ledger: Ledger, state_directory: str | None = None
    ) -> None:
        self.image = image
        self._grid = grid
        self._ledger = ledger
        self._state_directory = state_directory

    def create(self) -> None:
        """Create the arrays of all scales; existing arrays that fit keep their data, unless no finer voxels are left."""
        scales = self._scales
        if not self._ledger.done().any():
            for scale in scales:
                if scale.ledger.directory.is_dir():
                    remove_records(scale.ledger.directory, None)

    def wait_for_writers(self) -> None:
        """Wait until no other job writes blocks of a coarser scale, whatever the settings of the job."""
        for number in range(1, MOST_SCALES):
            self._open_ledger(number, {}, 0).wait_for_writers()

    def build(self, shard: tuple[int, int], num_workers: int) -> None:
        """Build the blocks for which a shard wrote voxels and whose voxels are all recorded.

        Args:
            shard: number of the shard and number of shards.
            num_workers: number of threads; each holds a write block.
        """
        blocks = self._grid.shard(*shard)
        own = np.zeros(len(self._grid), dtype=bool)
        own[blocks.start : blocks.stop] = True
        done, grid = self._ledger.done(), self._grid
        for scale in self._scales:
            starts = _align(grid, scale.grid)
            if starts is None:
                return
            own = _reduce(np.logical_or, own, grid, starts)
            ready = _reduce(np.logical_and, done, grid, starts)
            self._compute(scale, np.flatnonzero(own & ready), shard, num_workers)
            done, grid = scale.ledger.done(), scale.grid
            own &= done

    def finish(self, num_workers: int) -> list[str]:
        """Build all remaining blocks, and write the OME metadata.

        Returns:
            Names of all scales, the finest first.
        """
        for scale in self._scales:
            self._compute(scale, np.arange(len(scale.grid)), (0, 1), num_workers)
            missing = scale.ledger.missing()
            if len(missing):
                raise BlocksFailedError(
                    f"{len(missing)} blocks of {scale.coarse} are not recorded as done",
                    fix="run the workflow again",
                )
        scales = ["s0", *(f"s{number}" for number, _ in enumerate(self._scales, start=1))]
        write_multiscale_metadata(self.image.group, scales, name=self.image.name)
        return scales

    @cached_property
    def _scales(self) -> list[_Scale]:
        """The coarser scales; their arrays are created if they do not exist."""
        scales = []
        for number, (fine, coarse) in enumerate(pairwise(create_scales(self.image.group)), start=1):
            grid = BlockGrid(coarse.roi, coarse.chunk_size, coarse.voxel_size)
            key = {**self._ledger.parts, "scale": number, "grid": grid.to_dict()}
            scales.append(_Scale(fine, coarse, grid, self._open_ledger(number, key, len(grid))))
        return scales

    def _open_ledger(self, number: int, key: Mapping[str, Any], num_blocks: int) -> Ledger:
        state = self._state_directory and f"{self._state_directory}/s{number}"
        return Ledger(f"{self.image.group}/s{number}", key, num_blocks, state)

    def _compute(
        self, scale: _Scale, candidates: np.ndarray, shard: tuple[int, int], num_workers: int
    ) -> None:
        missing = scale.ledger.missing(candidates)
        if not len(missing):
            return

        def compute(index: int) -> int:
            downsample_box(scale.fine, scale.coarse, scale.grid[index].write_roi, self.image.kind)
            return index

        with (
            scale.ledger.shard_writer(*shard) as writer,
            ThreadPoolExecutor(max_workers=max(1, num_workers)) as pool,
        ):
            for index in pool.map(compute, missing.tolist()):
                writer.record(index)


def _align(fine: BlockGrid, coarse: BlockGrid) -> list[np.ndarray] | None:
    """Return along each axis the first fine block in each coarse block; None if a fine block lies in several of them."""
    starts = []
    for axis in range(fine.dims):
        origin, size = int(fine.origin[axis]), int(fine.block_size[axis])
        begin = np.arange(fine.shape[axis], dtype=np.int64) * size
        end = np.minimum(begin + size, int(fine.roi.shape[axis]))
        low = begin // int(coarse.block_size[axis])
        if origin != coarse.origin[axis] or (low != (end - 1) // int(coarse.block_size[axis])).any():
            return None
        starts.append(np.flatnonzero(np.diff(low, prepend=-1)))
    return starts


def _reduce(function: np.ufunc, mask: np.ndarray, grid: BlockGrid, starts: list[np.ndarray]) -> np.ndarray:
    """Return for each coarse block the combination of a mask of its fine blocks."""
    values = mask.reshape(grid.shape)
    for axis, first in enumerate(starts):
        values = function.reduceat(values, first, axis=axis)
    return values.ravel()
