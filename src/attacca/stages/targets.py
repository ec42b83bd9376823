"""Makes the targets and weights of a volume, and counts its classes.

The counts are needed before the first weight can be written, so ``plan`` makes the arrays and counts the classes of the
whole volume, block by block; ``shard`` writes targets and weights.
"""

import json
import sys
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.ome_zarr import write_multiscale_metadata
from attacca.atomic import write_json
from attacca.blockwise import Block, BlockGrid, run_blocks
from attacca.config.tasks import read_task_config
from attacca.jobs.blockwise_stage import BlockwiseStage
from attacca.jobs.command import stage_main
from attacca.jobs.opening import required_volume_array, volume_array
from attacca.predictors.volume_targets import (
    CountBlocks,
    TargetBlocks,
    create_target_array,
    create_weight_array,
    sum_counts,
)
from attacca.progress import Progress
from attacca.tasks import create_task
from attacca.workflow.catalogue import entry


class TargetsStage(BlockwiseStage):
    """Labels to targets and weights."""

    name = "targets"
    version = entry("targets").version
    verb = "make targets"

    @cached_property
    def predictor(self) -> Any:
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

    def output(self, name: str) -> LocalArrayIdentifier:
        return LocalArrayIdentifier(
            self.layout.targets_container(self.arguments.run, self.arguments.volume), f"{name}/s0"
        )

    @property
    def directory(self) -> str:
        place = self.output("weight")
        return f"{place.container}/{place.dataset}"

    @cached_property
    def grid(self) -> BlockGrid:
        return BlockGrid.for_array(self.labels, roi=self.labels.roi)

    @property
    def counts_path(self) -> Path:
        return self.layout.run(self.arguments.run) / "targets" / f"{self.arguments.volume}.counts.json"

    def create(self) -> None:
        size = self.labels.chunk_size
        for name, make in (("target", create_target_array), ("weight", create_weight_array)):
            self.create_or_replace(partial(self._create, make, name, size))
            group = f"{self.output(name).container}/{name}"
            write_multiscale_metadata(group, ["s0"], name=name)
        self._count()

    def _create(self, make: Any, name: str, size: Any, overwrite: bool) -> None:
        if overwrite:
            # Both makers open an array that fits; one that does not fit is taken away first.
            from attacca.arrays.storage import delete

            delete(f"{self.output(name).container}/{name}/s0")
        make(self.predictor, self.output(name), self.labels, write_size=size)

    def _count(self) -> None:
        key = self.key.fingerprint
        if self.counts_path.is_file() and json.loads(self.counts_path.read_text()).get("fingerprint") == key:
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
            progress=progress,
        )
        counts = sum_counts(report.results[index] for index in range(len(self.grid)))
        write_json(
            self.counts_path,
            {
                "fingerprint": key,
                "counts": [[list(map(int, classes)), float(mask)] for classes, mask in counts],
            },
        )

    @cached_property
    def counts(self) -> list[Any]:
        """Class counts of the volume."""
        return [(classes, mask) for classes, mask in json.loads(self.counts_path.read_text())["counts"]]

    def block_function(self) -> Callable[[Block], Any]:
        return TargetBlocks(
            self.predictor,
            **self.sources,
            counts=self.counts,
            target=self.output("target"),
            weight=self.output("weight"),
        )

    def complete(self) -> dict[str, Any]:
        return {"counts": self.counts, "channels": list(self.predictor.channel_names)}


if __name__ == "__main__":
    sys.exit(stage_main("targets", lambda arguments: TargetsStage(arguments).work()))
