"""Models of the section ``execution``, which changes no result."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar, get_args

from pydantic import AfterValidator, Field

from attacca.config.base import StrictModel

# The configuration is below the declarations of the stages; tests/costs/test_resources.py compares both.
BlockwiseStage = Literal["volume", "targets", "predict", "fragments", "graph", "relabel", "classes"]
"""Stages that are computed in blocks by shard jobs."""
NetworkStage = Literal["train", "predict"]
"""Stages that can use GPUs."""
PreparedStage = Literal["agglomerate", "evaluate", "objects"]
"""Stages of one job, for which shard jobs compute parts before if their number is given by name."""
ShardedStage = Literal[BlockwiseStage, PreparedStage]
"""Stages that shard jobs compute."""
Stage = Literal[
    BlockwiseStage,
    "train",
    "unpack",
    "tune",
    "bundle",
    "agglomerate",
    "evaluate",
    "objects",
    "export",
    "provenance",
]
"""Stages whose jobs ask for cores, memory and time."""
Job = Literal[
    Stage,
    "volume_finish",
    "targets_finish",
    "predict_finish",
    "fragments_finish",
    "graph_finish",
    "relabel_finish",
    "classes_finish",
]
"""Jobs with their own memory and time: those of a stage, and those that finish a blockwise stage."""

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
# Smaller numbers were probably meant in gigabytes: even the process of a stage needs more.
Megabytes = Annotated[int, Field(ge=100)]

Shards = Positive | dict[Literal["default", ShardedStage], Positive]
Threads = Positive | dict[Literal["default", Stage], Positive]
Gpus = Count | dict[Literal["default", NetworkStage], Count]
Memory = Megabytes | dict[Literal["default", Job], Megabytes]
Minutes = Positive | dict[Literal["default", Job], Positive]

_SCHEDULER = re.compile(r"((tcp|tls|ucx|ws|wss)://)?(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):[0-9]{1,5}/?")
Name = TypeVar("Name", bound=str)


def _check_scheduler_address(address: str) -> str:
    if not _SCHEDULER.fullmatch(address):
        raise ValueError("the address that dask-scheduler prints when it starts, such as tcp://host:8786")
    return address


class ExecutionConfig(StrictModel):
    """Shards, processes, retries and messages. A change here does not recompute finished blocks."""

    shards: Shards = 1
    """Number of jobs that share the blocks of a stage: one number, or one per stage by name (``predict: 8``) with
    ``default`` for the others. 1 on one machine; on a cluster, the number of jobs that should run at once.
    ``agglomerate: 8`` divides the agglomeration of volumes of several leaves (``agglomeration_blocks``), ``evaluate: 8`` and
    ``objects: 8`` the comparison with labels and the table of objects of large volumes; without their names, each is one
    job."""
    threads: Threads = 1000
    """Maximum number of processes (blockwise stages) or threads (training) per job; at most ``--cores``."""
    gpus: Gpus = 0
    """GPUs per job: ``{train: 1, predict: 1}`` requests them from the cluster. Other stages use no GPU."""
    memory_mb: Memory | None = None
    """Memory per job in megabytes, at its first attempt; by default derived from the block size and the number of
    workers. One number, or one per stage by name. ``predict_finish`` is the job that finishes the stage ``predict``;
    by default it has the memory of that stage."""
    runtime_minutes: Minutes | None = None
    """Time limit per job in minutes, at its first attempt; by default derived from the number of blocks. One number, or
    one per stage by name, as for ``memory_mb``."""
    agglomeration_blocks: Positive | None = None
    """Blocks, along each axis, of the boxes (leaves) whose graphs are agglomerated first and joined then, so that no process
    holds the graph of the volume. By default, volumes of up to 2^32 voxels are one leaf, and leaves of larger volumes have
    about 2^30 voxels. Segments do not depend on it."""
    retries: int = Field(default=2, ge=0)
    """Number of retries of a failed block before it is reported. Blocks with invalid data or settings are not retried."""
    block_timeout: float | None = Field(default=None, gt=0)
    """Time limit per block in seconds, after which its process is ended and the block counts as failed."""
    scheduler_address: Annotated[str, AfterValidator(_check_scheduler_address)] | None = None
    """Address of a running Dask scheduler (``tcp://host:8786``) whose workers compute the blocks, instead of processes
    of the job. They need Attacca, the same file system, and one thread each."""
    progress_interval: float = Field(default=5.0, gt=0)
    """Seconds between two lines of progress."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level of the messages in the log files."""

    def get_shards(self, stage: str) -> int:
        """Return the number of shard jobs of a stage; 1 for a stage that has none."""
        if stage in get_args(PreparedStage):
            named = self.shards if isinstance(self.shards, dict) else {}
            return {str(name): number for name, number in named.items()}.get(stage, 1)
        if stage not in get_args(BlockwiseStage):
            return 1
        return _look_up(self.shards, stage, 1)

    def get_threads(self, stage: str) -> int:
        """Return the number of processes or threads of a job of a stage."""
        return _look_up(self.threads, stage, 1000)

    def get_gpus(self, stage: str) -> int:
        """Return the number of GPUs of a job of a stage; 0 for stages without a network."""
        return _look_up(self.gpus, stage, 0) if stage in get_args(NetworkStage) else 0

    def get_memory_mb(self, job: str) -> int | None:
        """Return the configured memory of a job at its first attempt in megabytes; None if it is not configured.

        Args:
            job: a stage, or the job that finishes one (``predict_finish``), which has the memory of its stage unless
                it is configured itself.
        """
        return _look_up_configured(self.memory_mb, job)

    def get_runtime_minutes(self, job: str) -> int | None:
        """Return the configured time limit of a job at its first attempt in minutes; see ``get_memory_mb``."""
        return _look_up_configured(self.runtime_minutes, job)


def _look_up[Name: str](value: int | Mapping[Name, int], stage: str, default: int) -> int:
    configured = _look_up_configured(value, stage)
    return default if configured is None else configured


def _look_up_configured[Name: str](value: int | Mapping[Name, int] | None, job: str) -> int | None:
    if value is None or isinstance(value, int):
        return value
    numbers: dict[str, int] = {str(name): number for name, number in value.items()}
    for name in (job, job.removesuffix("_finish"), "default"):
        if name in numbers:
            return numbers[name]
    return None
