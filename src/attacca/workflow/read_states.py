"""State of each stage of a workflow, read from manifests and ledgers; nothing is computed or locked."""

import re
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from attacca.arrays.identifier import is_url
from attacca.blockwise import Ledger
from attacca.errors import AttaccaError
from attacca.fingerprint import digest_file
from attacca.jobs.block_shape import read_plan
from attacca.jobs.job_locks import job_file, locked_inodes
from attacca.jobs.stage import FINISH, PLAN, SHARD, StageInstance
from attacca.layout import Layout
from attacca.manifest import read_values
from attacca.stages.predict import choose_checkpoint
from attacca.stages.registry import STAGES
from attacca.stages.train import TRAIN
from attacca.stages.unpack import UNPACK, network_instance
from attacca.workflow.cluster_jobs import ClusterJob, read_cluster_jobs
from attacca.workflow.damage import all_instances, find_damage
from attacca.workflow.deleted_outputs import find_deleted_outputs, stages_to_repeat
from attacca.workflow.failures import find_last_failure
from attacca.workflow.job_groups import JobGroups
from attacca.workflow.stage_state import ShardState, StageState
from attacca.workflow.staleness import list_changed_inputs, list_changed_settings
from attacca.workflow.summaries import list_changes_of_summary
from attacca.workflow.workflow import Workflow

# A file that changed within this time is being written, on whatever machine its job runs.
_ACTIVE_SECONDS = 90.0
_HERE = "on this machine"
_KEYS = {"version", "parameters", "inputs"}
"""Keys of a manifest that its ledger has, too."""
_START = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ ")


def read_states(workflow: Workflow) -> list[StageState]:
    """Return the state of every stage, in the order of computation."""
    reader = _Reader(workflow, read_cluster_jobs())
    states = {instance: reader.read_state(instance) for instance in workflow.instances()}
    deleted = find_deleted_outputs(workflow)
    repeated = stages_to_repeat(workflow, deleted, lambda instance: states[instance].state != "done")
    for instance, paths in deleted.items():
        _report_deletion(states[instance], workflow.layout, paths, instance in repeated)
    damages = find_damage(workflow, read_arrays=False).stages
    for instance in all_instances(workflow):
        if instance not in states:
            states[instance] = reader.read_summary(instance, states.values())
        state = states[instance]
        if instance in damages and state.state in ("done", "stale"):
            state.state, state.done = "stale", 0
            state.reason = "; ".join(filter(None, (state.reason, str(damages[instance]))))
    for instance, state in states.items():
        if state.state not in ("done", "running"):
            failure = find_last_failure(instance, workflow.layout, count_shards(instance, workflow))
            state.has_failed = failure is not None
            state.reason = "; ".join(filter(None, (state.reason, str(failure or ""))))
    return list(states.values())


def count_shards(instance: StageInstance, workflow: Workflow) -> int:
    """Return the number of shards of a stage: at most one for each block that it has planned."""
    count = workflow.shards(instance.stage, instance.run, instance.volume)
    plan = read_plan(instance.plan(workflow.layout)) if instance.stage.is_blockwise else None
    return min(count, max(1, int(plan.get("blocks", count)))) if plan else count


def is_workflow_running_here(results: Path) -> bool:
    """Return whether a Snakemake of this machine works on results."""
    return _inode(Layout(results).workflow_lock()) in locked_inodes()


def _report_deletion(state: StageState, layout: Layout, paths: list[str], is_needed: bool) -> None:
    roots = (f"{layout.results}/", f"{layout.storage}/")
    names = [
        next((path.removeprefix(root) for root in roots if path.startswith(root)), path) for path in paths
    ]
    deletion = " and ".join(names) + (" was deleted" if len(paths) == 1 else " were deleted")
    if not is_needed:
        state.reason = f"{deletion}; nothing needs {'it' if len(paths) == 1 else 'them'} now"
    elif state.state in ("done", "stale"):
        state.reason = "; ".join(filter(None, (state.reason, deletion)))
        state.state, state.done = "stale", 0


