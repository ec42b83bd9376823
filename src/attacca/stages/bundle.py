"""Stage that writes the trained network of a run, with the chosen settings, as one portable model file."""

import json
import sys
from typing import Any

from attacca.config.extension import DIGEST
from attacca.config.model_description import (
    OWN_PARTS,
    ExtensionDescription,
    VolumeDescription,
    digest_of_weights,
)
from attacca.config.run import Configuration
from attacca.config.task import PARTS
from attacca.config.training import TrainingConfig
from attacca.extensions import Kind, require_extension
from attacca.jobs.stage import (
    CostModel,
    ProductSizes,
    Scope,
    Stage,
    StageInstance,
    plain_values,
    task_parameters,
)
from attacca.jobs.stage_main import StageArguments, stage_main
from attacca.manifest import Manifest
from attacca.stages.predict import choose_checkpoint
from attacca.stages.train import TRAIN
from attacca.stages.tune import TUNE
from attacca.stages.volume import volume_inputs
from attacca.version import __version__

_WEIGHT_BYTES = 4


def _inputs(configuration: Configuration, run: str, volume: str) -> dict[str, StageInstance]:
    volumes = configuration.runs[run].volumes
    return {
        **volume_inputs([*volumes.train, *volumes.validation]),
        "training": StageInstance(TRAIN, run),
        "tuning": StageInstance(TUNE, run),
    }


def _parameters(configuration: Configuration, run: str, volume: str) -> dict[str, Any]:
    config = configuration.runs[run]
    weights = config.task.initial_weights
    is_external = weights is not None and not weights.is_relative_to(configuration.results)
    return {
        "name": run,
        "about": plain_values(config.about),
        "task": task_parameters(config, *PARTS),
        "prediction": plain_values(config.prediction),
        "segmentation": plain_values(config.segmentation) if config.task.agglomerates else None,
        "evaluation": plain_values(config.evaluation.without_details()),
        "volumes": {"train": config.volumes.train, "validate": config.volumes.validation},
        "derived_from": digest_of_weights(weights) if weights is not None and is_external else None,
    }


BUNDLE = Stage(
    name="bundle",
    title="model file",
    scope=Scope.RUN,
    inputs=_inputs,
    applies=lambda run: run.is_trained,
    manifest=lambda layout, run, volume: layout.model_manifest(run),
    parameters=_parameters,
    files=lambda layout, run, volume: [str(layout.model_file(run))],
    contents=lambda layout, run, volume: [str(layout.model_file(run))],
    is_final=True,
    cost=CostModel(900, 0, 1e9, 5),
    disk=lambda sizes: _disk(sizes),
)


def _disk(sizes: ProductSizes) -> tuple[float, float]:
    return sizes.network_parameters * _WEIGHT_BYTES, 3


def work(arguments: StageArguments) -> None:
    """Write ``model.zip`` of a run, and its manifest."""
    # deferred: the Snakefile does not need torch.
    import torch

    # deferred: loads torch
    from attacca.checkpoint import CheckpointMeta, final_weights, read_checkpoint
    from attacca.config.model_description import ModelDescription, read_model_description
    from attacca.config.prediction import PredictionConfig
    from attacca.model_file import write_model_file

    parameters, layout, run = arguments.parameters, arguments.layout, arguments.run
    training, tuning = arguments.inputs["training"], arguments.inputs["tuning"]
    prediction = PredictionConfig.model_validate(parameters["prediction"])
    checkpoint = layout.checkpoints(run) / choose_checkpoint(prediction, training.result)
    content = read_checkpoint(checkpoint)
    configuration, meta = (
        json.loads(content["configuration"]),
        CheckpointMeta.from_content(content, checkpoint),
    )
    best = training.result["best"]
    is_best = best.get("iteration") == meta.iteration
    chosen = {key: value for key, value in tuning.result.items() if key not in ("chosen", "volumes")}
    volumes = _describe_volumes(arguments)
    parts = {
        name: section
        for name, section in parameters["task"].items()
        if name in PARTS and name not in OWN_PARTS
    }
    description = ModelDescription(
        written_by=f"attacca {__version__}, torch {torch.__version__}",
        name=parameters["name"],
        about=parameters["about"],
        # As in the checkpoint: the digest of the weights includes it.
        task=configuration["task"],
        parts=parts,
        architecture=configuration["architecture"],
        extensions=_list_extensions(parts, configuration),
        voxel_size=configuration["voxel_size"],
        unit=_read_unit(arguments),
        num_in_channels=meta.num_in_channels,
        intensity=meta.intensity,
        class_counts=meta.class_counts,
        prediction=_make_portable(parameters["prediction"]),
        segmentation=parameters["segmentation"],
        evaluation=parameters["evaluation"],
        chosen=tuning.result["chosen"],
        tuning=chosen,
        checkpoint={
            "iteration": meta.iteration,
            **{key: best.get(key) if is_best else None for key in ("criterion", "higher_is_better", "value")},
        },
        training=TrainingConfig.model_validate(training.parameters["training"]).portable(),
        seed=training.parameters["seed"],
        volumes=volumes,
        derived_from=parameters["derived_from"],
        weights_digest=meta.digest,
    )
    path = layout.model_file(run)
    write_model_file(path, description, final_weights(content))
    _, digest = read_model_description(path)
    inputs = {name: given.fingerprint for name, given in sorted(arguments.inputs.items())}
    Manifest(
        BUNDLE.name, BUNDLE.version, parameters, inputs, {"file": path.name, "model_digest": digest}
    ).write(arguments.output)


def _list_extensions(parts: dict[str, Any], configuration: dict[str, Any]) -> list[ExtensionDescription]:
    """Return descriptions of the extensions in the sections of a model."""
    sections = {**configuration["task"], **parts, "architecture": configuration["architecture"]}
    descriptions = []
    kinds: tuple[Kind, ...] = (*PARTS, "architecture")
    for kind in kinds:
        section = sections.get(kind)
        if isinstance(section, dict) and DIGEST in section:
            source = require_extension(kind, section["type"]).source
            descriptions.append(
                ExtensionDescription(
                    kind=kind, name=section["type"], source=source.name, digest=section[DIGEST]
                )
            )
    return descriptions


def _make_portable(prediction: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the prediction without those of the machine: a GPU is used where there is one."""
    return {**prediction, "device": "cpu" if prediction["device"] == "cpu" else "auto"}


def _read_unit(arguments: StageArguments) -> str:
    first = arguments.parameters["volumes"]["train"][0]
    return str(arguments.inputs[f"volume.{first}"].result["arrays"]["raw"]["unit"])


def _describe_volumes(arguments: StageArguments) -> list[VolumeDescription]:
    descriptions = []
    for purpose, names in arguments.parameters["volumes"].items():
        for name in names:
            manifest = arguments.inputs[f"volume.{name}"]
            raw = manifest.result["arrays"]["raw"]
            descriptions.append(
                VolumeDescription(
                    name=name,
                    purpose=purpose,
                    shape=raw["shape"],
                    dtype=raw["dtype"],
                    digest=manifest.fingerprint,
                )
            )
    return descriptions


if __name__ == "__main__":
    sys.exit(stage_main(BUNDLE, work))
