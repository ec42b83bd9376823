"""Progress of a stage as lines of text, for terminals and logs."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

_watchers: list[Callable[["Progress"], None]] = []


def format_duration(seconds: float) -> str:
    """Return a duration with its two largest units.

    >>> format_duration(75), format_duration(4), format_duration(7384)
    ('1 min 15 s', '4 s', '2 h 03 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@contextmanager
def watch_progress(watcher: Callable[["Progress"], None]) -> Iterator[None]:
    """Call ``watcher`` with each ``Progress`` that prints a line, within the context."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


class Progress:
    """Counts finished units of a stage and prints their number, rate and remaining time, at most once per interval.

    Lines end with a newline, so that they stay readable in Snakemake's output, where jobs share one terminal, and in
    the log of a cluster job. The first line has no remaining time: the first units include compilation and the first
    reads, and an estimate from them is far too long.

    Args:
        name: name of the work: ``predict default/tissue-test``.
        total: total number of units.
        unit: plural name of a unit: ``blocks``, ``iterations``.
        done: units that an earlier run finished; they count as done, but not for the rate.
        interval: seconds between two lines.
        stream: receives the lines; by default standard error.
        warm_up: number of first units that take longer than others; they do not count for the remaining time.
    """

    def __init__(
        self,
        name: str,
        total: int,
        unit: str = "blocks",
        done: int = 0,
        interval: float = 5.0,
        stream: TextIO | None = None,
        warm_up: int = 0,
    ) -> None:
        self.name = name
        self.total = total
        self.unit = unit
        self.done = done
        self.note = ""
        self._earlier = done
        self._printed: tuple[int, str] | None = None
        self._interval = interval
        self._stream = stream
        self._start = time.monotonic()
        self._last_line = self._start
        self._warm_up = warm_up
        self._warm = self._start, done
        self._has_estimate = False

    def expect(self, units: int, done: int = 0) -> None:
        """Add units to the total, of which an earlier run finished ``done``."""
        self.total += units
        self.done += done
        self._earlier += done
        self._warm = self._warm[0], self._warm[1] + done

    def advance(self, units: int = 1, note: str | None = None) -> None:
        """Count more units as done; ``note`` (such as the current loss) ends each line until it is replaced."""
        self.done += units
        if note is not None:
            self.note = note
        now = time.monotonic()
        if self._warm_up and self.done - self._earlier >= self._warm_up:
            self._warm_up, self._warm = 0, (now, self.done)
        if now - self._last_line >= self._interval:
            self._last_line = now
            self._print(now)

    def finish(self) -> None:
        """Print the final line, regardless of the interval, unless it has been printed."""
        if self._printed != (self.done, self.note):
            self._print(time.monotonic())

    def seconds_left(self, now: float | None = None) -> float | None:
        """Return the remaining seconds at the current rate; None until it is known, after the first line."""
        start, done = self._warm
        elapsed = (time.monotonic() if now is None else now) - start
        fresh = self.done - done
        if not self._has_estimate or self._warm_up:
            return None
        return (self.total - self.done) * elapsed / fresh if fresh > 0 and elapsed > 0 else None

    def line(self, now: float | None = None) -> str:
        """Return the line for the monotonic time ``now``."""
        elapsed = (time.monotonic() if now is None else now) - self._start
        percent = 100 * self.done // self.total if self.total else 100
        parts = [f"{self.name}: {self.done}/{self.total} {self.unit} ({percent} %)"]
        left, fresh = self.seconds_left(now), self.done - self._earlier
        if self.done < self.total and left is not None:
            parts += [f"{(self.total - self.done) / left:.3g}/s", f"{format_duration(left)} left"]
        elif self.done >= self.total and fresh > 0 and elapsed > 0:
            parts += [f"{fresh / elapsed:.3g}/s", f"took {format_duration(elapsed)}"]
        if self.note:
            parts.append(self.note)
        return ", ".join(parts)

    def _print(self, now: float) -> None:
        self._printed = (self.done, self.note)
        print(self.line(now), file=self._stream or sys.stderr, flush=True)
        for watcher in _watchers:
            watcher(self)
        self._has_estimate = True
