"""Stage that unpacks the model file that a run applies, in place of a training."""

import sys
from typing import Any

from attacca.blockwise.locking import lock_file
from attacca.config.model_description import read_model_description
from attacca.config.run import Configuration
from attacca.errors import ModelFileError
from attacca.jobs.stage import CostModel, ProductSizes, Scope, Stage, StageInstance
from attacca.jobs.stage_main import StageArguments, stage_main
from attacca.layout import checkpoint_name
from attacca.manifest import Manifest
from attacca.stages.train import TRAIN, discard_damaged_checkpoints, take_directory

_WEIGHT_BYTES = 4


def _parameters(configuration: Configuration, run: str, volume: str) -> dict[str, Any]:
    model = configuration.runs[run].model
    # The digest is the identity of a model file, which may be moved.
    return {"model_digest": model.digest if model is not None else None}


def _disk(sizes: ProductSizes) -> tuple[float, float]:
    return sizes.network_parameters * _WEIGHT_BYTES, 4


UNPACK = Stage(
    name="unpack",
    title="network of a model file",
    scope=Scope.RUN,
    applies=lambda run: not run.is_trained,
    manifest=TRAIN.manifest,
    parameters=_parameters,
    files=TRAIN.files,
    contents=TRAIN.contents,
    cost=CostModel(900, 0, 1e9, 5),
    disk=_disk,
)


def network_instance(configuration: Configuration, run: str) -> StageInstance:
    """Return the stage that writes the checkpoint with which a run predicts."""
    return StageInstance(TRAIN if configuration.runs[run].is_trained else UNPACK, run)


def work(arguments: StageArguments) -> None:
    """Write a checkpoint, and a manifest like that of a training."""
    # deferred: the Snakefile does not need torch.
    from attacca.model_file import unpack_model
    from attacca.prediction import load_model

    directory = arguments.layout.training(arguments.run)
    path = arguments.sources.model
    assert path is not None, "only runs with a model have this stage"
    manifest = Manifest(UNPACK.name, UNPACK.version, arguments.parameters, {})
    directory.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(directory.with_name(f".{directory.name}.lock"), what=f"the network in {directory}"):
        description, digest = read_model_description(path)
        if digest != arguments.parameters["model_digest"]:
            raise ModelFileError(
                f"{path} was replaced after the start of the workflow: found the digest {digest[:12]}, expected "
                f"{arguments.parameters['model_digest'][:12]}",
                fix="start the workflow again",
            )
        take_directory(directory, manifest.fingerprint)
        discard_damaged_checkpoints(arguments.layout.checkpoints(arguments.run))
        iteration = int(description.checkpoint["iteration"])
        checkpoint = arguments.layout.checkpoints(arguments.run) / checkpoint_name(iteration)
        unpack_model(path, checkpoint)
        model, meta = load_model(checkpoint)
    Manifest(
        manifest.stage,
        manifest.version,
        manifest.parameters,
        manifest.inputs,
        {
            "name": description.name,
            "best": {**description.checkpoint, "file": checkpoint.name, "digest": meta.digest},
            "best_file": checkpoint.name,
            "latest_file": checkpoint.name,
            "checkpoint_digest": meta.digest,
            "intensity": description.intensity,
            "class_counts": description.class_counts,
            "iterations": iteration,
            "parameters": sum(parameter.numel() for parameter in model.chain.parameters()),
        },
    ).write(arguments.output)


if __name__ == "__main__":
    sys.exit(stage_main(UNPACK, work))
