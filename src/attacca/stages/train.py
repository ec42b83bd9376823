"""Stage that trains the network of a run, or resumes its training."""

import math
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attacca.arrays import LocalArrayIdentifier
from attacca.arrays.damage_notes import clear_damage, read_damage
from attacca.atomic import write_text
from attacca.blockwise.locking import lock_file
from attacca.config.architecture import read_architecture_config
from attacca.config.evaluation import EvaluationConfig
from attacca.config.model_description import digest_of_weights
from attacca.config.run import Configuration
from attacca.config.segmentation import SegmentationConfig
from attacca.config.task import TaskConfig
from attacca.config.tasks import read_task_config
from attacca.config.training import TrainingConfig
from attacca.fingerprint import digest_file
from attacca.freed_memory import keep_freed_memory
from attacca.jobs.open_results import required_volume_array, volume_array
from attacca.jobs.stage import CostModel, ProductSizes, Scope, Stage, StageInstance, plain_values
from attacca.jobs.stage_main import StageArguments, stage_main
from attacca.layout import Layout, TrainingFiles, checkpoint_name
from attacca.manifest import Manifest
from attacca.progress import Progress
from attacca.provenance.machines import describe_machine, note_machine
from attacca.stages.targets import TARGETS
from attacca.stages.volume import volume_inputs

if TYPE_CHECKING:
    from attacca.training import TrainingVolume
    from attacca.training.segmentation_validation import SegmentationValidation

_KEY = "key"
_MISSING = "missing"
"""In place of the digest of a file that does not exist: ``attacca check`` reports it."""
# Weights, their moving average and two moments of the optimizer, four bytes each.
_CHECKPOINT_BYTES = 16
_SNAPSHOT_BYTES = 2


def _parameters(configuration: Configuration, run: str, volume: str) -> dict[str, Any]:
    config = configuration.runs[run]
    training = config.training.deciding()
    for name, sampling in config.training.sampling.items():
        if sampling.points is not None:
            # A path changes when a project is moved, and the file of a path can change.
            training["sampling"][name]["points"] = _digest(sampling.points)
    parts = ["predictor", "loss"]
    if config.training.validation.segmentation_interval is not None:
        parts += ["post_processor", "evaluator"]
    section: dict[str, Any] = {
        "task": plain_values(config.task.keep_parts(*parts)),
        "architecture": plain_values(config.architecture),
        "training": training,
        "volumes": {"train": config.volumes.train, "validate": config.volumes.validation},
        "seed": config.seed,
    }
    if config.training.validation.segmentation_interval is not None:
        # Checkpoints are scored by their segmentations, so the settings of these decide which is best.
        section["evaluation"] = plain_values(config.evaluation.without_details())
        if config.task.agglomerates:
            section["segmentation"] = plain_values(config.segmentation)
    weights = config.task.initial_weights
    if weights is not None and weights.is_relative_to(configuration.results):
        section["task"]["weights"] = weights.relative_to(configuration.results).as_posix()
    elif weights is not None:
        section["task"]["weights"] = digest_of_weights(weights) or _MISSING
    return section


def _digest(path: Path) -> str:
    return digest_file(path) if path.is_file() else _MISSING


def _inputs(configuration: Configuration, run: str, volume: str) -> dict[str, StageInstance]:
    volumes = configuration.runs[run].volumes
    names = [*volumes.train, *volumes.validation]
    targets = {f"targets.{name}": StageInstance(TARGETS, run, name) for name in names}
    return {**volume_inputs(names), **targets}


def _list_pretraining_runs(configuration: Configuration, run: str) -> dict[str, Path]:
    """Return the manifests of the other runs whose weights initialize the network of this run."""
    layout = Layout(configuration.results, configuration.storage)
    weights = configuration.runs[run].task.initial_weights
    if weights is None:
        return {}
    manifests = {}
    for other in configuration.runs:
        if other != run and weights.is_relative_to(layout.training(other)):
            manifests[f"teacher.{other}"] = layout.training_manifest(other)
        elif other != run and weights == layout.model_file(other):
            manifests[f"teacher.{other}"] = layout.model_manifest(other)
    return manifests


