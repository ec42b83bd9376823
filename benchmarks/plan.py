"""Comparison of the estimates of ``attacca plan`` with measurements, for each stage of a configuration.

    python benchmarks/plan.py                       compute the default configuration and compare
    python benchmarks/plan.py --results results     compare with existing results, computed on this machine
    python benchmarks/plan.py --probe               estimate from a probe's measurements, as `attacca plan --probe` does
    python benchmarks/plan.py --configfile my.yaml --cores 8
    python benchmarks/plan.py --shards 10000        only: cost of `snakemake -n` with so many shards of each stage

The exit code is 1 if the estimate of wall time, disk space or number of files differs by more than a factor of 1.5, or
if a job used more memory than it requests. Run it on an idle machine.
"""

import argparse
import csv
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import yaml
import zarr

from attacca.config.load import load_configuration
from attacca.costs.estimates import estimate_costs, estimate_wall_seconds
from attacca.costs.probe import measure_with_probe
from attacca.jobs.extents import read_extents
from attacca.jobs.stage import StageInstance
from attacca.workflow.workflow import Workflow

REPOSITORY = Path(__file__).resolve().parents[1]
FACTOR = 1.5


def main() -> int:
    """Print the comparison; return 0 if all estimates are within the limits, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--configfile", type=Path, default=REPOSITORY / "config.yaml")
    parser.add_argument("--results", type=Path, help="existing results to compare with; computed by default")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--probe", action="store_true", help="estimate from a probe's measurements")
    parser.add_argument(
        "--shards", type=int, nargs="+", help="measure `snakemake -n` with these numbers of shards"
    )
    options = parser.parse_args()
    if options.shards:
        return plan_shards(options.shards)
    with tempfile.TemporaryDirectory(prefix="attacca-plan-") as name:
        results = options.results or Path(name, "results")
        configuration = load_configuration(options.configfile, {"results": str(results.absolute())})
        workflow = Workflow(configuration)
        start = time.monotonic()
        extents = read_extents(configuration)
        measured = measure_with_probe(configuration, options.cores) if options.probe else {}
        estimates = estimate_costs(workflow, extents, measured, options.cores)
        print(
            f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {options.configfile.name}"
        )
        print(f"planned in {time.monotonic() - start:.1f} s{' with a probe' if options.probe else ''}\n")
        if options.results is None:
            compute(options, Path(name))
        print(f"{'stage':12}{'of':26}{'seconds of jobs':>22}{'MB on disk':>20}{'MB requested, used':>20}")
        too_small = []
        for item in estimates:
            seconds, memory = jobs_of(item.instance, workflow)
            disk = disk_of(item.instance, workflow) / 1e6
            print(
                f"{item.instance.stage.name:12}{item.instance.label:26}"
                f"{item.job_seconds * item.shards:11.1f}{seconds:11.1f}"
                f"{item.disk_bytes / 1e6:10.2f}{disk:10.2f}{item.memory_mb:10}{memory:10.0f}"
            )
            if memory > item.memory_mb:
                too_small.append(item.instance.label)
        took = seconds_of(workflow)
        present = [path for place in places(workflow) for path in place.rglob("*") if path.is_file()]
        pairs = {
            "time to finish, s": (estimate_wall_seconds(estimates, 1, options.cores), took),
            "disk, MB": (
                sum(item.disk_bytes for item in estimates) / 1e6,
                sum(path.stat().st_size for path in present) / 1e6,
            ),
            "files": (sum(item.files for item in estimates), len(present)),
        }
        print()
        for what, (expected, found) in pairs.items():
            print(
                f"{what:20} estimated {expected:8.0f}, measured {found:8.0f}, ratio {expected / found:5.2f}"
            )
        print(f"jobs that used more memory than they request: {', '.join(too_small) or 'none'}")
        fits = all(1 / FACTOR <= expected / found <= FACTOR for expected, found in pairs.values())
        return 0 if fits and not too_small else 1


def plan_shards(numbers: list[int]) -> int:
    """Print the processor time and the memory of ``snakemake -n`` for a volume of 10^13 voxels, by number of shards."""
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    print(f"{'shards of a stage':>20}{'jobs':>10}{'CPU-seconds':>14}{'ms per job':>12}{'MB':>8}")
    for number in numbers:
        with tempfile.TemporaryDirectory(prefix="attacca-plan-") as name:
            array = zarr.open_group(Path(name, "raw.zarr"), mode="w")
            array.create_array("s0", shape=(21632,) * 3, chunks=(64,) * 3, shards=(512,) * 3, dtype="u1")
            settings = yaml.safe_load((REPOSITORY / "benchmarks/ten_terabytes.yaml").read_text())
            settings["execution"]["shards"] = number
            Path(name, "config.yaml").write_text(yaml.safe_dump(settings))
            command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
            output = Path(name, "output.txt")
            with output.open("w") as file:
                process = subprocess.Popen(
                    [*command, "--configfile", "config.yaml", "--dry-run"], cwd=name, stdout=file, stderr=file
                )
                _, status, usage = os.wait4(process.pid, 0)
            text = output.read_text()
            if status:
                print(text[-2000:])
                return 1
            jobs = int(re.findall(r"^total +(\d+)$", text, re.MULTILINE)[-1])
            seconds, megabytes = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6
            figures = f"{number:20,}{jobs:10,}{seconds:14.1f}{1000 * seconds / jobs:12.2f}{megabytes:8.0f}"
            print(figures, flush=True)
    return 0


def compute(options: argparse.Namespace, directory: Path) -> None:
    """Run the workflow in a directory."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
    command += ["--configfile", str(options.configfile), "--config", f"results={directory}/results"]
    command += ["--cores", str(options.cores), "--directory", str(directory), "--quiet", "all"]
    subprocess.run(command, check=True, capture_output=True)


