"""Comparison with volara: time, memory and accuracy of the segmentation of the same affinities.

    python benchmarks/segmentation.py > benchmarks/segmentation.txt                            # synthetic affinities
    python benchmarks/segmentation.py --results results/fib25 > benchmarks/segmentation.txt    # a trained network's

Blocks, context and offsets are the same. Installs the PyPI package volara in an environment of its own, and runs it
and Attacca alternately, each in new processes with two workers, after one warm-up run of each. Time is measured from
the stored prediction to the stored segmentation, without imports. Memory is the maximum over time of the unique
memory (USS) of a process and its children. Accuracy is the variation of information over labeled voxels. The tuned
settings are those that the default configuration's tuner chooses on another volume.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
import psutil  # noqa: E402
from funlib.geometry import Coordinate, Roi  # noqa: E402
from segmentation_data import OFFSETS, predicted, synthetic  # noqa: E402

from attacca.arrays import LocalArrayIdentifier, NumpyArray, ZarrArray  # noqa: E402
from attacca.config.segmentation import AgglomerationSettings, FragmentSettings, SegmentationConfig  # noqa: E402
from attacca.evaluators.contingency import contingency_table  # noqa: E402
from attacca.evaluators.instance_scores import voi_from_table  # noqa: E402
from attacca.segmentation.pipeline import segment_volume  # noqa: E402
from attacca.segmentation.tuning import tune  # noqa: E402
from attacca.segmentation.tuning_volume import TuningVolume  # noqa: E402

VOLARA = "volara==1.0.5"
VOLARA_SIDE = Path(__file__).with_name("segmentation_volara.py")


def segment_with_attacca(folder: Path, job: dict[str, Any]) -> None:
    """Segment with Attacca, write ``result.npy``, and print the seconds."""
    values = np.load(job["affinities"], mmap_mode="r")
    roi, block = Roi((0, 0, 0), values.shape[1:]), Coordinate(job["block"])
    prediction = ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(folder / "affs.zarr", "s0"),
        ["c", "z", "y", "x"],
        roi,
        len(values),
        (1, 1, 1),
        np.uint8,
        write_size=block,
        value_scale=1 / 255,
    )
    prediction[roi] = np.array(values)
    output = ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(folder / "segments.zarr", "s0"),
        ["z", "y", "x"],
        roi,
        None,
        (1, 1, 1),
        np.uint64,
        write_size=block,
        overwrite=True,
    )
    start = time.perf_counter()
    direct, long = job["bias"]
    if job["tuned"]:
        fragments = FragmentSettings.model_validate(job["tuned"]["fragments"])
        agglomeration = AgglomerationSettings.model_validate(job["tuned"]["agglomeration"])
    else:
        fragments = FragmentSettings(
            chain="mutex_watershed",
            bias=[direct, long],
            strides=job["stride"],
            min_fragment_size=0,
            min_evidence=0.0,
            fill_background=False,
            cell_size=job["block"],
            context=job["context"],
        )
        agglomeration = AgglomerationSettings(method="mutex_watershed", threshold=direct, long_bias=long)
    segment_volume(
        prediction, output, OFFSETS, fragments, agglomeration, folder / "work", num_workers=job["workers"]
    )
    seconds = time.perf_counter() - start
    np.save(folder / "result.npy", output[roi])
    print(json.dumps({"seconds": seconds}))


def measure_command(command: list[str]) -> tuple[dict[str, Any], float]:
    """Return the result line of a command, and the peak of the unique memory of its processes in MB."""
    process = psutil.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = 0
    while process.poll() is None:
        total = 0
        try:
            for member in [process, *process.children(recursive=True)]:
                try:
                    total += member.memory_full_info().uss
                except psutil.Error:
                    continue
        except psutil.Error:
            break
        peak = max(peak, total)
        time.sleep(0.2)
    out, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors[-3000:]}")
    return json.loads(out.strip().splitlines()[-1]), peak / 1e6


def crop(values: np.ndarray, shape: list[int]) -> np.ndarray:
    """Return at most ``shape`` voxels of the last three axes, from the first one on."""
    return values[(..., *map(slice, shape))]


def compare(arguments: argparse.Namespace) -> None:
    """Run both packages and print the table."""
    root = Path(arguments.workdir or tempfile.mkdtemp(prefix="segmentation-"))
    root.mkdir(parents=True, exist_ok=True)
    python = root / "volara" / "bin" / "python"
    if arguments.volara_python:
        python = Path(arguments.volara_python)
    elif not python.exists():
        venv.create(root / "volara", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", VOLARA], check=True)
    if arguments.results:
        affinities, labels = predicted(arguments.results, arguments.test)
    else:
        affinities, labels = synthetic(tuple(arguments.shape))
    affinities, labels = crop(affinities, arguments.shape), crop(labels, arguments.shape)
    source = root / "affinities.npy"
    np.save(source, affinities)
    job = {
        "affinities": str(source),
        "block": arguments.block,
        "context": arguments.context,
        "workers": 2,
        "bias": arguments.bias,
        "stride": arguments.stride,
        "tuned": None,
    }
    sides = {
        "volara": (str(python), VOLARA_SIDE, job),
        "attacca, same algorithm": (sys.executable, __file__, job),
        "attacca, tuned": (sys.executable, __file__, {**job, "tuned": tune_settings(arguments, root)}),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    results = {}
    for turn in range(arguments.rounds + 1):
        for name, (interpreter, script, settings) in sides.items():
            folder = root / f"{name.replace(',', '').replace(' ', '-')}-{turn}"
            folder.mkdir(exist_ok=True)
            result, memory = measure_command(
                [interpreter, str(script), "--side", str(folder), json.dumps(settings)]
            )
            if turn:
                found[name].append((result["seconds"], memory))
            results[name] = np.load(folder / "result.npy")
    print(
        f"shape {affinities.shape[1:]}, blocks {job['block']}, context {job['context']}, stride {job['stride']}"
    )
    print(
        f"biases {job['bias']}, 2 workers, medians of {arguments.rounds} runs in turns; load {os.getloadavg()[0]:.1f}"
    )
    print(
        "| | wall s | volara takes | peak MB | of volara's | VOI | split | merge |\n|---|---|---|---|---|---|---|---|"
    )
    medians = {
        name: [statistics.median(run[i] for run in runs) for i in (0, 1)] for name, runs in found.items()
    }
    for name, (seconds, memory) in medians.items():
        voi = voi_from_table(contingency_table(results[name], labels))
        times, share = medians["volara"][0] / seconds, memory / medians["volara"][1]
        print(
            f"| {name} | {seconds:.2f} | {times:.1f} x | {memory:.0f} | {share:.0%} "
            f"| {voi.total:.2f} | {voi.split:.2f} | {voi.merge:.2f} |"
        )


def tune_settings(arguments: argparse.Namespace, root: Path) -> dict[str, Any]:
    """Return the choice of the default configuration's tuner on another volume."""
    if arguments.results:
        affinities, labels = predicted(arguments.results, arguments.validate)
    else:
        affinities, labels = synthetic(tuple(arguments.shape), seed=1)
    roi = Roi((0, 0, 0), affinities.shape[1:])
    array = NumpyArray.from_np_array(
        affinities / np.float32(255), roi, Coordinate((1, 1, 1)), ["c", "z", "y", "x"]
    )
    config = SegmentationConfig(block_size=arguments.block)
    start = time.perf_counter()
    result = tune(
        [TuningVolume("validation", array, labels)], OFFSETS, config, root / "tuning", num_workers=2
    )
    row = {key: value for key, value in result.table[result.chosen["row"]].items() if key != "segments"}
    print(
        f"tuned {len(result.table)} settings in {time.perf_counter() - start:.0f} s on another volume: {row}"
    )
    return result.chosen


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, help="results of a workflow, such as those of examples/fib25")
    parser.add_argument("--validate", default="fib25-validate", help="volume to tune on")
    parser.add_argument("--test", default="fib25-test", help="volume to compare on")
    parser.add_argument(
        "--shape", type=int, nargs=3, default=[80, 192, 192], help="maximum number of voxels to compare on"
    )
    parser.add_argument("--block", type=int, nargs=3, default=[40, 64, 64])
    parser.add_argument("--context", type=int, nargs=3, default=[10, 16, 16])
    parser.add_argument("--bias", type=float, nargs=2, default=[0.2, 0.8])
    parser.add_argument("--stride", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workdir")
    parser.add_argument("--volara-python", help="interpreter with volara; by default volara is installed")
    parser.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        segment_with_attacca(Path(arguments.side[0]), json.loads(arguments.side[1]))
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