def _disk(sizes: ProductSizes) -> tuple[float, float]:
    run = sizes.configuration.runs[sizes.run]
    training, checkpoint = run.training, run.training.checkpoint
    # Besides those that are kept: the best one, and the state between two.
    kept = checkpoint.keep_last + 2
    if checkpoint.keep_every is not None:
        kept += training.iterations // checkpoint.keep_every
    snapshots = training.iterations // (training.snapshot_interval or checkpoint.interval)
    snapshot_bytes = math.prod(run.architecture.input_shape) * _SNAPSHOT_BYTES
    size = kept * sizes.network_parameters * _CHECKPOINT_BYTES + snapshots * snapshot_bytes
    return size, kept + snapshots + 10


TRAIN = Stage(
    name="train",
    title="training",
    scope=Scope.RUN,
    inputs=_inputs,
    other_inputs=_list_pretraining_runs,
    applies=lambda run: run.is_trained,
    manifest=lambda layout, run, volume: layout.training_manifest(run),
    parameters=_parameters,
    # A training deletes all checkpoints but some.
    files=lambda layout, run, volume: [str(layout.checkpoints(run) / "*.pt")],
    contents=lambda layout, run, volume: [str(layout.training(run))],
    cost=CostModel(1600, 0, 1.0e5, 10),
    disk=_disk,
    runs_network=True,
)


def work(arguments: StageArguments) -> None:
    """Write checkpoints and curves, and a manifest that names the checkpoint for the prediction."""
    directory = arguments.layout.training(arguments.run)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with lock_file(directory.with_name(f".{directory.name}.lock"), what=f"the training in {directory}"):
        _train(arguments, directory)


def _train(arguments: StageArguments, directory: Path) -> None:
    # deferred: the Snakefile needs neither torch nor numba.
    from attacca.training import TrainingJob, train

    keep_freed_memory()
    names = arguments.parameters["volumes"]
    section = {key: value for key, value in arguments.parameters.items() if key != "training"}
    training = TrainingConfig.model_validate({**arguments.parameters["training"], **arguments.loaders})
    manifest = Manifest(
        TRAIN.name,
        TRAIN.version,
        {**section, "training": training.deciding()},
        {name: given.fingerprint for name, given in sorted(arguments.inputs.items())},
    )
    take_directory(directory, manifest.fingerprint)
    discard_damaged_checkpoints(arguments.layout.checkpoints(arguments.run))
    task = read_task_config(section["task"])
    if arguments.sources.weights is not None:
        task = task.model_copy(update={"weights": arguments.sources.weights})
    for name, points in arguments.sources.points.items():
        sampling = training.sampling[name].model_copy(update={"points": points})
        training = training.model_copy(update={"sampling": {**training.sampling, name: sampling}})
    validation = tuple(_training_volume(arguments, name) for name in names["validate"])
    scores = _segmentation_validation(task, training, section, validation)
    job = TrainingJob(
        directory=directory,
        task=task,
        architecture=read_architecture_config(section["architecture"]),
        training=training,
        volumes=tuple(_training_volume(arguments, name) for name in names["train"]),
        validation=validation,
        seed=section["seed"],
        class_counts=_class_counts(arguments, names["train"], task),
        validate_segmentation=scores,
        higher_is_better=scores is not None and scores.higher_is_better,
    )
    progress = Progress(
        f"train {arguments.run}",
        total=training.iterations,
        unit="iterations",
        interval=arguments.execution.progress_interval,
        warm_up=1,
    )
    _note_machine(arguments, training, manifest.fingerprint)
    result = train(job, progress)
    latest = checkpoint_name(result["iterations"])
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
    # deferred: the Snakefile does not need torch.
    from attacca.device import choose_device, describe_device
    from attacca.training.checkpoint_directory import iteration_of, list_checkpoints

    note = arguments.layout.training_files(arguments.run).machines
    checkpoints = list_checkpoints(arguments.layout.checkpoints(arguments.run))
    if not checkpoints and not arguments.layout.training_files(arguments.run).recovery.exists():
        # The note belongs to a training whose checkpoints were deleted.
        note.unlink(missing_ok=True)
    elif checkpoints and iteration_of(checkpoints[-1]) >= training.iterations:
        return
    note_machine(note, key, describe_machine(describe_device(choose_device(training.device))))


