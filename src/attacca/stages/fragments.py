"""Stage that divides a prediction into fragments, block by block."""

import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

from attacca.arrays import ZarrArray
from attacca.arrays.ome_display import write_image_label
from attacca.arrays.ome_zarr import write_multiscale_metadata
from attacca.blockwise import Block, BlockGrid
from attacca.config.run import Configuration, RunConfig
from attacca.config.segmentation import CheckThresholds, FragmentSettings
from attacca.jobs.blockwise_job import BlockwiseJob
from attacca.jobs.open_results import volume_array
from attacca.jobs.stage import (
    FILES_PER_STAGE,
    LABEL_BYTES,
    Blocks,
    CostModel,
    Scope,
    Stage,
    locate_array,
    locate_manifest,
    plain_values,
)
from attacca.jobs.stage_main import stage_main
from attacca.manifest import Manifest
from attacca.segmentation.block_size import choose_block_size
from attacca.segmentation.chosen_settings import read_fragment_settings, read_neighborhood
from attacca.stages.predict import PREDICT
from attacca.stages.tune import segmentation_inputs


def is_agglomerated(run: RunConfig) -> bool:
    """Return whether a run segments through fragments and their graph."""
    return run.task.agglomerates


def block_parameters(configuration: Configuration, run: str, volume: str) -> dict[str, Any]:
    """Return the settings of a segmentation's blocks; its other settings are chosen by the tuning."""
    section = plain_values(configuration.runs[run].segmentation)
    return {"segmentation": {key: section[key] for key in ("block_size", "mask", "checks")}}


FRAGMENTS = Stage(
    name="fragments",
    title="fragments",
    scope=Scope.RUN_AND_VOLUME,
    inputs=segmentation_inputs,
    applies=is_agglomerated,
    manifest=locate_manifest("fragments"),
    parameters=block_parameters,
    version=2,
    arrays=locate_array("fragments"),
    cost=CostModel(350, 220, 2.0e6, 1, 0.06, bytes_per_channel=6),
    disk=lambda sizes: (sizes.voxels * LABEL_BYTES, sizes.chunks + FILES_PER_STAGE),
    blocks=Blocks.SEGMENTATION,
    block_setting="segmentation.block_size",
    # It reads the ledger.
    max_finish_threads=1,
)


class FragmentsJob(BlockwiseJob):
    """Prediction to fragments, with the settings that were chosen on the validation volumes."""

    stage = FRAGMENTS

    @cached_property
    def prediction(self) -> ZarrArray:
        return self.open_input(PREDICT)

    @cached_property
    def tuning(self) -> Manifest:
        return self.arguments.inputs["tuning"]

    @cached_property
    def settings(self) -> FragmentSettings:
        # deferred: the Snakefile does not need numba.
        from attacca.segmentation.fragments import fix_cell_size

        # Cells have the size of blocks: a cell that several blocks share would be computed several times.
        return fix_cell_size(
            read_fragment_settings(self.tuning), self.grid.block_size / self.prediction.voxel_size
        )

    @cached_property
    def key(self) -> Manifest:
        # The chosen settings matter, not the table from which they were chosen.
        settings = self.settings.model_dump(mode="json")
        parameters = {
            **self.parameters["segmentation"],
            "fragments": settings,
            "neighborhood": read_neighborhood(self.tuning),
        }
        parameters.pop("checks", None)
        inputs = {"prediction": self.arguments.inputs["prediction"].fingerprint}
        if self.mask is not None:
            inputs["volume"] = self.arguments.inputs["volume"].fingerprint
        return Manifest(self.stage.name, self.stage.version, parameters, inputs)

    @cached_property
    def mask(self) -> ZarrArray | None:
        if not self.parameters["segmentation"]["mask"]:
            return None
        mask = volume_array(self.layout, self.arguments.volume, self.arguments.inputs["volume"], "mask")
        return None if mask is None else ZarrArray.open_from_array_identifier(mask)

    @cached_property
    def grid(self) -> BlockGrid:
        prediction = self.prediction
        block = choose_block_size(prediction, self.parameters["segmentation"]["block_size"])
        return BlockGrid(prediction.roi, block, prediction.voxel_size)

    def create(self) -> None:
        # deferred: the Snakefile does not need numba.
        from attacca.segmentation.sampled_checks import check_affinities

        prediction = self.prediction
        checks = CheckThresholds.model_validate(self.parameters["segmentation"]["checks"])
        channels = len(read_neighborhood(self.tuning))
        check_affinities(prediction, self.grid, channels, checks, f"the prediction of {self.arguments.label}")
        self.create_labels(prediction)
        group = str(self.output.container)
        write_multiscale_metadata(group, ["s0"], name="fragments")
        write_image_label(group)

    def before_blocks(self) -> None:
        self.compile_kernels(self.settings.chain)

    def block_function(self) -> Callable[[Block], Any]:
        # deferred: the Snakefile does not need numba.
        from attacca.segmentation.fragment_blocks import FragmentBlocks

        output = ZarrArray.open_from_array_identifier(self.output, mode="a")
        return FragmentBlocks(
            self.prediction, output, read_neighborhood(self.tuning), self.settings, self.mask
        )


if __name__ == "__main__":
    sys.exit(stage_main(FRAGMENTS, lambda arguments: FragmentsJob(arguments).run()))
