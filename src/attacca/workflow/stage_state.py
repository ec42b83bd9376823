"""How far each stage of a workflow is, read from manifests and ledgers; nothing is computed or locked."""

import re
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from attacca.blockwise import Ledger
from attacca.errors import AttaccaError
from attacca.fingerprint import digest_file
from attacca.jobs.running_jobs import job_file, locked_inodes, workflow_file
from attacca.layout import Layout
from attacca.workflow.catalogue import StageInstance, inputs_of, instances
from attacca.workflow.failures import last_failure
from attacca.workflow.lost_products import lost_products, stages_to_repeat
from attacca.workflow.staleness import changed_inputs, changed_settings, read_values
from attacca.workflow.workflow import Workflow

# A ledger that grew this recently is being written, wherever its job runs.
_ACTIVE_SECONDS = 90.0
_HERE = "on this machine"
_START = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ ")


@dataclass(frozen=True)
class ClusterJob:
    """A job in a SLURM queue."""

    number: str
    state: str
    node: str


@dataclass
class ShardState:
    """One shard of a stage.

    Args:
        index: its number, from 0.
        blocks: blocks of the shard.
        done: blocks that are recorded and count.
        running: where it runs, in words; empty where it does not.
        seconds_left: from its speed in this job, or None.
        note: when it recorded its last block, where that is recent and nobody is known to compute it.
    """

    index: int
    blocks: int
    done: int
    running: str = ""
    note: str = ""
    seconds_left: float | None = None


@dataclass
class StageState:
    """One stage for one run and volume.

    Args:
        instance: which.
        state: ``done``, ``stale``, ``running``, ``partly done``, ``planned`` or ``missing``.
        reason: why it is stale, what of it was deleted, or how its last job failed; empty otherwise.
        blocks: blocks of the stage, or iterations of the training; 0 where that is not known yet.
        done: blocks that are recorded and count.
        shards: its shards, where it has some.
        seconds_left: time until the stage is done, where that can be told.
        running: where it runs, in words.
    """

    instance: StageInstance
    state: str = "missing"
    reason: str = ""
    blocks: int = 0
    done: int = 0
    shards: list[ShardState] = field(default_factory=list)
    seconds_left: float | None = None
    running: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "stage": self.instance.stage.name,
            "run": self.instance.run,
            "volume": self.instance.volume,
            "state": self.state,
            "reason": self.reason,
            "blocks": self.blocks,
            "done": self.done,
            "running": self.running,
            "seconds_left": self.seconds_left,
            "shards": [vars(shard) for shard in self.shards],
        }


def read_states(workflow: Workflow) -> list[StageState]:
    """The state of every stage, in the order of computation."""
    queue = cluster_jobs()
    reader = _Reader(workflow, queue)
    states = {instance: reader.state(instance) for instance in instances(workflow)}
    lost = lost_products(workflow)
    repeated = stages_to_repeat(workflow, lost, lambda instance: states[instance].state != "done")
    for instance, places in lost.items():
        _tell_loss(states[instance], workflow.layout, places, instance in repeated)
    for instance, state in states.items():
        if state.state not in ("done", "running"):
            failure = last_failure(instance, workflow.layout, workflow.shards(instance.stage.name))
            state.reason = "; ".join(filter(None, (state.reason, str(failure or ""))))
    return list(states.values())


def workflow_runs_here(results: Path) -> bool:
    """Whether a Snakemake of this machine works on results."""
    return _inode(workflow_file(results)) in locked_inodes()


def _tell_loss(state: StageState, layout: Layout, places: list[str], missed: bool) -> None:
    above = (f"{layout.results}/", f"{layout.storage}/")
    names = [
        next((place.removeprefix(top) for top in above if place.startswith(top)), place) for place in places
    ]
    gone = " and ".join(names) + (" was deleted" if len(places) == 1 else " were deleted")
    if not missed:
        state.reason = f"{gone}; nothing needs {'it' if len(places) == 1 else 'them'} now"
    elif state.state in ("done", "stale"):
        state.reason = "; ".join(filter(None, (state.reason, gone)))
        state.state, state.done = "stale", 0


