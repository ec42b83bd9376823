"""Interface of the pools of workers that compute groups of blocks."""

import pickle
import traceback
from dataclasses import dataclass
from typing import Protocol

from attacca.blockwise.outcome import Outcome
from attacca.errors import AttaccaError, BlocksFailedError, summarize_error


@dataclass(frozen=True)
class PoolReport:
    """Messages of one worker since the last report.

    Attributes:
        outcomes: outcomes of blocks.
        lost: numbers of all blocks of a group whose worker died, finished ones included.
        cause: cause of the death; empty if the worker had not begun the group.
        seconds: time from the start of the group to the death.
    """

    outcomes: list[Outcome]
    lost: tuple[int, ...] = ()
    cause: str = ""
    seconds: float = 0.0


class Pool(Protocol):
    """Workers that compute one group of blocks at a time. A worker may die at any moment."""

    @property
    def capacity(self) -> int:
        """Number of groups that are computed at once."""

    @property
    def has_room(self) -> bool:
        """True if a worker is free."""

    @property
    def is_busy(self) -> bool:
        """True if a group is being computed."""

    def submit(self, indices: list[int]) -> None:
        """Send a group of blocks to a free worker; requires ``has_room``."""

    def wait(self) -> list[PoolReport]:
        """Wait for reports, at most about a second.

        Raises:
            BlocksFailedError, AttaccaError: the block function could not be opened.
            ResourceError: all workers are lost.
        """


class OpeningError(Exception):
    """Failure of a block function's ``open()`` in a worker: message, traceback, pickled exception or None."""

    @classmethod
    def from_error(cls, error: Exception) -> "OpeningError":
        """Return the failure in a form that can be sent to another process."""
        try:
            pickled = pickle.dumps(error)
        except Exception:
            pickled = None
        trace = "".join(traceback.format_exception(error))
        return cls(f"{type(error).__name__}: {summarize_error(error)}", trace, pickled)

    def to_error(self) -> Exception:
        """Return the exception to raise in the job."""
        message, trace, pickled = self.args
        if pickled is not None:
            error = pickle.loads(pickled)
            if isinstance(error, AttaccaError):
                return error
        return BlocksFailedError(f"the block function could not be opened: {message}\n{trace}")
