"""Resources of the machine or cluster that runs the jobs."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Limits:
    """Available resources.

    Args:
        cores: cores for one job.
        memory_mb: memory for one job, in MB.
        disk_bytes: free bytes on the disk.
        files: number of files that the file system can still hold; None if it does not report it.
        jobs: number of jobs that run at the same time.
    """

    cores: int
    memory_mb: float
    disk_bytes: float
    files: int | None
    jobs: int


def read_limits(
    results: Path,
    cores: int | None = None,
    memory_gb: float | None = None,
    disk_gb: float | None = None,
    jobs: int = 1,
) -> Limits:
    """Return the given resources, and those of this machine for the others.

    Args:
        results: directory of results, which may not exist yet.
        cores: cores for one job.
        memory_gb: memory for one job, in GB.
        disk_gb: free space on the disk, in GB.
        jobs: number of jobs that run at the same time.
    """
    existing = next(path for path in (results, *results.parents) if path.exists())
    files = os.statvfs(existing).f_favail
    return Limits(
        cores or len(os.sched_getaffinity(0)),
        psutil.virtual_memory().total / 1e6 if memory_gb is None else memory_gb * 1000,
        float(shutil.disk_usage(existing).free) if disk_gb is None else disk_gb * 1e9,
        files if files > 0 and disk_gb is None else None,
        jobs,
    )
