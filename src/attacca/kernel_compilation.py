"""A line of progress for the compilation of kernels by numba, which is a silent minute in the first run on a machine."""

import functools
import sys
from typing import Any


@functools.cache
def announce_compilation(name: str) -> None:
    """Print one line when numba starts to compile in this process; kernels that are loaded from disk are not announced.

    Args:
        name: name of the work, as in its lines of progress.

    >>> announce_compilation("tune default")
    """
    # deferred: importing numba takes a second.
    from numba.core import event

    class Announcement(event.Listener):
        def __init__(self) -> None:
            self.is_printed = False

        def on_start(self, _: Any) -> None:
            if not self.is_printed:
                self.is_printed = True
                print(
                    f"{name}: compiling kernels with numba takes about a minute, once per machine: later runs load them",
                    file=sys.stderr,
                    flush=True,
                )

        def on_end(self, _: Any) -> None:
            pass

    event.register("numba:compile", Announcement())
