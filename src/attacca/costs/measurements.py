"""What stages cost here, read from the benchmarks and logs of jobs that ran."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from attacca.jobs.stage import Stage, StageInstance
from attacca.layout import Layout
from attacca.stages.train import TRAIN
from attacca.stages.tune import TUNE
from attacca.workflow.workflow import Workflow

_COMPUTED = re.compile(r"(\d+) blocks computed in ([0-9.]+) s, (\d+) were done before")
_THREADS = re.compile(r"--threads (\d+)")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ ")
INTERPRETER_SECONDS = 1.5
"""From the start of a job to the first line of its log."""
# Jobs shorter than this tell the time of their start, and nothing about voxels.
_TELLING_SECONDS = 0.2


@dataclass(frozen=True)
class JobMeasurement:
    """One job that ran.

    Args:
        seconds: from its start to its end.
        block_seconds: of these, the time in which blocks were computed; None for stages without blocks.
        voxels: voxels that it wrote (training: iterations).
        workers: processes that computed.
        peak_mb: most memory that it held.
    """

    seconds: float
    block_seconds: float | None
    voxels: float
    workers: int
    peak_mb: float


@dataclass(frozen=True)
class MeasuredCost:
    """What a stage costs here.

    Args:
        start_seconds: of a job before its first block and after its last.
        voxels_per_second: of one worker (training: iterations of the whole job).
        peak_mb: most memory of one job.
        jobs: jobs that were measured.
        around_seconds: of the jobs that plan and finish a stage with blocks.
    """

    start_seconds: float
    voxels_per_second: float
    peak_mb: float
    jobs: int
    around_seconds: float = 0.0


def measured_costs(workflow: Workflow, voxels: Mapping[str, int]) -> dict[tuple[str, str], MeasuredCost]:
    """Costs by stage and run, from the results of a workflow; stages that never ran are missing.

    Args:
        workflow: whose results are read.
        voxels: voxels of each volume.
    """
    jobs: dict[tuple[Stage, str], list[JobMeasurement]] = {}
    around: dict[tuple[Stage, str], list[float]] = {}
    for instance in workflow.instances():
        key = (instance.stage, instance.run)
        jobs.setdefault(key, []).extend(read_jobs(instance, workflow, voxels.get(instance.volume, 0)))
        if instance.stage.is_blockwise:
            around.setdefault(key, []).append(_around_seconds(instance, workflow.layout))
    found = {}
    for (stage, run), measured in jobs.items():
        if measured:
            times = around.get((stage, run), [0.0])
            found[stage.name, run] = replace(_cost(stage, measured), around_seconds=sum(times) / len(times))
    return found


def read_jobs(instance: StageInstance, workflow: Workflow, voxels: int) -> list[JobMeasurement]:
    """What was measured in the jobs of one stage for one volume."""
    layout = workflow.layout
    found = []
    for path in instance.benchmarks(layout):
        row = _benchmark(path)
        if row is None:
            continue
        text = _log_text(_log_of(instance, layout, path))
        threads = max([int(number) for number in _THREADS.findall(text)] or [1])
        seconds, peak = row
        if instance.stage == TRAIN:
            iterations = float(workflow.configuration.runs[instance.run].training.iterations)
            rate = _training_rate(layout, instance.run)
            found.append(JobMeasurement(seconds, iterations / rate if rate else None, iterations, 1, peak))
            continue
        if not instance.stage.is_blockwise:
            tuned = instance.stage == TUNE
            work = sum_of_validation(workflow, instance.run, voxels) if tuned else voxels
            found.append(JobMeasurement(seconds, None, float(work), 1, peak))
            continue
        computed = _COMPUTED.search(text)
        if computed is None:
            continue
        blocks, block_seconds = int(computed[1]), float(computed[2])
        total = _planned_blocks(instance, layout) or blocks
        share = voxels * blocks / max(1, total)
        found.append(JobMeasurement(seconds, block_seconds, share, min(threads, max(1, blocks)), peak))
    return found


def sum_of_validation(workflow: Workflow, run: str, default: int) -> int:
    """Voxels of a run's validation volumes, told from their plans; ``default`` where there are none."""
    total = 0
    for name in workflow.configuration.runs[run].volumes.validation:
        config = workflow.configuration.volumes[name]
        if config.synthetic is not None:
            size = 1
            for edge in config.synthetic.shape:
                size *= edge
            total += size
        else:
            from attacca.costs.extents import read_extent

            total += read_extent(name, config).voxels
    return total or default


