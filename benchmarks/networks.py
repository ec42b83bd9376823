"""Loss and scores of networks against CPU seconds of training, on sections of FIB-25 and on synthetic tissue.

    python benchmarks/networks.py train --network "full 12-24-48, batch" --seed 1 --steps 800 --output results/networks
    python benchmarks/networks.py train --data tissue --network "full 8-24-48, batch" --steps 500 --output results/tissue
    python benchmarks/networks.py train --network all --seed 1 2 3 --steps 2000 --output results/networks
    python benchmarks/networks.py train --network "full 12-24-48, batch" --sections 0:70 70:90 90:170 --one-way \
        --augmentation "no elastic" --steps 2000 --output results/slab
    python benchmarks/networks.py table --output results/networks > benchmarks/networks.txt
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python benchmarks/networks.py speed

``train`` trains ``NETWORKS`` with task and augmentation of ``examples/fib25`` (or of ``config.yaml``), in one thread and one
process, so that the CPU seconds include the preparation of samples: the workflow runs the two in two processes on two cores.
The learning rate follows the schedule of the configuration. The averaged weights then predict two volumes that were not
used in the training: sections 100 to 134 and 135 to 169 of FIB-25, or the volumes for validation and test of
``config.yaml``. The tuner chooses the segmentation on one of them, and the other one is scored with it. Scores are means
over both directions, ``best VOI`` is the score with the settings that are best on the scored volume itself. The loss is
the balanced cross-entropy of the affinities, without shape descriptors, as a mean over both volumes. ``--one-way``
scores the second volume only. ``--sections`` chooses other sections of FIB-25.

``speed`` prints CPU seconds of optimizer steps and voxels per CPU second, with random data in one thread. The variables
above make it use the instructions of a CPU without AVX-512.

``table`` lists all trained networks, with means of their seeds, and draws losses and VOI against CPU seconds beside the
table. Scores of one seed differ by up to 0.25 bits from those of another one. Compare at least three seeds. The training
loss does not rank networks with samples of different sizes: voxels near the faces of a sample, which have less context,
have a higher loss.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

# Set before the import of numpy, which reads them.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402
from funlib.geometry import Coordinate, Roi  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from network_tables import draw_results, print_table  # noqa: E402

from attacca.architectures.operations import count_flops  # noqa: E402
from attacca.architectures.unet import UNet  # noqa: E402
from attacca.arrays import NumpyArray, ZarrArray  # noqa: E402
from attacca.config.architecture import UNetConfig  # noqa: E402
from attacca.config.evaluation import EvaluationConfig  # noqa: E402
from attacca.config.load import load_configuration  # noqa: E402
from attacca.config.prediction import PredictionConfig  # noqa: E402
from attacca.config.training import (  # noqa: E402
    ElasticConfig,
    GammaConfig,
    IntensityAugmentConfig,
    NoiseConfig,
    OptimizerConfig,
)
from attacca.config.volumes import RoiConfig  # noqa: E402
from attacca.freed_memory import keep_freed_memory  # noqa: E402
from attacca.model import Model  # noqa: E402
from attacca.prediction import Network  # noqa: E402
from attacca.prediction.tiles import TiledNetwork  # noqa: E402
from attacca.segmentation.tuning import tune  # noqa: E402
from attacca.segmentation.tuning_volume import TuningVolume  # noqa: E402
from attacca.tasks import create_task  # noqa: E402
from attacca.training import TrainingJob, TrainingVolume  # noqa: E402
from attacca.training.loop import choose_intensity, estimate_class_counts  # noqa: E402
from attacca.training.pipeline import SamplePipeline, SampleSpec  # noqa: E402
from attacca.training.state import TrainingState  # noqa: E402
from attacca.training.training_device import TrainingDevice  # noqa: E402
from training import CONFIGURATIONS, import_volume  # noqa: E402

_HALF = (2, 2, 2)
_FULL: dict[str, Any] = {"skip": "add", "input_shape": (40, 40, 40)}
_STEM: dict[str, Any] = {"stem": _HALF, "num_out_fmaps": 8, "skip": "add", "input_shape": (48, 48, 48)}
_THREE: dict[str, Any] = {"downsample_factors": (_HALF,) * 3}
_BATCH: dict[str, Any] = {"normalization": "batch"}
_LSDS: dict[str, Any] = {"lsds": True, "num_lsd_voxels": 8}
_RATE_2 = {"learning_rate": 2e-3}
_RATE_4 = {"learning_rate": 4e-3}
_MUON = {"type": "muon", "learning_rate": 2e-2}
NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "full 12-24-48": ({**_FULL, "channels": (12, 24, 48)}, {}, _RATE_2),
    "full 12-24-48, batch": ({**_FULL, **_BATCH, "channels": (12, 24, 48)}, {}, _RATE_4),
    "full 12-24-48, batch, 12e-3": (
        {**_FULL, **_BATCH, "channels": (12, 24, 48)},
        {},
        {"learning_rate": 12e-3},
    ),
    "full 12-24-48, batch, muon": ({**_FULL, **_BATCH, "channels": (12, 24, 48)}, {}, _MUON),
    "full 16-32-96, batch, muon": ({**_FULL, **_BATCH, "channels": (16, 32, 96)}, {}, _MUON),
    "full 24-48-96, batch, muon": ({**_FULL, **_BATCH, "channels": (24, 48, 96)}, {}, _MUON),
    "half 24-48-96, batch, muon": ({**_STEM, **_BATCH, "channels": (24, 48, 96)}, {}, _MUON),
    "full 12-24-48, batch, eroded": (
        {**_FULL, **_BATCH, "channels": (12, 24, 48)},
        {"grow_boundary_iterations": 1},
        _RATE_4,
    ),
    "2 x full 12-24-48, batch": ({**_FULL, **_BATCH, "channels": (12, 24, 48), "members": 2}, {}, _RATE_4),
    "full 8-24-48, batch": ({**_FULL, **_BATCH, "channels": (8, 24, 48)}, {}, _RATE_4),
    "full 12-24-48-64, batch": ({**_FULL, **_THREE, **_BATCH, "channels": (12, 24, 48, 64)}, {}, _RATE_4),
    "full 12-24-48-96, batch, 64": (
        {**_FULL, **_THREE, **_BATCH, "channels": (12, 24, 48, 96), "input_shape": (64, 64, 64)},
        {},
        _RATE_4,
    ),
    "full 16-32-96, batch": ({**_FULL, **_BATCH, "channels": (16, 32, 96)}, {}, _RATE_4),
    "half 24-48": ({**_STEM, "channels": (24, 48), "downsample_factors": (_HALF,)}, {}, _RATE_2),
    "half 24-48-96": ({**_STEM, "channels": (24, 48, 96)}, {}, _RATE_2),
    "half 24-48-96, LSDs": ({**_STEM, "channels": (24, 48, 96)}, _LSDS, _RATE_2),
    "half 24-48-96, batch": ({**_STEM, **_BATCH, "channels": (24, 48, 96)}, {}, _RATE_2),
    "half 24-48-96, batch, 4e-3": ({**_STEM, **_BATCH, "channels": (24, 48, 96)}, {}, _RATE_4),
    "half 32-64-128": ({**_STEM, "channels": (32, 64, 128)}, {}, _RATE_2),
    "half 24-48-96-96": ({**_STEM, **_THREE, "channels": (24, 48, 96, 96)}, {}, _RATE_2),
    "half 24-48-96-96, batch": ({**_STEM, **_THREE, **_BATCH, "channels": (24, 48, 96, 96)}, {}, _RATE_2),
}
"""Architecture, changes of the task, and optimizer of each candidate; batches have two samples, or one of 64 voxels."""

AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "example": {},
    "no elastic": {"elastic": None},
    "strong": {
        "elastic": ElasticConfig(displacement=2.0, probability=0.5, uniform_3d_rotation=True),
        "noise": NoiseConfig(sigma=(0, 0.08)),
        "gamma": GammaConfig(range=(0.6, 1.6)),
        "intensity": IntensityAugmentConfig(scale=(0.7, 1.3), shift=(-0.15, 0.15)),
    },
}
"""Changes of the augmentation of the configuration."""

Sections = dict[str, tuple[int, int]]
SECTIONS: Sections = {"train": (0, 100), "first": (100, 35), "second": (135, 35)}
"""First section and number of sections of each volume of FIB-25."""
TISSUE = {"train": "tissue-train", "first": "tissue-validate", "second": "tissue-test"}
"""Volumes of the default configuration."""


def import_volumes(data: str, directory: Path, sections: Sections) -> dict[str, TrainingVolume]:
    """Import the volume of the training, and the two volumes of the scores."""
    configuration = load_configuration(CONFIGURATIONS[data])
    if data == "default":
        return {
            part: import_volume(configuration.volumes[name], part, directory) for part, name in TISSUE.items()
        }
    volume = next(iter(configuration.volumes.values()))
    size = volume.voxel_size[0]
    volumes = {}
    for name, (first, count) in sections.items():
        roi = RoiConfig(offset=[first * size, 0, 0], shape=[count * size, *volume.roi.shape[1:]])
        volumes[name] = import_volume(volume.model_copy(update={"roi": roi}), name, directory)
    return volumes


def train_network(
    data: str,
    name: str,
    seed: int,
    steps: int,
    output: Path | None = None,
    *,
    sections: Sections = SECTIONS,
    augmentation: str = "example",
    mirrored: bool = False,
    scored: Sequence[str] = ("first", "second"),
) -> dict[str, Any]:
    """Train a network, and score it on two other volumes.

    Args:
        data: configuration of the training.
        name: candidate.
        seed: of weights and samples.
        steps: optimizer steps.
        output: directory to store the predictions in.
        sections: of FIB-25.
        augmentation: changes of the configuration.
        mirrored: predict the mean of mirrored copies.
        scored: volumes whose loss and scores are averaged.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    run: Any = next(iter(load_configuration(CONFIGURATIONS[data]).runs.values()))
    layers, changes, rule = NETWORKS[name]
    architecture = UNetConfig.model_validate(layers)
    task = run.task.model_copy(update={"lsds": False, **changes})
    optimizer = OptimizerConfig.model_validate(rule)
    changed = run.training.augmentation.model_copy(update=AUGMENTATIONS[augmentation])
    settings = {
        "iterations": steps,
        "torch_threads": 1,
        "batch_size": 2 if architecture.input_shape[0] < 64 else 1,
        "optimizer": optimizer,
        "augmentation": changed,
    }
    training = run.training.model_copy(update=settings)
    prediction = run.prediction.model_copy(update={"augmentation": "flips" if mirrored else "none"})
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        volumes = import_volumes(data, directory, sections)
        job = TrainingJob(directory, task, architecture, training, (volumes["train"],), seed=seed)
        raw = ZarrArray.open_from_array_identifier(volumes["train"].raw)
        state = TrainingState(job, TrainingDevice(torch.device("cpu"), torch.float32), raw.dims, 1)
        shapes = tuple(state.model.input_shape), tuple(state.model.output_shape)
        intensity = choose_intensity(training, raw.dtype)
        spec = SampleSpec(job.volumes, task, training, *shapes, intensity, seed)
        spec = replace(spec, class_counts=estimate_class_counts(spec))
        pipeline = SamplePipeline(spec)
        used, batch_seconds = 0.0, 0.0
        curve: list[tuple[float, float]] = []
        for step in range(steps):
            started = time.process_time()
            batch = pipeline.create_batch(step)
            prepared = time.process_time()
            loss, _ = state.step(batch)
            used += time.process_time() - started
            batch_seconds += prepared - started
            curve.append((used, loss))
        pipeline.close()
        with state.use_averaged_weights():
            network = Network.from_task(state.task, state.model, intensity=intensity)
            predictions = {part: predict(network, prediction, volumes[part]) for part in ("first", "second")}
        if output is not None:
            save_predictions(output, predictions, volumes)
        tuned = [
            TuningVolume(part, prediction, open_labels(volumes[part]), unlabelled=volumes[part].unlabelled)
            for part, (prediction, _) in predictions.items()
        ]
        results = tune_each(run, tuned, directory)
        losses = [compute_loss(predictions[part][0], open_labels(volumes[part]), task) for part in scored]
    shape = architecture.input_shape
    return {
        "network": name_variant(name, augmentation, mirrored),
        "seed": seed,
        "steps": steps,
        "seconds per step": (used - batch_seconds) / steps,
        "seconds per batch": batch_seconds / steps,
        "weights": sum(parameter.numel() for parameter in state.chain.parameters()),
        "flops per voxel": count_flops(architecture, shape) / np.prod(shape),
        "context": int(network.context[0]),
        "prediction seconds": sum(seconds for _, seconds in predictions.values()),
        "loss": float(np.mean(losses)),
        **average_scores(results, scored),
        "curve": curve,
    }


