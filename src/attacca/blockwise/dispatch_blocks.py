"""Distribution of blocks to the workers of a pool, with retries of the blocks of workers that died.

1. Blocks are sent in groups of about a second of work, so that the time to send a group does not count.
2. If a worker dies, the unfinished blocks of its group are sent again one by one. A block that is the only one of its
   group when its worker dies counts as failed, and is retried as often as a block that raises.
"""

from collections import deque

import numpy as np

from attacca.blockwise.outcome import Outcome
from attacca.blockwise.pool import Pool, PoolReport
from attacca.blockwise.tally import Tally

# Seconds of work in a group. Streaming functions read ahead and write behind within a group only.
_GROUP_SECONDS = 1.0
_STREAM_SECONDS = 20.0
_LARGEST_GROUP = 2000


def dispatch_blocks(pool: Pool, missing: np.ndarray, tally: Tally, streams: bool) -> None:
    """Compute blocks on the workers of a pool.

    Args:
        pool: the workers.
        missing: numbers of the blocks, int64.
        tally: records outcomes and decides about retries.
        streams: True for a block function with ``stream``.
    """
    _Dispatcher(pool, missing, tally, _STREAM_SECONDS if streams else _GROUP_SECONDS).run()


class _Dispatcher:
    def __init__(self, pool: Pool, missing: np.ndarray, tally: Tally, seconds: float) -> None:
        self._pool = pool
        self._missing = missing
        self._tally = tally
        self._seconds = seconds
        self._next = 0
        self._single: deque[int] = deque()
        self._mean: float | None = None

    def run(self) -> None:
        while not self._tally.is_hopeless:
            indices: list[int] = []
            while self._pool.has_room and (indices := self._choose_group()):
                self._pool.submit(indices)
            if not self._pool.is_busy and not self._single and self._next == len(self._missing):
                return
            for report in self._pool.wait():
                self._take_report(report)

    def _choose_group(self) -> list[int]:
        while self._single:
            index = self._single.popleft()
            if not self._tally.is_final(index):
                return [index]
        left = len(self._missing) - self._next
        size = 1
        if self._mean is not None:
            fair = -(-left // (2 * self._pool.capacity))
            size = int(min(max(self._seconds / max(self._mean, 1e-6), 1), _LARGEST_GROUP, fair))
        indices = self._missing[self._next : self._next + size].tolist()
        self._next += len(indices)
        return [int(index) for index in indices]

    def _take_report(self, report: PoolReport) -> None:
        self._take_outcomes(report.outcomes)
        waiting = [index for index in report.lost if not self._tally.is_final(index)]
        if report.cause and len(report.lost) == 1 and waiting:
            self._take_outcomes([Outcome(waiting[0], report.seconds, error=report.cause)])
        else:
            self._single.extend(waiting)

    def _take_outcomes(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            if not self._tally.is_final(outcome.index) and not outcome.error:
                mean = outcome.seconds if self._mean is None else self._mean
                self._mean = 0.8 * mean + 0.2 * outcome.seconds
        self._single.extend(self._tally.take(*outcomes))
