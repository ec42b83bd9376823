"""Outcomes of a job's blocks: finished blocks are recorded, failed blocks are retried or reported."""

import logging
from dataclasses import dataclass, field
from typing import Any

from attacca.blockwise.grid import BlockGrid
from attacca.blockwise.ledger import ShardWriter
from attacca.blockwise.outcome import Outcome
from attacca.errors import BlocksFailedError, ResourceError
from attacca.progress import Progress

logger = logging.getLogger("attacca.blockwise")

# Number of failed blocks that a message lists; the log lists all.
_LISTED = 5
# After so many failures and no success, the other blocks would fail too.
_HOPELESS = 4


@dataclass
class RunReport:
    """Result of ``run_blocks``.

    Args:
        computed: numbers of the computed blocks, in the order of recording.
        skipped: number of blocks that the ledger already contained.
        results: results of the block function by block number, for computed blocks; None is omitted.
        attempts: number of all computations, including failed ones.
    """

    computed: list[int] = field(default_factory=list)
    skipped: int = 0
    results: dict[int, Any] = field(default_factory=dict)
    attempts: int = 0


class Tally:
    """Records outcomes and decides about the retry of failed blocks.

    Args:
        grid: grid of the blocks, for the regions in messages.
        writer: records finished blocks; None records nothing.
        progress: advanced by each finished block; None shows nothing.
        retries: number of further attempts at a failed block.
        report: filled with the outcomes.
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

    def is_final(self, index: int) -> bool:
        """Return True if a block is finished, or has failed without further attempts."""
        return index in self._done or index in self._failed

    @property
    def is_hopeless(self) -> bool:
        """True if many blocks failed and none succeeded, so that the other blocks are not tried."""
        return not self._done and len(self._failed) >= _HOPELESS

    def take(self, *outcomes: Outcome) -> list[int]:
        """Record outcomes, and return the numbers of the blocks to retry.

        Raises:
            ResourceError: the disk is full.
        """
        fresh = [outcome for outcome in outcomes if not self.is_final(outcome.index)]
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
        return [outcome.index for outcome in fresh if outcome.error and self._should_retry(outcome)]

    def check(self) -> None:
        """Raise an error that lists the failed blocks, their regions and their exceptions.

        Raises:
            BlocksFailedError: a block failed.
        """
        if not self._failed:
            return
        lines = []
        for index in sorted(self._failed)[:_LISTED]:
            lines.append(f"  block {index}, {self._grid[index].write_roi}: {self._failed[index].error}")
        if len(self._failed) > _LISTED:
            lines.append(f"  and {len(self._failed) - _LISTED} more, which the log lists")
        count = len(self._failed)
        most = max(self._attempts[index] for index in self._failed)
        times = f"{most} times" if most > 1 else "once"
        raise BlocksFailedError(
            f"{count} block{'s' if count > 1 else ''} failed, tried {times}{' each' if count > 1 else ''}"
            + (", and no other succeeded, so that the rest was not tried" if self.is_hopeless else "")
            + ":\n"
            + "\n".join(lines)
            + f"\n{len(self._done)} other blocks were finished now and are kept; the same command computes "
            "only what is missing"
        )

    def _should_retry(self, outcome: Outcome) -> bool:
        """Count a failed attempt, and return True if the block is retried."""
        where = f"block {outcome.index}, {self._grid[outcome.index].write_roi}"
        if outcome.no_space:
            logger.error("%s: %s\n%s", where, outcome.error, outcome.trace)
            raise ResourceError(
                f"no space left on the disk while computing {where} ({outcome.error}). The {len(self._done)} "
                "blocks finished now are kept: free some space and run the same command again"
            )
        attempt = self._attempts[outcome.index] = self._attempts.get(outcome.index, 0) + 1
        if attempt <= self._retries and not outcome.certain:
            logger.warning(
                "%s failed (attempt %d of %d): %s", where, attempt, self._retries + 1, outcome.error
            )
            return True
        self._failed[outcome.index] = outcome
        logger.error(
            "%s failed in attempt %d and is not retried: %s\n%s", where, attempt, outcome.error, outcome.trace
        )
        return False
