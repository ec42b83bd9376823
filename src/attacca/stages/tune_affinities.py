"""Chooses how affinities become segments, on validation volumes."""

from typing import Any

from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.jobs.blockwise_stage import scratch_directory
from attacca.jobs.command import StageArguments
from attacca.jobs.opening import open_result, required_volume_array, volume_array
from attacca.segmentation.tuning import TuningVolume, tune
from attacca.stages.ground_truth import convention_of, tuning_volume
from attacca.stages.segmentation_settings import plain, segmentation_block


def tune_affinities(arguments: StageArguments) -> dict[str, Any]:
    """Try every setting of the configuration on every validation volume.

    Returns:
        ``chosen`` (``fragments`` and ``agglomeration`` settings), ``table``, ``criterion``, ``volumes``. Without validation
        volumes, or with settings that leave no choice, the table is empty; without validation volumes the middle of the
        candidates is taken.
    """
    config = SegmentationConfig.model_validate(arguments.parameters["segmentation"])
    evaluation = EvaluationConfig.model_validate(arguments.parameters["evaluation"])
    names = sorted(
        name.removeprefix("prediction.") for name in arguments.inputs if name.startswith("prediction.")
    )
    if not names or config.settled:
        fragments = config.fragment_candidates()[0]
        candidates = config.agglomeration_candidates(fragments)
        chosen = {"fragments": plain(fragments), "agglomeration": plain(candidates[len(candidates) // 2])}
        return {"chosen": chosen, "table": [], "criterion": None, "volumes": names}
    volumes = [_volume(arguments, name, config, evaluation) for name in names]
    block = segmentation_block(volumes[0].prediction, config.block_size)
    with scratch_directory() as scratch:
        result = tune(
            volumes,
            arguments.parameters["task"]["neighborhood"],
            config,
            scratch,
            criterion=config.criterion or evaluation.criterion,
            convention=convention_of(evaluation),
            block_size=block,
            num_workers=arguments.threads,
        )
    return {**result.to_json(), "volumes": names}


def _volume(
    arguments: StageArguments, name: str, config: SegmentationConfig, evaluation: EvaluationConfig
) -> TuningVolume:
    manifest = arguments.inputs[f"volume.{name}"]
    return tuning_volume(
        name,
        open_result(arguments.layout.image(arguments.run, name, "prediction"), "predict"),
        required_volume_array(arguments.layout, name, manifest, "labels"),
        volume_array(arguments.layout, name, manifest, "mask"),
        manifest.result.get("unlabelled"),
        config,
        evaluation,
    )
