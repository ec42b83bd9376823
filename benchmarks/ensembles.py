"""Scores of the networks of an ensemble, and of the mean affinities of two or more of them.

    python benchmarks/ensembles.py train --sections 0:70 70:90 90:170 --members 4 --steps 2000 --output results/late
    python benchmarks/ensembles.py train --sections 100:170 80:100 0:80 --members 4 --steps 2000 --output results/early
    python benchmarks/ensembles.py score --title "sections 90 to 169" results/late/member-? > benchmarks/ensembles.txt
    python benchmarks/ensembles.py score --title "sections 90 to 169" --grid results/late/member-?
    python benchmarks/ensembles.py draw benchmarks/ensembles.txt

``train`` trains an ensemble with the configuration of ``examples/fib25`` on the first sections, with two threads for
networks and a process for samples. It stores the affinities of each member in the two other volumes, with ``--copies``
means of mirrored copies (``prediction.augmentation``). A second call with the same directory uses the trained networks.

``score`` reads such directories, or those of ``networks.py train --predictions``. The bias of the segmentation is chosen on
the first volume, and the second one is scored; ``best VOI`` is that of the bias which is best on the second volume itself.
All combinations of members are scored, since one of them says little: two seeds differ by 0.1 bits. ``--grid`` prints the
scores of the second volume for each bias and threshold, as means and maxima over the combinations, without a choice on
the first one. ``draw`` writes a picture of the tables in a file beside it.

``python benchmarks/ensembles.py speed`` prints seconds and CPU seconds of a training step of an ensemble of two, for threads
of each network and for members in threads.
"""

import argparse
import copy
import itertools
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# Set before the import of numpy, which reads them.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from funlib.geometry import Coordinate, Roi  # noqa: E402
from networks import (  # noqa: E402
    CONFIGURATIONS,
    average_scores,
    import_volumes,
    parse_sections,
    predict,
    save_predictions,
    tune_each,
)

from attacca.architectures import create_architecture  # noqa: E402
from attacca.arrays import NumpyArray, ZarrArray  # noqa: E402
from attacca.config.load import load_configuration  # noqa: E402
from attacca.freed_memory import keep_freed_memory  # noqa: E402
from attacca.model import Ensemble  # noqa: E402
from attacca.prediction import Network  # noqa: E402
from attacca.segmentation.tuning_volume import TuningVolume  # noqa: E402
from attacca.tasks import create_task  # noqa: E402
from attacca.training import TrainingJob, train  # noqa: E402
from attacca.training.checkpoint_directory import latest_checkpoint  # noqa: E402
from attacca.training.loop import choose_intensity  # noqa: E402
from attacca.training.member_threads import MemberThreads  # noqa: E402
from attacca.training.state import TrainingState  # noqa: E402
from attacca.training.training_device import set_up_device  # noqa: E402

PARTS = ("first", "second")
_TITLE = "scored: "
_FOLDERS = {"none": "", "opposite": "-opposite", "flips": "-mirrored"}
_SCORES = ("voi", "voi_split", "voi_merge", "adapted_rand_error")
_GRID = {
    "bias": [[0.2, 0.8], [0.2, 0.9], [0.3, 0.9], [0.3, 0.85]],
    "threshold": [0.35, 0.4, 0.45, 0.5],
}


def load_run() -> Any:
    """Return the run of ``examples/fib25``."""
    return next(iter(load_configuration(CONFIGURATIONS["FIB-25"]).runs.values()))


def train_ensemble(arguments: argparse.Namespace) -> None:
    """Train an ensemble, and store the predictions of its members."""
    keep_freed_memory()
    run = load_run()
    sections = dict(zip(("train", *PARTS), map(parse_sections, arguments.sections)))
    architecture = run.architecture.model_copy(update={"members": arguments.members})
    changes = {"iterations": arguments.steps, "torch_threads": arguments.threads, "loader_workers": 1}
    training = run.training.model_copy(update=changes)
    with tempfile.TemporaryDirectory() as scratch:
        volumes = import_volumes("FIB-25", Path(scratch), sections)
        volume = volumes["train"]
        directory = arguments.output / "training"
        job = TrainingJob(directory, run.task, architecture, training, (volume,), seed=arguments.seed)
        started, used = time.monotonic(), _measure_cpu_seconds()
        train(job)
        print(
            f"{arguments.members} members, {arguments.steps} steps: {time.monotonic() - started:.0f} s, "
            f"{_measure_cpu_seconds() - used:.0f} CPU seconds",
            flush=True,
        )
        raw = ZarrArray.open_from_array_identifier(volume.raw)
        latest = latest_checkpoint(job.files.checkpoints)
        assert latest is not None
        with set_up_device(training) as device:
            state = TrainingState(job, device, raw.dims, 1, resumed=True)
            state.restore(latest[1])
            with state.use_averaged_weights():
                chain: Any = state.chain
                members = list(chain.members) if isinstance(chain, Ensemble) else [chain]
                intensity = choose_intensity(training, raw.dtype)
                settings = run.prediction.model_copy(update={"augmentation": arguments.copies})

                def predict_one(number: int) -> None:
                    model = copy.deepcopy(state.model)
                    model.chain = members[number]
                    network = Network.from_task(state.task, model, intensity=intensity)
                    predictions = {part: predict(network, settings, volumes[part]) for part in PARTS}
                    folder = f"member-{number + 1}{_FOLDERS[arguments.copies]}"
                    save_predictions(arguments.output / folder, predictions, volumes)

                started = time.monotonic()
                with ThreadPoolExecutor(
                    arguments.threads, initializer=lambda: torch.set_num_threads(1)
                ) as pool:
                    list(pool.map(predict_one, range(len(members))))
                print(f"predictions: {time.monotonic() - started:.0f} s", flush=True)


