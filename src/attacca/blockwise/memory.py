"""Memory that is available to a job, and a check that its blocks fit."""

import os
from pathlib import Path

import psutil

from attacca.errors import ResourceError

_CGROUP = Path("/sys/fs/cgroup")
_MEGABYTE = 1 << 20


def available_memory() -> int:
    """Return the bytes that this job may still use: the minimum over machine, control groups and SLURM."""
    limits = [int(psutil.virtual_memory().available)]
    for limit, usage in _cgroup_files():
        try:
            text = limit.read_text().strip()
            if text.isdigit() and int(text) < 1 << 60:
                used = int(usage.read_text()) - _reclaimable(usage.parent)
                limits.append(max(0, int(text) - used))
        except (OSError, ValueError):
            continue
    allocated = slurm_memory()
    if allocated is not None:
        limits.append(max(0, allocated - int(psutil.Process().memory_info().rss)))
    return min(limits)


def slurm_memory() -> int | None:
    """Return the bytes that SLURM allocated to this job on this node; None outside SLURM."""
    for variable, factor in (
        ("SLURM_MEM_PER_NODE", 1),
        ("SLURM_MEM_PER_CPU", int(os.environ.get("SLURM_CPUS_ON_NODE", 1))),
    ):
        value = os.environ.get(variable, "")
        if value.isdigit() and int(value):
            return int(value) * factor * _MEGABYTE
    return None


def check_memory(
    num_workers: int, memory_per_block: int | None, available: int | None = None, setting: str = ""
) -> None:
    """Check that blocks fit into memory.

    Args:
        num_workers: number of blocks that are computed at once.
        memory_per_block: largest memory of a block in bytes; None if it is unknown.
        available: available bytes; by default those of the system.
        setting: configuration key of the block size, for the message.

    Raises:
        ResourceError: the blocks do not fit; the message lists what to change.
    """
    if memory_per_block is None:
        return
    free = available_memory() if available is None else available
    if num_workers * memory_per_block <= free:
        return
    fitting = free // memory_per_block
    smaller = "smaller blocks" + (f" ({setting})" if setting else "")
    if fitting >= 1:
        advice = f"use {fitting} threads at most (--cores), {smaller}, or a machine or job with more memory"
    else:
        advice = f"not even one block fits; use {smaller}, or a machine or job with more memory"
    if num_workers == 1:
        needed = f"a block needs {format_gibibytes(memory_per_block)} of memory"
    else:
        needed = (
            f"{num_workers} blocks at once need {format_gibibytes(num_workers * memory_per_block)} of memory "
            f"({format_gibibytes(memory_per_block)} each)"
        )
    raise ResourceError(f"{needed}, and {format_gibibytes(free)} are free: {advice}")


def format_gibibytes(size: int) -> str:
    """Return a number of bytes as text.

    >>> format_gibibytes(300 << 20), format_gibibytes(1536 << 30)
    ('0.3 GiB', '1,536 GiB')
    """
    number = size / (1 << 30)
    return f"{number:,.0f} GiB" if number >= 10 else f"{number:.1f}".removesuffix(".0") + " GiB"


def _reclaimable(group: Path) -> int:
    # Cached files count as used, but are dropped when memory is needed.
    for line in (group / "memory.stat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file"):
            return int(value)
    return 0


def _cgroup_files() -> list[tuple[Path, Path]]:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    files = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, names = _CGROUP, ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            base, names = _CGROUP / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        directory = base / path.lstrip("/")
        # A limit may be set at any level above the job's own group.
        for group in (directory, *directory.parents):
            if base != group and base not in group.parents:
                break
            files.append((group / names[0], group / names[1]))
    return files
