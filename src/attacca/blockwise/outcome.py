"""What came of a block, and the loop that computes blocks with any block function."""

import errno
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from attacca.blockwise.grid import Block
from attacca.errors import ConfigurationError, VolumeError, summarize_error

# Opening a function (loading a model) may take longer than a block, but not for ever.
_OPENING_LIMIT = 600.0


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt at a block.

    Args:
        index: number of the block.
        seconds: how long it took.
        result: what the block function returned.
        error: type and first line of what it raised; empty if it did not.
        trace: the traceback.
        no_space: whether the disk is full, so that trying again is useless.
        certain: whether the data or settings are to blame, so that trying again would end in the same way.
    """

    index: int
    seconds: float
    result: Any = None
    error: str = ""
    trace: str = ""
    no_space: bool = False
    certain: bool = False

    @classmethod
    def failed(cls, index: int, seconds: float, error: BaseException) -> "Outcome":
        """The outcome of a block that raised."""
        chain: BaseException | None = error
        full = False
        while chain is not None and not full:
            full = isinstance(chain, OSError) and chain.errno in (errno.ENOSPC, errno.EDQUOT)
            chain = chain.__cause__
        trace = "".join(traceback.format_exception(error))
        text = f"{type(error).__name__}: {summarize_error(error)}"
        # What has a cause may be the file system's or the network's doing, and pass.
        certain = isinstance(error, VolumeError | ConfigurationError) and error.__cause__ is None
        return cls(index, seconds, None, text, trace, full, certain)


def open_function(function: Any) -> None:
    """Call the function's ``open()``, once in each process, if it has one."""
    if hasattr(function, "open"):
        function.open()


def close_function(function: Any) -> None:
    """Call the function's ``close()``, if it has one."""
    if hasattr(function, "close"):
        function.close()


def compute(function: Any, blocks: Sequence[Block], limit: float | None = None) -> Iterator[Outcome]:
    """Compute blocks one after the other and say what came of each, as soon as its data are on disk.

    A function with ``stream(blocks)`` is given all blocks, so that it can read ahead and write behind; it
    yields ``(block, result)`` in any order, with the exception as the result of a block that failed.

    Args:
        function: ``function(block)``, or an object with ``stream``.
        blocks: what to compute.
        limit: seconds for each block, after which this *process* ends by SIGALRM; None for no limit.
    """
    with _Alarm(limit) as alarm:
        if hasattr(function, "stream"):
            yield from _streamed(function.stream, blocks, alarm)
        else:
            yield from _one_by_one(function, blocks, alarm)


def _one_by_one(
    function: Callable[[Block], Any], blocks: Iterable[Block], alarm: "_Alarm"
) -> Iterator[Outcome]:
    for block in blocks:
        alarm.restart()
        start = time.perf_counter()
        try:
            result = function(block)
        except Exception as error:
            alarm.stop()
            yield Outcome.failed(block.index, time.perf_counter() - start, error)
        else:
            alarm.stop()
            yield Outcome(block.index, time.perf_counter() - start, result)


def _streamed(
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
                    yield Outcome.failed(block.index, seconds, result)
                else:
                    yield Outcome(block.index, seconds, result)
                alarm.restart()
                start = time.perf_counter()
            error: Exception = RuntimeError("the stream of blocks ended before this block")
        except Exception as raised:
            error = raised
        if waiting:
            # Which block raised is not known: the first is blamed, and the others start anew.
            first = next(iter(waiting))
            del waiting[first]
            alarm.stop()
            yield Outcome.failed(first, time.perf_counter() - start, error)


class _Alarm:
    """Ends this process when a block takes too long, even where compiled code never returns to Python."""

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


def opening_alarm(limit: float | None) -> "_Alarm":
    """The alarm for ``open()``: more patient than that for a block."""
    return _Alarm(None if limit is None else max(limit, _OPENING_LIMIT))