def draw(table: Path) -> None:
    """Draw VOI and adapted Rand error against the number of networks, in a PNG file beside the table.

    Each series is shifted to the right of the one before it, so that their points do not cover each other.
    """
    matplotlib.use("Agg")
    # deferred: the backend has to be chosen first
    from matplotlib import pyplot

    found: dict[str, list[tuple[int, float, float]]] = {}
    for line in table.read_text().splitlines():
        if line.startswith(_TITLE):
            rows = found.setdefault(line.removeprefix(_TITLE), [])
        elif line.startswith("member-"):
            names, (voi, _, _, error, _) = line.split()[:-5], map(float, line.split()[-5:])
            rows.append((1 + names.count("+"), voi, error))
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
    for number, (title, rows) in enumerate(found.items()):
        counts = np.array([row[0] for row in rows])
        sizes = np.unique(counts)
        for column, axes in enumerate(panels, start=1):
            values = np.array([row[column] for row in rows])
            axes.plot(counts + 0.06 * number, values, ".", color=f"C{number}", alpha=0.6)
            means = [values[counts == size].mean() for size in sizes]
            axes.plot(sizes + 0.06 * number, means, color=f"C{number}", label=title)
            axes.set_xticks(sizes)
            axes.set_xlabel("networks of which the mean is taken")
    panels[0].set_ylabel("VOI (bits)")
    panels[1].set_ylabel("adapted Rand error")
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=2,
        fontsize="small",
        title="lines: means; points: combinations of networks. Each series is shifted to the right of the one before it.",
        title_fontsize="small",
    )
    figure.savefig(table.with_suffix(".png"), dpi=120)


def print_speeds(rounds: int = 3) -> None:
    """Print medians of the time of a step of two networks, alternating."""
    keep_freed_memory()
    run = load_run()
    ways = {"one thread": 1, "two threads of each network": 2, "one thread of each member": 0}
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    # The first round warms up.
    for _, (way, threads) in itertools.product(range(rounds + 1), ways.items()):
        found[way].append(_time_step(run, threads))
    print(f"{'two networks':30s} s/step CPU s/step")
    for way, rows in found.items():
        wall, cpu = np.median(rows[1:], axis=0)
        print(f"{way:30s} {wall:6.3f} {cpu:10.3f}")


def _time_step(run: Any, threads: int, steps: int = 12) -> tuple[float, float]:
    """Return seconds and CPU seconds of a step with ``threads`` of each network, or with a thread of each member (0)."""
    torch.set_num_threads(threads or 1)
    architecture = run.architecture.model_copy(update={"members": 2})
    chain: Any = create_task(run.task).create_model(create_architecture(architecture, 3, 1)).chain.train()
    chain = chain.to(memory_format=torch.channels_last_3d)
    raw = torch.rand((2, 1, *architecture.input_shape))
    target = (torch.rand((2, 9, *architecture.input_shape)) > 0.5).float()
    members = MemberThreads(chain.members, 2)

    def compute(member: torch.nn.Module) -> torch.Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(member(raw), target)

    started, used = 0.0, 0.0
    for number in range(steps + 1):
        if number == 1:  # the first step allocates memory
            started, used = time.monotonic(), time.process_time()
        if threads:
            for member in chain.members:
                compute(member).backward()
        else:
            members.descend(compute)
    return (time.monotonic() - started) / steps, (time.process_time() - used) / steps


def _measure_cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its finished children."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def load(directory: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return affinities, (c, z, y, x) uint8, and labels, (z, y, x), of a stored prediction."""
    with np.load(directory / f"{part}.npz") as file:
        return file["affinities"], file["labels"]


