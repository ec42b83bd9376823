"""Jobs of a stage over a volume: plan, shards of blocks, and finish.

1. ``plan`` creates the array (in one job, so that shards do not race on its metadata) and writes its key and its grid.
2. ``shard`` computes those blocks of one contiguous range of the grid that are not in a ledger yet, and then the coarser
   scales of the image as far as their voxels exist.
3. ``finish`` fails unless every block of every shard is recorded, computes what needs all of them (checks, what is left of
   the coarser scales), and writes the manifest.

Each job can be killed at any moment and run again.
"""

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.identifier import is_url
from attacca.arrays.storage import output_exists
from attacca.atomic import write_json
from attacca.blockwise import Block, BlockGrid, Ledger, check_memory, run_blocks
from attacca.blockwise.ledger_files import remove_records
from attacca.errors import AttaccaError, BlocksFailedError, MissingInputError, VolumeError, summarize_error
from attacca.jobs.block_shape import grid_shape
from attacca.jobs.open_results import open_result, result_array
from attacca.jobs.pyramids import Image, ShardedPyramid
from attacca.jobs.stage import FINISH, PLAN, SHARD, Stage, StageInstance
from attacca.jobs.stage_main import StageArguments
from attacca.kernel_compilation import announce_compilation
from attacca.manifest import Manifest, read_object
from attacca.progress import Progress

logger = logging.getLogger(__name__)