def _training_rate(layout: Layout, run: str) -> float:
    """Iterations in a second, as training itself counted them; 0 where it did not."""
    try:
        with (layout.training(run) / "timing.tsv").open() as file:
            rates = [float(row["steps_per_s"]) for row in csv.DictReader(file, delimiter="\t")]
    except (OSError, KeyError, ValueError):
        return 0.0
    return len(rates) / sum(1 / rate for rate in rates if rate > 0) if rates and min(rates) > 0 else 0.0


def _cost(stage: Stage, jobs: Sequence[JobMeasurement]) -> MeasuredCost:
    typical = stage.cost
    peak = max(job.peak_mb for job in jobs)
    line = _line(jobs)
    if line is not None:
        return MeasuredCost(*line, peak, len(jobs))
    timed = [job for job in jobs if job.block_seconds is not None]
    if timed:
        start = sum(job.seconds - (job.block_seconds or 0) for job in timed) / len(timed)
        work = sum(job.voxels for job in timed)
        time = sum((job.block_seconds or 0) * job.workers for job in timed)
        rate = work / time if time > _TELLING_SECONDS else typical.voxels_per_second
        return MeasuredCost(max(0.0, start), rate, peak, len(jobs))
    largest = max(jobs, key=lambda job: job.voxels)
    start = min(typical.start_seconds, 0.8 * largest.seconds)
    return MeasuredCost(
        start, largest.voxels / max(_TELLING_SECONDS, largest.seconds - start), peak, len(jobs)
    )


def _line(jobs: Sequence[JobMeasurement]) -> tuple[float, float] | None:
    """Start and rate of a worker, by a line through the smallest and the largest job; None if they are alike."""
    small, large = (choose(jobs, key=lambda job: job.voxels / job.workers) for choose in (min, max))
    work = large.voxels / large.workers - small.voxels / small.workers
    time = large.seconds - small.seconds
    if work <= 0.5 * small.voxels / small.workers or time <= _TELLING_SECONDS:
        return None
    rate = work / time
    return max(0.0, small.seconds - small.voxels / small.workers / rate), rate


def _around_seconds(instance: StageInstance, layout: Layout) -> float:
    """Time of the plan and finish jobs of a stage, from the first line of their logs to what they wrote."""
    total = 0.0
    for part, output in (("_plan", instance.plan(layout)), ("_finish", instance.manifest(layout))):
        match = _TIME.match(_log_text(instance.log(layout, part)))
        if match is not None and output.exists():
            begin = datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S").timestamp()
            total += max(0.0, min(output.stat().st_mtime - begin, 3600.0))
        total += INTERPRETER_SECONDS
    return total


def _benchmark(path: Path) -> tuple[float, float] | None:
    try:
        with path.open() as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        return float(rows[-1]["s"]), _number(rows[-1].get("max_rss", ""))
    except (OSError, IndexError, KeyError, ValueError):
        return None


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def _log_of(instance: StageInstance, layout: Layout, benchmark: Path) -> Path:
    return instance.log(layout, benchmark.stem.removeprefix(instance.stage.name))


def _log_text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _planned_blocks(instance: StageInstance, layout: Layout) -> int:
    import json

    try:
        return int(json.loads(instance.plan(layout).read_text())["blocks"])
    except (OSError, ValueError, KeyError):
        return 0
