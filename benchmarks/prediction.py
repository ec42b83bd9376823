"""Throughput of the prediction stage, compared with the network alone.

    python benchmarks/prediction.py [--blocks 4] [--workers 2] [--rounds 1] > benchmarks/prediction.txt

All sides predict the same blocks with the network of config.yaml on the same number of processes, one thread each. The
forward pass is that of torch, over a block with its context, with channels last in memory. The tiled network is that of
the stage: it omits what the block does not need, and folds normalization into convolutions. Both have their normalized
blocks in memory and discard their results; their time starts when all processes are ready. The time of the stage includes
the start of its workers, reading the volume, writing uint8, and the ledger. The sides run alternately; times are medians
over rounds. On a shared machine, CPU seconds are more reliable than wall seconds.
"""

import argparse
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Set before the import of numpy, which reads them.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402
from funlib.geometry import Coordinate, Roi  # noqa: E402

from attacca.architectures import create_architecture  # noqa: E402
from attacca.architectures.intensity import Intensity  # noqa: E402
from attacca.arrays import LocalArrayIdentifier, ZarrArray  # noqa: E402
from attacca.blockwise import Ledger, run_blocks  # noqa: E402
from attacca.config.architecture import UNetConfig  # noqa: E402
from attacca.config.prediction import PredictionConfig  # noqa: E402
from attacca.freed_memory import keep_freed_memory  # noqa: E402
from attacca.model import Model  # noqa: E402
from attacca.prediction import Network, PredictBlocks, create_prediction_array, make_prediction_grid  # noqa: E402
from attacca.prediction.tiles import TiledNetwork  # noqa: E402

BLOCK = 96
CONFIG = PredictionConfig(block_size=[BLOCK] * 3, tile_size=[BLOCK] * 3, device="cpu")


def create_network() -> Network:
    """Return the U-Net of config.yaml for affinities: three levels, 12, 24 and 48 channels, nine offsets."""
    torch.manual_seed(1)
    config = UNetConfig(input_shape=(64, 64, 64), channels=(12, 24, 48), skip="add", normalization="batch")
    model = Model(create_architecture(config, 3), torch.nn.Conv3d(12, 9, 1), torch.nn.Sigmoid())
    return Network.from_model(model, intensity=Intensity(0.0, 255.0))


def predict_blocks_in_memory(tiled: bool, count: int, ready: Any, go: Any, seconds: Any) -> None:
    """Predict ``count`` blocks that are in memory, and report wall and CPU seconds."""
    torch.set_num_threads(1)
    network = create_network()
    tiles = TiledNetwork(network, CONFIG, torch.device("cpu"))
    model = network.model.to(memory_format=torch.channels_last_3d)
    box = ((0, 0, 0), (BLOCK,) * 3)
    begin, end = tiles.read_box(box)
    raw = np.random.default_rng(0).random((1, *(e - b for b, e in zip(begin, end))), dtype=np.float32) * 2 - 1
    keep_freed_memory()

    def predict() -> None:
        if tiled:
            for _ in tiles.run(raw, box):
                pass
        else:
            with torch.inference_mode():
                model(torch.from_numpy(raw)[None].contiguous(memory_format=torch.channels_last_3d))

    predict()
    ready.release()
    go.wait()
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        predict()
    seconds.put((time.perf_counter() - start, time.process_time() - cpu))


def time_network(tiled: bool, blocks: int, workers: int) -> tuple[float, float]:
    """Return wall seconds for all blocks on all processes, and their CPU seconds."""
    context = multiprocessing.get_context("spawn")
    ready, go, seconds = context.Semaphore(0), context.Event(), context.Queue()
    shares = [blocks * (index + 1) // workers - blocks * index // workers for index in range(workers)]
    processes = [
        context.Process(target=predict_blocks_in_memory, args=(tiled, share, ready, go, seconds))
        for share in shares
    ]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    go.set()
    measured = [seconds.get() for _ in processes]
    for process in processes:
        process.join()
        if process.exitcode:
            raise RuntimeError(f"a process of the network ended with exit code {process.exitcode}")
    return max(wall for wall, _ in measured), sum(cpu for _, cpu in measured)


def time_stage(directory: Path, edge: int, workers: int) -> tuple[float, float]:
    """Return wall seconds of the whole stage, and CPU seconds of all its processes."""
    source = LocalArrayIdentifier(directory / "raw.zarr", "s0")
    target = LocalArrayIdentifier(directory / "prediction.zarr", "s0")
    if not (directory / "raw.zarr").exists():
        voxels = Coordinate((edge * BLOCK,) * 3)
        raw = ZarrArray.create_from_array_identifier(
            source, ["z", "y", "x"], Roi((0, 0, 0), voxels * 8), None, (8, 8, 8), np.uint8
        )
        raw[raw.roi] = np.random.default_rng(0).integers(0, 256, voxels, dtype=np.uint8)
    raw = ZarrArray.open_from_array_identifier(source)
    model = create_network()
    output = create_prediction_array(target, raw, model, CONFIG, overwrite=True)
    grid = make_prediction_grid(raw, model, CONFIG)
    ledger = Ledger(output.directory, {"benchmark": "prediction"}, len(grid))
    start, cpu = time.perf_counter(), measure_cpu_seconds()
    run_blocks(
        PredictBlocks(create_network, source, target, CONFIG), grid, ledger=ledger, num_workers=workers
    )
    return time.perf_counter() - start, measure_cpu_seconds() - cpu


def measure_cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its finished child processes."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def main() -> int:
    """Run all sides; return 1 if the stage is slower than the forward pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=4, help="blocks along each axis")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    blocks = options.blocks**3
    voxels = blocks * BLOCK**3 / 1e6
    print(
        f"{blocks} blocks of {BLOCK}^3 voxels, 9 channels, {options.workers} processes of one thread; "
        f"{platform.machine()}, torch {torch.__version__}",
        flush=True,
    )
    forward, tiled, stage = "forward pass, blocks in memory", "tiled network, blocks in memory", "whole stage"
    times: dict[str, list[tuple[float, float]]] = {forward: [], tiled: [], stage: []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for name in (forward, tiled):
                times[name].append(time_network(name == tiled, blocks, options.workers))
            times[stage].append(time_stage(Path(folder), options.blocks, options.workers))
    print(f"{'':32} {'seconds':>8} {'Mvoxel/s':>9} {'CPU s':>8}")
    medians = {
        name: [statistics.median(pair[index] for pair in values) for index in range(2)]
        for name, values in times.items()
    }
    for name, (wall, cpu) in medians.items():
        print(f"{name:32} {wall:8.1f} {voxels / wall:9.3f} {cpu:8.1f}")
    for name in (tiled, stage):
        clock, cpu = (medians[forward][index] / medians[name][index] for index in range(2))
        print(
            f"{name} / forward pass: {clock:.2f} times the throughput by the clock, {cpu:.2f} by CPU seconds"
        )
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f}")
    return 0 if medians[stage][0] <= medians[forward][0] else 1


if __name__ == "__main__":
    sys.exit(main())