class BlockwiseJob(ABC):
    """A job of one stage over one volume.

    Subclasses define the array, its grid, and the function of a block.
    """

    stage: ClassVar[Stage]

    def __init__(self, arguments: StageArguments) -> None:
        self.arguments = arguments
        self.layout = arguments.layout
        self.parameters = arguments.parameters
        self.instance = StageInstance(self.stage, arguments.run, arguments.volume)

    @property
    def verb(self) -> str:
        """First word of the lines of progress."""
        return self.stage.name

    @property
    @abstractmethod
    def grid(self) -> BlockGrid:
        """Grid of the stage's blocks."""

    @cached_property
    def output(self) -> LocalArrayIdentifier:
        """Location of the first array of the stage."""
        return result_array(self.instance, self.layout)

    @property
    def directory(self) -> str:
        """Directory or URL of the array to which the ledger belongs."""
        return self.instance.arrays(self.layout)[0]

    def array_directories(self) -> list[str]:
        """Return the directories or URLs of all arrays whose blocks the ledger records."""
        return self.instance.arrays(self.layout)

    def open_input(self, stage: Stage) -> ZarrArray:
        """Open the array of an earlier stage for the same run and volume.

        Raises:
            MissingInputError: the array was deleted.
        """
        return open_result(replace(self.instance, stage=stage), self.layout)

    @abstractmethod
    def create(self) -> None:
        """Create the arrays; an existing array that fits keeps its data."""

    @abstractmethod
    def block_function(self) -> Callable[[Block], Any]:
        """Return the function that computes a block; it can be pickled."""

    def create_or_replace(self, create: Callable[[bool], Any]) -> None:
        """Create an array, and replace an existing array of another shape or type.

        Args:
            create: function that creates the array; its argument is whether an existing array is overwritten.
        """
        try:
            create(False)
        except VolumeError as error:
            logger.info("replacing an array of other settings: %s", error)
            create(True)

    def create_labels(self, source: ZarrArray) -> None:
        """Create the output as an array of ids (uint64), with the region of ``source`` and the blocks of the grid."""
        self.create_or_replace(
            lambda overwrite: ZarrArray.create_from_array_identifier(
                self.output,
                source.spatial_axes,
                source.roi,
                None,
                source.voxel_size,
                np.uint64,
                write_size=self.grid.block_size,
                chunk_size=source.inner_chunk_size,
                unit=source.unit,
                overwrite=overwrite,
            )
        )

    def images(self) -> list[Image]:
        """Return the images of the stage that have coarser scales."""
        return []

    def before_blocks(self) -> None:
        """Prepare the first block of a shard that has blocks to compute."""
        return None

    def compile_kernels(self, part: str) -> None:
        """Compile kernels before the workers of this job start, each of which would compile the same ones.

        Args:
            part: see ``attacca.segmentation.compiled.compile_kernels``.
        """
        # deferred: the Snakefile does not need numba.
        from attacca.segmentation.compiled import compile_kernels

        if self.arguments.execution.scheduler_address is None:
            announce_compilation(f"{self.verb} {self.arguments.label}")
            compile_kernels(part)

    def complete(self) -> dict[str, Any]:
        """Compute what needs all blocks (pyramids, totals, checks), and return the result for the manifest."""
        return {}

    def memory_per_block(self) -> int | None:
        """Return the bytes that one block needs, from the stage's typical memory per voxel."""
        return int(self.stage.cost.bytes_per_voxel * grid_shape(self.planned_grid()).read_voxels)

    @property
    def key(self) -> Manifest:
        """Manifest without its result: everything that the blocks depend on."""
        return Manifest(
            stage=self.stage.name,
            version=self.stage.version,
            parameters=self.parameters,
            inputs={name: manifest.fingerprint for name, manifest in self.arguments.inputs.items()},
        )

    def planned_grid(self) -> BlockGrid:
        """Return the grid of the plan.

        Raises:
            MissingInputError: the plan is missing, or was written with other settings.
        AttaccaError: the plan is damaged.
        """
        path = self.layout.plan_of_output(self.arguments.output)
        fix = f"run the workflow again with -R {self.stage.name}_{PLAN}"
        try:
            plan = read_object(path, fix)
        except FileNotFoundError:
            raise MissingInputError(f"{path} is missing", fix=fix) from None
        if plan.get("fingerprint") != self.key.fingerprint:
            raise MissingInputError(f"{path} was written with other settings or inputs", fix=fix)
        try:
            return BlockGrid.from_json(json.dumps(plan["grid"]))
        except (KeyError, TypeError, ValueError) as error:
            raise AttaccaError(f"{path} is damaged: {summarize_error(error)}", fix=fix) from None

    def ledger(self, grid: BlockGrid) -> Ledger:
        """Return the record of blocks that are done under the present key."""
        return Ledger(self.directory, self.key.key_parts(), len(grid), state_directory=self.state_directory())

    def pyramids(self, grid: BlockGrid) -> list[ShardedPyramid]:
        """Return the coarser scales of all images of the stage."""
        ledger, state = self.ledger(grid), self.state_directory()
        return [
            ShardedPyramid(image, grid, ledger, state and f"{state}/{image.name}") for image in self.images()
        ]

    def finish_pyramids(self) -> dict[str, list[str]]:
        """Build what the shards left of the coarser scales, and return the names of all scales by image."""
        pyramids = self.pyramids(self.planned_grid())
        return {pyramid.image.name: pyramid.finish(self.arguments.threads) for pyramid in pyramids}

    def state_directory(self) -> str | None:
        """Return the directory of the ledger if the array is in an object store, or None."""
        if not is_url(self.directory):
            return None
        output, volume = self.arguments.output, self.arguments.volume
        return str(self.layout.remote_ledgers(output, self.stage.name, volume))

    def run(self) -> None:
        """Run the part of the stage that the arguments name."""
        {PLAN: self._plan, SHARD: self._shard, FINISH: self._finish}[self.arguments.action]()

    def _plan(self) -> None:
        # Other jobs must not write into an array that is replaced.
        Ledger(self.directory, {}, 0, state_directory=self.state_directory()).wait_for_writers()
        grid = self.grid
        pyramids = self.pyramids(grid)
        for pyramid in pyramids:
            pyramid.wait_for_writers()
        self._forget_deleted_arrays(grid)
        if not self.ledger(grid).complete:
            self._withdraw_manifest()
        self.create()
        ledger = self.ledger(grid)
        for pyramid in pyramids:
            pyramid.create()
        if ledger.void_reason:
            logger.info("earlier blocks are stale: %s", ledger.void_reason)
        write_json(
            self.arguments.output,
            {
                **self.key.key_parts(),
                "fingerprint": self.key.fingerprint,
                "blocks": len(grid),
                "grid": json.loads(grid.to_json()),
            },
        )

    def _forget_deleted_arrays(self, grid: BlockGrid) -> None:
        """Remove the records of all blocks if an array was deleted, which the ledger beside another one outlives."""
        records = self.ledger(grid).directory
        deleted = [array for array in self.array_directories() if not output_exists(array)]
        if deleted and records.is_dir():
            logger.info("all blocks are computed again, because of deleted arrays: %s", ", ".join(deleted))
            remove_records(records, None)

    def _withdraw_manifest(self) -> None:
        """Delete the manifest of an earlier computation before blocks are computed.

        If this computation ends early, the array is incomplete. Snakemake considers a stage with a manifest finished.
        """
        self.instance.manifest(self.layout).unlink(missing_ok=True)

    def _shard(self) -> None:
        arguments, grid = self.arguments, self.planned_grid()
        ledger = self.ledger(grid)
        index, count = arguments.shard
        ledger.wait_for_writers((index, count))
        blocks = grid.shard(index, count)
        missing = ledger.missing(blocks)
        name = f"{self.verb} {arguments.label}" + (f" shard {index + 1} of {count}" if count > 1 else "")
        progress = Progress(
            name,
            total=len(blocks),
            done=len(blocks) - len(missing),
            interval=arguments.execution.progress_interval,
        )
        logger.info("%d of %d blocks are done already", len(blocks) - len(missing), len(blocks))
        if len(missing):
            self._withdraw_manifest()
            workers = min(arguments.threads, len(missing))
            if arguments.execution.scheduler_address is None:
                check_memory(workers, self.memory_per_block(), setting=self.stage.block_setting)
            self.before_blocks()
            run_blocks(
                self.block_function(),
                grid,
                ledger=ledger,
                shard=(index, count),
                num_workers=workers,
                retries=arguments.execution.retries,
                timeout=arguments.execution.block_timeout,
                progress=progress,
                scheduler_address=arguments.execution.scheduler_address,
            )
        progress.finish()
        for pyramid in self.pyramids(grid):
            pyramid.build((index, count), arguments.threads)
        write_json(
            arguments.output,
            {
                "stage": self.stage.name,
                "fingerprint": self.key.fingerprint,
                "shard": index,
                "shards": count,
                "blocks": len(blocks),
            },
        )

    def _finish(self) -> None:
        grid = self.planned_grid()
        ledger = self.ledger(grid)
        missing = ledger.missing(range(len(grid)))
        if len(missing):
            raise BlocksFailedError(
                f"{len(missing)} of {len(grid)} blocks of {self.directory} are not recorded as done"
                + (f" ({ledger.void_reason})" if ledger.void_reason else "")
                + f"; the first is block {missing[0]} at {grid[int(missing[0])].write_roi}. Run the workflow again with "
                f"-R {self.stage.name}_{PLAN} to compute them"
            )
        logger.info("all %d blocks are done: %s is written", len(grid), self.arguments.output)
        replace(self.key, result=self.complete()).write(self.arguments.output)
