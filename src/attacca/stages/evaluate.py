"""Compares a segmentation with labels, block by block."""

import sys

from attacca.arrays import LocalArrayIdentifier
from attacca.atomic import write_json
from attacca.config.evaluation import EvaluationConfig
from attacca.config.tasks import read_task_config
from attacca.evaluators import TableEvaluator, scores_to_json
from attacca.jobs.command import StageArguments, stage_main
from attacca.jobs.opening import open_result, required_volume_array, volume_array
from attacca.manifest import Manifest
from attacca.progress import Progress
from attacca.tasks import create_task
from attacca.workflow.catalogue import entry

VERSION = entry("evaluate").version


def work(arguments: StageArguments) -> None:
    """Write ``scores.json``: every score with its direction, bounds and convention."""
    layout, run, volume = arguments.layout, arguments.run, arguments.volume
    segmentation_manifest, volume_manifest = arguments.inputs["segmentation"], arguments.inputs["volume"]
    task = create_task(read_task_config(arguments.parameters["task"]))
    config = EvaluationConfig.model_validate(arguments.parameters["evaluation"])
    evaluator = task.create_evaluator(config, volume_manifest.result.get("unlabelled"))
    segmentation = open_result(layout.image(run, volume, "segmentation"), "relabel")
    ground_truth = required_volume_array(layout, volume, volume_manifest, "labels")
    mask = volume_array(layout, volume, volume_manifest, "mask")
    manifest = Manifest(
        "evaluate",
        VERSION,
        arguments.parameters,
        {name: given.fingerprint for name, given in arguments.inputs.items()},
    )
    progress = Progress(
        f"evaluate {arguments.label}", total=0, interval=arguments.execution.progress_interval
    )
    options = {}
    if isinstance(evaluator, TableEvaluator) and config.block_size is not None:
        options["block_size"] = [n * size for n, size in zip(config.block_size, segmentation.voxel_size)]
    directory = arguments.output.parent / "evaluation"
    directory.mkdir(exist_ok=True)
    scores = evaluator.evaluate_blockwise(
        LocalArrayIdentifier(segmentation.file_name, segmentation.dataset),
        ground_truth,
        directory,
        mask=mask,
        key=manifest.key_parts(),
        num_workers=arguments.threads,
        progress=progress,
        **options,
    )
    write_json(
        arguments.output,
        {
            **manifest.to_json(),
            "run": run,
            "volume": volume,
            "scores": scores_to_json(scores),
            "segmentation": dict(segmentation_manifest.result),
        },
    )
    progress.finish()


if __name__ == "__main__":
    sys.exit(stage_main("evaluate", work))