def take_directory(directory: Path, key: str) -> None:
    """Prepare ``directory`` for the training with a key, and keep a training with another key.

    A training may have taken days, so a changed setting must not delete it. A training with another key is moved to a
    directory beside ``directory``, whose name ends with the first characters of that key. It is moved back when the old
    settings are restored.

    Args:
        directory: directory of the training.
        key: digest of everything that the training depends on.
    """
    own = directory.with_name(f"{directory.name}-{key[:12]}")
    existing = _read_key(directory)
    if existing != key and directory.exists():
        if existing:
            aside = directory.with_name(f"{directory.name}-{existing[:12]}")
            shutil.rmtree(aside, ignore_errors=True)
            os.replace(directory, aside)
        else:
            shutil.rmtree(directory)
    if not directory.exists() and _read_key(own) == key:
        os.replace(own, directory)
    directory.mkdir(parents=True, exist_ok=True)
    write_text(directory / _KEY, key)


def discard_damaged_checkpoints(directory: Path) -> None:
    """Delete the checkpoints that the start of the workflow found damaged or deleted, and all later ones.

    The training then resumes before them, and writes the same checkpoints again.
    """
    damaged = read_damage(str(directory))
    if damaged:
        TrainingFiles(directory.parent).recovery.unlink(missing_ok=True)
    for path in sorted(directory.glob("*.pt")):
        # Names have numbers of eight digits, so that their order is that of the iterations.
        if damaged and path.name >= min(damaged):
            path.unlink()
    clear_damage(str(directory))


def _read_key(directory: Path) -> str:
    path = directory / _KEY
    return path.read_text() if path.is_file() else ""


def _training_volume(arguments: StageArguments, name: str) -> "TrainingVolume":
    # deferred: the Snakefile does not need torch.
    from attacca.training import TrainingVolume

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
        percentiles=manifest.result["arrays"]["raw"].get("percentiles"),
    )


def _segmentation_validation(
    task: TaskConfig,
    training: TrainingConfig,
    section: Mapping[str, Any],
    volumes: "tuple[TrainingVolume, ...]",
) -> "SegmentationValidation | None":
    """Return the scoring of segmentations during training, or None if the configuration has no interval for it."""
    if training.validation.segmentation_interval is None or not volumes:
        return None
    # deferred: the Snakefile does not need numba.
    from attacca.training.segmentation_validation import SegmentationValidation

    segmentation = section.get("segmentation")
    return SegmentationValidation(
        task,
        training,
        EvaluationConfig.model_validate(section["evaluation"]),
        None if segmentation is None else SegmentationConfig.model_validate(segmentation),
        volumes,
    )


def _class_counts(arguments: StageArguments, names: list[str], task: TaskConfig) -> Any:
    """Return the class counts of all training volumes together, from the manifests of their targets."""
    # deferred: the Snakefile does not need numba.
    from attacca.predictors.volume_targets import pack_running_counts, sum_counts
    from attacca.tasks import create_task

    counts = sum_counts(arguments.inputs[f"targets.{name}"].result["counts"] for name in names)
    return pack_running_counts(create_task(task).predictor, counts)


if __name__ == "__main__":
    sys.exit(stage_main(TRAIN, work))
