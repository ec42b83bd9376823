"""How jobs are executed. Nothing in this section changes a result."""

from typing import Literal

from pydantic import Field

from attacca.config.base import StrictModel

PerStage = int | dict[str, int]


class ExecutionConfig(StrictModel):
    """Shards, processes, retries and messages; a change here computes no finished block again."""

    shards: PerStage = 1
    """Jobs over which the blocks of a stage are spread: one number, or one for each stage by name (``predict: 8``)
    with ``default`` for the others. 1 on one machine; on a cluster, as many as jobs shall run at once."""
    threads: PerStage = 1000
    """Processes (blockwise stages) or threads (training) of one job, at most; Snakemake caps it at ``--cores``."""
    gpus: PerStage = 0
    """GPUs of one job: ``{train: 1, predict: 1}`` asks the cluster for them."""
    memory_mb: PerStage | None = None
    """Memory of one job in megabytes, at its first attempt; from the size of blocks and the number of workers by
    default."""
    runtime_minutes: PerStage | None = None
    """Time limit of one job in minutes, at its first attempt; from the number of blocks by default."""
    retries: int = Field(default=2, ge=0)
    """How often a block that failed is tried again before it is reported; never where its data or settings are wrong."""
    block_timeout: float | None = Field(default=None, gt=0)
    """Seconds that one block may take before its process is ended and the block counts as failed."""
    scheduler_address: str | None = None
    """Address of a running Dask scheduler (``tcp://host:8786``) whose workers compute the blocks, instead of processes
    of the job. They need Attacca, the same file system, and one thread each."""
    progress_interval: float = Field(default=5.0, gt=0)
    """Seconds between two lines of progress."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much stands in the log files."""

    def shards_of(self, stage: str) -> int:
        """Number of shard jobs of a stage."""
        return max(1, _of(self.shards, stage, 1))

    def threads_of(self, stage: str) -> int:
        """Processes or threads of a job of a stage."""
        return max(1, _of(self.threads, stage, 1000))

    def gpus_of(self, stage: str) -> int:
        """GPUs of a job of a stage."""
        return max(0, _of(self.gpus, stage, 0))

    def memory_mb_of(self, stage: str) -> int | None:
        """Megabytes of memory of a job of a stage at its first attempt, where the configuration says it."""
        return _given(self.memory_mb, stage)

    def runtime_minutes_of(self, stage: str) -> int | None:
        """Minutes of a job of a stage at its first attempt, where the configuration says it."""
        return _given(self.runtime_minutes, stage)


def _of(value: PerStage, stage: str, default: int) -> int:
    return value if isinstance(value, int) else value.get(stage, value.get("default", default))


def _given(value: PerStage | None, stage: str) -> int | None:
    if value is None or isinstance(value, int):
        return value
    return value.get(stage, value.get("default"))