def average_predictions(
    directories: Sequence[Path], parts: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the mean affinities, (c, z, y, x) float32, and the labels, (z, y, x), of volumes."""
    means, labels = {}, {}
    for part in parts:
        loaded = [load(path, part) for path in directories]
        means[part] = np.zeros(loaded[0][0].shape, np.float32)
        for affinities, _ in loaded:
            means[part] += np.float32(1 / 255 / len(loaded)) * affinities
        labels[part] = loaded[0][1]
    return means, labels


def make_tuning_volume(part: str, affinities: np.ndarray, labels: np.ndarray) -> TuningVolume:
    """Return a volume for the tuner, with affinities, (c, z, y, x) float32, and labels, (z, y, x)."""
    size = Coordinate(10, 10, 10)
    roi = Roi((0, 0, 0), Coordinate(labels.shape) * size)
    prediction = NumpyArray.from_np_array(affinities, roi, size, ["c", "z", "y", "x"])
    ground_truth = NumpyArray.from_np_array(labels, roi, size, ["z", "y", "x"])
    return TuningVolume(part, prediction, ground_truth, unlabelled=0)


def tune_volumes(
    run: Any, affinities: dict[str, np.ndarray], labels: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Return the scores of all settings of a run for affinities, (c, z, y, x) float32, of each volume."""
    volumes = [make_tuning_volume(part, values, labels[part]) for part, values in affinities.items()]
    with tempfile.TemporaryDirectory() as scratch:
        return tune_each(run, volumes, Path(scratch))


def score_settings(directories: list[Path], title: str) -> None:
    """Print means and maxima of the scores of each bias and threshold over all combinations of predictions."""
    run = load_run()
    settings = run.segmentation.model_copy(update=_GRID)
    run = run.model_copy(update={"segmentation": settings})
    found: dict[str, list[list[float]]] = {}
    for count in range(1, len(directories) + 1):
        for chosen in itertools.combinations(directories, count):
            affinities, labels = average_predictions(chosen, ["second"])
            for row in tune_volumes(run, affinities, labels)["second"].table:
                values = [row[name] for name in _SCORES]
                found.setdefault(f"{row['bias']} {row['threshold']}", []).append(values)
    print(f"{_TITLE}{title}, {len(next(iter(found.values())))} combinations")
    print("bias and threshold      VOI  split  merge  ARAND   largest VOI  largest ARAND")
    for name, rows in found.items():
        means = " ".join(f"{value:6.3f}" for value in np.mean(rows, axis=0))
        print(f"{name:18s} {means} {max(row[0] for row in rows):13.3f} {max(row[3] for row in rows):14.3f}")


def score_combinations(directories: list[Path], title: str) -> None:
    """Print a row for each combination of predictions, and one with the mean over those of each size."""
    print(f"{_TITLE}{title}")
    run = load_run()
    print(f"{'networks':42s}    VOI  split  merge  ARAND best VOI")
    for count in range(1, len(directories) + 1):
        rows = []
        for chosen in itertools.combinations(range(len(directories)), count):
            affinities, labels = average_predictions([directories[number] for number in chosen], PARTS)
            found = average_scores(tune_volumes(run, affinities, labels), ["second"])
            rows.append([*(found["score"][name] for name in _SCORES), found["best"]["voi"]])
            _print_row(" + ".join(directories[number].name for number in chosen), rows[-1])
        if len(rows) > 1:
            _print_row(f"mean of these {len(rows)}", np.mean(rows, axis=0))


def _print_row(title: str, values: Any) -> None:
    print(f"{title:42s} {' '.join(f'{value:6.3f}' for value in values[:4])} {values[4]:8.3f}", flush=True)


def main() -> None:
    """Train an ensemble, or score its members."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train", help="train an ensemble and store the predictions of its members")
    training.add_argument("--sections", nargs=3, metavar="FIRST:END", required=True)
    training.add_argument("--members", type=int, default=4)
    training.add_argument("--steps", type=int, default=2000)
    training.add_argument("--threads", type=int, default=2)
    training.add_argument("--seed", type=int, default=1)
    training.add_argument("--copies", choices=_FOLDERS, default="none")
    training.add_argument("--output", type=Path, required=True)
    scoring = commands.add_parser("score", help="score the combinations of stored predictions")
    scoring.add_argument(
        "predictions", type=Path, nargs="+", help="directories with first.npz and second.npz"
    )
    scoring.add_argument("--grid", action="store_true", help="scores of biases and thresholds")
    scoring.add_argument("--title", required=True, help="of the table")
    drawing = commands.add_parser("draw", help="draw the tables of a file")
    drawing.add_argument("table", type=Path)
    commands.add_parser("speed", help="time steps with threads for networks, and for members")
    arguments = parser.parse_args()
    if arguments.command == "train":
        train_ensemble(arguments)
    elif arguments.command == "score":
        score = score_settings if arguments.grid else score_combinations
        score(arguments.predictions, arguments.title)
    elif arguments.command == "draw":
        draw(arguments.table)
    else:
        print_speeds()


if __name__ == "__main__":
    main()
