"""Inputs, outputs, logs and parameters of the Snakemake rules of each stage."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attacca.jobs.stage import FINISH, PLAN, RUN, SHARD, Scope, Stage
from attacca.workflow.job_groups import JobGroups
from attacca.workflow.rerun_triggers import RerunTriggers
from attacca.workflow.rule_functions import Function, store_signature
from attacca.workflow.workflow import ALL_STAGES, Wildcards, Workflow, read_wildcards

_NO_RUN = "(?!)"


class StageRules:
    """Patterns and functions for the rules of one stage.

    Args:
        stage: the stage.
        workflow: the configuration.
        triggers: files that make Snakemake rerun stale stages.
        groups: jobs that a cluster runs as one.
    """

    def __init__(self, stage: Stage, workflow: Workflow, triggers: RerunTriggers, groups: JobGroups) -> None:
        self.stage = stage
        self.group = groups.pattern(stage)
        self.workflow = workflow
        self.triggers = triggers
        self._layout = workflow.layout
        self._wildcards = {
            Scope.WORKFLOW: ("", ""),
            Scope.VOLUME: ("", "{volume}"),
            Scope.RUN: ("{run}", ""),
            Scope.RUN_AND_VOLUME: ("{run}", "{volume}"),
        }[stage.scope]
        runs = [name for name, run in workflow.configuration.runs.items() if stage.applies(run)]
        # Two stages write segmentations: a run has one of them.
        self._constrained_run = f"{{run,{'|'.join(runs) or _NO_RUN}}}"

    @property
    def reads(self) -> dict[str, Function]:
        """Inputs of the first rule: the rerun trigger and the manifests that the stage reads."""
        return {
            "trigger": store_signature(self._trigger),
            "manifests": store_signature(self._read_manifests),
        }

    @property
    def planned(self) -> str:
        """Pattern of the plan, as an input."""
        return str(self._layout.plan(self._manifest))

    @property
    def computed(self) -> Function:
        """Files of all shards, as inputs."""

        def list_shards(wildcards: Wildcards) -> list[str]:
            run, volume = read_wildcards(wildcards)
            count = self.workflow.shards(self.stage, run, volume)
            manifest = self.stage.manifest(self._layout, run, volume)
            return [str(self._layout.shard(manifest, shard, count)) for shard in range(count)]

        return list_shards

    @property
    def prepared(self) -> Function:
        """Files of all shards of a stage that needs none, as inputs; empty with one shard."""

        def list_shards(wildcards: Wildcards) -> list[str]:
            files: list[str] = self.computed(wildcards)
            return files if len(files) > 1 else []

        return list_shards

    @property
    def plan(self) -> str:
        """Pattern of the plan, as an output."""
        return self._constrain(self.planned)

    @property
    def shard(self) -> str:
        """Pattern of the file of a shard, as an output."""
        return self._constrain(str(self._layout.shard(self._manifest)))

    @property
    def manifest(self) -> str:
        """Pattern of the manifest, as an output."""
        return self._constrain(str(self._manifest))

    def log(self, action: str = "") -> str:
        """Return the pattern of the log of the rule with an action."""
        return str(self._layout.log(*self._wildcards, self._job_name(action)))

    def benchmark(self, action: str = "") -> str:
        """Return the pattern of the benchmark of the rule with an action."""
        return str(self._layout.benchmark(*self._wildcards, self._job_name(action)))

    @property
    def params(self) -> dict[str, Any]:
        """Parameters of all rules of the stage."""
        return {
            "stage": self.stage.name,
            "parameters": store_signature(self._section),
            "manifests": store_signature(self._name_manifests),
            "job": store_signature(self._job_options),
        }

    @property
    def _manifest(self) -> Path:
        return self.stage.manifest(self._layout, *self._wildcards)

    def _constrain(self, pattern: str) -> str:
        return pattern.replace("{run}", self._constrained_run)

    def _job_name(self, action: str) -> str:
        wildcards = "_{shard}_of_{shards}" if action == SHARD else ""
        return "_".join(filter(None, (self.stage.name, action))) + wildcards

    def _job_options(self, wildcards: Wildcards, output: Sequence[str]) -> list[str]:
        """Return the action of a job, and the options that select its part of the work."""
        values = dict(wildcards.items())
        options = [f"--{key}={values[key]}" for key in ("run", "volume") if key in values]
        if "shard" in values:
            return [SHARD, *options, f"--shard={values['shard']}/{values['shards']}"]
        if not self.stage.is_blockwise:
            return [RUN, *options]
        return [PLAN if str(output[0]).endswith(".plan.json") else FINISH, *options]

    def _section(self, wildcards: Wildcards) -> str:
        # Snakemake keeps the parameters of all jobs: those of a stage's shards are one object.
        return sys.intern(self.workflow.section(self.stage, *read_wildcards(wildcards)))

    def _name_manifests(self, wildcards: Wildcards, input: Sequence[str]) -> list[str]:
        # Snakemake does not compare parameters that depend on the input: they contain absolute paths.
        files = self.workflow.read_files(self.stage, *read_wildcards(wildcards))
        return [sys.intern(f"{name}={path}") for name, path in files]

    def _trigger(self, wildcards: Wildcards) -> str:
        return self.triggers.trigger(self.stage, *read_wildcards(wildcards))

    def _read_manifests(self, wildcards: Wildcards) -> list[str]:
        return [str(path) for _, path in self.workflow.read_files(self.stage, *read_wildcards(wildcards))]


class WorkflowRules:
    """The rules of all stages, as attributes with the names of the stages.

    Args:
        workflow: the configuration.
        triggers: files that make Snakemake rerun stale stages.
        groups: jobs that a cluster runs as one.
    """

    def __init__(self, workflow: Workflow, triggers: RerunTriggers, groups: JobGroups) -> None:
        self._stages = {stage.name: StageRules(stage, workflow, triggers, groups) for stage in ALL_STAGES}

    def __getattr__(self, name: str) -> StageRules:
        try:
            return self._stages[name]
        except KeyError:
            raise AttributeError(name) from None