def jobs_of(instance: StageInstance, workflow: Workflow) -> tuple[float, float]:
    """Return the seconds of all jobs of a stage except plan and finish, and their maximum memory in MB."""
    rows = []
    for path in instance.benchmarks(workflow.layout):
        with path.open() as file:
            rows += list(csv.DictReader(file, delimiter="\t"))
    held = [float(row["max_rss"]) for row in rows if row["max_rss"] not in ("NA", "-")]
    return sum(float(row["s"]) for row in rows), max(held, default=0.0)


def disk_of(instance: StageInstance, workflow: Workflow) -> int:
    """Return the bytes of a stage's output on disk."""
    layout = workflow.layout
    found = {
        Path(place).parent if place.endswith("/s0") else Path(place) for place in instance.arrays(layout)
    }
    if instance.stage.name == "train":
        found = {layout.training(instance.run)}
    elif instance.stage.name == "agglomerate":
        found = {layout.look_up_table(instance.run, instance.volume)}
    elif not found:
        found = {instance.manifest(layout)}
    files = [path for place in found for path in ([place] if place.is_file() else place.rglob("*"))]
    return sum(path.stat().st_size for path in files if path.is_file())


def places(workflow: Workflow) -> list[Path]:
    """Return the directories of all results, logs and benchmarks of the configuration."""
    results, configuration = workflow.layout.results, workflow.configuration
    names = [*configuration.runs, *configuration.volumes]
    found = [results / name for name in configuration.runs]
    found += [results / "volumes" / f"{name}.zarr" for name in configuration.volumes]
    return found + [results / kind / name for kind in ("logs", "benchmarks") for name in names]


def seconds_of(workflow: Workflow) -> float:
    """Return the seconds between the first and the last line of all logs."""
    pattern = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ ", re.MULTILINE)
    logs = [log for place in places(workflow) if "logs" in place.parts for log in place.rglob("*.log")]
    times = [text for log in logs for text in pattern.findall(log.read_text(errors="replace"))]
    first, last = (datetime.strptime(text, "%Y-%m-%d %H:%M:%S") for text in (min(times), max(times)))
    return (last - first).total_seconds()


if __name__ == "__main__":
    sys.exit(main())
