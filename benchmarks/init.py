"""Scores of configurations that ``attacca init`` proposes, compared with the defaults, on six kinds of data.

    python benchmarks/init.py [--kinds "sparse nuclei" mitochondria] [--minutes 3] [--output FILE] > benchmarks/init.txt

The data are tissue of Attacca, and nuclei of ``tests/proposed_data.py``; each kind is one labeled volume, which ``init``
divides. Both sides have the same volumes and, by the estimate of ``attacca plan``, the same time for the training. The
defaults are those of the configuration's models; a task has the values that it requires: the offsets of ``config.yaml``,
or the names of the classes and a ``scale_factor`` of ten voxels. ``--sides init "other normalization"`` compares networks
with and without batch normalization. The library's functions run in this process, as the stages call them. Scores are of
the test volume.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests"))

import numpy as np  # noqa: E402

from attacca.api import LabeledVolume, evaluate, predict_volume, train  # noqa: E402
from attacca.arrays import LocalArrayIdentifier, ZarrArray  # noqa: E402
from attacca.config.load import load_configuration  # noqa: E402
from attacca.config.run import Configuration, RunConfig  # noqa: E402
from attacca.config.segmentation import AgglomerationSettings, FragmentSettings  # noqa: E402
from attacca.costs.network_cost import training_seconds  # noqa: E402
from attacca.proposal.choices import Machine  # noqa: E402
from attacca.proposal.propose_configuration import propose_configuration  # noqa: E402
from attacca.segmentation.block_size import choose_block_size  # noqa: E402
from attacca.segmentation.pipeline import segment_volume  # noqa: E402
from attacca.tasks import create_task  # noqa: E402
from attacca.tasks.tuner import ValidationPrediction  # noqa: E402
from attacca.volumes.import_volume import import_block, prepare_volume  # noqa: E402
from proposed_data import KINDS, write_kind  # noqa: E402

SCORES = {
    "affinities": ("voi", "f1_iou50", "average_precision"),
    "distance": ("jaccard", "f1_score"),
    "one_hot": ("mean__jaccard", "mean__dice"),
}
OFFSETS = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 0], [0, 3, 0], [0, 0, 3], [9, 0, 0], [0, 9, 0], [0, 0, 9]]


def make_defaults(run: RunConfig, voxel_size: list[int], machine: Machine) -> RunConfig:
    """Return the defaults for the volumes and the kind of task of a proposed run, with as much time for the training."""
    values: dict[str, Any] = {
        "task": {"type": run.task.type},
        "seed": run.seed,
        "volumes": run.volumes.model_dump(),
    }
    dims = len(run.architecture.input_shape)
    if run.task.type == "affinities":
        values["task"]["neighborhood"] = OFFSETS
    elif run.task.type == "distance":
        length = 10 * max(voxel_size)
        values["task"] |= {"channels": list(run.task.class_names), "scale_factor": length}
        values["task"] |= {"clip_distance": run.task.clip_distance, "tol_distance": run.task.tol_distance}
    else:
        values["task"]["classes"] = list(run.task.class_names)
    if dims == 2:
        values["architecture"] = {"input_shape": [64, 64], "downsample_factors": [[2, 2], [2, 2]]}
    values["training"] = {"torch_threads": run.training.torch_threads, "iterations": 1}
    default = RunConfig.model_validate(values)
    steps = training_seconds(run, machine.gpus) / training_seconds(default, machine.gpus)
    values["training"]["iterations"] = max(1, round(steps))
    return RunConfig.model_validate(values)


def change_normalization(run: RunConfig) -> RunConfig:
    """Return the run with batch normalization and twice the learning rate, or without, in about the same time."""
    values = run.model_dump()
    is_batch = values["architecture"]["normalization"] == "batch"
    values["architecture"]["normalization"] = "none" if is_batch else "batch"
    values["training"]["optimizer"]["learning_rate"] = 2e-3 if is_batch else 4e-3
    values["training"]["iterations"] = round(run.training.iterations * (1.25 if is_batch else 0.8))
    return RunConfig.model_validate(values)


def import_volumes(configuration: Configuration, run: RunConfig, directory: Path) -> dict[str, LabeledVolume]:
    """Return the volumes of a run, imported into a directory."""
    volumes = {}
    for name in run.volumes.used:
        config = configuration.volumes[name]
        container = str(directory / f"{name}.zarr")
        plan = prepare_volume(config, container)
        identifiers = {}
        for key, planned in plan.arrays.items():
            identifiers[key] = LocalArrayIdentifier(
                container, f"{'labels/ground_truth' if key == 'labels' else key}/s0"
            )
            array = ZarrArray.open_from_array_identifier(identifiers[key], mode="a")
            array[array.roi] = import_block(config, plan, planned, array.roi)
        volumes[name] = LabeledVolume(
            name, identifiers["raw"], identifiers["labels"], unlabelled=config.unlabelled
        )
    return volumes


def run_once(run: RunConfig, volumes: dict[str, LabeledVolume], directory: Path) -> dict[str, float]:
    """Train, tune on the validation volume, and return the scores of the test volume, with times in seconds."""
    shutil.rmtree(directory, ignore_errors=True)
    started = time.monotonic()
    checkpoint = train(
        [volumes[name] for name in run.volumes.train],
        directory / "training",
        run.task,
        architecture=run.architecture,
        training=run.training,
        validation=[volumes[name] for name in run.volumes.validation],
        seed=run.seed,
    )
    result = {"training seconds": time.monotonic() - started, "iterations": float(run.training.iterations)}
    predictions = {
        name: predict_volume(
            checkpoint, volumes[name].raw, LocalArrayIdentifier(directory / f"{name}.zarr", "s0")
        )
        for name in run.volumes.segmented
    }
    task = create_task(run.task)
    validation = [
        ValidationPrediction(
            name, predictions[name], volumes[name].labels, unlabelled=volumes[name].unlabelled
        )
        for name in run.volumes.validation
    ]
    chosen = task.create_tuner(run.evaluation, run.segmentation).tune(validation, directory / "tuning")[
        "chosen"
    ]
    name = run.volumes.test[0]
    prediction = predictions[name]
    output = LocalArrayIdentifier(directory / "segments.zarr", "s0")
    if run.task.agglomerates:
        block = choose_block_size(prediction, run.segmentation.block_size)
        axes, roi = prediction.spatial_axes, prediction.roi
        array = ZarrArray.create_from_array_identifier(
            output, axes, roi, None, prediction.voxel_size, np.uint64, write_size=block
        )
        segments: Any = segment_volume(
            prediction,
            array,
            run.task.offsets,
            FragmentSettings.model_validate(chosen["fragments"]),
            AgglomerationSettings.model_validate(chosen["agglomeration"]),
            directory / "segmentation",
            block_size=block,
        )
        result["segmented share"] = float((array[array.roi] > 0).mean())
    else:
        task.post_processor.set_prediction(LocalArrayIdentifier(directory / f"{name}.zarr", "s0"))
        parameters = next(p for p in task.post_processor.tuning_parameters() if p.id == chosen["id"])
        segments = task.post_processor.process(parameters, output, 1)
    scores = evaluate(
        segments,
        volumes[name].labels,
        run.task,
        evaluation=run.evaluation,
        unlabelled=volumes[name].unlabelled,
    )
    for score in SCORES[run.task.type]:
        found = scores.find_criteria(score)
        result[score] = float(np.mean([scores.value(item) for item in found]))
    return result


def main() -> None:
    """Print a table row for each kind and side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument(
        "--sides",
        nargs="+",
        choices=["init", "defaults", "other normalization"],
        default=["init", "defaults"],
    )
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument(
        "--output", type=Path, help="directory of data and results; a temporary one by default"
    )
    options = parser.parse_args()
    directory = options.output or Path(tempfile.mkdtemp(prefix="attacca-init-"))
    machine = Machine(cores=2, minutes=options.minutes)
    print(
        f"# {platform.processor() or platform.machine()}, {options.minutes:g} minutes of training by estimate, 1 thread"
    )
    for kind in options.kinds:
        place = directory / kind.replace(" ", "-")
        shutil.rmtree(place, ignore_errors=True)
        path = place / "config.yaml"
        propose_configuration([write_kind(place, kind)], path, machine)
        configuration = load_configuration(path)
        proposed = next(iter(configuration.runs.values()))
        volumes = import_volumes(configuration, proposed, place / "volumes")
        labels = ZarrArray.open_from_array_identifier(volumes[proposed.volumes.test[0]].labels)
        share = float((labels[labels.roi] > 0).mean())
        sides = {"init": proposed, "defaults": make_defaults(proposed, list(labels.voxel_size), machine)}
        sides["other normalization"] = change_normalization(proposed)
        for side in options.sides:
            scores = run_once(sides[side], volumes, place / side)
            text = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
            print(
                f"{kind:20s} {side:20s} {proposed.task.type:10s} labeled share {share:.3f}, {text}",
                flush=True,
            )
            (place / f"{side}.json").write_text(json.dumps(scores, indent=1))


if __name__ == "__main__":
    main()
