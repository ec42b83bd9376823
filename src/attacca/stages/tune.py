"""Stage that chooses the settings of the segmentation on validation volumes; test volumes are not read."""

import logging
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from attacca.config.applied_model import recall_choice
from attacca.config.evaluation import EvaluationConfig
from attacca.config.run import Configuration
from attacca.config.segmentation import SegmentationConfig
from attacca.config.tasks import read_task_config
from attacca.jobs.kept_manifests import keep_manifest, recall_manifest
from attacca.jobs.open_results import open_result, required_volume_array, volume_array
from attacca.jobs.stage import CostModel, Scope, Stage, StageInstance, plain_values, task_parameters
from attacca.jobs.stage_main import StageArguments, stage_main
from attacca.kernel_compilation import announce_compilation
from attacca.manifest import Manifest
from attacca.progress import Progress
from attacca.stages.predict import PREDICT
from attacca.stages.volume import VOLUME, volume_inputs

if TYPE_CHECKING:
    from attacca.tasks.tuner import ValidationPrediction

logger = logging.getLogger(__name__)


def _inputs(configuration: Configuration, run: str, volume: str) -> dict[str, StageInstance]:
    names = configuration.runs[run].volumes.validation
    predictions = {f"prediction.{name}": StageInstance(PREDICT, run, name) for name in names}
    return {**volume_inputs(names), **predictions}


def _parameters(configuration: Configuration, run: str, volume: str) -> dict[str, Any]:
    config = configuration.runs[run]
    # Agglomerations are compared by scores of their own.
    parts = () if config.task.agglomerates else ("predictor", "post_processor", "evaluator")
    section = {
        "task": task_parameters(config, *parts),
        "evaluation": plain_values(config.evaluation.without_details()),
    }
    if config.task.agglomerates:
        section["segmentation"] = plain_values(config.segmentation)
    if not config.is_trained and not config.volumes.validation:
        chosen = recall_choice(config.model, config.task)
        if chosen is not None:
            section["chosen"] = chosen
    return section


TUNE = Stage(
    name="tune",
    version=4,
    title="choice of parameters",
    scope=Scope.RUN,
    inputs=_inputs,
    manifest=lambda layout, run, volume: layout.tuning(run),
    parameters=_parameters,
    manifest_is_result=True,
    cost=CostModel(800, 60, 0.4e6, 1.5, bytes_per_fragment=400),
    disk=lambda sizes: (2e5, 10),
)


def segmentation_inputs(configuration: Configuration, run: str, volume: str) -> dict[str, StageInstance]:
    """Return the inputs of the stage that segments a prediction, by their names in its manifest."""
    return {
        "volume": StageInstance(VOLUME, volume=volume),
        "prediction": StageInstance(PREDICT, run, volume),
        "tuning": StageInstance(TUNE, run),
    }


def work(arguments: StageArguments) -> None:
    """Write ``tuning.json``: each setting that was tried, its scores, and the choice."""
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
    # deferred: the Snakefile does not need numba.
    from attacca.tasks import create_task

    task = create_task(read_task_config(arguments.parameters["task"]))
    evaluation = EvaluationConfig.model_validate(arguments.parameters["evaluation"])
    chosen = arguments.parameters.get("chosen")
    if chosen is not None:
        return {
            "criterion": evaluation.criterion or task.default_criterion,
            "chosen": chosen,
            "table": [],
            "volumes": [],
        }
    section = arguments.parameters.get("segmentation")
    segmentation = None if section is None else SegmentationConfig.model_validate(section)
    names = sorted(
        name.removeprefix("prediction.") for name in arguments.inputs if name.startswith("prediction.")
    )
    progress = Progress(
        f"tune {arguments.run}", 0, "settings", interval=arguments.execution.progress_interval
    )
    announce_compilation(progress.name)
    with TemporaryDirectory(prefix="attacca-") as scratch:
        result = task.create_tuner(evaluation, segmentation).tune(
            [_validation_prediction(arguments, name) for name in names],
            Path(scratch),
            num_workers=arguments.threads,
            progress=progress,
        )
    if progress.total:
        progress.finish()
    return {**result, "volumes": names}


def _validation_prediction(arguments: StageArguments, name: str) -> "ValidationPrediction":
    # deferred: the Snakefile does not need numba.
    from attacca.tasks.tuner import ValidationPrediction

    layout, manifest = arguments.layout, arguments.inputs[f"volume.{name}"]
    return ValidationPrediction(
        name,
        open_result(StageInstance(PREDICT, arguments.run, name), layout),
        required_volume_array(layout, name, manifest, "labels"),
        volume_array(layout, name, manifest, "mask"),
        manifest.result.get("unlabelled"),
    )


if __name__ == "__main__":
    sys.exit(stage_main(TUNE, work))
