"""Stage that classifies each voxel of a prediction by itself, by threshold or argmax."""

import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from attacca.arrays import ZarrArray
from attacca.arrays.ome_display import write_image_label, write_root_metadata
from attacca.blockwise import Block, BlockGrid
from attacca.config.tasks import read_task_config
from attacca.jobs.blockwise_job import BlockwiseJob
from attacca.jobs.pyramids import Image
from attacca.jobs.stage import (
    Blocks,
    CostModel,
    Scope,
    Stage,
    estimate_pyramid_disk,
    list_segmentation_contents,
    locate_array,
    locate_manifest,
    task_parameters,
)
from attacca.jobs.stage_main import stage_main
from attacca.layout import RUN_LABELS
from attacca.manifest import Manifest
from attacca.stages.predict import PREDICT
from attacca.stages.tune import segmentation_inputs

if TYPE_CHECKING:
    from attacca.post_processors.voxel_operations import VoxelOperation
    from attacca.post_processors.voxelwise_post_processor import VoxelwisePostProcessor

CLASSES = Stage(
    name="classes",
    title="segmentation",
    scope=Scope.RUN_AND_VOLUME,
    inputs=segmentation_inputs,
    applies=lambda run: not run.task.agglomerates,
    manifest=locate_manifest("segmentation"),
    parameters=lambda configuration, run, volume: {
        "task": task_parameters(configuration.runs[run], "predictor", "post_processor")
    },
    arrays=locate_array("segmentation"),
    contents=list_segmentation_contents,
    is_final=True,
    cost=CostModel(400, 80, 2.0e6, 1.5, 0.002, bytes_per_channel=6),
    disk=estimate_pyramid_disk,
    blocks=Blocks.PREDICTION_CHUNKS,
    has_scales=True,
    block_setting="prediction.block_size",
)


class ClassesJob(BlockwiseJob):
    """Prediction to classes, with the parameters that were chosen on the validation volumes."""

    stage = CLASSES
    verb = "classify voxels"

    @cached_property
    def prediction(self) -> ZarrArray:
        return self.open_input(PREDICT)

    @cached_property
    def chosen(self) -> dict[str, Any]:
        """Parameters that the tuning chose."""
        return dict(self.arguments.inputs["tuning"].result["chosen"])

    @cached_property
    def post_processor(self) -> "VoxelwisePostProcessor[Any]":
        # deferred: the Snakefile does not need numba.
        from attacca.tasks import create_task

        task = create_task(read_task_config(self.parameters["task"]))
        # Runs whose tasks agglomerate do not have this stage.
        return cast("VoxelwisePostProcessor[Any]", task.post_processor)

    @property
    def key(self) -> Manifest:
        # The chosen parameters matter, not the table from which they were chosen.
        inputs = {"prediction": self.arguments.inputs["prediction"].fingerprint}
        return Manifest(
            self.stage.name, self.stage.version, {**self.parameters, "chosen": self.chosen}, inputs
        )

    @property
    def grid(self) -> BlockGrid:
        return BlockGrid.for_array(self.prediction)

    def create(self) -> None:
        # deferred: the Snakefile does not need numba.
        from attacca.post_processors import create_output

        prediction, block = self.prediction, self.grid.block_size
        self.create_or_replace(
            lambda overwrite: create_output(prediction, self.output, self.operation(), block, overwrite)
        )

    def operation(self) -> "VoxelOperation":
        """Return the operation of the post-processor with the chosen parameters."""
        return self.post_processor.create_operation(self.post_processor.read_parameters(self.chosen))

    def block_function(self) -> Callable[[Block], Any]:
        # deferred: the Snakefile does not need numba.
        from attacca.post_processors import PostProcessBlocks

        return PostProcessBlocks(self.prediction, self.output, self.operation())

    def images(self) -> list[Image]:
        return [Image(str(self.output.container), "labels", "segmentation")]

    def complete(self) -> dict[str, Any]:
        group = str(self.output.container)
        self.finish_pyramids()
        task = read_task_config(self.parameters["task"])
        # With a class for each voxel, the first class has id 0, which OME-Zarr takes for background.
        write_image_label(group, task.class_names if task.label_classes is None else task.class_names[1:])
        container = self.layout.run_container(self.arguments.run, self.arguments.volume)
        write_root_metadata(container, RUN_LABELS)
        return {"chosen": self.chosen}


if __name__ == "__main__":
    sys.exit(stage_main(CLASSES, lambda arguments: ClassesJob(arguments).run()))
