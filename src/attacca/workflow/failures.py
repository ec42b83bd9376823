"""Jobs that ended with an error, found by their logs: a job begins its log anew, and ends it with what went wrong."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from attacca.layout import Layout
from attacca.workflow.catalogue import StageInstance

# As the command line of a stage writes it. What its libraries call an error stands under other names.
_ERROR = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ERROR attacca: (.*)$", flags=re.MULTILINE)
_UNEXPECTED = "unexpected error"
_END = 100_000
"""Bytes of a log among which its last message is looked for."""
_LONGEST = 160


@dataclass(frozen=True)
class Failure:
    """The last job of a stage, which failed.

    Args:
        log: its log.
        message: the first line of its message.
    """

    log: Path
    message: str

    def __str__(self) -> str:
        text = self.message if len(self.message) <= _LONGEST else self.message[: _LONGEST - 3] + "..."
        return f"a job failed: {text} (log: {self.log})"


def last_failure(instance: StageInstance, layout: Layout, shards: int) -> Failure | None:
    """The latest failed job of a stage that is not done; None where none failed, or was killed without a word.

    Args:
        instance: the stage.
        layout: where logs stand.
        shards: number of shards of the stage; logs of others are left from earlier starts.
    """
    found = [(time, log) for log in _logs(instance, layout, shards) if (time := _time(log))]
    planned = _time(instance.plan(layout)) if instance.stage.blockwise else 0.0
    for time, log in sorted(found, reverse=True):
        # Before the stage was planned anew, other things may have been wrong.
        if time < planned:
            return None
        text = _end_of(log)
        messages = _ERROR.findall(text)
        if messages:
            # The last line of a traceback says more than what stands above it.
            told = text.strip().splitlines()[-1] if messages[-1] == _UNEXPECTED else messages[-1]
            return Failure(log, told)
    return None


def _logs(instance: StageInstance, layout: Layout, shards: int) -> Iterator[Path]:
    if not instance.stage.blockwise:
        yield instance.log(layout)
        return
    yield instance.log(layout, "_plan")
    for index in range(shards):
        if not instance.shard(layout, index, shards).exists():
            yield instance.log(layout, f"_shard_{index}_of_{shards}")
    yield instance.log(layout, "_finish")


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _end_of(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _END))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
