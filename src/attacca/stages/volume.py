"""Stage that imports a volume, or synthesizes tissue, as OME-Zarr."""

import logging
import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

from attacca.blockwise import Block, BlockGrid
from attacca.config.run import Configuration
from attacca.config.volumes import VolumeConfig
from attacca.jobs.blockwise_job import BlockwiseJob
from attacca.jobs.pyramids import Image
from attacca.jobs.stage import (
    FILES_PER_STAGE,
    Blocks,
    CostModel,
    ProductSizes,
    Scope,
    Stage,
    StageInstance,
    plain_values,
    without_paths,
)
from attacca.jobs.stage_main import stage_main
from attacca.layout import VOLUME_IMAGES
from attacca.manifest import Manifest
from attacca.volumes import (
    ImportBlocks,
    VolumePlan,
    check_unchanged,
    compute_content_fingerprint,
    finish_volume,
    plan_volume,
    prepare_volume,
)
from attacca.volumes.check_sources import FULL_LIMIT, check_sources

# The module's own name is __main__ in a job, whose warnings are not printed.
logger = logging.getLogger("attacca.stages.volume")

_LABEL_BYTES = 8 * 0.02


def _parameters(configuration: Configuration, run: str, volume: str) -> dict[str, Any]:
    config = configuration.volumes[volume]
    return {"volume": plain_values(config), "source": compute_content_fingerprint(config)}


def _disk(sizes: ProductSizes) -> tuple[float, float]:
    if not sizes.is_copied:
        return 1e4, FILES_PER_STAGE
    per_voxel = sizes.raw_channels * sizes.raw_bytes + (_LABEL_BYTES if sizes.has_labels else 0)
    arrays = 2 if sizes.has_labels else 1
    return sizes.voxels * per_voxel * sizes.pyramid, arrays * sizes.chunks * sizes.pyramid + FILES_PER_STAGE


VOLUME = Stage(
    name="volume",
    title="import or synthesis",
    scope=Scope.VOLUME,
    manifest=lambda layout, run, volume: layout.volume_manifest(volume),
    parameters=_parameters,
    arrays=lambda layout, run, volume: [
        f"{layout.volume_image(volume, image)}/s0" for image in VOLUME_IMAGES
    ],
    contents=lambda layout, run, volume: [layout.volume_container(volume)],
    cost=CostModel(250, 90, 0.6e6, 1.5, 0.012),
    disk=_disk,
    blocks=Blocks.VOLUME_CHUNKS,
    has_scales=True,
    plan_creates_arrays=False,
    manifest_lists_arrays=True,
)


def volume_inputs(volumes: list[str]) -> dict[str, StageInstance]:
    """Return the volumes that a stage of a run reads, by their names in its manifest."""
    return {f"volume.{name}": StageInstance(VOLUME, volume=name) for name in volumes}


class VolumeJob(BlockwiseJob):
    """Files, or a seed, to a volume."""

    stage = VOLUME

    @property
    def verb(self) -> str:
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
        return Manifest(self.stage.name, self.stage.version, without_paths(self.parameters), {})

    def array_directories(self) -> list[str]:
        copied = [name for name, array in self.plan.arrays.items() if array.link is None]
        return [f"{self.container}/{VOLUME_IMAGES[name]}/s0" for name in copied]

    @property
    def directory(self) -> str:
        return next(iter(self.array_directories()), self.container)

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

    def images(self) -> list[Image]:
        return [
            Image(f"{self.container}/{VOLUME_IMAGES[name]}", "raw" if name == "raw" else "labels", name)
            for name, array in self.plan.arrays.items()
            if array.link is None
        ]

    def complete(self) -> dict[str, Any]:
        # Blocks of the files before and after a change would be one volume.
        check_unchanged(self.config, self.parameters["source"])
        # Copies were checked block by block.
        checks = check_sources(self.config, self.plan, FULL_LIMIT)
        if checks.problems:
            raise checks.problems[0].error
        for warning in checks.warnings:
            logger.warning("%s", warning)
        for note in checks.notes:
            print(f"{self.stage.name} {self.arguments.label}: {note}", file=sys.stderr, flush=True)
        facts = finish_volume(self.config, self.container, scales=self.finish_pyramids())
        return {
            "arrays": facts,
            "unlabelled": self.config.unlabelled,
            "class_names": self.config.class_names,
        }


if __name__ == "__main__":
    sys.exit(stage_main(VOLUME, lambda arguments: VolumeJob(arguments).run()))
