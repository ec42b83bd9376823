"""Blocks on threads of one process: the kernels run without Python's lock, and nothing has to be started."""

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any


class InThreads:
    """A block function that computes several blocks side by side in its process.

    For ``run_blocks(InThreads(function, 4), grid, ...)`` with one worker process: ledger, retries and reports are those
    of ``run_blocks``; a block that takes its process with it takes the others too.

    Args:
        function: ``function(block)``, safe on threads.
        num_threads: blocks side by side.
    """

    def __init__(self, function: Any, num_threads: int) -> None:
        self.function, self.num_threads = function, max(1, num_threads)

    def open(self) -> None:
        """Open the function, if it can be opened."""
        if hasattr(self.function, "open"):
            self.function.open()

    def __call__(self, block: Any) -> Any:
        return self.function(block)

    def stream(self, blocks: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """Pairs of block and result, or exception, as they are ready; at most twice the threads' number waits."""
        todo = iter(blocks)
        pending: dict[Future[Any], Any] = {}
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
