"""Processor time of the stages that read and write volumes, in two versions of Attacca that alternate.

    python benchmarks/stages.py BEFORE PYTHON_OF_BEFORE AFTER PYTHON_OF_AFTER [--edge 256] [--rounds 3]

Each version is a checkout with an interpreter that has its packages. In each round, each version computes the stages in one
process, block by block as in the workflow, on equal data: a TIFF of synthetic tissue and one of its labels. Smoothed
affinities of the labels are the prediction, and the labels are the fragments. ``pyramids of a volume`` are those of image
and labels; ``finish a volume`` adds its metadata to them. ``read`` reads boxes of the segmentation that are shifted by half
a block, as viewers and training do.

Figures are medians of user and system time, of all threads: they depend little on other work of the machine. The last column
is the ratio of the versions, round by round: its median, minimum and maximum.
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
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

# Set before the import of numpy, which reads them.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
import scipy.ndimage  # noqa: E402
import tifffile  # noqa: E402
import torch  # noqa: E402
from funlib.geometry import Coordinate  # noqa: E402

from attacca.architectures import create_architecture  # noqa: E402
from attacca.architectures.intensity import Intensity  # noqa: E402
from attacca.arrays import LocalArrayIdentifier, ZarrArray  # noqa: E402
from attacca.arrays.pyramid import build_pyramid  # noqa: E402
from attacca.blockwise import BlockGrid  # noqa: E402
from attacca.config.architecture import UNetConfig  # noqa: E402
from attacca.config.prediction import PredictionConfig  # noqa: E402
from attacca.config.volumes import VolumeConfig  # noqa: E402
from attacca.model import Model  # noqa: E402
from attacca.prediction import Network, create_prediction_array  # noqa: E402
from attacca.segmentation.relabel_blocks import RelabelBlocks  # noqa: E402
from attacca.volumes import ImportBlocks, finish_volume, prepare_volume  # noqa: E402

VOXEL = Coordinate(8, 8, 8)
BLOCK = Coordinate(96, 96, 96)
OFFSETS = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 0], [0, 3, 0], [0, 0, 3], [9, 0, 0], [0, 9, 0], [0, 0, 9]]


def make_data(directory: Path, edge: int) -> None:
    """Write ``raw.tif``, ``labels.tif``, and affinities of the labels as ``affinities.npy``."""
    tissue = {"synthetic": {"shape": [edge] * 3, "seed": 3, "neurite_diameter": 145}}
    config = VolumeConfig.model_validate({**tissue, "voxel_size": list(VOXEL), "unit": "nanometer"})
    container = str(directory / "tissue.zarr")
    plan, fill = prepare_volume(config, container), ImportBlocks(config, container)
    for block in BlockGrid(plan.roi, plan.block_size, plan.voxel_size):
        fill(block)
    for name, dataset, dtype in (
        ("raw", "raw/s0", np.uint8),
        ("labels", "labels/ground_truth/s0", np.uint32),
    ):
        array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(container, dataset))
        tifffile.imwrite(directory / f"{name}.tif", array[array.roi].astype(dtype))
    shutil.rmtree(container)
    labels, random = tifffile.imread(directory / "labels.tif"), np.random.default_rng(0)
    channels = np.zeros((len(OFFSETS), *labels.shape), np.uint8)
    for channel, offset in enumerate(OFFSETS):
        partner = np.roll(labels, [-step for step in offset], axis=(0, 1, 2))
        noise = scipy.ndimage.gaussian_filter(random.standard_normal(labels.shape, np.float32), 1.5)
        smooth = scipy.ndimage.gaussian_filter(((labels == partner) & (labels > 0)).astype(np.float32), 0.7)
        channels[channel] = np.rint(255 * np.clip(smooth + 0.5 * noise, 0, 1))
    np.save(directory / "affinities.npy", channels)


def create_network() -> Network:
    """Return a tiny U-Net for affinities."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    config = UNetConfig(input_shape=(40, 40, 40), channels=(2, 4), downsample_factors=[(2, 2, 2)])
    model = Model(create_architecture(config, 3), torch.nn.Conv3d(2, len(OFFSETS), 1), torch.nn.Sigmoid())
    return Network.from_model(model, intensity=Intensity(0.0, 255.0))


