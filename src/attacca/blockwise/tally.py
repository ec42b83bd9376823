"""Book-keeping of a job's blocks: what is recorded, what is tried again, what failed for good."""

import logging
from dataclasses import dataclass, field
from typing import Any

from attacca.blockwise.grid import BlockGrid
from attacca.blockwise.ledger import ShardWriter
from attacca.blockwise.outcome import Outcome
from attacca.errors import BlocksFailedError, ResourceError
from attacca.progress import Progress

logger = logging.getLogger("attacca.blockwise")

# Blocks that are named in a message; the log names all.
_NAMED = 5
# When this many blocks failed and none succeeded, the others would fail too.
_HOPELESS = 4


@dataclass
class RunReport:
    """What ``run_blocks`` did.

    Args:
        computed: numbers of the blocks computed now, in the order of recording.
        skipped: blocks that the ledger already held.
        results: what the block function returned, by number, for blocks computed now; None is left out.
        attempts: computations in all, failed ones included.
    """

    computed: list[int] = field(default_factory=list)
    skipped: int = 0
    results: dict[int, Any] = field(default_factory=dict)
    attempts: int = 0


class Tally:
    """Records outcomes and decides what happens to a block that failed.

    Args:
        grid: the grid, for the regions in messages.
        writer: where finished blocks are recorded; None records nothing.
        progress: is advanced by each finished block; None shows nothing.
        retries: how often a failed block is tried again.
        report: is filled.
    """

    def __init__(
        self,
        grid: BlockGrid,
        writer: ShardWriter | None,
        progress: Progress | None,
        retries: int,
        report: RunReport,
    ) -> None:
        self.report = report
        self._grid = grid
        self._writer = writer
        self._progress = progress
        self._retries = retries
        self._done: set[int] = set()
        self._attempts: dict[int, int] = {}
        self._failed: dict[int, Outcome] = {}

    def settled(self, index: int) -> bool:
        """Whether a block is done, or has failed for good."""
        return index in self._done or index in self._failed

    @property
    def hopeless(self) -> bool:
        """Whether so many blocks failed, and none succeeded, that it is no use to go on."""
        return not self._done and len(self._failed) >= _HOPELESS

    def take(self, *outcomes: Outcome) -> list[int]:
        """Record outcomes; returns the numbers of the blocks to try again.

        Raises:
            ResourceError: the disk is full.
        """
        fresh = [outcome for outcome in outcomes if not self.settled(outcome.index)]
        finished = [outcome for outcome in fresh if not outcome.error]
        if finished and self._writer is not None:
            self._writer.record(*(outcome.index for outcome in finished))
        for outcome in finished:
            self._done.add(outcome.index)
            self.report.computed.append(outcome.index)
            if outcome.result is not None:
                self.report.results[outcome.index] = outcome.result
        self.report.attempts += len(fresh)
        if finished and self._progress is not None:
            self._progress.advance(len(finished))
        return [outcome.index for outcome in fresh if outcome.error and self._again(outcome)]

    def check(self) -> None:
        """Raise if blocks failed.

        Raises:
            BlocksFailedError: names the failed blocks, their regions and what they raised.
        """
        if not self._failed:
            return
        named = []
        for index in sorted(self._failed)[:_NAMED]:
            named.append(f"  block {index}, {self._grid[index].write_roi}: {self._failed[index].error}")
        if len(self._failed) > _NAMED:
            named.append(f"  and {len(self._failed) - _NAMED} more, which the log names")
        count = len(self._failed)
        most = max(self._attempts[index] for index in self._failed)
        times = f"{most} times" if most > 1 else "once"
        raise BlocksFailedError(
            f"{count} block{'s' if count > 1 else ''} failed, tried {times}{' each' if count > 1 else ''}"
            + (", and no other succeeded, so that the rest was not tried" if self.hopeless else "")
            + ":\n"
            + "\n".join(named)
            + f"\n{len(self._done)} other blocks were finished now and are kept; the same command computes "
            "only what is missing"
        )

    def _again(self, outcome: Outcome) -> bool:
        where = f"block {outcome.index}, {self._grid[outcome.index].write_roi}"
        if outcome.no_space:
            logger.error("%s: %s\n%s", where, outcome.error, outcome.trace)
            raise ResourceError(
                f"no space left on the disk while computing {where} ({outcome.error}). The "
                f"{len(self._done)} blocks "
                "finished now are kept: free some space and run the same command again"
            )
        attempt = self._attempts[outcome.index] = self._attempts.get(outcome.index, 0) + 1
        if attempt <= self._retries and not outcome.certain:
            logger.warning(
                "%s failed (attempt %d of %d): %s", where, attempt, self._retries + 1, outcome.error
            )
            return True
        self._failed[outcome.index] = outcome
        logger.error("%s failed for good in attempt %d: %s\n%s", where, attempt, outcome.error, outcome.trace)
        return False
