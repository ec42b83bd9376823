"""Computation of blocks in the current process with any block function."""

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from attacca.blockwise.grid import Block
from attacca.blockwise.outcome import Outcome

# Opening a function (loading a model) may take longer than a block.
_OPENING_LIMIT = 600.0


def open_function(function: Any, limit: float | None = None) -> None:
    """Call the function's ``open()``, if it has one.

    Args:
        function: a block function.
        limit: time limit of a block in seconds; opening may take 10 minutes or the limit, whichever is longer.
    """
    if hasattr(function, "open"):
        with _Alarm(None if limit is None else max(limit, _OPENING_LIMIT)) as alarm:
            alarm.restart()
            function.open()


def close_function(function: Any) -> None:
    """Call the function's ``close()``, if it has one."""
    if hasattr(function, "close"):
        function.close()


def compute_blocks(function: Any, blocks: Sequence[Block], limit: float | None = None) -> Iterator[Outcome]:
    """Compute blocks one after the other and yield the outcome of each as soon as its data are on disk.

    A function with a method ``stream(blocks)`` receives all blocks, so that it can read ahead and write behind. It
    yields ``(block, result)`` in any order, with the exception as the result of a failed block.

    Args:
        function: ``function(block)``, or an object with ``stream``.
        blocks: blocks to compute.
        limit: seconds per block, after which SIGALRM ends this *process*; None for no limit.
    """
    with _Alarm(limit) as alarm:
        if hasattr(function, "stream"):
            yield from _stream_blocks(function.stream, blocks, alarm)
        else:
            yield from _call_blocks(function, blocks, alarm)


def _call_blocks(
    function: Callable[[Block], Any], blocks: Iterable[Block], alarm: "_Alarm"
) -> Iterator[Outcome]:
    for block in blocks:
        alarm.restart()
        start = time.perf_counter()
        try:
            result = function(block)
        except Exception as error:
            alarm.stop()
            yield Outcome.from_error(block.index, time.perf_counter() - start, error)
        else:
            alarm.stop()
            yield Outcome(block.index, time.perf_counter() - start, result)


def _stream_blocks(
    stream: Callable[[Sequence[Block]], Any], blocks: Sequence[Block], alarm: "_Alarm"
) -> Iterator[Outcome]:
    waiting = {block.index: block for block in blocks}
    while waiting:
        alarm.restart()
        start = time.perf_counter()
        try:
            for block, result in stream(list(waiting.values())):
                alarm.stop()
                del waiting[block.index]
                seconds = time.perf_counter() - start
                if isinstance(result, Exception):
                    yield Outcome.from_error(block.index, seconds, result)
                else:
                    yield Outcome(block.index, seconds, result)
                alarm.restart()
                start = time.perf_counter()
            error: Exception = RuntimeError("the stream of blocks ended before this block")
        except Exception as raised:
            error = raised
        if waiting:
            # The block that raised is unknown: the first counts as failed, and the others are streamed again.
            first = next(iter(waiting))
            del waiting[first]
            alarm.stop()
            yield Outcome.from_error(first, time.perf_counter() - start, error)


class _Alarm:
    """Ends this process if a block takes too long, even while compiled code holds the interpreter."""

    def __init__(self, limit: float | None) -> None:
        self._limit = limit

    def __enter__(self) -> "_Alarm":
        return self

    def __exit__(self, *details: object) -> None:
        self.stop()

    def restart(self) -> None:
        if self._limit is not None:
            signal.setitimer(signal.ITIMER_REAL, self._limit)

    def stop(self) -> None:
        if self._limit is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