def cluster_jobs() -> dict[str, ClusterJob]:
    """Waiting and running jobs of this user in a SLURM queue, by the comment that Snakemake gives them."""
    command = ["squeue", "--me", "-h", "-o", "%i|%T|%k|%N"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    found = {}
    for line in lines.splitlines():
        number, state, comment, node = (line.split("|") + [""] * 4)[:4]
        if comment.startswith("rule_"):
            found[comment] = ClusterJob(number, state, node)
    return found


class _Reader:
    def __init__(self, workflow: Workflow, queue: Mapping[str, ClusterJob]) -> None:
        self.workflow = workflow
        self.layout = workflow.layout
        self.queue = queue
        self.now = time.time()
        self.locked = locked_inodes()
        self._states: dict[StageInstance, StageState] = {}
        self._digests: dict[Path, str] = {}

    def state(self, instance: StageInstance) -> StageState:
        if instance not in self._states:
            self._states[instance] = self._read(instance)
        return self._states[instance]

    def _read(self, instance: StageInstance) -> StageState:
        state = StageState(instance)
        manifest = read_values(instance.manifest(self.layout))
        job = self._cluster_job(instance, "")
        if manifest is not None:
            state.state = "done"
            state.reason = self._staleness(instance, manifest)
            if instance.stage.blockwise:
                plan = read_values(instance.plan(self.layout)) or {}
                state.blocks = state.done = int(plan.get("blocks", 0))
            if state.reason:
                state.state, state.done = "stale", 0
        if instance.stage.blockwise and (manifest is None or state.reason):
            self._read_blocks(instance, state)
        elif instance.stage.name == "train" and manifest is None:
            self._read_training(instance, state)
        if job is not None and state.state != "done":
            state.running = _place(job)
            state.state = "running" if job.state == "RUNNING" else state.state
        elif state.state not in ("done", "running") and self._runs_here(instance):
            state.state, state.running, state.reason = "running", _HERE, ""
            if not instance.stage.blockwise:
                self._read_progress(instance, state)
        return state

    def _runs_here(self, instance: StageInstance) -> bool:
        parts = [""]
        if instance.stage.blockwise:
            count = self.workflow.shards(instance.stage.name)
            parts = ["_plan", *(f"_shard_{index}_of_{count}" for index in range(count)), "_finish"]
        return any(self._job_is_locked(instance, part) for part in parts)

    def _job_is_locked(self, instance: StageInstance, part: str) -> bool:
        return _inode(job_file(instance.log(self.layout, part))) in self.locked

    def _read_progress(self, instance: StageInstance, state: StageState) -> None:
        """How far a job without blocks is, as it tells itself."""
        told = read_values(job_file(instance.log(self.layout))) or {}
        if told.get("total"):
            state.blocks, state.done = int(told["total"]), int(told["done"])
            state.seconds_left = told["seconds_left"]

    def _staleness(self, instance: StageInstance, manifest: Mapping[str, Any]) -> str:
        """Why a finished stage does not count any more; empty where it does."""
        if "fingerprint" not in manifest:
            return ""
        try:
            differences = changed_settings(instance, self.workflow, manifest)
        except (AttaccaError, OSError) as error:
            return f"its source cannot be read: {error}"
        above = {name: self.state(upstream) for name, upstream in inputs_of(instance, self.workflow).items()}
        for state in above.values():
            where = f"{state.instance.stage.name} {state.instance.label}"
            if state.state != "done":
                differences.append(f"{where} is {state.state}")
            elif state.instance.stage.name == "train" and self._checkpoint_differs(
                instance, manifest["inputs"]
            ):
                differences.append(f"{where} has another checkpoint")
        finished = {name for name, state in above.items() if state.state == "done"}
        differences += changed_inputs(instance, self.workflow, manifest, finished)
        return "; ".join(differences)

    def _read_blocks(self, instance: StageInstance, state: StageState) -> None:
        plan = read_values(instance.plan(self.layout))
        if plan is None:
            return
        blocks = int(plan["blocks"])
        state.blocks = blocks
        ledger = self._ledger(instance, blocks)
        if ledger is None:
            state.state = state.state if state.state == "stale" else "planned"
            return
        if state.state != "stale":
            state.reason = self._void_reason(instance, ledger)
        done = ledger.done() if not state.reason else None
        state.done = int(done.sum()) if done is not None else 0
        count = self.workflow.shards(instance.stage.name)
        for index in range(count):
            first, end = blocks * index // count, blocks * (index + 1) // count
            recorded = int(done[first:end].sum()) if done is not None else 0
            shard = ShardState(index, end - first, recorded)
            self._read_activity(instance, ledger, shard, count)
            state.shards.append(shard)
        running = [shard for shard in state.shards if shard.running]
        if running:
            state.state = "running"
            left = [shard.seconds_left for shard in running if shard.seconds_left is not None]
            state.seconds_left = max(left) if left else None
            if left and state.done < blocks:
                # Shards that wait take as long as those that run, one after the other in as many places.
                rate = sum(
                    (shard.blocks - shard.done) / shard.seconds_left
                    for shard in running
                    if shard.seconds_left
                )
                state.seconds_left = max(max(left), (blocks - state.done) / rate) if rate else max(left)
        elif state.state != "stale" and not state.reason:
            state.state = "partly done" if state.done else "planned"
        elif state.reason:
            state.state = "stale"

    def _ledger(self, instance: StageInstance, blocks: int) -> Ledger | None:
        """The ledger of a stage as it stands on the disk, under the key of its newest file."""
        for directory in instance.arrays(self.layout):
            place = None
            if "://" in directory:
                above = instance.manifest(self.layout).parent
                place = str(above / ".ledgers" / instance.stage.name / instance.volume)
            found = Ledger(directory, {}, blocks, state_directory=place)
            files = found.files()
            if files:
                newest = max(files, key=lambda file: file.path.stat().st_mtime)
                key: Any = newest.parts or newest.key
                return Ledger(directory, key, newest.num_blocks, state_directory=place)
        return None

    def _void_reason(self, instance: StageInstance, ledger: Ledger) -> str:
        """Why recorded blocks of an unfinished stage will not count in the next start."""
        differences: list[str] = []
        parts = ledger.parts
        if parts:
            with suppress(AttaccaError, OSError):
                differences += changed_settings(instance, self.workflow, {"parameters": {}, **parts})
            if self._checkpoint_differs(instance, parts.get("inputs", {})):
                differences.append(f"train {instance.run} has another checkpoint")
            for name, upstream in inputs_of(instance, self.workflow).items():
                present = (read_values(upstream.manifest(self.layout)) or {}).get("fingerprint")
                old = parts.get("inputs", {}).get(name)
                if self.state(upstream).state == "stale":
                    differences.append(f"{upstream.stage.name} {upstream.label} is stale")
                elif old and present and old != present:
                    differences.append(f"{upstream.stage.name} {upstream.label} was made again")
        return "; ".join(differences)

    def _checkpoint_differs(self, instance: StageInstance, inputs: Mapping[str, str]) -> bool:
        """Whether a run predicts with other weights by now; of a training, predictions depend on these alone."""
        old = inputs.get("checkpoint")
        return old is not None and self._checkpoint(instance.run) not in (None, old)

    def _checkpoint(self, run: str) -> str | None:
        """Digest of the checkpoint that a run predicts with; None where it is not there."""
        training = (read_values(self.layout.training_manifest(run)) or {}).get("result", {})
        choice = self.workflow.configuration.runs[run].prediction.checkpoint
        name = training.get(f"{choice}_file") if isinstance(choice, str) else f"iteration_{choice:08d}.pt"
        path = self.layout.training(run) / "checkpoints" / str(name)
        if path not in self._digests and path.is_file():
            self._digests[path] = digest_file(path)
        return self._digests.get(path)

    def _read_activity(self, instance: StageInstance, ledger: Ledger, shard: ShardState, count: int) -> None:
        if shard.done >= shard.blocks:
            return
        file = ledger.directory / f"shard-{shard.index:05d}-of-{count:05d}.txt"
        job = self._cluster_job(instance, f"_{shard.index}_{count}")
        if job is not None:
            shard.running = _place(job) if job.state == "RUNNING" else ""
        elif _inode(file.with_suffix(".lock")) in self.locked or self._job_is_locked(
            instance, f"_shard_{shard.index}_of_{count}"
        ):
            shard.running = _HERE
        if not shard.running:
            if file.exists() and self.now - file.stat().st_mtime < _ACTIVE_SECONDS:
                shard.note = f"last block {self.now - file.stat().st_mtime:.0f} s ago"
            return
        start, before = _job_start(instance.log(self.layout, f"_shard_{shard.index}_of_{count}"))
        if start is not None and file.exists():
            elapsed = file.stat().st_mtime - start
            fresh = shard.done - before
            if fresh > 0 and elapsed > 0:
                shard.seconds_left = (shard.blocks - shard.done) * elapsed / fresh

    def _read_training(self, instance: StageInstance, state: StageState) -> None:
        table = self.layout.training(instance.run) / "metrics.tsv"
        training: Any = self.workflow.configuration.runs[instance.run].training
        state.blocks = int(training.iterations)
        try:
            lines = table.read_text().splitlines()
            names = lines[0].split("\t")
            last = dict(zip(names, lines[-1].split("\t")))
            state.done = int(last["iteration"])
            active = self.now - table.stat().st_mtime < _ACTIVE_SECONDS and self._may_run_elsewhere(instance)
        except (OSError, IndexError, KeyError, ValueError):
            return
        state.state = "running" if active else "partly done"
        rate = _last_number(table.with_name("timing.tsv"))
        if active:
            state.running = "wrote its metrics within the last minutes"
            state.seconds_left = (state.blocks - state.done) / rate if rate > 0 else None

    def _may_run_elsewhere(self, instance: StageInstance) -> bool:
        """Whether a job has not ended in order, and was not killed on this machine either."""
        told = read_values(job_file(instance.log(self.layout)))
        return told is not None and told.get("host") != socket.gethostname()

    def _cluster_job(self, instance: StageInstance, shard: str) -> ClusterJob | None:
        part = "_shard" if shard else ""
        wildcards = "_".join(item for item in (instance.run, instance.volume) if item)
        return self.queue.get(f"rule_{instance.stage.name}{part}_wildcards_{wildcards}{shard}")


def _place(job: ClusterJob) -> str:
    where = f" on {job.node}" if job.node else ""
    return f"SLURM job {job.number} {job.state.lower()}{where}"


def _last_number(table: Path) -> float:
    """The last value in the last row of a table; 0 where there is none."""
    try:
        return float(table.read_text().splitlines()[-1].split("\t")[-1])
    except (OSError, IndexError, ValueError):
        return 0.0


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return -1


def _job_start(log: Path) -> tuple[float | None, int]:
    """When the job that wrote a log began, and how many of its blocks were done before."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return None, 0
    start, before = None, 0
    for line in lines[:50]:
        match = _START.match(line)
        if match and start is None:
            start = datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S").timestamp()
        found = re.search(r"(\d+) of (\d+) blocks are done already", line)
        if found:
            before = int(found[1])
    return start, before
