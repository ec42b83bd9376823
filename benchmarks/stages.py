"""Processor time of each stage in two versions of Attacca, which alternate.

    python benchmarks/stages.py BEFORE PYTHON_OF_BEFORE AFTER PYTHON_OF_AFTER [--edge 192] [--rounds 3]

Each version is a checkout with an interpreter that has its packages. Both run the whole workflow on equal TIFF files:
synthetic tissue with its labels as the volume of training (import and targets) and as the volume of the test (import,
prediction, segmentation, evaluation). The network is tiny and hardly trained. After the prediction, smoothed affinities of
the labels replace its result, so that the segmentation has the objects of tissue. The versions alternate in each round; a
figure is the median over the rounds, of user and system time of all processes of a stage, their start included. Processor
time depends little on other work of the machine. The last column is the ratio of the versions, from the rounds in pairs:
its median, minimum and maximum.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import scipy.ndimage
import tifffile
import yaml

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.blockwise import BlockGrid
from attacca.config.volumes import VolumeConfig
from attacca.volumes import ImportBlocks, prepare_volume

OFFSETS = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 0], [0, 3, 0], [0, 0, 3], [9, 0, 0], [0, 9, 0], [0, 0, 9]]

# Python starts this module in each process: it notes the processor time of the stage that the process computes.
_NOTE = """
import atexit, json, os, resource, sys

def note():
    name = [part.rpartition(".")[2] for part in sys.orig_argv if part.startswith("attacca.stages.")]
    if name and os.getpid() == started:
        times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        part = sys.orig_argv[sys.orig_argv.index("attacca.stages." + name[0]) + 1]
        volume = next((a.partition("=")[2] for a in sys.orig_argv if a.startswith("--volume=")), "")
        row = [name[0], part, volume, sum(t.ru_utime + t.ru_stime for t in times)]
        with open(os.environ["STAGE_TIMES"], "a") as file:
            file.write(json.dumps(row) + "\\n")

started = os.getpid()
atexit.register(note)
"""

_REPLACE = """
import sys, numpy as np
from funlib.geometry import Roi
from attacca.arrays import LocalArrayIdentifier, ZarrArray
container, dataset, file = sys.argv[1:]
array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(container, dataset), mode="a")
data = np.load(file, mmap_mode="r")
edge = array.chunk_size
for z in range(0, array.roi.shape[0], edge[0]):
    for y in range(0, array.roi.shape[1], edge[1]):
        for x in range(0, array.roi.shape[2], edge[2]):
            box = Roi((z, y, x), edge).intersect(array.roi)
            array[box] = data[(slice(None), *array.to_slices(box)[-3:])]