class _Reader:
    def __init__(self, workflow: Workflow, queue: Mapping[str, ClusterJob]) -> None:
        self.workflow = workflow
        self.layout = workflow.layout
        self.queue = queue
        self.groups = JobGroups(workflow)
        self.now = time.time()
        self.locked = locked_inodes()
        self._states: dict[StageInstance, StageState] = {}
        self._digests: dict[Path, str] = {}

    def read_state(self, instance: StageInstance) -> StageState:
        if instance not in self._states:
            self._states[instance] = self._read(instance)
        return self._states[instance]

    def _read(self, instance: StageInstance) -> StageState:
        state = StageState(instance)
        manifest = read_values(instance.manifest(self.layout))
        job = self._cluster_job(instance, "")
        if manifest is not None:
            state.state = "done"
            state.reason = self._explain_staleness(instance, manifest)
            if instance.stage.is_blockwise:
                plan = read_plan(instance.plan(self.layout)) or {}
                state.blocks = state.done = int(plan.get("blocks", 0))
            if state.reason:
                state.state, state.done = "stale", 0
        if instance.stage.is_blockwise and (manifest is None or state.reason):
            self._read_blocks(instance, state)
        elif instance.stage == TRAIN and manifest is None:
            self._read_training(instance, state)
        if job is not None and state.state != "done":
            state.running = str(job)
            state.state = "running" if job.state == "RUNNING" else state.state
        elif state.state not in ("done", "running") and self._has_local_job(instance):
            state.state, state.running, state.reason = "running", _HERE, ""
            if not instance.stage.is_blockwise:
                self._read_progress(instance, state)
        return state

    def read_summary(self, instance: StageInstance, states: Iterable[StageState]) -> StageState:
        """Return the state of a stage that describes the results of others.

        Args:
            instance: the stage.
            states: states of all stages that it describes.
        """
        state = StageState(instance)
        output = instance.manifest(self.layout)
        if output.exists():
            read = {path for _, path in self.workflow.read_files(instance.stage, instance.run)}
            unfinished = [
                f"{other.instance.title} is {other.state}"
                for other in states
                if other.state != "done" and other.instance.manifest(self.layout) in read
            ]
            reasons = unfinished or list_changes_of_summary(instance, self.workflow)
            state.state, state.reason = "stale" if reasons else "done", "; ".join(reasons)
        job = self._cluster_job(instance, "")
        if job is not None and state.state != "done":
            state.running = str(job)
            state.state = "running" if job.state == "RUNNING" else state.state
        elif state.state != "done" and self._has_local_job(instance):
            state.state, state.running, state.reason = "running", _HERE, ""
        return state

    def _has_local_job(self, instance: StageInstance) -> bool:
        """Return whether a job of a stage runs on this machine."""
        parts = [""]
        if instance.stage.is_blockwise:
            count = count_shards(instance, self.workflow)
            shards = (f"_{SHARD}_{index}_of_{count}" for index in range(count))
            parts = [f"_{PLAN}", *shards, f"_{FINISH}"]
        return any(self._job_is_locked(instance, part) for part in parts)

    def _job_is_locked(self, instance: StageInstance, part: str) -> bool:
        return _inode(job_file(instance.log(self.layout, part))) in self.locked

    def _read_progress(self, instance: StageInstance, state: StageState) -> None:
        """Read the progress of a job without blocks from its file."""
        values = read_values(job_file(instance.log(self.layout))) or {}
        if values.get("total"):
            state.blocks, state.done = int(values["total"]), int(values["done"])
            state.seconds_left = values["seconds_left"]

    def _explain_staleness(self, instance: StageInstance, manifest: Mapping[str, Any]) -> str:
        """Return the reasons why a finished stage is stale; empty if it is valid."""
        if "fingerprint" not in manifest:
            return ""
        if not {"parameters", "inputs"} <= manifest.keys():
            return "its manifest is damaged"
        try:
            differences = list_changed_settings(instance, self.workflow, manifest)
        except (AttaccaError, OSError) as error:
            return f"its source cannot be read: {error}"
        inputs = {
            name: self.read_state(upstream)
            for name, upstream in instance.inputs(self.workflow.configuration).items()
        }
        for state in inputs.values():
            label = state.instance.title
            if state.state != "done":
                differences.append(f"{label} is {state.state}")
            elif state.instance.stage in (TRAIN, UNPACK) and self._checkpoint_differs(
                instance, manifest["inputs"]
            ):
                differences.append(f"{label} has another checkpoint")
        finished = {name for name, state in inputs.items() if state.state == "done"}
        differences += list_changed_inputs(instance, self.workflow, manifest, finished)
        return "; ".join(differences)

    def _read_blocks(self, instance: StageInstance, state: StageState) -> None:
        plan = read_plan(instance.plan(self.layout))
        if plan is None:
            return
        blocks = int(plan["blocks"])
        state.blocks = blocks
        ledger = self._ledger(instance, blocks)
        if ledger is None:
            state.state = state.state if state.state == "stale" else "planned"
            return
        if state.state != "stale" or self._is_newer(ledger, instance):
            state.reason = self._void_reason(instance, ledger)
            state.state = "stale" if state.reason else "planned"
        done = ledger.done() if not state.reason else None
        state.done = int(done.sum()) if done is not None else 0
        count = count_shards(instance, self.workflow)
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
                # Waiting shards take as long as running shards, and as many of them run at the same time.
                rate = sum(
                    (shard.blocks - shard.done) / shard.seconds_left
                    for shard in running
                    if shard.seconds_left
                )
                state.seconds_left = max(max(left), (blocks - state.done) / rate) if rate else max(left)
        elif state.state != "stale":
            state.state = "partly done" if state.done else "planned"

    def _is_newer(self, ledger: Ledger, instance: StageInstance) -> bool:
        """Return whether blocks were recorded under another key than that of the manifest, which is written last."""
        manifest = read_values(instance.manifest(self.layout)) or {}
        return any(ledger.parts[key] != manifest.get(key) for key in _KEYS & ledger.parts.keys())

    def _ledger(self, instance: StageInstance, blocks: int) -> Ledger | None:
        """Return the ledger of a stage under the key of its newest file, or None."""
        for directory in instance.arrays(self.layout):
            remote = None
            if is_url(directory):
                manifest = instance.manifest(self.layout)
                remote = str(self.layout.remote_ledgers(manifest, instance.stage.name, instance.volume))
            files = Ledger(directory, {}, blocks, state_directory=remote).files()
            if files:
                newest = max(files, key=lambda file: file.path.stat().st_mtime)
                key: Any = newest.parts or newest.key
                return Ledger(directory, key, newest.num_blocks, state_directory=remote)
        return None

    def _void_reason(self, instance: StageInstance, ledger: Ledger) -> str:
        """Return the reasons why recorded blocks of an unfinished stage are stale."""
        differences: list[str] = []
        parts = ledger.parts
        if parts:
            with suppress(AttaccaError, OSError):
                differences += list_changed_settings(instance, self.workflow, {"parameters": {}, **parts})
            if self._checkpoint_differs(instance, parts.get("inputs", {})):
                network = network_instance(self.workflow.configuration, instance.run)
                differences.append(f"{network.title} has another checkpoint")
            for name, upstream in instance.inputs(self.workflow.configuration).items():
                present = (read_values(upstream.manifest(self.layout)) or {}).get("fingerprint")
                old = parts.get("inputs", {}).get(name)
                state = self.read_state(upstream).state
                # A stage without a manifest may get the same one again.
                if state == "stale" or (state != "done" and present):
                    differences.append(f"{upstream.title} is {state}")
                elif old and present and old != present:
                    differences.append(f"{upstream.title} was recomputed")
        return "; ".join(differences)

    def _checkpoint_differs(self, instance: StageInstance, inputs: Mapping[str, str]) -> bool:
        """Return whether a run predicts with other weights now; predictions depend on the weights alone."""
        old = inputs.get("checkpoint")
        return old is not None and self._checkpoint(instance.run) not in (None, old)

    def _checkpoint(self, run: str) -> str | None:
        """Return the digest of the checkpoint with which a run predicts, or None if it does not exist."""
        training = (read_values(self.layout.training_manifest(run)) or {}).get("result", {})
        config = self.workflow.configuration.runs[run].prediction
        path = self.layout.checkpoints(run) / choose_checkpoint(config, training)
        if path not in self._digests and path.is_file():
            self._digests[path] = digest_file(path)
        return self._digests.get(path)

    def _read_activity(self, instance: StageInstance, ledger: Ledger, shard: ShardState, count: int) -> None:
        if shard.done >= shard.blocks:
            return
        file = ledger.directory / f"shard-{shard.index:05d}-of-{count:05d}.txt"
        job = self._cluster_job(instance, f"_{shard.index}_{count}")
        if job is not None:
            shard.running = str(job) if job.state == "RUNNING" else ""
        elif _inode(file.with_suffix(".lock")) in self.locked or self._job_is_locked(
            instance, f"_shard_{shard.index}_of_{count}"
        ):
            shard.running = _HERE
        if not shard.running:
            if file.exists() and self.now - file.stat().st_mtime < _ACTIVE_SECONDS:
                shard.note = f"last block {self.now - file.stat().st_mtime:.0f} s ago"
            return
        start, before = _read_job_start(instance.log(self.layout, f"_shard_{shard.index}_of_{count}"))
        if start is not None and file.exists():
            elapsed = file.stat().st_mtime - start
            fresh = shard.done - before
            if fresh > 0 and elapsed > 0:
                shard.seconds_left = (shard.blocks - shard.done) * elapsed / fresh

    def _read_training(self, instance: StageInstance, state: StageState) -> None:
        table = self.layout.training_files(instance.run).metrics
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
        rate = _read_last_number(self.layout.training_files(instance.run).timing)
        if active:
            state.running = "wrote its metrics within the last minutes"
            state.seconds_left = (state.blocks - state.done) / rate if rate > 0 else None

    def _may_run_elsewhere(self, instance: StageInstance) -> bool:
        """Return whether a job neither ended in order nor was killed on this machine."""
        values = read_values(job_file(instance.log(self.layout)))
        return values is not None and values.get("host") != socket.gethostname()

    def _cluster_job(self, instance: StageInstance, shard: str) -> ClusterJob | None:
        part = "_shard" if shard else ""
        wildcards = "_".join(item for item in (instance.run, instance.volume) if item)
        job = self.queue.get(f"rule_{instance.stage.name}{part}_wildcards_{wildcards}{shard}")
        return job or self._group_job(instance)

    def _group_job(self, instance: StageInstance) -> ClusterJob | None:
        """Return the job of a stage's group whose turn the stage can be, or None."""
        group = self.groups.name(instance)
        upstream = instance.inputs(self.workflow.configuration).values()
        if group is None or any(self.read_state(item).state != "done" for item in upstream):
            return None
        # The names of the group's rules follow, the first of them in the order of the alphabet.
        names = tuple(f"rule_{group}_{stage.name}" for stage in STAGES)
        return next((job for comment, job in self.queue.items() if comment.startswith(names)), None)


def _read_last_number(table: Path) -> float:
    """Return the last value in the last row of a table; 0 without one."""
    try:
        return float(table.read_text().splitlines()[-1].split("\t")[-1])
    except (OSError, IndexError, ValueError):
        return 0.0


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return -1


def _read_job_start(log: Path) -> tuple[float | None, int]:
    """Return the start time of the job that wrote a log, and the number of its blocks that were done before."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return None, 0
    start, before = None, 0
    for line in lines[:50]:
        match = _START.match(line)
        if match and start is None:
            start = datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S").timestamp()
        resumed = re.search(r"(\d+) of (\d+) blocks are done already", line)
        if resumed:
            before = int(resumed[1])
    return start, before
