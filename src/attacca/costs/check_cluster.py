"""Test of a SLURM cluster and of the profile for it, before any job of a workflow is submitted."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from attacca.arrays.identifier import is_url
from attacca.costs.estimates import StageEstimate
from attacca.stages.predict import PREDICT
from attacca.stages.train import TRAIN
from attacca.workflow.cluster_jobs import UNRESOLVABLE
from attacca.workflow.partition_limits import parse_minutes
from attacca.workflow.workflow import Workflow

_COMMANDS = ("sbatch", "squeue", "scancel", "sinfo", "scontrol")
# Snakemake asks for the state of jobs at most every three minutes.
_LEAST_JOB_AGE = 240
# Longest delay until a file from a node is visible here.
_LATENCY_SECONDS = 60.0
_PROBE = Path(__file__).resolve().parents[1] / "workflow" / "cluster_probe.py"


@dataclass(frozen=True)
class Finding:
    """One thing that was tested.

    Args:
        text: what was found, and what to do if it is a problem.
        is_problem: whether jobs will fail or wait because of it.
    """

    text: str
    is_problem: bool = False


@dataclass(frozen=True)
class Partition:
    """A partition of the cluster.

    Args:
        name: its name.
        is_default: whether jobs without a partition run in it.
        is_up: whether it starts jobs.
        minutes: its time limit; None for no limit.
        cores: cores of its largest node.
        memory_mb: memory of its largest node.
        has_gpus: whether a node has GPUs.
    """

    name: str
    is_default: bool
    is_up: bool
    minutes: int | None
    cores: int
    memory_mb: int
    has_gpus: bool


def check_cluster(
    workflow: Workflow, estimates: Sequence[StageEstimate], profile: Path, patience: float
) -> Iterator[Finding]:
    """Yield what a SLURM cluster offers and what will not work; a small job looks around on a node.

    Args:
        workflow: workflow of the configuration.
        estimates: costs of its stages, for the memory of jobs.
        profile: directory or file of Snakemake's profile.
        patience: seconds to wait for the job.
    """
    missing = [command for command in _COMMANDS if shutil.which(command) is None]
    if missing:
        yield Finding(f"{', '.join(missing)}: not found; run this command on a login node", True)
        return
    settings = _read_profile(profile)
    partitions = read_partitions()
    if not partitions:
        yield Finding("sinfo lists no partition: the controller does not answer", True)
        return
    yield from _check_status_command(settings, _read_controller())
    used = _used_partitions(settings, partitions)
    for name, rules in used.items():
        yield from _check_partition(workflow, settings, partitions.get(name), name, rules)
    yield from _check_memory(estimates, used, partitions)
    yield from _check_job(workflow, settings, patience)


def read_partitions() -> dict[str, Partition]:
    """Return the partitions of the cluster by name."""
    partitions: dict[str, Partition] = {}
    for line in _run(["sinfo", "-h", "-o", "%P|%a|%l|%c|%m|%G"]).splitlines():
        label, state, limit, cores, memory, resources = line.split("|")
        name = label.removesuffix("*")
        old = partitions.get(name)
        partitions[name] = Partition(
            name,
            is_default=label.endswith("*"),
            is_up=state == "up",
            minutes=parse_minutes(limit),
            cores=max(_leading_number(cores), old.cores if old else 0),
            memory_mb=max(_leading_number(memory), old.memory_mb if old else 0),
            has_gpus="gpu" in resources or bool(old and old.has_gpus),
        )
    return partitions


def _check_status_command(settings: Mapping[str, Any], controller: Mapping[str, str]) -> Iterator[Finding]:
    command = settings.get("slurm-status-command", "sacct")
    has_accounting = not controller.get("AccountingStorageType", "").endswith("none")
    age = _leading_number(controller.get("MinJobAge", "0"))
    if command == "sacct" and not has_accounting:
        yield Finding(
            "slurm-status-command: sacct, but the cluster keeps no accounts of jobs, so that finished jobs would be "
            "waited for without end; write squeue in the profile",
            True,
        )
    elif command == "squeue" and age < _LEAST_JOB_AGE:
        fix = (
            "write slurm-status-command: sacct in the profile"
            if has_accounting
            else f"ask the administrators for a MinJobAge of at least {_LEAST_JOB_AGE}"
        )
        yield Finding(
            f"SLURM forgets finished jobs after {age} seconds (MinJobAge), Snakemake asks at most every 180 seconds "
            f"(slurm-status-command: squeue), and a forgotten job counts as running; {fix}",
            True,
        )
    else:
        yield Finding(f"the state of jobs is read with {command}")


def _check_partition(
    workflow: Workflow,
    settings: Mapping[str, Any],
    partition: Partition | None,
    name: str,
    rules: Sequence[str],
) -> Iterator[Finding]:
    if partition is None:
        given = f"slurm_partition of {', '.join(rules)}" if rules else "slurm_partition"
        yield Finding(
            f"{given}: found '{name}', the cluster has no such partition"
            if name
            else "no default partition exists; give default-resources: slurm_partition in the profile",
            True,
        )
        return
    limit = "no time limit" if partition.minutes is None else f"at most {partition.minutes} minutes"
    yield Finding(
        f"partition {name}: up to {partition.cores} cores and {partition.memory_mb:,} MB on a node, {limit}"
        + (", GPUs" if partition.has_gpus else "")
    )
    if not partition.is_up:
        yield Finding(f"partition {name} is not up: it starts no jobs", True)
    threads = int(settings.get("max-threads") or 1)
    if threads > partition.cores:
        yield Finding(
            f"max-threads: {threads}, the largest node of the partition {name} has {partition.cores} cores; lower it",
            True,
        )
    for stage in (TRAIN, PREDICT):
        rule = stage.name if stage == TRAIN else f"{stage.name}_shard"
        is_here = rule in rules or not (rules or _has_own_partition(settings, rule))
        if workflow.gpus(stage) and is_here and not partition.has_gpus:
            yield Finding(
                f"execution.gpus of {stage.name}: its partition {name} has no GPUs; give set-resources: {rule}: "
                "slurm_partition in the profile",
                True,
            )


def _check_memory(
    estimates: Sequence[StageEstimate],
    used: Mapping[str, Sequence[str]],
    partitions: Mapping[str, Partition],
) -> Iterator[Finding]:
    by_rule = {rule: name for name, rules in used.items() for rule in rules}
    default = next((name for name, rules in used.items() if not rules), "")
    for item in estimates:
        stage = item.instance.stage
        rule = f"{stage.name}_shard" if stage.is_blockwise else stage.name
        partition = partitions.get(by_rule.get(rule, default))
        if partition is not None and item.memory_mb > partition.memory_mb:
            yield Finding(
                f"{item.title} asks for {item.memory_mb:,} MB, the largest node of the partition {partition.name} has "
                f"{partition.memory_mb:,} MB: use fewer workers (execution.threads) or smaller blocks",
                True,
            )


def _check_job(workflow: Workflow, settings: Mapping[str, Any], patience: float) -> Iterator[Finding]:
    configuration = workflow.configuration
    existing = next(path for path in (configuration.results, *configuration.results.parents) if path.is_dir())
    output = existing / f".attacca-cluster-check-{time.time_ns()}.json"
    sources = [
        str(source.path)
        for volume in configuration.volumes.values()
        for source in (volume.raw, volume.mask)
        if source is not None and not is_url(source.path)
    ]
    seen = [*sources, str(Path(sys.executable)), str(existing)]
    resources = settings.get("default-resources") or {}
    options = ["--parsable", "--mem=1500", "--time=5", "--output=/dev/null", "--job-name=attacca-check"]
    for key, option in (
        ("slurm_account", "account"),
        ("slurm_partition", "partition"),
        ("constraint", "constraint"),
    ):
        if resources.get(key):
            options.append(f"--{option}={resources[key]}")
    command = shlex.join([sys.executable, str(_PROBE), str(output), *seen])
    done = subprocess.run(
        ["sbatch", *options, f"--wrap={command}"], capture_output=True, text=True, timeout=60
    )
    if done.returncode != 0:
        yield Finding(f"sbatch refuses a small job: {done.stderr.strip() or done.stdout.strip()}", True)
        return
    number = done.stdout.strip().partition(";")[0]
    try:
        yield from _read_probe(output, number, patience, existing)
    finally:
        subprocess.run(["scancel", number], capture_output=True, timeout=60)
        output.unlink(missing_ok=True)


def _read_probe(output: Path, number: str, patience: float, directory: Path) -> Iterator[Finding]:
    end = time.monotonic() + patience
    state = reason = ""
    ended = None
    while not output.exists() and time.monotonic() < end:
        words = _run(["squeue", "-h", "-j", number, "-t", "all", "-o", "%T|%r"]).strip().split("|")
        state, reason = [*words, ""][:2]
        if reason in UNRESOLVABLE:
            break
        # A busy controller does not answer; the file of a finished job appears on a network file system after some time.
        if state in ("", "PENDING", "RUNNING", "CONFIGURING", "COMPLETING"):
            ended = None
        else:
            ended = ended or time.monotonic()
            if time.monotonic() - ended > _LATENCY_SECONDS:
                break
        time.sleep(0.5)
    if output.exists():
        yield from _describe_probe(json.loads(output.read_text()), directory)
    elif state == "PENDING":
        yield Finding(f"a small job waits ({reason}) and did not start within {patience:.0f} seconds", True)
    else:
        yield Finding(
            f"a small job ended ({state or 'unknown'}, {reason or 'no reason'}) and its file in {directory} did not "
            "appear here: nodes and this machine need a common file system for results, and the nodes must be able to "
            "read the Python environment",
            True,
        )


def _describe_probe(seen: Mapping[str, Any], directory: Path) -> Iterator[Finding]:
    yield Finding(
        f"a small job ran on {seen['host']} with Python {seen['version']}, and its file appeared in {directory}"
    )
    if seen["error"]:
        yield Finding(f"Attacca cannot be imported there: {seen['error']}", True)
    if seen["missing"]:
        yield Finding(
            f"it does not see {', '.join(seen['missing'])}: move them to the common file system", True
        )
    if not seen["temporary is writable"]:
        yield Finding(
            f"it cannot write to {seen['temporary']}: give default-resources: tmpdir in the profile", True
        )
    if seen["gpus"]:
        yield Finding(f"it sees {'; '.join(seen['gpus'])}")


def _used_partitions(
    settings: Mapping[str, Any], partitions: Mapping[str, Partition]
) -> dict[str, list[str]]:
    """Return the rules with a partition of their own by partition; the partition of all others has no rules."""
    default = next((item.name for item in partitions.values() if item.is_default), "")
    used: dict[str, list[str]] = {
        str((settings.get("default-resources") or {}).get("slurm_partition") or default): []
    }
    for rule, resources in (settings.get("set-resources") or {}).items():
        if (resources or {}).get("slurm_partition"):
            used.setdefault(str(resources["slurm_partition"]), []).append(rule)
    return used


def _has_own_partition(settings: Mapping[str, Any], rule: str) -> bool:
    return bool(((settings.get("set-resources") or {}).get(rule) or {}).get("slurm_partition"))


def _read_profile(path: Path) -> dict[str, Any]:
    file = path / "config.yaml" if path.is_dir() else path
    return dict(yaml.safe_load(file.read_text()) or {})


def _read_controller() -> dict[str, str]:
    lines = _run(["scontrol", "show", "config"]).splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _run(command: Sequence[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _leading_number(text: str) -> int:
    match = re.match(r"\d+", text.strip())
    return int(match[0]) if match else 0
