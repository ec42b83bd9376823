"""A line of progress for the compilation of kernels by numba, which is a silent minute in the first run on a machine."""

import functools
import sys
import threading
import time
from typing import Any

_PATIENCE = 10.0
"""Seconds of compilation in a process before it is announced: a few kernels that were not compiled before need less."""


@functools.cache
def announce_compilation(name: str, patience: float = _PATIENCE) -> None:
    """Print one line if numba compiles in this process for longer than a moment.

    Kernels that are loaded from disk are not announced.

    Args:
        name: name of the work, as in its lines of progress.
        patience: seconds of compilation, in total, without a line.

    >>> announce_compilation("tune default")
    """
    # deferred: importing numba takes a second.
    from numba.core import event

    class Announcement(event.Listener):
        def __init__(self) -> None:
            self.left, self.depth, self.start = patience, 0, 0.0
            self.is_printed = False
            self.timer = threading.Timer(patience, self.announce)

        def on_start(self, _: Any) -> None:
            # A kernel compiles those that it calls.
            self.depth += 1
            if self.depth > 1 or self.is_printed:
                return
            if self.left <= 0:
                self.announce()
                return
            self.start = time.monotonic()
            self.timer = threading.Timer(self.left, self.announce)
            self.timer.daemon = True
            self.timer.start()

        def on_end(self, _: Any) -> None:
            self.depth -= 1
            if self.depth == 0 and not self.is_printed:
                self.timer.cancel()
                self.left -= time.monotonic() - self.start

        def announce(self) -> None:
            self.is_printed = True
            print(
                f"{name}: compiling kernels with numba takes up to a minute, once per machine: later runs load them",
                file=sys.stderr,
                flush=True,
            )

    event.register("numba:compile", Announcement())
