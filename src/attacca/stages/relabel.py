"""Stage that applies the look-up table to the volume: fragments become segments."""

import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

from attacca.arrays import ZarrArray
from attacca.arrays.ome_display import write_image_label, write_root_metadata
from attacca.blockwise import Block, BlockGrid
from attacca.config.run import RunConfig
from attacca.config.segmentation import CheckThresholds
from attacca.jobs.blockwise_job import BlockwiseJob
from attacca.jobs.pyramids import Image
from attacca.jobs.stage import (
    Blocks,
    CostModel,
    Scope,
    Stage,
    StageInstance,
    estimate_pyramid_disk,
    list_segmentation_contents,
    locate_array,
    locate_manifest,
)
from attacca.jobs.stage_main import stage_main
from attacca.layout import RUN_LABELS
from attacca.manifest import Manifest
from attacca.segmentation.block_size import choose_block_size
from attacca.segmentation.leaf_size import LEAF_VOXELS, ONE_LEAF_VOXELS
from attacca.stages.agglomerate import AGGLOMERATE
from attacca.stages.fragments import FRAGMENTS, block_parameters, is_agglomerated


def _fragments_at_once(run: RunConfig, voxels: float, fragments: float) -> float:
    """Return the fragments of the leaves around a corner; a small volume is one leaf."""
    return fragments if voxels <= ONE_LEAF_VOXELS else min(fragments, 8 * fragments * LEAF_VOXELS / voxels)


RELABEL = Stage(
    name="relabel",
    title="segmentation",
    scope=Scope.RUN_AND_VOLUME,
    inputs=lambda configuration, run, volume: {
        "fragments": StageInstance(FRAGMENTS, run, volume),
        "look_up_table": StageInstance(AGGLOMERATE, run, volume),
    },
    applies=is_agglomerated,
    manifest=locate_manifest("segmentation"),
    parameters=block_parameters,
    arrays=locate_array("segmentation"),
    contents=list_segmentation_contents,
    is_final=True,
    # Workers share the look-up table, which has 24 bytes per fragment.
    cost=CostModel(300, 60, 2.0e7, 1, 0.003, bytes_per_fragment=24, fragments_at_once=_fragments_at_once),
    disk=estimate_pyramid_disk,
    blocks=Blocks.SEGMENTATION,
    has_scales=True,
    block_setting="segmentation.block_size",
)


class RelabelJob(BlockwiseJob):
    """Fragments and the look-up table to the segmentation."""

    stage = RELABEL

    @cached_property
    def fragments(self) -> ZarrArray:
        return self.open_input(FRAGMENTS)

    @cached_property
    def key(self) -> Manifest:
        parameters = {"block_size": self.parameters["segmentation"]["block_size"]}
        inputs = {name: self.arguments.inputs[name].fingerprint for name in ("fragments", "look_up_table")}
        return Manifest(self.stage.name, self.stage.version, parameters, inputs)

    @cached_property
    def grid(self) -> BlockGrid:
        block = choose_block_size(self.fragments, self.parameters["segmentation"]["block_size"])
        return BlockGrid(self.fragments.roi, block, self.fragments.voxel_size)

    def create(self) -> None:
        self.create_labels(self.fragments)

    def block_function(self) -> Callable[[Block], Any]:
        # deferred: the Snakefile does not need numba.
        from attacca.segmentation.relabel_blocks import RelabelBlocks

        output = ZarrArray.open_from_array_identifier(self.output, mode="a")
        table = self.layout.look_up_table(self.arguments.run, self.arguments.volume)
        return RelabelBlocks(self.fragments, output, str(table))

    def images(self) -> list[Image]:
        return [Image(str(self.output.container), "labels", "segmentation")]

    def complete(self) -> dict[str, Any]:
        # deferred: the Snakefile does not need numba.
        from attacca.segmentation.sampled_checks import check_stitching

        group = str(self.output.container)
        self.finish_pyramids()
        write_image_label(group)
        container = self.layout.run_container(self.arguments.run, self.arguments.volume)
        write_root_metadata(container, RUN_LABELS)
        segmentation = ZarrArray.open_from_array_identifier(self.output)
        checks = CheckThresholds.model_validate(self.parameters["segmentation"]["checks"])
        excess = check_stitching(segmentation, self.grid, checks, "the segmentation")
        return {**self.arguments.inputs["look_up_table"].result, "seam_excess": round(excess, 4)}


if __name__ == "__main__":
    sys.exit(stage_main(RELABEL, lambda arguments: RelabelJob(arguments).run()))
