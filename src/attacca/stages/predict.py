"""Applies the trained network to a volume, block by block."""

import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.pyramid import build_pyramid
from attacca.blockwise import Block, BlockGrid
from attacca.config.prediction import PredictionConfig
from attacca.errors import MissingInputError
from attacca.fingerprint import digest_file
from attacca.jobs.blockwise_stage import BlockwiseStage
from attacca.jobs.command import stage_main
from attacca.jobs.opening import required_volume_array
from attacca.manifest import Manifest
from attacca.provenance.machines import describe_machine, note_machine, prediction_note
from attacca.workflow.catalogue import entry


class PredictStage(BlockwiseStage):
    """Raw data and a checkpoint to a prediction."""

    name = "predict"
    version = entry("predict").version
    verb = "predict"
    block_setting = "prediction.block_size"

    @cached_property
    def config(self) -> PredictionConfig:
        return PredictionConfig.model_validate(self.parameters["prediction"])

    @cached_property
    def checkpoint(self) -> Path:
        """The checkpoint that the configuration asks for."""
        training = self.arguments.inputs["training"].result
        directory = self.layout.training(self.arguments.run) / "checkpoints"
        choice = self.config.checkpoint
        name = training[f"{choice}_file"] if isinstance(choice, str) else f"iteration_{choice:08d}.pt"
        path = directory / name
        if not path.is_file():
            there = ", ".join(sorted(file.name for file in directory.glob("*.pt"))) or "none"
            raise MissingInputError(
                f"prediction.checkpoint asks for {path}, which is not there; checkpoints that are: {there}. "
                "training.checkpoint.keep_every keeps more of them"
            )
        return path

    @cached_property
    def network(self) -> Any:
        # torch takes seconds to import, and the last part of the stage needs no network.
        from attacca.prediction import load_network

        return load_network(self.checkpoint)

    @cached_property
    def raw(self) -> LocalArrayIdentifier:
        return required_volume_array(
            self.layout, self.arguments.volume, self.arguments.inputs["volume"], "raw"
        )

    @cached_property
    def output(self) -> LocalArrayIdentifier:
        return LocalArrayIdentifier(
            self.layout.image(self.arguments.run, self.arguments.volume, "prediction"), "s0"
        )

    @cached_property
    def key(self) -> Manifest:
        # Of the training only the checkpoint's weights matter: the same weights predict the same.
        inputs = {
            "volume": self.arguments.inputs["volume"].fingerprint,
            "checkpoint": self.checkpoint_digest,
        }
        return Manifest(self.name, self.version, self.parameters, inputs)

    @cached_property
    def checkpoint_digest(self) -> str:
        return digest_file(self.checkpoint)

    @property
    def directory(self) -> str:
        return f"{self.output.container}/{self.output.dataset}"

    @cached_property
    def grid(self) -> BlockGrid:
        from attacca.prediction import make_prediction_grid

        return make_prediction_grid(ZarrArray.open_from_array_identifier(self.raw), self.network, self.config)

    def create(self) -> None:
        from attacca.prediction import create_prediction_array

        raw = ZarrArray.open_from_array_identifier(self.raw)
        self.create_or_replace(
            lambda overwrite: create_prediction_array(
                self.output, raw, self.network, self.config, overwrite=overwrite
            )
        )

    def block_function(self) -> Callable[[Block], Any]:
        from attacca.prediction import PredictBlocks

        return PredictBlocks(
            self.checkpoint, self.raw, self.output, self.config, shard=self.arguments.shard[0]
        )

    def before_blocks(self) -> None:
        from attacca.device import choose_device

        arguments, scheduler = self.arguments, self.arguments.execution.scheduler_address
        if scheduler is None:
            machine = describe_machine(str(choose_device(self.config.device, arguments.shard[0])))
        else:
            machine = {"dask cluster": scheduler}
        note = prediction_note(self.layout, arguments.run, arguments.volume, arguments.shard)
        note_machine(note, self.key.fingerprint, machine)

    def memory_per_block(self) -> int | None:
        from attacca.prediction import estimate_memory

        grid = self.planned_grid()
        return estimate_memory(self.network, self.config, grid.roi.shape / grid.voxel_size)

    def complete(self) -> dict[str, Any]:
        build_pyramid(str(self.output.container), kind="raw", num_workers=self.arguments.threads)
        return {"checkpoint": self.checkpoint.name, "checkpoint_digest": self.checkpoint_digest}


if __name__ == "__main__":
    sys.exit(stage_main("predict", lambda arguments: PredictStage(arguments).work()))
