"""Stage that applies the trained network to a volume, block by block."""

import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.ome_display import write_intensity_windows, write_root_metadata
from attacca.blockwise import Block, BlockGrid
from attacca.config.prediction import PredictionConfig
from attacca.errors import MissingInputError
from attacca.fingerprint import digest_file
from attacca.jobs.blockwise_job import BlockwiseJob
from attacca.jobs.open_results import required_volume_array
from attacca.jobs.pyramids import Image
from attacca.jobs.stage import (
    Blocks,
    CostModel,
    ProductSizes,
    Scope,
    Stage,
    StageInstance,
    estimate_pyramid_disk,
    locate_array,
    locate_manifest,
    plain_values,
)
from attacca.jobs.stage_main import stage_main
from attacca.layout import RUN_LABELS, checkpoint_name
from attacca.manifest import Manifest
from attacca.provenance.machines import describe_machine, note_machine, shard_note
from attacca.stages.unpack import network_instance
from attacca.stages.volume import VOLUME

if TYPE_CHECKING:
    from attacca.prediction import Network

# Typical bytes on the disk per byte of the array.
_STORED_BYTES = {"uint8": 0.75, "float16": 2 * 0.8, "float32": 4 * 0.8}


def _disk(sizes: ProductSizes) -> tuple[float, float]:
    run = sizes.configuration.runs[sizes.run]
    return estimate_pyramid_disk(sizes, run.predicted_channels * _STORED_BYTES[run.prediction.dtype])


PREDICT = Stage(
    name="predict",
    title="prediction",
    scope=Scope.RUN_AND_VOLUME,
    inputs=lambda configuration, run, volume: {
        "volume": StageInstance(VOLUME, volume=volume),
        "training": network_instance(configuration, run),
    },
    manifest=locate_manifest("prediction"),
    parameters=lambda configuration, run, volume: {
        "prediction": plain_values(configuration.runs[run].prediction)
    },
    arrays=locate_array("prediction"),
    cost=CostModel(900, 60, 2.5e5, 3, 0.016, bytes_per_channel=6),
    disk=_disk,
    blocks=Blocks.NETWORK,
    has_scales=True,
    block_setting="prediction.block_size",
    runs_network=True,
)


def choose_checkpoint(config: PredictionConfig, training: Mapping[str, Any]) -> str:
    """Return the file name of the checkpoint that the configuration selects.

    Args:
        config: its ``checkpoint`` is ``best``, ``latest`` or an iteration.
        training: result in the manifest of the training.
    """
    choice = config.checkpoint
    return str(training.get(f"{choice}_file")) if isinstance(choice, str) else checkpoint_name(choice)


class PredictJob(BlockwiseJob):
    """Raw data and a checkpoint to a prediction."""

    stage = PREDICT

    @cached_property
    def config(self) -> PredictionConfig:
        return PredictionConfig.model_validate(self.parameters["prediction"])

    @cached_property
    def checkpoint(self) -> Path:
        """Checkpoint that the configuration selects.

        Raises:
            MissingInputError: the checkpoint was not kept.
        """
        training = self.arguments.inputs["training"].result
        path = self.layout.checkpoints(self.arguments.run) / choose_checkpoint(self.config, training)
        if not path.is_file():
            existing = ", ".join(sorted(file.name for file in path.parent.glob("*.pt"))) or "none"
            raise MissingInputError(
                f"prediction.checkpoint selects {path}, which does not exist; existing checkpoints: {existing}. "
                "training.checkpoint.keep_every keeps more of them"
            )
        return path

    @cached_property
    def network(self) -> "Network":
        # deferred: torch takes seconds to import, and the job that finishes the stage needs no network.
        from attacca.prediction import load_network

        return load_network(self.checkpoint, self.config.descriptors)

    @cached_property
    def raw(self) -> LocalArrayIdentifier:
        return required_volume_array(
            self.layout, self.arguments.volume, self.arguments.inputs["volume"], "raw"
        )

    @property
    def percentiles(self) -> Mapping[str, float] | None:
        """Percentiles of the image; None for a volume of an earlier Attacca, which did not record them."""
        measured: Mapping[str, float] | None = (
            self.arguments.inputs["volume"].result["arrays"]["raw"].get("percentiles")
        )
        return measured

    @cached_property
    def key(self) -> Manifest:
        # Predictions depend on the weights of the checkpoint alone, not on the training that led to them.
        inputs = {
            "volume": self.arguments.inputs["volume"].fingerprint,
            "checkpoint": self.checkpoint_digest,
        }
        return Manifest(self.stage.name, self.stage.version, self.parameters, inputs)

    @cached_property
    def checkpoint_digest(self) -> str:
        return digest_file(self.checkpoint)

    @cached_property
    def grid(self) -> BlockGrid:
        # deferred: only jobs that need torch import it.
        from attacca.prediction import make_prediction_grid

        return make_prediction_grid(ZarrArray.open_from_array_identifier(self.raw), self.network, self.config)

    def create(self) -> None:
        # deferred: only jobs that need torch import it.
        from attacca.prediction import create_prediction_array

        raw = ZarrArray.open_from_array_identifier(self.raw)
        # An image without contrast is an error before any block.
        self.network.fit_intensity(raw, self.percentiles)
        self.create_or_replace(
            lambda overwrite: create_prediction_array(
                self.output, raw, self.network, self.config, overwrite=overwrite
            )
        )

    def block_function(self) -> Callable[[Block], Any]:
        # deferred: only jobs that need torch import it.
        from attacca.prediction import PredictBlocks

        return PredictBlocks(
            self.checkpoint,
            self.raw,
            self.output,
            self.config,
            shard=self.arguments.shard[0],
            percentiles=self.percentiles,
        )

    def before_blocks(self) -> None:
        # deferred: only jobs that need torch import it.
        from attacca.device import choose_device

        arguments, scheduler = self.arguments, self.arguments.execution.scheduler_address
        if scheduler is None:
            machine = describe_machine(str(choose_device(self.config.device, arguments.shard[0])))
        else:
            machine = {"dask cluster": scheduler}
        note = shard_note(self.layout, arguments.run, arguments.volume, PREDICT.name, arguments.shard)
        note_machine(note, self.key.fingerprint, machine)

    def memory_per_block(self) -> int | None:
        # deferred: only jobs that need torch import it.
        from attacca.prediction import estimate_memory

        grid = self.planned_grid()
        return estimate_memory(self.network, self.config, grid.roi.shape / grid.voxel_size)

    def images(self) -> list[Image]:
        return [Image(str(self.output.container), "raw", "prediction")]

    def complete(self) -> dict[str, Any]:
        group = str(self.output.container)
        write_intensity_windows(group, self.finish_pyramids()["prediction"])
        container = self.layout.run_container(self.arguments.run, self.arguments.volume)
        write_root_metadata(container, RUN_LABELS)
        return {"checkpoint": self.checkpoint.name, "checkpoint_digest": self.checkpoint_digest}


if __name__ == "__main__":
    sys.exit(stage_main(PREDICT, lambda arguments: PredictJob(arguments).run()))
