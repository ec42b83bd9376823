"""State of a stage and of its shards, as ``attacca status`` prints them."""

from dataclasses import dataclass, field
from typing import Any

from attacca.jobs.stage import StageInstance


@dataclass
class ShardState:
    """State of one shard of a stage.

    Args:
        index: its number, from 0.
        blocks: blocks of the shard.
        done: blocks that are recorded and valid.
        running: machine or job in which it runs, as text; empty if it does not run.
        seconds_left: estimate from its speed in this job, or None.
        note: age of its last block, if that is recent and no running job is known.
    """

    index: int
    blocks: int
    done: int
    running: str = ""
    note: str = ""
    seconds_left: float | None = None


@dataclass
class StageState:
    """State of a stage for one run and volume.

    Args:
        instance: the stage.
        state: ``done``, ``stale``, ``running``, ``partly done``, ``planned`` or ``missing``.
        reason: reasons why it is stale, deleted outputs, or the error of its last job; empty otherwise.
        blocks: blocks of the stage, or iterations of the training; 0 if the number is unknown.
        done: blocks that are recorded and valid.
        shards: its shards, if it has any.
        seconds_left: estimate of the time until the stage is done, or None.
        running: machine or job in which it runs, as text.
        has_failed: its last job failed.
    """

    instance: StageInstance
    state: str = "missing"
    reason: str = ""
    blocks: int = 0
    done: int = 0
    shards: list[ShardState] = field(default_factory=list)
    seconds_left: float | None = None
    running: str = ""
    has_failed: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``--json``."""
        return {
            "stage": self.instance.stage.name,
            "run": self.instance.run,
            "volume": self.instance.volume,
            "state": self.state,
            "reason": self.reason,
            "blocks": self.blocks,
            "done": self.done,
            "running": self.running,
            "seconds_left": self.seconds_left,
            "shards": [vars(shard) for shard in self.shards],
        }
