"""Imports a volume, or makes synthetic tissue, as OME-Zarr."""

import logging
import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

from attacca.blockwise import Block, BlockGrid
from attacca.config.volumes import VolumeConfig
from attacca.jobs.blockwise_stage import BlockwiseStage
from attacca.jobs.command import stage_main
from attacca.manifest import Manifest
from attacca.volumes import ImportBlocks, VolumePlan, finish_volume, plan_volume, prepare_volume
from attacca.workflow.catalogue import entry

# Run as a module, its own name is __main__, whose warnings nobody sees.
logger = logging.getLogger("attacca.stages.volume")


class VolumesStage(BlockwiseStage):
    """Files, or a seed, to a volume."""

    name = "volume"
    version = entry("volume").version

    @property
    def verb(self) -> str:  # type: ignore[override]
        return "synthesize" if self.config.synthetic is not None else "import"

    @cached_property
    def config(self) -> VolumeConfig:
        return VolumeConfig.model_validate(self.parameters["volume"])

    @cached_property
    def plan(self) -> VolumePlan:
        return plan_volume(self.config)

    @cached_property
    def container(self) -> str:
        return self.layout.volume_container(self.arguments.volume)

    @property
    def key(self) -> Manifest:
        # The source's fingerprint stands for its content; the path to it may change without consequences.
        return Manifest(self.name, self.version, self.parameters, {})

    @property
    def directory(self) -> str:
        copied = [name for name, array in self.plan.arrays.items() if array.link is None]
        return f"{self.container}/{copied[0]}/s0" if copied else self.container

    @cached_property
    def grid(self) -> BlockGrid:
        return BlockGrid(self.plan.roi, self.plan.block_size, self.plan.voxel_size)

    def create(self) -> None:
        for warning in prepare_volume(self.config, self.container).warnings:
            logger.warning("%s", warning)

    def block_function(self) -> Callable[[Block], Any]:
        return ImportBlocks(self.config, self.container)

    def memory_per_block(self) -> int | None:
        return self.plan.memory_per_block or None

    def complete(self) -> dict[str, Any]:
        facts = finish_volume(self.config, self.container, num_workers=self.arguments.threads)
        return {
            "arrays": {name: {**array, "dataset": f"{name}/s0"} for name, array in facts.items()},
            "unlabelled": self.config.unlabelled,
            "class_names": self.config.class_names,
        }


if __name__ == "__main__":
    sys.exit(stage_main("volumes", lambda arguments: VolumesStage(arguments).work()))
