"""Cuts a prediction into fragments, block by block."""

import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.ome_zarr import write_multiscale_metadata
from attacca.blockwise import Block, BlockGrid
from attacca.config.segmentation import CheckThresholds, FragmentSettings
from attacca.jobs.blockwise_stage import BlockwiseStage
from attacca.jobs.command import stage_main
from attacca.jobs.opening import open_result, volume_array
from attacca.manifest import Manifest
from attacca.segmentation.block_size import segmentation_block
from attacca.segmentation.chosen_settings import chosen_fragments, neighborhood_of
from attacca.workflow.catalogue import entry


class FragmentsStage(BlockwiseStage):
    """Prediction to fragments, with the settings that were chosen on the validation volumes."""

    name = "fragments"
    version = entry("fragments").version
    verb = "fragments"
    block_setting = "segmentation.block_size"

    @cached_property
    def prediction(self) -> ZarrArray:
        return open_result(
            self.layout.image(self.arguments.run, self.arguments.volume, "prediction"), "predict"
        )

    @cached_property
    def output(self) -> LocalArrayIdentifier:
        return LocalArrayIdentifier(
            self.layout.image(self.arguments.run, self.arguments.volume, "fragments"), "s0"
        )

    @cached_property
    def tuning(self) -> Manifest:
        return self.arguments.inputs["tuning"]

    @cached_property
    def settings(self) -> FragmentSettings:
        from attacca.segmentation.fragments import fix_cell_size

        # Cells of a block's size: blocks that cut through cells would compute them several times.
        return fix_cell_size(chosen_fragments(self.tuning), self.grid.block_size / self.prediction.voxel_size)

    @cached_property
    def key(self) -> Manifest:
        # What was chosen matters, not the table from which it was chosen.
        settings = self.settings.model_dump(mode="json")
        parameters = {
            **self.parameters["segmentation"],
            "fragments": settings,
            "neighborhood": neighborhood_of(self.tuning),
        }
        parameters.pop("checks", None)
        inputs = {"prediction": self.arguments.inputs["prediction"].fingerprint}
        if self.mask is not None:
            inputs["volume"] = self.arguments.inputs["volume"].fingerprint
        return Manifest(self.name, self.version, parameters, inputs)

    @cached_property
    def mask(self) -> ZarrArray | None:
        if not self.parameters["segmentation"]["mask"]:
            return None
        found = volume_array(self.layout, self.arguments.volume, self.arguments.inputs["volume"], "mask")
        return None if found is None else ZarrArray.open_from_array_identifier(found)

    @property
    def directory(self) -> str:
        return f"{self.output.container}/{self.output.dataset}"

    @cached_property
    def grid(self) -> BlockGrid:
        block = segmentation_block(self.prediction, self.parameters["segmentation"]["block_size"])
        return BlockGrid.for_array(self.prediction, block)

    def create(self) -> None:
        from attacca.segmentation.sampled_checks import check_affinities

        prediction = self.prediction
        checks = CheckThresholds.model_validate(self.parameters["segmentation"]["checks"])
        channels = len(neighborhood_of(self.tuning))
        check_affinities(prediction, self.grid, channels, checks, f"the prediction of {self.arguments.label}")
        self.create_or_replace(
            lambda overwrite: ZarrArray.create_from_array_identifier(
                self.output,
                prediction.spatial_axes,
                prediction.roi,
                None,
                prediction.voxel_size,
                np.uint64,
                write_size=prediction.chunk_size,
                unit=prediction.unit,
                overwrite=overwrite,
            )
        )
        write_multiscale_metadata(str(self.output.container), ["s0"], name="fragments")

    def block_function(self) -> Callable[[Block], Any]:
        from attacca.segmentation.fragment_blocks import FragmentBlocks

        output = ZarrArray.open_from_array_identifier(self.output, mode="a")
        return FragmentBlocks(self.prediction, output, neighborhood_of(self.tuning), self.settings, self.mask)


if __name__ == "__main__":
    sys.exit(stage_main("fragments", lambda arguments: FragmentsStage(arguments).work()))
