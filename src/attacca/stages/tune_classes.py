"""Chooses the parameters of a voxel-wise post-processor on validation volumes."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from attacca.arrays import LocalArrayIdentifier
from attacca.config.evaluation import EvaluationConfig
from attacca.errors import ConfigurationError
from attacca.jobs.blockwise_stage import scratch_directory
from attacca.jobs.command import StageArguments
from attacca.jobs.opening import open_result, required_volume_array, volume_array
from attacca.progress import Progress
from attacca.stages.scoring import create_evaluator, default_criterion, higher_is_better, read_task, score_of
from attacca.tasks import create_task


def tune_classes(arguments: StageArguments) -> dict[str, Any]:
    """Try every parameter on every validation volume.

    Returns:
        ``criterion``, ``higher_is_better``, ``table`` (one row for each parameter: its fields and the criterion's
        mean over the volumes), ``chosen`` (the fields of the best, the first of equals) and ``volumes``.

    Raises:
        ConfigurationError: there is no such criterion.
    """
    task_config = read_task(arguments.parameters["task"])
    evaluation = EvaluationConfig.model_validate(arguments.parameters["evaluation"])
    criterion = evaluation.criterion or default_criterion(task_config)
    post_processor = create_task(task_config).post_processor
    volumes = sorted(
        name.removeprefix("prediction.") for name in arguments.inputs if name.startswith("prediction.")
    )
    candidates = candidates_of(post_processor)
    if not volumes or len(candidates) == 1:
        return {
            "criterion": criterion,
            "chosen": asdict(candidates[0] if volumes else _default(post_processor)),
            "table": [],
            "volumes": volumes,
        }
    sums = [0.0] * len(candidates)
    upward = False
    progress = Progress(
        f"tune {arguments.run}",
        len(candidates) * len(volumes),
        "settings",
        interval=arguments.execution.progress_interval,
    )
    with scratch_directory() as scratch:
        for volume in volumes:
            manifest = arguments.inputs[f"volume.{volume}"]
            evaluator: Any = create_evaluator(task_config, evaluation, manifest.result.get("unlabelled"))
            if not any(
                name == criterion or name.endswith(f"__{criterion}") for name in evaluator.score.criteria
            ):
                raise ConfigurationError(
                    f"evaluation.criterion: found '{criterion}', expected one of "
                    + ", ".join(evaluator.score.criteria)
                )
            upward = higher_is_better(evaluator.score, criterion)
            ground_truth = required_volume_array(arguments.layout, volume, manifest, "labels")
            mask = volume_array(arguments.layout, volume, manifest, "mask")
            prediction = open_result(arguments.layout.image(arguments.run, volume, "prediction"), "predict")
            post_processor.set_prediction(LocalArrayIdentifier(prediction.file_name, prediction.dataset))
            for index, parameters in enumerate(candidates):
                place = LocalArrayIdentifier(Path(scratch) / "output.zarr", f"{volume}-{index}")
                output = post_processor.process(parameters, place, num_workers=1)
                scores = evaluator.evaluate_blockwise(
                    output, ground_truth, Path(scratch) / f"{volume}-{index}", mask=mask
                )
                value = score_of(scores, criterion)
                # A setting without a score (nothing was found, say) is worse than any other.
                sums[index] += value if value == value else (-1e9 if upward else 1e9)
                progress.advance(note=f"{criterion} {value:.3f}")
    progress.finish()
    means = [value / len(volumes) for value in sums]
    best = max(range(len(means)), key=lambda index: (means[index] if upward else -means[index], -index))
    return {
        "criterion": criterion,
        "higher_is_better": upward,
        "volumes": volumes,
        "table": [{**asdict(parameters), criterion: mean} for parameters, mean in zip(candidates, means)],
        "chosen": asdict(candidates[best]),
    }


def candidates_of(post_processor: Any) -> list[Any]:
    """Parameters that are tried on validation volumes."""
    if hasattr(post_processor, "tuning_parameters"):
        return list(post_processor.tuning_parameters())
    return list(post_processor.enumerate_parameters())[:1]


def _default(post_processor: Any) -> Any:
    """Without validation volumes: the middle of what would be tried."""
    candidates = candidates_of(post_processor)
    return candidates[len(candidates) // 2]
