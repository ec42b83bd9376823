"""``attacca plan``: what a configuration will cost, before it is spent; what cannot fit is refused."""

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from attacca.cli.arguments import parse_count, parse_positive
from attacca.config.load import load_configuration
from attacca.costs.estimates import StageEstimate, estimate
from attacca.costs.extents import read_extent
from attacca.costs.measurements import MeasuredCost, measured_costs
from attacca.costs.remedies import Limits, advice, refusals, size_text
from attacca.errors import ResourceError
from attacca.preflight.check_configuration import check_configuration
from attacca.progress import format_duration
from attacca.workflow.workflow import Workflow


def add_parser(commands: Any) -> None:
    """Add the command to the ``attacca`` parser."""
    parser = commands.add_parser(
        "plan", help="blocks, disk, files, memory and hours of a configuration, before it is computed"
    )
    parser.add_argument("configuration", type=Path, nargs="?", default=Path("config.yaml"))
    parser.add_argument(
        "--cores", type=parse_count, help="cores of one job; those of this machine by default"
    )
    parser.add_argument(
        "--memory", type=parse_positive, metavar="GB", help="of the machine or node that a job runs on"
    )
    parser.add_argument(
        "--disk", type=parse_positive, metavar="GB", help="free space; that of 'results' by default"
    )
    parser.add_argument("--jobs", type=parse_count, default=1, help="jobs that run at once on a cluster")
    parser.add_argument(
        "--probe", action="store_true", help="measure first: run the workflow on small synthetic volumes"
    )


def run(options: argparse.Namespace) -> int:
    """Print the estimates; raise a ``ResourceError`` where something cannot fit."""
    configuration = load_configuration(options.configuration)
    check_configuration(configuration, options.configuration)
    workflow = Workflow(configuration)
    used = {instance.volume for instance in workflow.instances()} - {""}
    extents = {
        name: read_extent(name, config) for name, config in configuration.volumes.items() if name in used
    }
    limits = _limits(configuration.results, options)
    measured: dict[tuple[str, str], MeasuredCost] = {}
    if options.probe:
        from attacca.costs.probe import probe

        measured |= probe(configuration, extents, limits.cores)
    measured |= measured_costs(workflow, {name: extent.voxels for name, extent in extents.items()})
    estimates = estimate(workflow, extents, measured, limits.cores)
    console = Console(highlight=False)
    show(estimates, limits, console)
    lines = advice(configuration, estimates, limits) or ["blocks, chunks and shards are fine as they are"]
    for line in lines:
        console.print(f"- {line}", markup=False)
    problems = refusals(configuration, estimates, limits)
    if problems:
        raise ResourceError("this cannot fit:\n  " + "\n  ".join(problems))
    return 0


def _limits(results: Path, options: argparse.Namespace) -> Limits:
    place = results
    while not place.exists():
        place = place.parent
    free = options.disk * 1e9 if options.disk is not None else float(shutil.disk_usage(place).free)
    inodes = os.statvfs(place).f_favail
    memory = options.memory * 1000 if options.memory is not None else psutil.virtual_memory().total / 1e6
    return Limits(
        options.cores or len(os.sched_getaffinity(0)),
        memory,
        free,
        inodes if inodes > 0 and options.disk is None else None,
        options.jobs,
    )


def wall_seconds(estimates: Sequence[StageEstimate], jobs: int, cores: int = 1) -> float:
    """Time to finish, stage after stage: so many jobs at once, or, on one machine, as many as have cores."""
    levels: dict[str, list[StageEstimate]] = {}
    for item in estimates:
        levels.setdefault(item.instance.stage.name, []).append(item)
    total = 0.0
    for members in levels.values():
        longest = max(item.job_seconds + item.around_seconds for item in members)
        work = sum(item.job_seconds * item.shards + item.around_seconds for item in members)
        at_once = jobs if jobs > 1 else max(1, cores // max(item.workers for item in members))
        total += max(longest, work / at_once)
    return total


def show(estimates: Sequence[StageEstimate], limits: Limits, console: Console) -> None:
    """Print the table of stages and the totals."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = (
        "stage",
        "of",
        "blocks",
        "block",
        "jobs",
        "disk",
        "files",
        "memory/job",
        "time/job",
        "cores·h",
        "GPU·h",
        "from",
    )
    for index, name in enumerate(columns):
        table.add_column(name, justify="left" if index < 2 or index == 11 else "right", no_wrap=True)
    for item in estimates:
        table.add_row(
            item.instance.stage.name,
            item.instance.label,
            f"{item.blocks:,}" if item.blocks else "",
            "×".join(map(str, item.block)),
            str(item.shards),
            size_text(item.disk_bytes),
            f"{item.files:,}",
            f"{item.memory_mb / 1000:.1f} GB",
            format_duration(item.job_seconds),
            f"{item.core_seconds / 3600:.2f}",
            f"{item.gpu_seconds / 3600:.2f}" if item.gpu_seconds else "",
            item.source,
        )
    # A narrow terminal breaks lines; it cuts no number off.
    wide = console.options.update(max_width=1000)
    console.width = max(console.width, console.measure(table, options=wide).maximum)
    console.print(table)
    disk = sum(item.disk_bytes for item in estimates)
    files = sum(item.files for item in estimates)
    cores = sum(item.core_seconds for item in estimates) / 3600
    gpus = sum(item.gpu_seconds for item in estimates) / 3600
    parts = [f"{size_text(disk)} in {files:,} files", f"{cores:.2f} core hours"]
    if gpus:
        parts.append(f"{gpus:.2f} GPU hours")
    time = format_duration(wall_seconds(estimates, limits.jobs, limits.cores))
    if limits.jobs > 1:
        parts.append(f"{time} with {limits.jobs} jobs of {limits.cores} cores at once")
    else:
        parts.append(f"{time} on {limits.cores} cores")
    console.print("in all: " + ", ".join(parts))
    if any(item.source == "typical" for item in estimates):
        console.print(
            "'typical' hours are those of other machines; --probe measures on this one in a few minutes"
        )
