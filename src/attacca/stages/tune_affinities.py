"""Chooses how affinities become segments, on validation volumes."""

from typing import Any

from attacca.arrays import ZarrArray
from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.evaluators import InstanceConvention
from attacca.segmentation.tuning import TuningVolume, tune
from attacca.stages.blockwise_stage import scratch_directory
from attacca.stages.command import StageArguments
from attacca.stages.opening import open_result, required_volume_array, volume_array
from attacca.stages.segmentation_settings import plain, segmentation_block
from attacca.stages.truth import rules_of, truth_as_evaluated


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
            convention=InstanceConvention(evaluation.ignore_background, evaluation.unlabelled_prediction),
            block_size=block,
            num_workers=arguments.threads,
        )
    return {**result.to_json(), "volumes": names}


def _volume(
    arguments: StageArguments, name: str, config: SegmentationConfig, evaluation: EvaluationConfig
) -> TuningVolume:
    manifest = arguments.inputs[f"volume.{name}"]
    prediction = open_result(arguments.layout.image(arguments.run, name, "prediction"), "predict")
    labels = required_volume_array(arguments.layout, name, manifest, "labels")
    truth = truth_as_evaluated(labels, prediction, rules_of(evaluation, manifest.result.get("unlabelled")))
    found = volume_array(arguments.layout, name, manifest, "mask") if config.mask else None
    mask = None if found is None else ZarrArray.open_from_array_identifier(found)
    return TuningVolume(name, prediction, truth, mask)
