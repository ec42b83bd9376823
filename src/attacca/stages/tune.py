"""Chooses the settings of the segmentation on the validation volumes; test volumes are never looked at."""

import logging
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.tasks import read_task_config
from attacca.jobs.command import StageArguments, stage_main
from attacca.jobs.finished_work import keep, recall
from attacca.jobs.opening import open_result, required_volume_array, volume_array
from attacca.manifest import Manifest
from attacca.progress import Progress
from attacca.tasks import create_task
from attacca.tasks.tuner import ValidationPrediction
from attacca.workflow.catalogue import entry

VERSION = entry("tune").version
logger = logging.getLogger(__name__)


def work(arguments: StageArguments) -> None:
    """Write ``tuning.json``: each setting that was tried, its scores, and the choice."""
    inputs = {name: given.fingerprint for name, given in sorted(arguments.inputs.items())}
    manifest = Manifest("tune", VERSION, arguments.parameters, inputs)
    known = recall(arguments.output, manifest.key_parts())
    if known is None:
        manifest = replace(manifest, result=_choose(arguments))
        keep(manifest, arguments.output, manifest.key_parts())
    else:
        manifest = known
    logger.info("chosen: %s", manifest.result["chosen"])
    manifest.write(arguments.output)


def _choose(arguments: StageArguments) -> dict[str, Any]:
    task = create_task(read_task_config(arguments.parameters["task"]))
    evaluation = EvaluationConfig.model_validate(arguments.parameters["evaluation"])
    section = arguments.parameters.get("segmentation")
    segmentation = None if section is None else SegmentationConfig.model_validate(section)
    names = sorted(
        name.removeprefix("prediction.") for name in arguments.inputs if name.startswith("prediction.")
    )
    progress = Progress(
        f"tune {arguments.run}", 0, "settings", interval=arguments.execution.progress_interval
    )
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


def _validation_prediction(arguments: StageArguments, name: str) -> ValidationPrediction:
    layout, manifest = arguments.layout, arguments.inputs[f"volume.{name}"]
    return ValidationPrediction(
        name,
        open_result(layout.image(arguments.run, name, "prediction"), "predict"),
        required_volume_array(layout, name, manifest, "labels"),
        volume_array(layout, name, manifest, "mask"),
        manifest.result.get("unlabelled"),
    )


if __name__ == "__main__":
    sys.exit(stage_main("tune", work))
