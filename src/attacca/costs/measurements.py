"""Costs of stages on this machine, from the benchmarks and logs of jobs that ran."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from attacca.jobs.block_shape import read_plan
from attacca.jobs.stage import CostModel, Scope, StageInstance
from attacca.layout import Layout
from attacca.workflow.workflow import Workflow

_COMPUTED = re.compile(r"(\d+) blocks computed in ([0-9.]+) s, (\d+) were done before")
_THREADS = re.compile(r"--threads (\d+)")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ ")
INTERPRETER_SECONDS = 1.5
"""Time from the start of a job to the first line of its log."""
# Shorter times are dominated by the start of a job, and are not used to estimate the time per voxel.
_SIGNIFICANT_SECONDS = 0.2


class JobMeasurement(NamedTuple):
    """Measurement of one job.

    Args:
        seconds: time from its start to its end.
        block_seconds: part of the time in which blocks were computed; None without blocks.
        voxels: voxels that it wrote, or iterations of the training.
        workers: number of processes that computed.
    """

    seconds: float
    block_seconds: float | None
    voxels: float
    workers: int = 1


@dataclass(frozen=True)
class MeasuredCost:
    """Measured times of a stage.

    Args:
        start_seconds: time of a job before its first block and after its last block.
        voxels_per_second: voxels that one worker writes per second, or iterations of the training per second.
        around_seconds: time of the jobs that plan and finish the stage.
    """

    start_seconds: float
    voxels_per_second: float
    around_seconds: float = 0.0


def read_measured_costs(workflow: Workflow, voxels: Mapping[str, int]) -> dict[tuple[str, str], MeasuredCost]:
    """Return measured costs by stage and run. Stages without measurements are missing.

    Args:
        workflow: workflow whose results are read.
        voxels: voxels of each volume, by name.
    """
    jobs: dict[tuple[str, str], list[JobMeasurement]] = {}
    around: dict[tuple[str, str], list[float]] = {}
    models: dict[tuple[str, str], CostModel] = {}
    for instance in workflow.instances():
        key = (instance.stage.name, instance.run)
        models[key] = instance.stage.cost
        jobs.setdefault(key, []).extend(_read_jobs(instance, workflow, voxels))
        seconds = _read_around_seconds(instance, workflow.layout) if instance.stage.is_blockwise else 0.0
        around.setdefault(key, []).append(seconds)
    return {
        key: MeasuredCost(*_fit(models[key], measured), sum(around[key]) / len(around[key]))
        for key, measured in jobs.items()
        if measured
    }


def _read_jobs(
    instance: StageInstance, workflow: Workflow, voxels: Mapping[str, int]
) -> list[JobMeasurement]:
    layout, stage = workflow.layout, instance.stage
    run = workflow.configuration.runs.get(instance.run)
    jobs = []
    for path in instance.benchmarks(layout):
        seconds = _read_seconds(path)
        if seconds is None:
            continue
        if stage.is_blockwise:
            log = _read_text(instance.log(layout, path.stem.removeprefix(stage.name)))
            computed = _COMPUTED.search(log)
            if computed is not None:
                blocks = int(computed[1])
                total = (read_plan(instance.plan(layout)) or {}).get("blocks") or blocks
                threads = max(map(int, _THREADS.findall(log)), default=1)
                share = voxels.get(instance.volume, 0) * blocks / max(1, total)
                jobs.append(JobMeasurement(seconds, float(computed[2]), share, min(threads, max(1, blocks))))
        elif stage.scope is Scope.RUN and stage.runs_network and run is not None:
            iterations = float(run.training.iterations)
            rate = _read_training_rate(layout, instance.run)
            jobs.append(JobMeasurement(seconds, iterations / rate if rate else None, iterations))
        else:
            names = run.volumes.validation if run and stage.scope is Scope.RUN else [instance.volume]
            jobs.append(JobMeasurement(seconds, None, float(sum(voxels.get(name, 0) for name in names))))
    return jobs


def _read_training_rate(layout: Layout, run: str) -> float:
    """Return the mean number of iterations per second that the training counted; 0 if it did not."""
    try:
        rates = [float(row["steps_per_s"]) for row in _read_table(layout.training_files(run).timing)]
    except (KeyError, TypeError, ValueError):
        return 0.0
    return len(rates) / sum(1 / rate for rate in rates) if rates and min(rates) > 0 else 0.0


def _fit(model: CostModel, jobs: Sequence[JobMeasurement]) -> tuple[float, float]:
    """Return the time of a start and the voxels per second of a worker."""
    small, large = (choose(jobs, key=lambda job: job.voxels / job.workers) for choose in (min, max))
    work = large.voxels / large.workers - small.voxels / small.workers
    time = large.seconds - small.seconds
    if work > 0.5 * small.voxels / small.workers and time > _SIGNIFICANT_SECONDS:
        # A line through both jobs.
        return max(0.0, small.seconds - small.voxels / small.workers * time / work), work / time
    timed = [(job, job.block_seconds) for job in jobs if job.block_seconds is not None]
    if timed:
        start = sum(job.seconds - seconds for job, seconds in timed) / len(timed)
        time = sum(seconds * job.workers for job, seconds in timed)
        is_significant = time > _SIGNIFICANT_SECONDS
        rate = sum(job.voxels for job, _ in timed) / time if is_significant else model.voxels_per_second
        return max(0.0, start), rate
    start = min(model.start_seconds, 0.8 * large.seconds)
    return start, large.voxels / max(_SIGNIFICANT_SECONDS, large.seconds - start)


def _read_around_seconds(instance: StageInstance, layout: Layout) -> float:
    """Return the time of the plan and finish jobs, from the first line of their logs to their output files."""
    total = 0.0
    for part, output in (("_plan", instance.plan(layout)), ("_finish", instance.manifest(layout))):
        match = _TIME.match(_read_text(instance.log(layout, part)))
        if match is not None and output.exists():
            start = datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S").timestamp()
            total += max(0.0, min(output.stat().st_mtime - start, 3600.0))
        total += INTERPRETER_SECONDS
    return total


def _read_seconds(benchmark: Path) -> float | None:
    try:
        return float(_read_table(benchmark)[-1]["s"])
    except (IndexError, KeyError, ValueError):
        return None


def _read_table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open() as file:
            return list(csv.DictReader(file, delimiter="\t"))
    except OSError:
        return []


def _read_text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