"""


def make_data(directory: Path, edge: int) -> None:
    """Write ``raw.tif``, ``labels.tif``, small parts of them, and affinities of the labels as ``affinities.npy``."""
    config = VolumeConfig.model_validate(
        {
            "synthetic": {"shape": [edge] * 3, "seed": 3, "neurite_diameter": 145},
            "voxel_size": [8, 8, 8],
            "unit": "nanometer",
        }
    )
    container = str(directory / "tissue.zarr")
    plan = prepare_volume(config, container)
    fill = ImportBlocks(config, container)
    for block in BlockGrid(plan.roi, plan.block_size, plan.voxel_size):
        fill(block)
    images = {}
    for name, dataset in (("raw", "raw/s0"), ("labels", "labels/ground_truth/s0")):
        array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(container, dataset))
        images[name] = array[array.roi]
        tifffile.imwrite(
            directory / f"{name}.tif", images[name].astype(np.uint8 if name == "raw" else np.uint32)
        )
        small = images[name][:48, :48, :48]
        tifffile.imwrite(
            directory / f"small-{name}.tif", small.astype(np.uint8 if name == "raw" else np.uint32)
        )
    shutil.rmtree(container)
    labels, random = images["labels"], np.random.default_rng(0)
    channels = np.zeros((len(OFFSETS), *labels.shape), np.uint8)
    for channel, offset in enumerate(OFFSETS):
        partner = np.roll(labels, [-step for step in offset], axis=(0, 1, 2))
        noise = scipy.ndimage.gaussian_filter(random.standard_normal(labels.shape, np.float32), 1.5)
        smooth = scipy.ndimage.gaussian_filter(((labels == partner) & (labels > 0)).astype(np.float32), 0.7)
        channels[channel] = np.rint(255 * np.clip(smooth + 0.5 * noise, 0, 1))
    np.save(directory / "affinities.npy", channels)


def make_configuration(data: Path) -> dict[str, object]:
    """Return the configuration of both versions."""
    volumes = {}
    for name, prefix in (("taught", ""), ("chosen", "small-"), ("tested", "")):
        volumes[name] = {
            "raw": {"path": str(data / f"{prefix}raw.tif")},
            "labels": {"path": str(data / f"{prefix}labels.tif")},
            "voxel_size": [8, 8, 8],
            "unit": "nanometer",
        }
    run = {
        "task": {"type": "affinities", "neighborhood": OFFSETS},
        "architecture": {"input_shape": [40, 40, 40], "channels": [4, 8], "downsample_factors": [[2, 2, 2]]},
        "training": {
            "iterations": 2,
            "loader_workers": 0,
            "torch_threads": 1,
            "checkpoint": {"interval": 2},
        },
        "volumes": {"train": ["taught"], "validate": ["chosen"], "test": ["tested"]},
        "segmentation": {
            "bias": [0.5],
            "checks": dict.fromkeys(
                ("max_seam_excess", "max_segment_share", "min_segmented_share", "max_saturated_share")
            ),
        },
    }
    return {"results": "results", "volumes": volumes, "runs": {"bench": run}, "execution": {"threads": 1}}


def run_workflow(
    checkout: Path, python: Path, project: Path, data: Path
) -> tuple[dict[tuple[str, str], float], int]:
    """Run the workflow in a new directory; return seconds by stage and volume, and the number of files of results."""
    project.mkdir()
    (project / "note").mkdir()
    (project / "note" / "sitecustomize.py").write_text(_NOTE)
    (project / "config.yaml").write_text(yaml.safe_dump(make_configuration(data), sort_keys=False))
    environment = os.environ | {
        "PYTHONPATH": f"{checkout / 'src'}:{project / 'note'}",
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "STAGE_TIMES": str(project / "times.jsonl"),
    }

    def run(*command: str) -> None:
        done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stdout[-3000:] + done.stderr[-3000:])

    run(str(python), "-m", "attacca.segmentation.compiled")
    snakemake = [str(python), "-m", "snakemake", "--snakefile", str(checkout / "Snakefile"), "--cores", "1"]
    snakemake += ["--configfile", "config.yaml"]
    run(*snakemake, "--", str(project / "results" / "bench" / "tested" / "prediction.json"))
    found = list((project / "results" / "bench").glob("tested*/prediction*/s0")) + list(
        (project / "results" / "bench" / "tested").glob("prediction.zarr/s0")
    )
    run(str(python), "-c", _REPLACE, str(found[0].parent), "s0", str(data / "affinities.npy"))
    run(*snakemake)
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    for line in (project / "times.jsonl").read_text().splitlines():
        stage, _, volume, used = json.loads(line)
        seconds[stage, volume] += used
    return dict(seconds), sum(path.is_file() for path in (project / "results").rglob("*"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("versions", nargs=4, type=Path, metavar="CHECKOUT PYTHON")
    parser.add_argument("--edge", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    versions = list(zip(options.versions[::2], options.versions[1::2]))
    scratch = Path(tempfile.mkdtemp(prefix="attacca-stages-"))
    try:
        make_data(scratch, options.edge)
        rounds, files = [], [0, 0]
        for number in range(options.rounds):
            times = []
            for side, (checkout, python) in enumerate(versions):
                project = scratch / f"{number}-{side}"
                seconds, files[side] = run_workflow(checkout.absolute(), python.absolute(), project, scratch)
                times.append(seconds)
                shutil.rmtree(project)
            rounds.append(times)
    finally:
        shutil.rmtree(scratch)
    print(
        f"{platform.machine()}, {options.edge}^3 voxels, {options.rounds} rounds; files: {files[0]}, {files[1]}"
    )
    print(f"{'stage':<14}{'volume':<10}{'before s':>10}{'after s':>10}   after / before")
    keys = dict.fromkeys(key for times in rounds for seconds in times for key in seconds)
    for stage, volume in keys:
        pairs = [[seconds.get((stage, volume), 0.0) for seconds in times] for times in rounds]
        before, after = (statistics.median(side) for side in zip(*pairs))
        row = f"{stage:<14}{volume:<10}{before:>10.1f}{after:>10.1f}"
        if all(first > 0 for first, _ in pairs):
            ratios = [second / first for first, second in pairs]
            row += f"   {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(row)


if __name__ == "__main__":
    main()
