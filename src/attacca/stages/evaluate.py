"""Stage that compares a segmentation with labels, block by block."""

import logging
import math
import sys
from collections.abc import Sequence
from typing import Any

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.atomic import write_json
from attacca.config.evaluation import EvaluationConfig, RunLengthConfig
from attacca.config.export import SKELETON_BYTES_PER_VOXEL
from attacca.config.run import Configuration, RunConfig
from attacca.config.task import TaskConfig
from attacca.config.tasks import read_task_config
from attacca.errors import MissingInputError
from attacca.export.swc_files import digest_swc_files
from attacca.jobs.open_results import open_result, required_volume_array, volume_array
from attacca.jobs.stage import SHARD, CostModel, Scope, Stage, StageInstance, plain_values, task_parameters
from attacca.jobs.stage_main import StageArguments, stage_main
from attacca.kernel_compilation import announce_compilation
from attacca.manifest import Manifest
from attacca.progress import Progress
from attacca.stages.classes import CLASSES
from attacca.stages.relabel import RELABEL
from attacca.stages.volume import VOLUME

logger = logging.getLogger(__name__)

_DEFAULT_BLOCK_VOXELS = 1 << 23

_LARGEST_BOX = 1 << 30
"""Voxels of the largest bounding box of an object that is assumed for skeletons."""


def segmentation_stage(task: TaskConfig) -> Stage:
    """Return the stage that writes the segmentation of a task."""
    return RELABEL if task.agglomerates else CLASSES


def _inputs(configuration: Configuration, run: str, volume: str) -> dict[str, StageInstance]:
    segmentation = segmentation_stage(configuration.runs[run].task)
    return {
        "segmentation": StageInstance(segmentation, run, volume),
        "volume": StageInstance(VOLUME, volume=volume),
    }


def _volumes(configuration: Configuration, run: str) -> Sequence[str]:
    volumes = configuration.runs[run].volumes.segmented
    return [name for name in volumes if configuration.volumes[name].has_labels]


def _voxels_at_once(run: RunConfig, voxels: int) -> int:
    size = run.evaluation.block_size
    return min(voxels, math.prod(size) if size else _DEFAULT_BLOCK_VOXELS)


def _bytes_at_once(run: RunConfig, voxels: int) -> float:
    """Return the memory of the bounding box of the largest object, whose skeleton is computed or looked up."""
    run_length = run.evaluation.run_length
    if not run_length:
        return 0.0
    # Along given skeletons, values of the segmentation and of the mask are read.
    per_voxel = 16 if isinstance(run_length, RunLengthConfig) else SKELETON_BYTES_PER_VOXEL
    return per_voxel * min(voxels, _LARGEST_BOX)


def _ids_at_once(run: RunConfig, voxels: float, fragments: float) -> float:
    """Return the number of segments and of true objects, whose sizes are in memory."""
    # A tenth of the fragments is a typical number of objects on each side.
    return 0.2 * fragments


def _parameters(configuration: Configuration, run: str, volume: str) -> dict[str, Any]:
    config = configuration.runs[run]
    evaluation = plain_values(config.evaluation)
    if isinstance(config.evaluation.run_length, RunLengthConfig):
        # A path changes when a project is moved, and the files of a path can change.
        skeletons = config.evaluation.run_length.skeletons
        evaluation["run_length"]["skeletons"] = digest_swc_files(skeletons, volume)
    return {"task": task_parameters(config, "evaluator"), "evaluation": evaluation}


EVALUATE = Stage(
    name="evaluate",
    version=3,
    title="scores",
    scope=Scope.RUN_AND_VOLUME,
    inputs=_inputs,
    volumes=_volumes,
    manifest=lambda layout, run, volume: layout.scores(run, volume),
    parameters=_parameters,
    contents=lambda layout, run, volume: [str(layout.evaluation(run, volume))],
    manifest_is_result=True,
    is_final=True,
    has_processes=True,
    # Measured with 2 * 10^7 pairs of 7 * 10^6 ids: 700 MB.
    cost=CostModel(
        350,
        80,
        1.0e7,
        1,
        bytes_per_fragment=60,
        fragments_at_once=_ids_at_once,
        voxels_at_once=_voxels_at_once,
        bytes_at_once=_bytes_at_once,
    ),
    # A pair of ids per fragment: compressed in the tables of blocks, uncompressed in the sums of shards and in their sum.
    disk=lambda sizes: (1e4 + sizes.fragments * (16 + 2 * 24), 5),
    block_setting="evaluation.block_size",
)


