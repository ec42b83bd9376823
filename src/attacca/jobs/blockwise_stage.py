"""A stage over a volume: plan once, compute shards of blocks, finish when every block is there.

1. ``plan`` creates the array (one job, so that shards do not race on its metadata) and writes down its key.
2. ``shard`` computes one contiguous range of the grid's blocks that no ledger holds yet.
3. ``finish`` refuses to go on unless every block of every shard is recorded, adds what needs all of them (a pyramid,
   checks), and writes the manifest.

Each can be killed at any moment and run again.
"""

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from attacca.atomic import write_json
from attacca.blockwise import Block, BlockGrid, Ledger, check_memory, run_blocks
from attacca.errors import BlocksFailedError, MissingInputError, VolumeError
from attacca.jobs.command import StageArguments
from attacca.manifest import Manifest
from attacca.progress import Progress

logger = logging.getLogger(__name__)


class BlockwiseStage(ABC):
    """One stage over one volume.

    Subclasses say which array is made, on which grid, and what a block's function is; all else is the same for all.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    verb: ClassVar[str]
    block_setting: ClassVar[str] = ""
    """Key of the configuration that holds the size of blocks, where there is one."""

    def __init__(self, arguments: StageArguments) -> None:
        self.arguments = arguments
        self.layout = arguments.layout
        self.parameters = arguments.parameters

    @property
    @abstractmethod
    def grid(self) -> BlockGrid:
        """Blocks of the stage."""

    @property
    @abstractmethod
    def directory(self) -> str:
        """Directory or URL of the array that the ledger belongs to."""

    @abstractmethod
    def create(self) -> None:
        """Make the arrays; an array that is already there and fits keeps its data."""

    @abstractmethod
    def block_function(self) -> Callable[[Block], Any]:
        """What is done with a block; it can be pickled."""

    def create_or_replace(self, make: Callable[[bool], Any]) -> None:
        """Make an array; one of another shape or type, left by other settings, is replaced."""
        try:
            make(False)
        except VolumeError as error:
            logger.info("replacing an array that other settings left: %s", error)
            make(True)

    def before_blocks(self) -> None:
        """What a shard does before its first block, where it has blocks to compute."""
        return None

    def complete(self) -> dict[str, Any]:
        """What needs all blocks (pyramids, totals, checks); returns the manifest's result."""
        return {}

    def memory_per_block(self) -> int | None:
        """Bytes that one block needs: by what was measured for each voxel that it reads."""
        from attacca.costs.planned_blocks import block_shape
        from attacca.costs.resources import COSTS

        grid = self.planned_grid()
        shape = block_shape({"blocks": len(grid), "grid": json.loads(grid.to_json())})
        return int(COSTS[self.name].bytes_per_voxel * shape.read_voxels)

    @property
    def key(self) -> Manifest:
        """The manifest without its result: what the blocks depend on."""
        return Manifest(
            stage=self.name,
            version=self.version,
            parameters=self.parameters,
            inputs={name: manifest.fingerprint for name, manifest in self.arguments.inputs.items()},
        )

    def planned_grid(self) -> BlockGrid:
        """The grid that the plan wrote down.

        Raises:
            MissingInputError: there is no plan, or it was made with other settings.
        """
        name = self.arguments.output.name.split(".shard-")[0].removesuffix(".json")
        path = self.arguments.output.with_name(f"{name}.plan.json")
        try:
            plan = json.loads(path.read_text())
        except FileNotFoundError:
            raise MissingInputError(
                f"{path} is missing: run the workflow again with -R {self.name}_plan"
            ) from None
        if plan["fingerprint"] != self.key.fingerprint:
            raise MissingInputError(
                f"{path} was made with other settings or inputs; run the workflow again with -R {self.name}_plan"
            )
        return BlockGrid.from_json(json.dumps(plan["grid"]))

    def ledger(self, grid: BlockGrid) -> Ledger:
        """The blocks that are done under the present key."""
        return Ledger(self.directory, self.key.key_parts(), len(grid), state_directory=self.state_directory())

    def state_directory(self) -> str | None:
        """Where the ledger stands when the array is not on a local disk."""
        if "://" not in self.directory:
            return None
        # The manifests of several volumes may stand in one directory.
        return str(self.arguments.output.parent / ".ledgers" / self.name / self.arguments.volume)

    def work(self) -> None:
        """Do the part that the arguments ask for."""
        {"plan": self._plan, "shard": self._shard, "finish": self._finish}[self.arguments.action]()

    def _plan(self) -> None:
        # Before the array is replaced.
        Ledger(self.directory, {}, 0, state_directory=self.state_directory()).wait_for_writers()
        self.create()
        grid = self.grid
        ledger = self.ledger(grid)
        if ledger.void_reason:
            logger.info("earlier blocks do not count: %s", ledger.void_reason)
        write_json(
            self.arguments.output,
            {
                **self.key.key_parts(),
                "fingerprint": self.key.fingerprint,
                "blocks": len(grid),
                "grid": json.loads(grid.to_json()),
            },
        )

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
            workers = min(arguments.threads, len(missing))
            if arguments.execution.scheduler_address is None:
                check_memory(workers, self.memory_per_block(), setting=self.block_setting)
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
        write_json(
            arguments.output,
            {
                "stage": self.name,
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
                f"-R {self.name}_plan to compute them"
            )
        result = self.complete()
        manifest = self.key
        Manifest(manifest.stage, manifest.version, manifest.parameters, manifest.inputs, result).write(
            self.arguments.output
        )
