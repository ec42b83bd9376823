"""Blocks on threads of one process: kernels release Python's lock, and no process has to be started."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from attacca.blockwise import Block


class ThreadedBlocks:
    """Block function that computes several blocks in parallel in its process.

    For ``run_blocks(ThreadedBlocks(function, 4), grid, ...)`` with one worker process: ledger, retries and
    reports are those of ``run_blocks``. A block that kills its process ends the other blocks too.

    Args:
        function: ``function(block)``, safe to call on threads; it may have a method ``open``.
        num_threads: number of blocks in parallel.

    >>> blocks = ThreadedBlocks(lambda block: 10 * block, num_threads=2)
    >>> sorted(blocks.stream([1, 2, 3]))
    [(1, 10), (2, 20), (3, 30)]
    """

    def __init__(self, function: Callable[[Block], Any], num_threads: int) -> None:
        self.function, self.num_threads = function, max(1, num_threads)

    def open(self) -> None:
        """Open the function, if it has a method for it."""
        if hasattr(self.function, "open"):
            self.function.open()

    def __call__(self, block: Block) -> Any:
        """Compute one block on the calling thread."""
        return self.function(block)

    def stream(self, blocks: Sequence[Block]) -> Iterator[tuple[Block, Any]]:
        """Yield each block with its result, or its exception, as it is completed.

        At most twice as many blocks as threads are submitted at any time.
        """
        todo = iter(blocks)
        pending: dict[Future[Any], Block] = {}
        with ThreadPoolExecutor(self.num_threads) as pool:
            while True:
                while len(pending) < 2 * self.num_threads and (block := next(todo, None)) is not None:
                    pending[pool.submit(self.function, block)] = block
                if not pending:
                    return
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    error = future.exception()
                    if error is not None and not isinstance(error, Exception):
                        raise error
                    yield pending.pop(future), error if error is not None else future.result()
