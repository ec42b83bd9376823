"""Loss and scores of networks against CPU seconds of training, on sections of FIB-25.

    python benchmarks/networks.py train --network "half 24-48-96" --seed 1 --seconds 300 --output results/networks
    python benchmarks/networks.py train --network all --seed 1 2 3 --seconds 900 --output results/networks
    python benchmarks/networks.py table --output results/networks > benchmarks/networks.txt
    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 python benchmarks/networks.py speed

``train`` trains ``NETWORKS`` with the task, learning rates and augmentation of ``examples/fib25`` on sections 0 to 99, in
one thread, until the preparation of samples and the optimizer steps together have used so many CPU seconds: the
workflow runs the two in two processes on two cores. The learning rate follows the schedule of the configuration over
CPU seconds instead of iterations, so that each network ends with a small one. The averaged weights then predict
sections 100 to 169. The tuner chooses the segmentation on sections 100 to 119, and scores are those of sections 120 to
169 with it. The loss on these is the balanced cross-entropy of the affinities, without shape descriptors.

``speed`` prints CPU seconds of optimizer steps and voxels per CPU second, with random data in one thread. The variables
above make it use the instructions of a CPU without AVX-512.

``table`` lists all trained networks, and draws the training loss against CPU seconds beside the table. Scores of one
seed differ by up to 0.25 bits from those of another one. Compare at least three seeds.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

# Set before the import of numpy, which reads them.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from funlib.geometry import Coordinate, Roi  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
from attacca.architectures.operations import count_flops  # noqa: E402
from attacca.architectures.unet import UNet  # noqa: E402
from attacca.arrays import NumpyArray, ZarrArray  # noqa: E402
from attacca.config.architecture import UNetConfig  # noqa: E402
from attacca.config.evaluation import EvaluationConfig  # noqa: E402
from attacca.config.load import load_configuration  # noqa: E402
from attacca.config.volumes import RoiConfig  # noqa: E402
from attacca.prediction import Network  # noqa: E402
from attacca.prediction.tiles import TiledNetwork  # noqa: E402
from attacca.segmentation.tuning import TuningVolume, tune  # noqa: E402
from attacca.tasks import create_task  # noqa: E402
from attacca.training import TrainingJob, TrainingVolume  # noqa: E402
from attacca.training.loop import choose_intensity, estimate_class_counts  # noqa: E402
from attacca.training.pipeline import SamplePipeline, SampleSpec  # noqa: E402
from attacca.training.state import TrainingState  # noqa: E402
from attacca.training.training_device import TrainingDevice  # noqa: E402
from training import CONFIGURATIONS, import_volume  # noqa: E402

_HALF = (2, 2, 2)
_STEM: dict[str, Any] = {"stem": _HALF, "num_out_fmaps": 8, "skip": "add", "input_shape": (48, 48, 48)}
_DEEP: dict[str, Any] = {**_STEM, "channels": (24, 48, 96, 96), "downsample_factors": (_HALF,) * 3}
NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "full 12-24-48": ({"input_shape": (40, 40, 40), "channels": (12, 24, 48), "skip": "add"}, {}),
    "half 24-48": ({**_STEM, "channels": (24, 48), "downsample_factors": (_HALF,)}, {}),
    "half 24-48-96": ({**_STEM, "channels": (24, 48, 96)}, {}),
    "half 24-48-96, LSDs": ({**_STEM, "channels": (24, 48, 96)}, {"lsds": True, "num_lsd_voxels": 8}),
    "half 32-64-128": ({**_STEM, "channels": (32, 64, 128)}, {}),
    "half 24-48-96-96": (_DEEP, {}),
    "half 24-48-96-96, 64": ({**_DEEP, "input_shape": (64, 64, 64)}, {}),
    "half 24-48-96 residual": ({**_STEM, "channels": (24, 48, 96), "residual": True}, {}),
}
"""Architecture and changes of the task of each candidate; batches have two samples."""

SECTIONS = {"train": (0, 100), "tune": (100, 20), "test": (120, 50)}
"""First section and number of sections of each volume."""


def import_sections(directory: Path) -> dict[str, TrainingVolume]:
    """Import the sections of each volume."""
    configuration = load_configuration(CONFIGURATIONS["FIB-25"])
    volume = next(iter(configuration.volumes.values()))
    size = volume.voxel_size[0]
    volumes = {}
    for name, (first, count) in SECTIONS.items():
        roi = RoiConfig(offset=[first * size, 0, 0], shape=[count * size, *volume.roi.shape[1:]])
        volumes[name] = import_volume(volume.model_copy(update={"roi": roi}), name, directory)
    return volumes


def train_network(name: str, seed: int, seconds: float) -> dict[str, Any]:
    """Train a network for so many CPU seconds, and score it on other sections."""
    torch.set_num_threads(1)
    run = load_configuration(CONFIGURATIONS["FIB-25"]).runs["affinities"]
    layers, changes = NETWORKS[name]
    architecture = UNetConfig.model_validate(layers)
    task = run.task.model_copy(update={"lsds": False, **changes})
    # The schedule is that of the configuration, with thousandths of the CPU time as iterations.
    training = run.training.model_copy(update={"iterations": 1000, "torch_threads": 1, "batch_size": 2})
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        volumes = import_sections(directory)
        job = TrainingJob(directory, task, architecture, training, (volumes["train"],), seed=seed)
        raw = ZarrArray.open_from_array_identifier(volumes["train"].raw)
        state = TrainingState(job, TrainingDevice(torch.device("cpu"), torch.float32), raw.dims, 1)
        shapes = tuple(state.model.input_shape), tuple(state.model.output_shape)
        intensity = choose_intensity(training, raw.dtype)
        spec = SampleSpec(job.volumes, task, training, *shapes, intensity, seed)
        spec = replace(spec, class_counts=estimate_class_counts(spec))
        pipeline = SamplePipeline(spec)
        used, steps, batch_seconds = 0.0, 0, 0.0
        curve: list[tuple[float, float]] = []
        while used < seconds:
            started = time.process_time()
            batch = pipeline.create_batch(steps)
            prepared = time.process_time()
            state.iteration = int(1000 * used / seconds)
            loss, _ = state.step(batch)
            used += time.process_time() - started
            batch_seconds += prepared - started
            steps += 1
            curve.append((used, loss))
        pipeline.close()
        with state.use_averaged_weights():
            network = Network.from_task(
                state.task, state.model, intensity=(intensity.minimum, intensity.maximum)
            )
            tuned, _ = predict(network, run.prediction, volumes["tune"])
            tested, predicted_seconds = predict(network, run.prediction, volumes["test"])
        evaluation = EvaluationConfig(connected_components=True)
        results = [
            tune(
                [TuningVolume(part, prediction, open_labels(volumes[part]), unlabelled=0)],
                task.neighborhood,
                run.segmentation,
                directory / part,
                evaluation=evaluation,
            )
            for part, prediction in (("tune", tuned), ("test", tested))
        ]
        loss_on_test = compute_loss(tested, open_labels(volumes["test"]), task)
    shape = architecture.input_shape
    return {
        "network": name,
        "seed": seed,
        "steps": steps,
        "seconds per step": (used - batch_seconds) / steps,
        "seconds per batch": batch_seconds / steps,
        "weights": sum(parameter.numel() for parameter in state.chain.parameters()),
        "flops per voxel": count_flops(architecture, shape) / np.prod(shape),
        "context": int(network.context[0]),
        "prediction seconds": predicted_seconds,
        "loss": loss_on_test,
        # Both tables have the same settings in the same order.
        "score": results[1].table[results[0].chosen["row"]],
        "best": results[1].table[results[1].chosen["row"]],
        "curve": curve,
    }


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


def print_speeds() -> None:
    """Print the speed of each network, with two samples per step, in prediction with a block of 96 x 96 x 96 voxels."""
    torch.set_num_threads(1)
    print(
        f"{'network':24s} {'context':>7s} {'sample':>6s} {'s/step':>7s} {'training, kvoxel/s':>18s} {'prediction':>10s}"
    )
    for name, (layers, _) in NETWORKS.items():
        architecture = UNet(UNetConfig.model_validate(layers))
        head = torch.nn.Conv3d(architecture.num_out_channels, 19, 1)
        model: Any = torch.nn.Sequential(architecture, head)
        model = model.to(memory_format=torch.channels_last_3d)
        samples, block = (
            torch.rand(shape).contiguous(memory_format=torch.channels_last_3d)
            for shape in ((2, 1, *architecture.input_shape), (1, 1, 96, 96, 96))
        )
        step = min(measure_seconds(run_step, model, samples) for _ in range(6))
        with torch.inference_mode():
            forward = min(measure_seconds(model, block) for _ in range(3))
        print(
            f"{name:24s} {architecture.context[0]:7d} {architecture.input_shape[0]:6d} {step:7.3f} "
            f"{samples.numel() / step / 1e3:18.0f} {block.numel() / forward / 1e3:10.0f}",
            flush=True,
        )


def run_step(model: Any, samples: torch.Tensor) -> None:
    """Compute the gradients of a loss."""
    model(samples).square().mean().backward()


def measure_seconds(function: Callable[..., Any], *arguments: Any) -> float:
    """Return the CPU seconds of a call."""
    started = time.process_time()
    function(*arguments)
    return time.process_time() - started


def print_table(results: list[dict[str, Any]]) -> None:
    """Print a row for each training."""
    print(
        f"{'network':24s} {'seed':>4s} {'weights':>9s} {'kflop/voxel':>11s} {'context':>7s} {'CPU s':>6s} {'steps':>6s} "
        f"{'s/step':>7s} {'s/batch':>7s} {'predict s':>9s} {'loss':>6s} {'VOI':>6s} {'split':>6s} {'merge':>6s} "
        f"{'ARAND':>6s} {'best VOI':>8s}"
    )
    for row in results:
        score = row["score"]
        print(
            f"{row['network']:24s} {row['seed']:4d} {row['weights']:9d} {row['flops per voxel'] / 1e3:11.1f} "
            f"{row['context']:7d} {row['curve'][-1][0]:6.0f} {row['steps']:6d} {row['seconds per step']:7.3f} "
            f"{row['seconds per batch']:7.3f} {row['prediction seconds']:9.1f} {row['loss']:6.3f} {score['voi']:6.3f} "
            f"{score['voi_split']:6.3f} {score['voi_merge']:6.3f} {score['adapted_rand_error']:6.3f} "
            f"{row['best']['voi']:8.3f}"
        )


def draw_curves(results: list[dict[str, Any]], path: Path) -> None:
    """Draw the loss, a mean over a twentieth of the time, against CPU seconds."""
    matplotlib.use("Agg")
    # deferred: the backend has to be chosen first
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for row in results:
        times, losses = np.array(row["curve"]).T
        edges = np.linspace(0, times[-1], 21)
        bins = np.clip(np.digitize(times, edges) - 1, 0, 19)
        means = [losses[bins == index].mean() for index in range(20)]
        axes.plot((edges[:-1] + edges[1:]) / 2, means, label=f"{row['network']}, seed {row['seed']}")
    axes.set(xlabel="CPU seconds of optimizer steps", ylabel="training loss", yscale="log")
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Train networks, print their table, or print their speed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["train", "table", "speed"])
    parser.add_argument(
        "--output", type=Path, default=Path("results/networks"), help="a JSON file per training"
    )
    parser.add_argument("--network", choices=[*NETWORKS, "all"], default="half 24-48-96")
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument(
        "--seconds", type=float, default=300, help="CPU seconds of samples and optimizer steps"
    )
    parser.add_argument("--plot", type=Path, default=Path(__file__).with_suffix(".png"))
    arguments = parser.parse_args()
    if arguments.action == "train":
        arguments.output.mkdir(parents=True, exist_ok=True)
        for network in NETWORKS if arguments.network == "all" else [arguments.network]:
            for seed in arguments.seed:
                result = train_network(network, seed, arguments.seconds)
                name = f"{network.replace(', ', '-').replace(' ', '-')}-{seed}.json"
                (arguments.output / name).write_text(json.dumps(result))
        return
    if arguments.action == "speed":
        print_speeds()
        return
    results = [json.loads(path.read_text()) for path in sorted(arguments.output.glob("*.json"))]
    print_table(results)
    draw_curves(results, arguments.plot)


if __name__ == "__main__":
    main()
