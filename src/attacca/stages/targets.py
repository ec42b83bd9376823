"""Stage that computes the targets and weights of a volume, and its class counts.

The counts are needed before the first weight can be computed. So ``plan`` creates the arrays and counts the classes of
the whole volume, block by block, and ``shard`` computes targets and weights.
"""

import sys
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.ome_zarr import write_multiscale_metadata
from attacca.arrays.storage import delete
from attacca.atomic import write_json
from attacca.blockwise import Block, BlockGrid, run_blocks
from attacca.config.run import Configuration
from attacca.config.tasks import read_task_config
from attacca.jobs.blockwise_job import BlockwiseJob
from attacca.jobs.open_results import required_volume_array, volume_array
from attacca.jobs.stage import (
    FILES_PER_STAGE,
    PLAN,
    Blocks,
    CostModel,
    ProductSizes,
    Scope,
    Stage,
    StageInstance,
    task_parameters,
)
from attacca.jobs.stage_main import stage_main
from attacca.kernel_compilation import announce_compilation
from attacca.manifest import read_object, read_values
from attacca.progress import Progress
from attacca.stages.volume import VOLUME

if TYPE_CHECKING:
    from attacca.predictors import Predictor

_BYTES_PER_CHANNEL = 8 * 0.06


def _volumes(configuration: Configuration, run: str) -> list[str]:
    volumes = configuration.runs[run].volumes
    return [*volumes.train, *volumes.validation]


def _disk(sizes: ProductSizes) -> tuple[float, float]:
    return sizes.voxels * sizes.channels * _BYTES_PER_CHANNEL, 2 * sizes.chunks + FILES_PER_STAGE


TARGETS = Stage(
    name="targets",
    title="targets and weights",
    scope=Scope.RUN_AND_VOLUME,
    inputs=lambda configuration, run, volume: {"volume": StageInstance(VOLUME, volume=volume)},
    applies=lambda run: run.is_trained,
    volumes=_volumes,
    manifest=lambda layout, run, volume: layout.targets_manifest(run, volume),
    parameters=lambda configuration, run, volume: {
        "task": task_parameters(configuration.runs[run], "predictor")
    },
    arrays=lambda layout, run, volume: [
        f"{layout.targets_container(run, volume)}/{image}/s0" for image in ("target", "weight")
    ],
    contents=lambda layout, run, volume: [
        layout.targets_container(run, volume),
        str(layout.class_counts(run, volume)),
    ],
    cost=CostModel(400, 160, 1.2e6, 1, 0.012, bytes_per_channel=6),
    disk=_disk,
    blocks=Blocks.VOLUME_CHUNKS,
    plans_locally=False,
)


class TargetsJob(BlockwiseJob):
    """Labels to targets and weights."""

    stage = TARGETS
    verb = "make targets"

    @cached_property
    def predictor(self) -> "Predictor":
        # deferred: tasks import numba, which the Snakefile does not need.
        from attacca.tasks import create_task

        return create_task(read_task_config(self.parameters["task"])).predictor

    @cached_property
    def sources(self) -> dict[str, Any]:
        volume, manifest = self.arguments.volume, self.arguments.inputs["volume"]
        return {
            "labels": required_volume_array(self.layout, volume, manifest, "labels"),
            "mask": volume_array(self.layout, volume, manifest, "mask"),
            "unlabelled": manifest.result.get("unlabelled"),
        }

    @cached_property
    def labels(self) -> ZarrArray:
        return ZarrArray.open_from_array_identifier(self.sources["labels"])

    def locate(self, name: str) -> LocalArrayIdentifier:
        container = self.layout.targets_container(self.arguments.run, self.arguments.volume)
        return LocalArrayIdentifier(container, f"{name}/s0")

    @property
    def directory(self) -> str:
        weight = self.locate("weight")
        return f"{weight.container}/{weight.dataset}"

    @cached_property
    def grid(self) -> BlockGrid:
        return BlockGrid.for_array(self.labels, roi=self.labels.roi)

    def create(self) -> None:
        # deferred: predictors import numba, which the Snakefile does not need.
        from attacca.predictors.volume_targets import create_target_array, create_weight_array

        size = self.labels.chunk_size
        for name, create_array in (("target", create_target_array), ("weight", create_weight_array)):
            self.create_or_replace(partial(self._create_array, create_array, name, size))
            group = f"{self.locate(name).container}/{name}"
            write_multiscale_metadata(group, ["s0"], name=name)
        self._count_classes()

    def _create_array(self, create_array: Callable[..., Any], name: str, size: Any, overwrite: bool) -> None:
        if overwrite:
            # The functions open an array that fits; an array that does not fit is removed first.
            delete(f"{self.locate(name).container}/{name}/s0")
        create_array(self.predictor, self.locate(name), self.labels, write_size=size)

    def _count_classes(self) -> None:
        # deferred: predictors import numba, which the Snakefile does not need.
        from attacca.predictors.volume_targets import CountBlocks, sum_counts

        path = self.layout.class_counts(self.arguments.run, self.arguments.volume)
        key = self.key.fingerprint
        if (read_values(path) or {}).get("fingerprint") == key:
            return
        progress = Progress(
            f"count classes {self.arguments.label}",
            len(self.grid),
            interval=self.arguments.execution.progress_interval,
        )
        report = run_blocks(
            CountBlocks(self.predictor, **self.sources, check=True),
            self.grid,
            num_workers=self.arguments.threads,
            retries=self.arguments.execution.retries,
            timeout=self.arguments.execution.block_timeout,
            scheduler_address=self.arguments.execution.scheduler_address,
            progress=progress,
        )
        counts = sum_counts(report.results[index] for index in range(len(self.grid)))
        write_json(
            path,
            {
                "fingerprint": key,
                "counts": [[list(map(int, classes)), float(mask)] for classes, mask in counts],
            },
        )

    @cached_property
    def counts(self) -> list[Any]:
        """Class counts of the volume."""
        path = self.layout.class_counts(self.arguments.run, self.arguments.volume)
        fix = f"delete it and run the workflow again with -R {TARGETS.name}_{PLAN}"
        return [(classes, mask) for classes, mask in read_object(path, fix)["counts"]]

    def before_blocks(self) -> None:
        announce_compilation(f"{self.verb} {self.arguments.label}")

    def block_function(self) -> Callable[[Block], Any]:
        # deferred: predictors import numba, which the Snakefile does not need.
        from attacca.predictors.volume_targets import TargetBlocks

        return TargetBlocks(
            self.predictor,
            **self.sources,
            counts=self.counts,
            target=self.locate("target"),
            weight=self.locate("weight"),
        )

    def complete(self) -> dict[str, Any]:
        return {"counts": self.counts, "channels": list(self.predictor.channel_names)}


if __name__ == "__main__":
    sys.exit(stage_main(TARGETS, lambda arguments: TargetsJob(arguments).run()))