def work(arguments: StageArguments) -> None:
    """Compare the blocks of a shard; or write ``scores.json``: every score with its direction, bounds and convention."""
    # deferred: the Snakefile does not need numba.
    from attacca.evaluators import InstanceConvention, scores_to_json
    from attacca.evaluators.class_objects import score_class_objects
    from attacca.tasks import create_task

    layout, run, volume = arguments.layout, arguments.run, arguments.volume
    segmentation_manifest, volume_manifest = arguments.inputs["segmentation"], arguments.inputs["volume"]
    task = read_task_config(arguments.parameters["task"])
    config = EvaluationConfig.model_validate(arguments.parameters["evaluation"])
    evaluator = create_task(task).create_evaluator(config, volume_manifest.result.get("unlabelled"))
    segmentation = open_result(StageInstance(segmentation_stage(task), run, volume), layout)
    ground_truth = required_volume_array(layout, volume, volume_manifest, "labels")
    mask = volume_array(layout, volume, volume_manifest, "mask")
    manifest = Manifest(
        EVALUATE.name,
        EVALUATE.version,
        arguments.parameters,
        {name: given.fingerprint for name, given in arguments.inputs.items()},
    )
    progress = Progress(
        f"{EVALUATE.name} {arguments.label}", total=0, interval=arguments.execution.progress_interval
    )
    announce_compilation(progress.name)
    block_size = None
    if config.block_size is not None:
        block_size = [n * size for n, size in zip(config.block_size, segmentation.voxel_size)]
    directory = layout.evaluation(run, volume)
    directory.mkdir(exist_ok=True)
    identifier = LocalArrayIdentifier(segmentation.file_name, segmentation.dataset)
    options: dict[str, Any] = {
        "mask": mask,
        "block_size": block_size,
        "key": manifest.key_parts(),
        "num_workers": arguments.threads,
        "progress": progress,
        "retries": arguments.execution.retries,
        "timeout": arguments.execution.block_timeout,
        "scheduler_address": arguments.execution.scheduler_address,
    }
    if arguments.action == SHARD:
        evaluator.compare_shard(identifier, ground_truth, directory, arguments.shard, **options)
        progress.finish()
        write_json(arguments.output, {"stage": EVALUATE.name, "shard": list(arguments.shard)})
        return
    scores = evaluator.evaluate_blockwise(identifier, ground_truth, directory, **options)
    more: list[dict[str, Any]] = []
    if config.objects_of:
        sides = [
            (name, evaluator.open_sides(name, identifier, ground_truth, mask)) for name in config.objects_of
        ]
        convention = InstanceConvention.from_config(config)
        del options["mask"]
        more += scores_to_json(
            score_class_objects(sides, directory, convention, config.iou_thresholds, **options)
        )
    if config.run_length:
        more += _compute_run_lengths(arguments, config.run_length, segmentation, ground_truth, mask)
    details: dict[str, Any] = {}
    if scores.findings is not None:
        details["findings"] = scores.findings.to_json()
    if scores.regions:
        details["regions"] = {
            "convention": scores.criterion("voi").convention,
            "sizes": [size.to_json() for size in scores.regions],
        }
    if scores.coverage is not None and scores.coverage.differs:
        details["warnings"] = [scores.coverage.describe()]
        logger.warning("%s: %s", arguments.label, scores.coverage.describe())
    write_json(
        arguments.output,
        {
            **manifest.to_json(),
            "run": run,
            "volume": volume,
            "scores": [*scores_to_json(scores), *more],
            "segmentation": dict(segmentation_manifest.result),
            **details,
        },
    )
    progress.finish()


def _compute_run_lengths(
    arguments: StageArguments,
    config: RunLengthConfig | bool,
    segmentation: ZarrArray,
    ground_truth: LocalArrayIdentifier,
    mask: LocalArrayIdentifier | None,
) -> list[dict[str, Any]]:
    """Return the scores along skeletons of the ground truth, or in files, as plain values."""
    # deferred: loads libraries of the extra 'export'
    from attacca.evaluators import scores_to_json
    from attacca.evaluators.run_lengths import GIVEN, score_run_lengths
    from attacca.export.swc import read_skeletons
    from attacca.export.true_skeletons import measure_given_run_lengths, measure_run_lengths

    counted = None if mask is None else ZarrArray.open_from_array_identifier(mask)
    if isinstance(config, RunLengthConfig):
        directory, volume = arguments.sources.skeletons, arguments.volume
        assert directory is not None, "the start of the workflow passes the directory"
        if digest_swc_files(directory, volume) != str(config.skeletons):
            raise MissingInputError(
                f"the SWC files in {directory / volume} were changed after the start of the workflow",
                fix="start the workflow again",
            )
        skeletons = read_skeletons(directory, volume, config.unit)
        table = measure_given_run_lengths(skeletons, segmentation, counted)
        return scores_to_json(score_run_lengths(table, GIVEN))
    labels = ZarrArray.open_from_array_identifier(ground_truth)
    unlabelled = arguments.inputs["volume"].result.get("unlabelled")
    return scores_to_json(score_run_lengths(measure_run_lengths(segmentation, labels, unlabelled, counted)))


if __name__ == "__main__":
    sys.exit(stage_main(EVALUATE, work))
