"""Stage that computes the region adjacency graph of a volume's fragments, block by block."""

import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from attacca.arrays import ZarrArray
from attacca.blockwise import Block, BlockGrid
from attacca.jobs.blockwise_job import BlockwiseJob
from attacca.jobs.stage import (
    FILES_PER_STAGE,
    Blocks,
    CostModel,
    ProductSizes,
    Scope,
    Stage,
    StageInstance,
    locate_manifest,
)
from attacca.jobs.stage_main import stage_main
from attacca.manifest import Manifest
from attacca.segmentation.block_size import choose_block_size
from attacca.segmentation.chosen_settings import (
    read_agglomeration_settings,
    read_fragment_settings,
    read_neighborhood,
)
from attacca.stages.fragments import FRAGMENTS, block_parameters, is_agglomerated
from attacca.stages.predict import PREDICT
from attacca.stages.tune import TUNE

_BYTES_PER_FRAGMENT, _COLUMNS = 450, 7


def _disk(sizes: ProductSizes) -> tuple[float, float]:
    # Two tables per block, and the columns of all blocks together.
    return sizes.fragments * _BYTES_PER_FRAGMENT, 2 * sizes.blocks + _COLUMNS + FILES_PER_STAGE


GRAPH = Stage(
    name="graph",
    title="region adjacency graph",
    scope=Scope.RUN_AND_VOLUME,
    inputs=lambda configuration, run, volume: {
        "prediction": StageInstance(PREDICT, run, volume),
        "fragments": StageInstance(FRAGMENTS, run, volume),
        "tuning": StageInstance(TUNE, run),
    },
    applies=is_agglomerated,
    manifest=locate_manifest("graph"),
    parameters=block_parameters,
    arrays=lambda layout, run, volume: [str(layout.graph(run, volume))],
    # The directory has no files before the first block is computed.
    plan_creates_arrays=False,
    cost=CostModel(350, 60, 1.0e7, 1, 0.02),
    disk=_disk,
    blocks=Blocks.SEGMENTATION,
    block_setting="segmentation.block_size",
    # It reads the ledger.
    max_finish_threads=1,
)


class GraphJob(BlockwiseJob):
    """Fragments to the tables of their graph."""

    stage = GRAPH

    @cached_property
    def fragments(self) -> ZarrArray:
        return self.open_input(FRAGMENTS)

    @cached_property
    def prediction(self) -> ZarrArray:
        return self.open_input(PREDICT)

    @cached_property
    def long_range(self) -> bool:
        return read_agglomeration_settings(self.arguments.inputs["tuning"]).needs_long_range

    @cached_property
    def sigma(self) -> float:
        return read_fragment_settings(self.arguments.inputs["tuning"]).graph_sigma

    @cached_property
    def key(self) -> Manifest:
        block_size = self.parameters["segmentation"]["block_size"]
        parameters = {"block_size": block_size, "long_range": self.long_range}
        if self.sigma:
            parameters["sigma"] = self.sigma
        inputs = {name: self.arguments.inputs[name].fingerprint for name in ("prediction", "fragments")}
        return Manifest(self.stage.name, self.stage.version, parameters, inputs)

    @cached_property
    def grid(self) -> BlockGrid:
        block = choose_block_size(self.prediction, self.parameters["segmentation"]["block_size"])
        return BlockGrid(self.fragments.roi, block, self.fragments.voxel_size)

    def create(self) -> None:
        Path(self.directory).mkdir(parents=True, exist_ok=True)

    def before_blocks(self) -> None:
        self.compile_kernels("graph")

    def block_function(self) -> Callable[[Block], Any]:
        # deferred: the Snakefile does not need numba.
        from attacca.segmentation.graph_blocks import GraphBlocks

        return GraphBlocks(
            self.prediction,
            self.fragments,
            self.directory,
            read_neighborhood(self.arguments.inputs["tuning"]),
            self.long_range,
            self.sigma,
        )

    def complete(self) -> dict[str, Any]:
        return {"blocks": len(self.grid)}


if __name__ == "__main__":
    sys.exit(stage_main(GRAPH, lambda arguments: GraphJob(arguments).run()))
