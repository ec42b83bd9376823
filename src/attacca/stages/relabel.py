"""Applies the look-up table to the volume: fragments become segments."""

import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.pyramid import build_pyramid
from attacca.blockwise import Block, BlockGrid
from attacca.config.segmentation import CheckThresholds
from attacca.jobs.blockwise_stage import BlockwiseStage
from attacca.jobs.command import stage_main
from attacca.jobs.opening import open_result
from attacca.manifest import Manifest
from attacca.segmentation.block_size import segmentation_block
from attacca.workflow.catalogue import entry


class RelabelStage(BlockwiseStage):
    """Fragments and their table to the segmentation."""

    name = "relabel"
    version = entry("relabel").version
    verb = "relabel"
    block_setting = "segmentation.block_size"

    @cached_property
    def fragments(self) -> ZarrArray:
        return open_result(
            self.layout.image(self.arguments.run, self.arguments.volume, "fragments"), "fragments"
        )

    @cached_property
    def output(self) -> LocalArrayIdentifier:
        return LocalArrayIdentifier(
            self.layout.image(self.arguments.run, self.arguments.volume, "segmentation"), "s0"
        )

    @cached_property
    def key(self) -> Manifest:
        parameters = {"block_size": self.parameters["segmentation"]["block_size"]}
        inputs = {name: self.arguments.inputs[name].fingerprint for name in ("fragments", "look_up_table")}
        return Manifest(self.name, self.version, parameters, inputs)

    @property
    def directory(self) -> str:
        return f"{self.output.container}/{self.output.dataset}"

    @cached_property
    def grid(self) -> BlockGrid:
        block = segmentation_block(self.fragments, self.parameters["segmentation"]["block_size"])
        return BlockGrid.for_array(self.fragments, block)

    def create(self) -> None:
        fragments = self.fragments
        self.create_or_replace(
            lambda overwrite: ZarrArray.create_from_array_identifier(
                self.output,
                fragments.spatial_axes,
                fragments.roi,
                None,
                fragments.voxel_size,
                np.uint64,
                write_size=fragments.chunk_size,
                unit=fragments.unit,
                overwrite=overwrite,
            )
        )

    def block_function(self) -> Callable[[Block], Any]:
        from attacca.segmentation.relabel_blocks import RelabelBlocks

        output = ZarrArray.open_from_array_identifier(self.output, mode="a")
        table = self.layout.look_up_table(self.arguments.run, self.arguments.volume)
        return RelabelBlocks(self.fragments, output, str(table))

    def complete(self) -> dict[str, Any]:
        from attacca.segmentation.sampled_checks import check_stitching

        build_pyramid(
            str(self.output.container), kind="labels", num_workers=self.arguments.threads, name="segmentation"
        )
        segmentation = ZarrArray.open_from_array_identifier(self.output)
        checks = CheckThresholds.model_validate(self.parameters["segmentation"]["checks"])
        name = f"the segmentation of {self.arguments.label}"
        excess = check_stitching(segmentation, self.grid, checks, name)
        return {**self.arguments.inputs["look_up_table"].result, "seam_excess": round(excess, 4)}


if __name__ == "__main__":
    sys.exit(stage_main("relabel", lambda arguments: RelabelStage(arguments).work()))
