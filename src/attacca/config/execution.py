"""How jobs are executed. Nothing in this section changes a result."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar, get_args

from pydantic import AfterValidator, Field

from attacca.config.base import StrictModel

BlockwiseStage = Literal["volume", "targets", "predict", "fragments", "graph", "relabel", "classes"]
"""Stages that are computed in blocks by shard jobs."""
NetworkStage = Literal["train", "predict"]
"""Stages that can use GPUs."""
Stage = Literal[BlockwiseStage, "train", "tune", "agglomerate", "evaluate", "provenance"]
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
"""Jobs that ask for memory and time of their own: those of a stage, and those that finish a blockwise one."""

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
# A stage's process alone holds more; what is below was meant in gigabytes.
Megabytes = Annotated[int, Field(ge=100)]

Shards = Positive | dict[Literal["default", BlockwiseStage], Positive]
Threads = Positive | dict[Literal["default", Stage], Positive]
Gpus = Count | dict[Literal["default", NetworkStage], Count]
Memory = Megabytes | dict[Literal["default", Job], Megabytes]
Minutes = Positive | dict[Literal["default", Job], Positive]

_SCHEDULER = re.compile(r"((tcp|tls|ucx|ws|wss)://)?(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):[0-9]{1,5}/?")
Name = TypeVar("Name", bound=str)


def _scheduler_address(address: str) -> str:
    if not _SCHEDULER.fullmatch(address):
        raise ValueError("the address that dask-scheduler prints when it starts, such as tcp://host:8786")
    return address


class ExecutionConfig(StrictModel):
    """Shards, processes, retries and messages; a change here computes no finished block again."""

    shards: Shards = 1
    """Jobs over which the blocks of a stage are spread: one number, or one for each stage by name (``predict: 8``)
    with ``default`` for the others. 1 on one machine; on a cluster, as many as jobs shall run at once."""
    threads: Threads = 1000
    """Processes (blockwise stages) or threads (training) of one job, at most; Snakemake caps it at ``--cores``."""
    gpus: Gpus = 0
    """GPUs of one job: ``{train: 1, predict: 1}`` asks the cluster for them. Other stages use none."""
    memory_mb: Memory | None = None
    """Memory of one job in megabytes, at its first attempt; from the size of blocks and the number of workers by
    default. One number, or one for each stage by name; ``predict_finish`` is the job that finishes the stage
    ``predict``, and has what that has where nothing else is said."""
    runtime_minutes: Minutes | None = None
    """Time limit of one job in minutes, at its first attempt, as for ``memory_mb``; from the number of blocks by
    default."""
    retries: int = Field(default=2, ge=0)
    """How often a block that failed is tried again before it is reported; never where its data or settings are wrong."""
    block_timeout: float | None = Field(default=None, gt=0)
    """Seconds that one block may take before its process is ended and the block counts as failed."""
    scheduler_address: Annotated[str, AfterValidator(_scheduler_address)] | None = None
    """Address of a running Dask scheduler (``tcp://host:8786``) whose workers compute the blocks, instead of processes
    of the job. They need Attacca, the same file system, and one thread each."""
    progress_interval: float = Field(default=5.0, gt=0)
    """Seconds between two lines of progress."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much stands in the log files."""

    def get_shards(self, stage: str) -> int:
        """Number of shard jobs of a stage."""
        return _of(self.shards, stage, 1)

    def get_threads(self, stage: str) -> int:
        """Processes or threads of a job of a stage."""
        return _of(self.threads, stage, 1000)

    def get_gpus(self, stage: str) -> int:
        """GPUs of a job of a stage; none of one that computes no network."""
        return _of(self.gpus, stage, 0) if stage in get_args(NetworkStage) else 0

    def get_memory_mb(self, job: str) -> int | None:
        """Megabytes of memory of a job at its first attempt, where the configuration says it.

        Args:
            job: a stage, or the job that finishes one (``predict_finish``), which has what its stage has unless it is
                named itself.
        """
        return _given(self.memory_mb, job)

    def get_runtime_minutes(self, job: str) -> int | None:
        """Minutes of a job at its first attempt, as ``get_memory_mb``."""
        return _given(self.runtime_minutes, job)


def _of(value: int | Mapping[Name, int], stage: str, default: int) -> int:
    found = _given(value, stage)
    return default if found is None else found


def _given(value: int | Mapping[Name, int] | None, job: str) -> int | None:
    if value is None or isinstance(value, int):
        return value
    named: dict[str, int] = {str(name): number for name, number in value.items()}
    for name in (job, job.removesuffix("_finish"), "default"):
        if name in named:
            return named[name]
    return None
