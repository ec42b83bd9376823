"""All stages that compute results, in the order in which they run, and their instances in a configuration."""

from attacca.config.run import Configuration
from attacca.jobs.stage import Scope, Stage, StageInstance
from attacca.stages.agglomerate import AGGLOMERATE
from attacca.stages.classes import CLASSES
from attacca.stages.evaluate import EVALUATE
from attacca.stages.export import EXPORT
from attacca.stages.fragments import FRAGMENTS
from attacca.stages.graph import GRAPH
from attacca.stages.objects import OBJECTS
from attacca.stages.predict import PREDICT
from attacca.stages.relabel import RELABEL
from attacca.stages.targets import TARGETS
from attacca.stages.train import TRAIN
from attacca.stages.tune import TUNE
from attacca.stages.volume import VOLUME

STAGES: tuple[Stage, ...] = (
    VOLUME,
    TARGETS,
    TRAIN,
    PREDICT,
    TUNE,
    FRAGMENTS,
    GRAPH,
    AGGLOMERATE,
    RELABEL,
    CLASSES,
    EVALUATE,
    OBJECTS,
    EXPORT,
)
"""Stages in the order of computation. A run has ``fragments`` to ``relabel``, or ``classes``.

The stages ``provenance`` and ``report`` describe the results of these.
"""


def instances(configuration: Configuration) -> list[StageInstance]:
    """Return every stage of a configuration for each of its runs and volumes, in the order of computation."""
    used = dict.fromkeys(
        name for run in configuration.runs.values() for name in [*run.volumes.train, *run.volumes.segmented]
    )
    result = []
    for stage in STAGES:
        if stage.scope is Scope.VOLUME:
            result += [StageInstance(stage, volume=name) for name in used]
    for name, run in configuration.runs.items():
        for stage in STAGES:
            if stage.scope is Scope.VOLUME or not stage.applies(run):
                continue
            if stage.scope is Scope.RUN:
                result.append(StageInstance(stage, name))
            else:
                result += [
                    StageInstance(stage, name, volume) for volume in stage.volumes(configuration, name)
                ]
    return result
