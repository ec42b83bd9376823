"""Trains the network of a run, or goes on training it."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from attacca.arrays import LocalArrayIdentifier
from attacca.atomic import write_text
from attacca.blockwise.locking import lock_file
from attacca.config.architecture import UNetConfig
from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.tasks import read_task_config
from attacca.config.training import TrainingConfig
from attacca.freed_memory import keep_freed_memory
from attacca.jobs.command import StageArguments, stage_main
from attacca.jobs.opening import required_volume_array, volume_array
from attacca.manifest import Manifest
from attacca.predictors.volume_targets import pack_running_counts, sum_counts
from attacca.progress import Progress
from attacca.provenance.machines import describe_machine, note_machine, training_note
from attacca.tasks import create_task
from attacca.training import TrainingJob, TrainingVolume, train
from attacca.workflow.catalogue import entry

VERSION = entry("train").version
_KEY = "key"


def work(arguments: StageArguments) -> None:
    """Write checkpoints and curves, and a manifest that names the checkpoint to predict with."""
    directory = arguments.layout.training(arguments.run)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(directory.with_name(f".{directory.name}.lock"), what=f"the training in {directory}"):
        _train(arguments, directory)


def _train(arguments: StageArguments, directory: Path) -> None:
    keep_freed_memory()
    names = arguments.parameters["volumes"]
    section = {key: value for key, value in arguments.parameters.items() if key != "training"}
    training = TrainingConfig.model_validate({**arguments.parameters["training"], **arguments.loaders})
    manifest = Manifest(
        "train",
        VERSION,
        {**section, "training": training.deciding()},
        {name: given.fingerprint for name, given in sorted(arguments.inputs.items())},
    )
    take_directory(directory, manifest.fingerprint)
    task = read_task_config(section["task"])
    validation = tuple(_volume(arguments, name) for name in names["validate"])
    scores = _scores(task, training, section, validation)
    job = TrainingJob(
        directory=directory,
        task=task,
        architecture=UNetConfig.model_validate(section["architecture"]),
        training=training,
        volumes=tuple(_volume(arguments, name) for name in names["train"]),
        validation=validation,
        seed=section["seed"],
        class_counts=_class_counts(arguments, names["train"], section["task"]),
        validate_segmentation=scores,
        higher_is_better=scores is not None and scores.higher_is_better,
    )
    progress = Progress(
        f"train {arguments.run}",
        total=training.iterations,
        unit="iterations",
        interval=arguments.execution.progress_interval,
    )
    _note_machine(arguments, training, manifest.fingerprint)
    result = train(job, progress)
    latest = f"iteration_{result['iterations']:08d}.pt"
    best = result["best"] or {"file": latest}
    Manifest(
        manifest.stage,
        manifest.version,
        manifest.parameters,
        manifest.inputs,
        {
            "best": best,
            "best_file": Path(best["file"]).name,
            "latest_file": latest,
            "checkpoint_digest": best.get("digest", ""),
            "intensity": result["intensity"],
            "class_counts": result["class_counts"],
            "iterations": result["iterations"],
            "parameters": result["parameters"],
        },
    ).write(arguments.output)


def _note_machine(arguments: StageArguments, training: TrainingConfig, key: str) -> None:
    from attacca.device import choose_device, describe_device
    from attacca.training.checkpoint_directory import iteration_of, list_checkpoints

    note = training_note(arguments.layout, arguments.run)
    checkpoints = list_checkpoints(arguments.layout.training(arguments.run) / "checkpoints")
    if not checkpoints:
        # Of a training whose checkpoints were deleted.
        note.unlink(missing_ok=True)
    elif iteration_of(checkpoints[-1]) >= training.iterations:
        return
    note_machine(note, key, describe_machine(describe_device(choose_device(training.device))))


def take_directory(directory: Path, key: str) -> None:
    """Make ``directory`` that of the training with this key, and keep what another configuration left there.

    Days of training must not be lost to a changed number: the other training is moved to ``directory`` with the begin
    of its key behind its name, and comes back when the configuration does.
    """
    mine = directory.with_name(f"{directory.name}-{key[:12]}")
    found = _key_of(directory)
    if found != key and directory.exists():
        if found:
            aside = directory.with_name(f"{directory.name}-{found[:12]}")
            shutil.rmtree(aside, ignore_errors=True)
            os.replace(directory, aside)
        else:
            shutil.rmtree(directory)
    if not directory.exists() and _key_of(mine) == key:
        os.replace(mine, directory)
    directory.mkdir(parents=True, exist_ok=True)
    write_text(directory / _KEY, key)


def _key_of(directory: Path) -> str:
    path = directory / _KEY
    return path.read_text() if path.is_file() else ""


def _volume(arguments: StageArguments, name: str) -> TrainingVolume:
    layout, manifest = arguments.layout, arguments.inputs[f"volume.{name}"]
    targets = layout.targets_container(arguments.run, name)
    return TrainingVolume(
        name=name,
        raw=required_volume_array(layout, name, manifest, "raw"),
        labels=required_volume_array(layout, name, manifest, "labels"),
        mask=volume_array(layout, name, manifest, "mask"),
        target=LocalArrayIdentifier(targets, "target/s0"),
        weight=LocalArrayIdentifier(targets, "weight/s0"),
        unlabelled=manifest.result.get("unlabelled"),
    )


def _scores(task: Any, training: TrainingConfig, section: Any, volumes: tuple[TrainingVolume, ...]) -> Any:
    """Scores of segmentations while the network learns, where the configuration asks for them."""
    if training.validation.segmentation_interval is None or not volumes:
        return None
    from attacca.training.segmentation_validation import SegmentationValidation

    segmentation = section.get("segmentation")
    return SegmentationValidation(
        task,
        training,
        EvaluationConfig.model_validate(section["evaluation"]),
        None if segmentation is None else SegmentationConfig.model_validate(segmentation),
        volumes,
    )


def _class_counts(arguments: StageArguments, names: list[str], task: Any) -> Any:
    """Class counts of all training volumes together, from the target stage's manifests."""
    counts = sum_counts(arguments.inputs[f"targets.{name}"].result["counts"] for name in names)
    return pack_running_counts(create_task(read_task_config(task)).predictor, counts)


if __name__ == "__main__":
    sys.exit(stage_main("train", work))