def run_stages(data: Path, project: Path) -> dict[str, float]:
    """Compute all stages in a new directory, and return seconds of processor time by stage."""
    seconds: dict[str, float] = {}

    def measure(name: str, call: Callable[[], Any]) -> Any:
        start = time.process_time()
        result = call()
        seconds[name] = time.process_time() - start
        return result

    def fill(blocks: Iterable[Any], function: Any) -> list[Any]:
        if hasattr(function, "open"):
            function.open()
        return [function(block) for block in blocks]

    def create(name: str) -> ZarrArray:
        place = LocalArrayIdentifier(container, f"labels/{name}/s0")
        return ZarrArray.create_from_array_identifier(
            place, ["z", "y", "x"], raw.roi, None, VOXEL, np.uint64, write_size=BLOCK * VOXEL
        )

    config = VolumeConfig.model_validate(
        {
            "raw": {"path": str(data / "raw.tif")},
            "labels": {"path": str(data / "labels.tif")},
            "voxel_size": list(VOXEL),
            "unit": "nanometer",
        }
    )
    volume, container = str(project / "volume.zarr"), str(project / "run.zarr")
    plan = prepare_volume(config, volume)
    grid = BlockGrid(plan.roi, plan.block_size, plan.voxel_size)
    measure("import", lambda: fill(grid, ImportBlocks(config, volume)))
    arrays = measure("finish a volume", lambda: finish_volume(config, volume))
    places = {
        name: LocalArrayIdentifier(volume, arrays[name].get("dataset", f"{name}/s0"))
        for name in ("raw", "labels")
    }
    groups = [(place.dataset.removesuffix("/s0"), name) for name, place in places.items()]

    def build_pyramids() -> None:
        for group, name in groups:
            build_pyramid(f"{volume}/{group}", kind="raw" if name == "raw" else "labels")

    measure("pyramids of a volume", build_pyramids)
    raw, labels = (ZarrArray.open_from_array_identifier(places[name]) for name in ("raw", "labels"))
    grid = BlockGrid(raw.roi, BLOCK * VOXEL, VOXEL)

    settings = PredictionConfig(block_size=list(BLOCK), tile_size=[48, 48, 48], device="cpu")
    place = LocalArrayIdentifier(container, "prediction/s0")
    prediction = create_prediction_array(place, raw, create_network(), settings)
    affinities = np.load(data / "affinities.npy", mmap_mode="r")

    def write_affinities() -> None:
        for block in grid:
            box = tuple(slice(a // 8, b // 8) for a, b in zip(block.write_roi.begin, block.write_roi.end))
            prediction[block.write_roi] = affinities[(slice(None), *box)]

    measure("write affinities", write_affinities)
    fragments, segments = create("fragments"), create("segmentation")
    for block in grid:
        fragments[block.write_roi] = labels[block.write_roi].astype(np.uint64)
    ids = np.unique(fragments[fragments.roi])
    ids = ids[ids > 0]
    function = RelabelBlocks(fragments, segments, _make_table(ids, np.arange(1, len(ids) + 1) // 3 + 1))
    # Kernels are loaded before the time starts.
    fill(list(grid)[:1], function)
    measure("relabel", lambda: fill(grid, function))
    measure("pyramid of labels", lambda: build_pyramid(f"{container}/labels/segmentation", kind="labels"))
    measure("pyramid of a prediction", lambda: build_pyramid(f"{container}/prediction", kind="raw"))

    def read_shifted() -> None:
        for block in grid:
            box = (block.write_roi + BLOCK * VOXEL // 2).intersect(segments.roi)
            if not box.empty:
                segments[box]

    measure("read", read_shifted)
    return seconds


def _make_table(ids: np.ndarray, segments: np.ndarray) -> Any:
    # Versions differ in the name of the module.
    for module in ("look_up_table", "lookup_table"):
        try:
            found = __import__(f"attacca.segmentation.{module}", fromlist=["LookUpTable"])
        except ModuleNotFoundError:
            continue
        return found.LookUpTable(ids, segments.astype(np.uint64))
    raise ModuleNotFoundError("attacca.segmentation.look_up_table")


def main() -> None:
    """Print the table, or the times of one version in JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("versions", nargs="*", type=Path, metavar="CHECKOUT PYTHON")
    parser.add_argument("--edge", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(run_stages(*options.measure)))
        return
    scratch = Path(tempfile.mkdtemp(prefix="attacca-stages-"))
    rounds: list[list[dict[str, float]]] = []
    files = [0, 0]
    try:
        make_data(scratch, options.edge)
        for number in range(options.rounds):
            times = []
            for side, (checkout, python) in enumerate(zip(options.versions[::2], options.versions[1::2])):
                project = scratch / f"{number}-{side}"
                project.mkdir()
                done = subprocess.run(
                    [python, __file__, "--measure", scratch, project],
                    env=os.environ | {"PYTHONPATH": str(checkout.absolute() / "src")},
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
                times.append(json.loads(done.stdout.splitlines()[-1]))
                files[side] = sum(path.is_file() for path in project.rglob("*"))
                shutil.rmtree(project)
            rounds.append(times)
            print(f"round {number + 1}", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(scratch)
    print(f"{platform.machine()}, {options.edge}^3 voxels, blocks of {BLOCK[0]}^3, {options.rounds} rounds")
    print(
        f"files: {files[0]} before, {files[1]} after; load of the machine at the end: {os.getloadavg()[0]:.1f}\n"
    )
    print(f"{'stage':<26}{'before s':>10}{'after s':>10}   after / before")
    for stage in rounds[0][0]:
        pairs = [[seconds[stage] for seconds in times] for times in rounds]
        before, after = (statistics.median(side) for side in zip(*pairs))
        ratios = [second / first for first, second in pairs]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{stage:<26}{before:>10.2f}{after:>10.2f}   {spread}")


if __name__ == "__main__":
    main()
