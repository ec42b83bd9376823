"""Number and size of the blocks of stages, for the resources of their jobs."""

import os
from pathlib import Path

from attacca.jobs.block_shape import ASSUMED, BlockShape, read_block_shape
from attacca.jobs.stage import Scope, StageInstance
from attacca.stages.predict import PREDICT
from attacca.stages.tune import TUNE
from attacca.stages.volume import VOLUME
from attacca.workflow.workflow import Workflow


class PlannedShapes:
    """Blocks of stages, read from plans, or else derived from the volume; if neither exists, they are assumed.

    Snakemake evaluates the resources of thousands of shards, so a plan is read only when its file has changed.

    Args:
        workflow: the configuration.
    """

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._plans: dict[StageInstance, Path] = {}
        self._read: dict[StageInstance, tuple[tuple[int, ...], BlockShape | None]] = {}

    def find(self, instance: StageInstance) -> BlockShape:
        """Return the blocks of a stage, or of a stage whose voxels it reads."""
        stage, run, volume = instance.stage, instance.run, instance.volume
        if stage == TUNE:
            validation = self._workflow.configuration.runs[run].volumes.validation
            voxels = sum(map(self._count_voxels, validation))
            return BlockShape(1, voxels or ASSUMED.write_voxels, ASSUMED.read_voxels)
        for planned in (stage, PREDICT, VOLUME):
            if volume and planned.is_blockwise:
                earlier = StageInstance(planned, "" if planned.scope is Scope.VOLUME else run, volume)
                shape = self._read_plan(earlier) or self._workflow.expect_blocks(earlier)
                if shape is not None:
                    return shape
        return ASSUMED

    def _count_voxels(self, volume: str) -> int:
        extent = self._workflow.extents.get(volume)
        if extent is not None:
            return extent.voxels
        shape = self._read_plan(StageInstance(VOLUME, volume=volume))
        return 0 if shape is None else shape.blocks * shape.write_voxels

    def _read_plan(self, instance: StageInstance) -> BlockShape | None:
        if instance not in self._plans:
            self._plans[instance] = instance.plan(self._workflow.layout)
        path = self._plans[instance]
        try:
            status = os.stat(path)
        except OSError:
            return None
        # A plan is replaced as a whole, so each one is another file.
        version = (status.st_ino, status.st_mtime_ns, status.st_size)
        if self._read.get(instance, ((), None))[0] != version:
            self._read[instance] = (version, read_block_shape(path))
        return self._read[instance][1]
