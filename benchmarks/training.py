"""Steps per second of training, compared with the same network on one batch in memory.

    python benchmarks/training.py [--steps 24] [--rounds 3] > benchmarks/training.txt

The configurations are the default one and the FIB-25 example, except for threads: the network runs on one thread, and
one loader process prepares batches. Both sides run alternately in this process; speeds are medians over rounds. Steps
with batches that the loader prepared while the other side ran do not count.

``CPU/batch`` is the CPU time of a batch in the loader. It must be below the time of a step (the inverse of ``network
alone``). The ratio does not measure the loader on a machine without a free core for it.

On a machine with a GPU, the table also has steps per second in float32 and in bfloat16, and the use of the GPU.
"""

import argparse
import os
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import torch  # noqa: E402

from attacca.arrays import LocalArrayIdentifier  # noqa: E402
from attacca.arrays.zarr_array import ZarrArray  # noqa: E402
from attacca.config.load import load_configuration  # noqa: E402
from attacca.device import choose_device  # noqa: E402
from attacca.errors import AttaccaError  # noqa: E402
from attacca.layout import VOLUME_IMAGES  # noqa: E402
from attacca.training import TrainingJob, TrainingVolume  # noqa: E402
from attacca.training.loader import BatchLoader  # noqa: E402
from attacca.training.loop import choose_intensity, estimate_class_counts  # noqa: E402
from attacca.training.pipeline import SamplePipeline, SampleSpec  # noqa: E402
from attacca.training.state import TrainingState  # noqa: E402
from attacca.training.training_device import TrainingDevice  # noqa: E402
from attacca.volumes.import_volume import import_block, prepare_volume  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIGURATIONS = {"default": REPOSITORY / "config.yaml", "FIB-25": REPOSITORY / "examples/fib25/config.yaml"}


def import_volume(config: Any, name: str, directory: Path) -> TrainingVolume:
    """Import a volume of a configuration."""
    container = str(directory / f"{name}.zarr")
    plan = prepare_volume(config, container)
    arrays = {}
    for planned in plan.arrays.values():
        identifier = LocalArrayIdentifier(container, f"{VOLUME_IMAGES[planned.name]}/s0")
        array = ZarrArray.open_from_array_identifier(identifier, mode="a")
        array[array.roi] = import_block(config, plan, planned, array.roi)
        arrays[planned.name] = identifier
    unlabelled = config.labels.unlabelled if config.labels is not None else None
    return TrainingVolume(name, arrays["raw"], arrays["labels"], unlabelled=unlabelled)


def prepare(path: Path, directory: Path, place: TrainingDevice) -> tuple[TrainingState, SampleSpec]:
    """Return network and sample specification of the first run of a configuration."""
    configuration = load_configuration(path)
    run = next(iter(configuration.runs.values()))
    name = run.volumes.train[0]
    volume = import_volume(configuration.volumes[name], name, directory)
    training = run.training.model_copy(update={"torch_threads": 1, "loader_workers": 1})
    job = TrainingJob(directory, run.task, run.architecture, training, (volume,), seed=run.seed)
    raw = ZarrArray.open_from_array_identifier(volume.raw)
    state = TrainingState(job, place, raw.dims, 1)
    spec = SampleSpec(
        job.volumes,
        job.task,
        training,
        tuple(state.model.input_shape),
        tuple(state.model.output_shape),
        choose_intensity(training, raw.dtype),
        run.seed,
    )
    counts = estimate_class_counts(spec)
    return state, SampleSpec(**{**spec.__dict__, "class_counts": counts})


def make_step(state: TrainingState, batch: Any) -> None:
    """Make a step, and wait until it is finished on a GPU; the iteration stays the same, and with it the work."""
    state.step(batch)
    state.iteration = 100
    if state.device.device.type == "cuda":
        torch.cuda.synchronize()


def measure_speed(
    state: TrainingState, spec: SampleSpec, steps: int, rounds: int, workers: int
) -> tuple[float, float]:
    """Return steps per second with one batch from memory, and with the loader."""
    alone, loaded = [], []
    total = rounds * steps + 100 * workers
    with BatchLoader(spec, 0, total, workers, prefetch=2) as loader:
        batch = {name: array.copy() for name, array in next(loader).items()}
        for _ in range(3):
            make_step(state, batch)
        for _ in range(rounds):
            started = time.perf_counter()
            for _ in range(steps // 2):
                make_step(state, batch)
            alone.append(steps // 2 / (time.perf_counter() - started))
            for _ in range(2 * workers + 1):
                make_step(state, next(loader))
            started = time.perf_counter()
            for _ in range(steps // 2):
                make_step(state, next(loader))
            loaded.append(steps // 2 / (time.perf_counter() - started))
    return statistics.median(alone), statistics.median(loaded)


def measure_loader_seconds(spec: SampleSpec, batches: int = 6) -> float:
    """Return the CPU seconds for the preparation of a batch."""
    pipeline = SamplePipeline(spec)
    pipeline.create_batch(0)
    seconds = []
    for iteration in range(1, batches + 1):
        started = time.process_time()
        pipeline.create_batch(iteration)
        seconds.append(time.process_time() - started)
    pipeline.close()
    return statistics.median(seconds)


def read_gpu_use() -> str:
    """Return utilization and memory of the GPUs, from ``nvidia-smi``."""
    command = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}")
    print(f"load of the machine at the start: {os.getloadavg()[0]:.1f}")
    print(
        f"{'configuration':12s} {'device':22s} {'network alone':>14s} {'with loader':>12s} {'ratio':>6s} "
        f"{'CPU/batch':>11s}"
    )
    torch.set_num_threads(1)
    places = [("CPU, 1 thread", TrainingDevice(torch.device("cpu"), torch.float32), 1)]
    if torch.cuda.is_available():
        device = choose_device("cuda")
        places += [
            ("GPU, float32", TrainingDevice(device, torch.float32), 8),
            ("GPU, bfloat16", TrainingDevice(device, torch.bfloat16), 8),
        ]
    for name, path in CONFIGURATIONS.items():
        for label, place, workers in places:
            with tempfile.TemporaryDirectory() as directory:
                try:
                    state, spec = prepare(path, Path(directory), place)
                except AttaccaError as error:
                    print(f"{name:12s} skipped: {error}")
                    break
                alone, loaded = measure_speed(state, spec, arguments.steps, arguments.rounds, workers)
                batch = measure_loader_seconds(spec)
                use = read_gpu_use() if place.device.type == "cuda" else ""
                speeds = f"{alone:10.2f} st/s {loaded:8.2f} st/s {loaded / alone:6.2f} {batch:9.3f} s"
                line = f"{name:12s} {label:22s} {speeds} {use}"
                print(line.rstrip(), flush=True)


if __name__ == "__main__":
    main()
