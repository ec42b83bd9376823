"""Stage that chooses the settings of the segmentation on validation volumes; test volumes are not read."""

import logging
import sys
from dataclasses import replace
from typing import Any

from attacca.config.run import Configuration
from attacca.jobs.command import StageArguments, stage_main
from attacca.jobs.kept_manifests import keep_manifest, recall_manifest
from attacca.jobs.stage import CostModel, Scope, Stage, StageInstance, plain_values, task_parameters
from attacca.manifest import Manifest
from attacca.stages.predict import PREDICT
from attacca.stages.volume import volume_inputs

logger = logging.getLogger(__name__)


def _inputs(configuration: Configuration, run: str, volume: str) -> dict[str, StageInstance]:
    names = configuration.runs[run].volumes.validation
    predictions = {f"prediction.{name}": StageInstance(PREDICT, run, name) for name in names}
    return {**volume_inputs(names), **predictions}


def _parameters(configuration: Configuration, run: str, volume: str) -> dict[str, Any]:
    config = configuration.runs[run]
    section = {"task": task_parameters(config), "evaluation": plain_values(config.evaluation)}
    if config.task.learned_task.agglomerates:
        section["segmentation"] = plain_values(config.segmentation)
    return section


TUNE = Stage(
    name="tune",
    title="choice of parameters",
    scope=Scope.RUN,
    inputs=_inputs,
    manifest=lambda layout, run, volume: layout.tuning(run),
    parameters=_parameters,
    manifest_is_result=True,
    cost=CostModel(800, 60, 0.4e6, 1.5, bytes_per_fragment=400),
    disk=lambda sizes: (2e5, 10),
)


def work(arguments: StageArguments) -> None:
    """Write ``tuning.json``: every setting that was tried, its scores, and the choice."""
    inputs = {name: given.fingerprint for name, given in sorted(arguments.inputs.items())}
    manifest = Manifest(TUNE.name, TUNE.version, arguments.parameters, inputs)
    known = recall_manifest(arguments.output, manifest.key_parts())
    if known is None:
        manifest = replace(manifest, result=_choose(arguments))
        keep_manifest(manifest, arguments.output, manifest.key_parts())
    else:
        manifest = known
    logger.info("chosen: %s", manifest.result["chosen"])
    manifest.write(arguments.output)


def _choose(arguments: StageArguments) -> dict[str, Any]:
    if "segmentation" in arguments.parameters:
        # deferred: each job needs one of the two.
        from attacca.stages.tune_affinities import tune_affinities

        return tune_affinities(arguments)
    # deferred: each job needs one of the two.
    from attacca.stages.tune_classes import tune_classes

    return tune_classes(arguments)


if __name__ == "__main__":
    sys.exit(stage_main(TUNE, work))
