"""Blocks of a stage, from the configuration and the headers of its volumes, before the stage is planned."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from funlib.geometry import Coordinate

from attacca.arrays.chunk_shapes import shard_and_chunk
from attacca.config.run import Configuration, RunConfig
from attacca.jobs.block_shape import BlockShape
from attacca.jobs.extents import Extent
from attacca.jobs.stage import Blocks, Scope, StageInstance
from attacca.prediction.sizes import ConfiguredSizes, PredictionSizes, choose_sizes
from attacca.segmentation.block_size import choose_block_shape


@dataclass(frozen=True)
class StageBlocks:
    """Blocks of a stage over one volume.

    Args:
        count: number of blocks.
        block: voxels of a block along [z,] y, x.
        context: voxels that a block reads on each side.
        stored: voxels of a stored file along [z,] y, x: a shard in Zarr 3, a chunk in Zarr 2.
    """

    count: int
    block: tuple[int, ...]
    context: tuple[int, ...]
    stored: tuple[int, ...]

    @property
    def shape(self) -> BlockShape:
        """Number and size of the blocks, as a plan would give them."""
        read = math.prod(edge + 2 * margin for edge, margin in zip(self.block, self.context))
        return BlockShape(max(1, self.count), math.prod(self.block), read)


def expect_blocks(configuration: Configuration, instance: StageInstance, extent: Extent) -> StageBlocks:
    """Return the blocks in which a blockwise stage will compute its volume.

    Args:
        configuration: the configuration.
        instance: the stage, its run and its volume.
        extent: size of the volume.
    """
    stage, run = instance.stage, configuration.runs.get(instance.run)
    block, context, stored = _choose_block(stage.blocks, run, extent, configuration.zarr_format)
    # The import of a volume that is used in place only writes a link.
    is_link = stage.scope is Scope.VOLUME and not extent.is_copied
    return StageBlocks(1 if is_link else count_blocks(extent.shape, block), block, context, stored)


def expect_prediction_sizes(run: RunConfig, extent: Extent | None) -> tuple[PredictionSizes, Coordinate]:
    """Return the sizes of a run's predictions, and the voxels that are read on each side of a block."""
    network = ConfiguredSizes(run.architecture, run.task.head_kernel)
    return choose_sizes(network, run.prediction, None if extent is None else extent.shape), network.context


def count_blocks(shape: Sequence[int], block: Sequence[int]) -> int:
    """Return the number of blocks that cover a volume; blocks at the upper end may be smaller.

    >>> count_blocks((100, 64, 65), (64, 64, 64))
    4
    """
    return math.prod(-(-size // edge) for size, edge in zip(shape, block))


def _choose_block(
    blocks: Blocks, run: RunConfig | None, extent: Extent, zarr_format: int
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    none = (0,) * len(extent.shape)
    if run is None or blocks is Blocks.VOLUME_CHUNKS:
        return extent.chunk, none, extent.chunk
    sizes, context = expect_prediction_sizes(run, extent)
    chunk, has_shards = _clip(sizes.chunk, extent), zarr_format == 3
    if blocks is Blocks.NETWORK:
        block, margin = _clip(sizes.block, extent), tuple(context)
    elif blocks is Blocks.SEGMENTATION:
        block = _clip(choose_block_shape(chunk, run.segmentation.block_size), extent)
        margin = tuple(run.segmentation.context or none)
        chunk = _clip(shard_and_chunk(block, extent.shape, chunk)[1], extent)
    else:
        block, margin = _clip(sizes.block, extent) if has_shards else chunk, none
    return block, margin, block if has_shards else chunk


def _clip(sizes: Sequence[int], extent: Extent) -> tuple[int, ...]:
    return tuple(min(int(size), edge) for size, edge in zip(sizes, extent.shape))
