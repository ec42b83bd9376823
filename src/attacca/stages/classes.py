"""Decides each voxel of a prediction by itself: threshold, argmax."""

import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.pyramid import build_pyramid
from attacca.blockwise import Block, BlockGrid
from attacca.config.tasks import read_task_config
from attacca.jobs.blockwise_stage import BlockwiseStage
from attacca.jobs.command import stage_main
from attacca.jobs.opening import open_result
from attacca.manifest import Manifest
from attacca.post_processors import PostProcessBlocks, create_output
from attacca.tasks import create_task
from attacca.workflow.catalogue import entry


class ClassesStage(BlockwiseStage):
    """Prediction to classes, with the parameters that were chosen on the validation volumes."""

    name = "classes"
    version = entry("classes").version
    verb = "decide classes"

    @cached_property
    def prediction(self) -> ZarrArray:
        return open_result(
            self.layout.image(self.arguments.run, self.arguments.volume, "prediction"), "predict"
        )

    @cached_property
    def chosen(self) -> dict[str, Any]:
        """The parameters that the tuner chose."""
        return dict(self.arguments.inputs["tuning"].result["chosen"])

    @cached_property
    def post_processor(self) -> Any:
        return create_task(read_task_config(self.parameters["task"])).post_processor

    @cached_property
    def output(self) -> LocalArrayIdentifier:
        return LocalArrayIdentifier(
            self.layout.image(self.arguments.run, self.arguments.volume, "segmentation"), "s0"
        )

    @property
    def key(self) -> Manifest:
        # What was chosen matters, not the table from which it was chosen.
        inputs = {"prediction": self.arguments.inputs["prediction"].fingerprint}
        return Manifest(self.name, self.version, {**self.parameters, "chosen": self.chosen}, inputs)

    @property
    def directory(self) -> str:
        return f"{self.output.container}/{self.output.dataset}"

    @property
    def grid(self) -> BlockGrid:
        return BlockGrid.for_array(self.prediction)

    def create(self) -> None:
        prediction, chunk = self.prediction, self.prediction.chunk_size
        self.create_or_replace(
            lambda overwrite: create_output(prediction, self.output, self.operation(), chunk, overwrite)
        )

    def operation(self) -> Any:
        parameters = type(next(iter(self.post_processor.enumerate_parameters())))(**self.chosen)
        return self.post_processor.create_operation(parameters)

    def block_function(self) -> Callable[[Block], Any]:
        return PostProcessBlocks(self.prediction, self.output, self.operation())

    def complete(self) -> dict[str, Any]:
        build_pyramid(str(self.output.container), kind="labels", num_workers=self.arguments.threads)
        return {"chosen": self.chosen}


if __name__ == "__main__":
    sys.exit(stage_main("classes", lambda arguments: ClassesStage(arguments).work()))
