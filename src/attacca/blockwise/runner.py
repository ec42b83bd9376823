"""Computes the blocks of one shard inside a job."""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from attacca.blockwise.grid import Block, BlockGrid
from attacca.blockwise.ledger import Ledger
from attacca.blockwise.memory import check_memory
from attacca.blockwise.outcome import close_function, compute, open_function
from attacca.blockwise.tally import RunReport, Tally
from attacca.progress import Progress

logger = logging.getLogger("attacca.blockwise")

# In one process, blocks go to a streaming function in parts, so that a failed block is tried again before
# the end.
_PART = 1 << 14


def run_blocks(
    function: Callable[[Block], Any],
    grid: BlockGrid,
    *,
    ledger: Ledger | None = None,
    shard: tuple[int, int] = (0, 1),
    num_workers: int = 1,
    retries: int = 2,
    timeout: float | None = None,
    progress: Progress | None = None,
    memory_per_block: int | None = None,
    scheduler_address: str | None = None,
) -> RunReport:
    """Compute those blocks of a shard that are not done yet.

    Each block is recorded in the ledger when ``function`` has returned, so that the job can be killed at any
    moment: run again, it computes the others. A block that raises, hangs, or takes its process with it is
    tried again and at last reported; the others go on. Results do not depend on ``num_workers``.

    One worker without time limit computes in this process; more are processes of a Dask cluster of their
    own, which end with this process however it ends.

    Args:
        function: ``function(block)``, which writes the block and may return a small result. It is pickled
            for other processes. ``function.open()`` is called once in each process before the first block,
            ``function.close()`` after the last, ``function.stream(blocks)`` instead of the call, if it has
            them (see ``compute``).
        grid: the blocks.
        ledger: where finished blocks are recorded; None computes all of them and records nothing.
        shard: which part of the grid: its index from 0, and the number of parts.
        num_workers: processes that compute side by side.
        retries: how often a failed block is tried again.
        timeout: seconds that a block may take.
        progress: is advanced by each finished block.
        memory_per_block: bytes that a block needs at most, for a check before the start.
        scheduler_address: a running Dask scheduler whose workers compute instead of processes of this job.

    Raises:
        BlocksFailedError: some blocks failed; all others are done and recorded.
        ResourceError: the blocks do not fit into memory, the disk is full, or the cluster cannot be reached.
    """
    indices = grid.shard(*shard)
    report = RunReport()
    with ExitStack() as stack:
        writer = stack.enter_context(ledger.shard_writer(*shard)) if ledger is not None else None
        missing = ledger.missing(indices) if ledger is not None else np.asarray(indices, dtype=np.int64)
        report.skipped = len(indices) - len(missing)
        if len(missing) == 0:
            return report
        workers = max(1, min(num_workers, len(missing)))
        tally = Tally(grid, writer, progress, retries, report)
        start = time.monotonic()
        if scheduler_address is None:
            check_memory(workers, memory_per_block)
        if scheduler_address is None and workers == 1 and timeout is None:
            _run_here(function, grid, missing, tally)
        else:
            from attacca.blockwise.dispatch import run_on_cluster

            run_on_cluster(function, grid, missing, tally, workers, timeout, scheduler_address, ledger)
        logger.info(
            "%d blocks computed in %.1f s, %d were done before",
            len(report.computed),
            time.monotonic() - start,
            report.skipped,
        )
        tally.check()
    return report


def _run_here(function: Callable[[Block], Any], grid: BlockGrid, missing: np.ndarray, tally: Tally) -> None:
    open_function(function)
    try:
        for start in range(0, len(missing), _PART):
            pending = missing[start : start + _PART].tolist()
            while pending and not tally.is_hopeless:
                again: list[int] = []
                for outcome in compute(function, list(grid.blocks(pending))):
                    again += tally.take(outcome)
                    if tally.is_hopeless:
                        break
                pending = again
    finally:
        close_function(function)
