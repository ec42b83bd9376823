"""Computation of the blocks of one shard inside a job."""

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from attacca.blockwise.compute_blocks import close_function, compute_blocks, open_function
from attacca.blockwise.dispatch_blocks import dispatch_blocks
from attacca.blockwise.grid import Block, BlockGrid
from attacca.blockwise.ledger import Ledger
from attacca.blockwise.memory import check_memory
from attacca.blockwise.pool import Pool
from attacca.blockwise.process_pool import ProcessPool
from attacca.blockwise.tally import RunReport, Tally
from attacca.progress import Progress

logger = logging.getLogger("attacca.blockwise")

# In one process, a streaming function receives blocks in parts, so that failed blocks are retried before the end.
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
    """Compute those blocks of a shard that the ledger does not hold.

    A block is recorded in the ledger when ``function`` has returned, so that the job can be killed at any moment: the
    next run computes the missing blocks. A block that raises, hangs, or ends its process is retried and finally
    reported; the other blocks are computed. Results do not depend on ``num_workers``.

    A single worker without a time limit computes in this process. Several workers are processes that end with this
    process, however it ends.

    Args:
        function: ``function(block)`` writes the block and may return a small result. It is pickled for other
            processes. Optional methods: ``open()`` is called once in each process before the first block, ``close()``
            after the last, ``stream(blocks)`` instead of the call (see ``compute_blocks``).
        grid: the blocks.
        ledger: record of finished blocks; None computes all blocks and records nothing.
        shard: part of the grid: its index from 0, and the number of parts.
        num_workers: number of processes.
        retries: number of retries of a failed block.
        timeout: seconds per block; None for no limit.
        progress: advanced by each finished block.
        memory_per_block: largest memory of a block in bytes, for a check before the start.
        scheduler_address: address of a running Dask scheduler, whose workers compute instead of processes of this job.

    Raises:
        BlocksFailedError: some blocks failed; all others are computed and recorded.
        ResourceError: the blocks do not fit into memory, the disk is full, or the cluster is unreachable.

    >>> from funlib.geometry import Roi
    >>> report = run_blocks(lambda block: block.index**2, BlockGrid(Roi((0,), (30,)), (10,), (1,)))
    >>> report.results
    {0: 0, 1: 1, 2: 4}
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
            _run_in_process(function, grid, missing, tally)
        else:
            pool: Pool
            if scheduler_address is None:
                pool = stack.enter_context(ProcessPool(function, grid, workers, timeout))
            else:
                # deferred: dask takes a second to import
                from attacca.blockwise.dask_pool import DaskPool, connect_client

                client = stack.enter_context(connect_client(scheduler_address, timeout))
                pool = stack.enter_context(DaskPool(client, function, grid, ledger, timeout))
            dispatch_blocks(pool, missing, tally, hasattr(function, "stream"))
        logger.info(
            "%d blocks computed in %.1f s, %d were done before",
            len(report.computed),
            time.monotonic() - start,
            report.skipped,
        )
        tally.check()
    return report


def _run_in_process(
    function: Callable[[Block], Any], grid: BlockGrid, missing: np.ndarray, tally: Tally
) -> None:
    open_function(function)
    try:
        for start in range(0, len(missing), _PART):
            pending = missing[start : start + _PART].tolist()
            while pending and not tally.is_hopeless:
                again: list[int] = []
                for outcome in compute_blocks(function, list(grid.blocks(pending))):
                    again += tally.take(outcome)
                    if tally.is_hopeless:
                        break
                pending = again
    finally:
        close_function(function)
