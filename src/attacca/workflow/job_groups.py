"""Groups of jobs that a cluster runs as one job, so that fewer jobs wait in its queue one after another.

Snakemake submits the rules of a group together: each starts when the one before it has ended, and all of them in one job
of the cluster. On one machine, groups have no effect. A stage is grouped if one shard computes all of its blocks. If
that is true for each stage of the segmentation, the segmentation of a volume, from fragments to scores, is one group.
So are the import of a volume and its targets, if the workflow has one run.
"""

from collections.abc import Collection
from functools import cached_property

from attacca.jobs.stage import FINISH, PLAN, RUN, SHARD, Scope, Stage, StageInstance
from attacca.stages.agglomerate import AGGLOMERATE
from attacca.stages.classes import CLASSES
from attacca.stages.evaluate import EVALUATE
from attacca.stages.fragments import FRAGMENTS
from attacca.stages.graph import GRAPH
from attacca.stages.registry import STAGES
from attacca.stages.relabel import RELABEL
from attacca.stages.targets import TARGETS
from attacca.stages.volume import VOLUME
from attacca.workflow.workflow import Workflow

SEGMENT = "segment"
"""Name of the group of all stages that segment a volume."""

# One after another: cores and memory of jobs that a group can run at the same time are added up, and may exceed a node.
_SEGMENTING = (FRAGMENTS, GRAPH, AGGLOMERATE, RELABEL, CLASSES, EVALUATE)
_PREPARING = (VOLUME, TARGETS)


class JobGroups:
    """The groups of a workflow.

    Args:
        workflow: the configuration.
        special_rules: rules that have resources of their own (``set-resources`` of the profile): the jobs of a group
            need the same partition, so stages with such a rule are not grouped.
    """

    def __init__(self, workflow: Workflow, special_rules: Collection[str] = ()) -> None:
        self._workflow = workflow
        self._special = set(special_rules)

    def pattern(self, stage: Stage) -> str | None:
        """Return the name of the group of a stage's jobs, with wildcards; None if they are submitted one by one."""
        wildcards = {
            Scope.VOLUME: ["{volume}"],
            Scope.RUN: ["{run}"],
            Scope.RUN_AND_VOLUME: ["{run}", "{volume}"],
            Scope.WORKFLOW: [],
        }[stage.scope]
        if stage in _SEGMENTING and all(map(self._is_one_job, _SEGMENTING)):
            return "_".join([SEGMENT, *wildcards])
        if stage in _PREPARING and self._has_one_run and all(map(self._is_one_job, _PREPARING)):
            return f"{VOLUME.name}_{{volume}}"
        if stage.is_blockwise and self._is_one_job(stage):
            return "_".join([stage.name, *wildcards])
        return None

    def name(self, instance: StageInstance) -> str | None:
        """Return the name of the group of a stage for its run and volume, or None."""
        pattern = self.pattern(instance.stage)
        return pattern and pattern.format(run=instance.run, volume=instance.volume)

    def members(self, instance: StageInstance) -> list[tuple[StageInstance, str]]:
        """Return the stages, with run and volume, and actions of all jobs in the group of a stage; empty without a group."""
        pattern = self.pattern(instance.stage)
        if pattern is None:
            return []
        configuration = self._workflow.configuration
        runs = [instance.run] if instance.run or not self._has_one_run else list(configuration.runs)
        others = [
            StageInstance(other, "" if other.scope is Scope.VOLUME else run, instance.volume)
            for run in runs
            for other in STAGES
            if self.pattern(other) == pattern
        ]
        return [
            (other, action)
            for other in others
            if other in self._instances
            for action in ((PLAN, SHARD, FINISH) if other.stage.is_blockwise else (RUN,))
        ]

    @cached_property
    def _instances(self) -> frozenset[StageInstance]:
        return frozenset(self._workflow.instances())

    @property
    def _has_one_run(self) -> bool:
        return len(self._workflow.configuration.runs) == 1

    def _is_one_job(self, stage: Stage) -> bool:
        if stage.is_blockwise:
            rules = {f"{stage.name}_{action}" for action in (PLAN, SHARD, FINISH)}
        else:
            rules = {stage.name}
        configured = self._workflow.configuration.execution.get_shards(stage.name)
        return (configured == 1 or not stage.is_blockwise) and not rules & self._special
