"""Failed jobs, found by the errors in their logs.

A job overwrites the log of the previous job, and the last message of a failed job is its error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from attacca.jobs.stage import StageInstance
from attacca.layout import Layout

# The format of a stage's own errors; errors that its libraries log have other names.
_ERROR = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ERROR attacca: (.*)$", flags=re.MULTILINE)
_UNEXPECTED = "unexpected error"
_END = 100_000
"""Number of bytes at the end of a log in which its last message is searched."""
_LONGEST = 160


@dataclass(frozen=True)
class Failure:
    """The last job of a stage, which failed.

    Args:
        log: its log.
        message: first line of its error message.
    """

    log: Path
    message: str

    def __str__(self) -> str:
        text = self.message if len(self.message) <= _LONGEST else self.message[: _LONGEST - 3] + "..."
        return f"a job failed: {text} (log: {self.log})"


def find_last_failure(instance: StageInstance, layout: Layout, shards: int) -> Failure | None:
    """Return the latest failed job of a stage that is not done, or None if none failed or logged an error.

    Args:
        instance: the stage.
        layout: paths of logs.
        shards: number of shards of the stage; logs of other shards are left from earlier starts.
    """
    logs = [(time, log) for log in _list_logs(instance, layout, shards) if (time := _modification_time(log))]
    planned = _modification_time(instance.plan(layout)) if instance.stage.is_blockwise else 0.0
    for time, log in sorted(logs, reverse=True):
        # An error from before the stage was planned again may be fixed.
        if time < planned:
            return None
        text = _read_end(log)
        messages = _ERROR.findall(text)
        if messages:
            # The last line of a traceback is its most informative one.
            is_unexpected = messages[-1] == _UNEXPECTED
            return Failure(log, text.strip().splitlines()[-1] if is_unexpected else messages[-1])
    return None


def _list_logs(instance: StageInstance, layout: Layout, shards: int) -> Iterator[Path]:
    if not instance.stage.is_blockwise:
        yield instance.log(layout)
        return
    yield instance.log(layout, "_plan")
    for index in range(shards):
        if not instance.shard(layout, index, shards).exists():
            yield instance.log(layout, f"_shard_{index}_of_{shards}")
    yield instance.log(layout, "_finish")


def _modification_time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read_end(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _END))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