def name_variant(network: str, augmentation: str, mirrored: bool) -> str:
    """Return the name of a row of the table."""
    changes = [augmentation] if augmentation != "example" else []
    return ", ".join([network, *changes, *(["mirrored"] if mirrored else [])])


def tune_each(run: Any, volumes: Sequence[TuningVolume], directory: Path) -> dict[str, Any]:
    """Return the scores of all settings of a run, for each volume alone, by its name."""
    return {
        volume.name: tune(
            [volume],
            run.task.neighborhood,
            run.segmentation,
            directory / volume.name,
            evaluation=EvaluationConfig(connected_components=True),
        )
        for volume in volumes
    }


def average_scores(results: dict[str, Any], scored: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the mean scores of the ``scored`` volumes, with the settings of the other one and with their own."""
    others = {"first": "second", "second": "first"}
    # Both tables have the same settings in the same order.
    given = [results[part].table[results[others[part]].chosen["row"]] for part in scored]
    own = [min(results[part].table, key=lambda row: row["voi"]) for part in scored]
    names = ("voi", "voi_split", "voi_merge", "adapted_rand_error")
    return {
        label: {name: float(np.mean([row[name] for row in rows])) for name in names}
        for label, rows in (("score", given), ("best", own))
    }


def save_predictions(
    folder: Path, predictions: dict[str, tuple[NumpyArray, float]], volumes: dict[str, TrainingVolume]
) -> None:
    """Store the affinities, as uint8, and the labels of each volume for ``agglomeration.py``."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, (prediction, _) in predictions.items():
        labels = open_labels(volumes[part])
        values = np.round(prediction[prediction.roi] * 255).astype(np.uint8)
        np.savez_compressed(folder / f"{part}.npz", affinities=values, labels=labels[labels.roi])


def open_labels(volume: TrainingVolume) -> ZarrArray:
    """Open the ground truth of a volume."""
    return ZarrArray.open_from_array_identifier(volume.labels)


def compute_loss(affinities: NumpyArray, labels: ZarrArray, task: Any) -> float:
    """Return the balanced cross-entropy of affinities, (channels, z, y, x) from 0 to 1."""
    predictor = create_task(task.model_copy(update={"lsds": False})).predictor
    data = labels[labels.roi]
    ground_truth = NumpyArray.from_np_array(data, labels.roi, labels.voxel_size, labels.axes)
    mask = NumpyArray.from_np_array((data > 0).astype(np.uint8), labels.roi, labels.voxel_size, labels.axes)
    target = predictor.create_target(ground_truth)
    weight, _ = predictor.create_weight(ground_truth, target, mask)
    predicted = np.clip(affinities[affinities.roi], 1e-4, 1 - 1e-4)
    entropy = -np.where(target[target.roi] > 0, np.log(predicted), np.log(1 - predicted))
    weights = np.broadcast_to(weight[weight.roi], entropy.shape)
    return float((entropy * weights).sum(dtype=np.float64) / weights.sum(dtype=np.float64))


def predict(network: Network, config: Any, volume: Any) -> tuple[NumpyArray, float]:
    """Return the affinities of a volume, and the CPU seconds of their prediction."""
    raw = ZarrArray.open_from_array_identifier(volume.raw)
    tiles = TiledNetwork(network, config, torch.device("cpu"))
    shape = tuple(raw.roi.shape / raw.voxel_size)
    box = ((0,) * len(shape), shape)
    begin, end = tiles.read_box(box)
    read = Roi(
        raw.roi.begin + Coordinate(begin) * raw.voxel_size,
        (Coordinate(end) - Coordinate(begin)) * raw.voxel_size,
    )
    data = network.normalize(raw.read(read, "reflect"))[None]
    affinities = np.empty((len(network.offsets or ()) or network.num_channels, *shape), np.float32)
    started = time.process_time()
    for part, values in tiles.run(data, box):
        affinities[(slice(None), *part)] = values[: len(affinities)]
    seconds = time.process_time() - started
    return NumpyArray.from_np_array(affinities[:9], raw.roi, raw.voxel_size, ["c", *raw.axes]), seconds


def parse_sections(text: str) -> tuple[int, int]:
    """Return the first section and the number of sections of ``FIRST:END``."""
    first, end = map(int, text.split(":"))
    return first, end - first


def print_speeds() -> None:
    """Print the speed of each network, with two samples per step, and a tile of 96 x 96 x 96 voxels with its context.

    The columns of the prediction are a forward pass of torch, and the prediction of the workflow.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    titles = ("network", "context", "sample", "s/step", "training, kvoxel/s", "forward pass", "prediction")
    print("{:28s} {:>7s} {:>6s} {:>7s} {:>18s} {:>12s} {:>10s}".format(*titles))
    for name, (layers, _, _) in NETWORKS.items():
        architecture = UNet(UNetConfig.model_validate(layers))
        model: Any = Model(architecture, torch.nn.Conv3d(architecture.num_out_channels, 19, 1))
        network = Network.from_model(model)
        tile = ((0, 0, 0), (96, 96, 96))
        config = PredictionConfig(tile_size=[96, 96, 96])
        tiles = TiledNetwork(network, config, torch.device("cpu"))
        model = model.to(memory_format=torch.channels_last_3d)
        shape = Coordinate(96, 96, 96) + network.context * 2
        samples, raw = (
            torch.rand(shape).contiguous(memory_format=torch.channels_last_3d)
            for shape in ((2, 1, *architecture.input_shape), (1, 1, *shape))
        )
        with torch.inference_mode():
            forward = min(measure_seconds(model, raw) for _ in range(3))
        tiled = min(measure_seconds(run_tile, tiles, raw[0].numpy(), tile) for _ in range(3))
        model.train()
        step = min(measure_seconds(run_step, model, samples) for _ in range(6))
        print(
            f"{name:28s} {architecture.context[0]:7d} {architecture.input_shape[0]:6d} {step:7.3f} "
            f"{samples.numel() / step / 1e3:18.0f} {96**3 / forward / 1e3:12.0f} {96**3 / tiled / 1e3:10.0f}",
            flush=True,
        )


def run_tile(tiles: TiledNetwork, raw: np.ndarray, tile: Any) -> None:
    """Predict a tile."""
    for _ in tiles.run(raw, tile):
        pass


def run_step(model: Any, samples: torch.Tensor) -> None:
    """Compute the gradients of a loss."""
    model(samples).square().mean().backward()


def measure_seconds(function: Callable[..., Any], *arguments: Any) -> float:
    """Return the CPU seconds of a call."""
    started = time.process_time()
    function(*arguments)
    return time.process_time() - started


def main() -> None:
    """Train networks, print their table, or print their speed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["train", "table", "speed"])
    parser.add_argument(
        "--output", type=Path, default=Path("results/networks"), help="a JSON file per training"
    )
    parser.add_argument("--network", choices=[*NETWORKS, "all"], default="half 24-48-96")
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--steps", type=int, default=800, help="optimizer steps")
    parser.add_argument("--data", choices=["fib25", "tissue"], default="fib25")
    parser.add_argument(
        "--sections",
        nargs=3,
        type=parse_sections,
        metavar="FIRST:END",
        help="of FIB-25, for the training and for both scored volumes",
    )
    parser.add_argument("--augmentation", choices=AUGMENTATIONS, default="example")
    parser.add_argument("--mirrored", action="store_true", help="predict the mean of mirrored copies")
    parser.add_argument("--one-way", action="store_true", help="score the second volume only")
    parser.add_argument(
        "--predictions",
        action="store_true",
        help="store predictions for agglomeration.py beside the JSON files",
    )
    parser.add_argument("--plot", type=Path, default=Path(__file__).with_suffix(".png"))
    arguments = parser.parse_args()
    if arguments.action == "train":
        data = {"fib25": "FIB-25", "tissue": "default"}[arguments.data]
        arguments.output.mkdir(parents=True, exist_ok=True)
        sections = dict(zip(SECTIONS, arguments.sections)) if arguments.sections else SECTIONS
        for network in NETWORKS if arguments.network == "all" else [arguments.network]:
            for seed in arguments.seed:
                name = name_variant(network, arguments.augmentation, arguments.mirrored)
                name = f"{name.replace(', ', '-').replace(' ', '-')}-{seed}-{arguments.steps}"
                predictions = arguments.output / name if arguments.predictions else None
                result = train_network(
                    data,
                    network,
                    seed,
                    arguments.steps,
                    predictions,
                    sections=sections,
                    augmentation=arguments.augmentation,
                    mirrored=arguments.mirrored,
                    scored=("second",) if arguments.one_way else ("first", "second"),
                )
                (arguments.output / f"{name}.json").write_text(json.dumps(result))
        return
    if arguments.action == "speed":
        print_speeds()
        return
    results = [json.loads(path.read_text()) for path in sorted(arguments.output.glob("*.json"))]
    print_table(results)
    draw_results(results, arguments.plot)


if __name__ == "__main__":
    main()
