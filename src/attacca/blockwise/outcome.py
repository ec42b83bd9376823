"""Result of one attempt at a block."""

import errno
import traceback
from dataclasses import dataclass
from typing import Any

from attacca.errors import ConfigurationError, DamagedDataError, VolumeError, summarize_error
from attacca.extensions import locate_failure


@dataclass(frozen=True)
class Outcome:
    """Result of one attempt at a block.

    Attributes:
        index: number of the block.
        seconds: duration of the attempt.
        result: return value of the block function.
        error: type and first line of the exception; empty if the block was computed.
        trace: traceback of the exception.
        no_space: True if the disk is full, so that retries are useless.
        certain: True if the data or settings are the cause, so that a retry would fail in the same way.
    """

    index: int
    seconds: float
    result: Any = None
    error: str = ""
    trace: str = ""
    no_space: bool = False
    certain: bool = False

    @classmethod
    def from_error(cls, index: int, seconds: float, error: BaseException) -> "Outcome":
        """Return the outcome of a block that raised ``error``.

        >>> Outcome.from_error(3, 0.5, ValueError("no membrane")).error
        'ValueError: no membrane'
        """
        cause: BaseException | None = error
        no_space = False
        while cause is not None and not no_space:
            no_space = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
            cause = cause.__cause__
        trace = "".join(traceback.format_exception(error))
        text = locate_failure(error) or f"{type(error).__name__}: {summarize_error(error)}"
        # An error with a cause may come from the file system or the network, and be temporary.
        certain = isinstance(error, DamagedDataError) or (
            isinstance(error, VolumeError | ConfigurationError) and error.__cause__ is None
        )
        return cls(index, seconds, None, text, trace, no_space, certain)
