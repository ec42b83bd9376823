"""Time per setting of the segmentation's tuner, without the time for fragments and graph.

    python benchmarks/segmentation_tuning.py > benchmarks/segmentation_tuning.txt

The input is a synthetic volume and its labels. The tuner runs twice with the same settings of fragments: with one
setting of the agglomeration for each, and with a thousand. The difference of both times is the time of the settings.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
from funlib.geometry import Coordinate, Roi  # noqa: E402
from segmentation_data import OFFSETS, synthetic  # noqa: E402

from attacca.arrays import LocalArrayIdentifier, ZarrArray  # noqa: E402
from attacca.config.segmentation import SegmentationConfig  # noqa: E402
from attacca.segmentation.compiled import compile_kernels  # noqa: E402
from attacca.segmentation.tuning import tune  # noqa: E402
from attacca.segmentation.tuning_volume import TuningVolume  # noqa: E402

SIZES = [0, 200, 1000]


def stored(affinities: np.ndarray, folder: Path) -> ZarrArray:
    """Store affinities in the same form as the workflow."""
    roi = Roi((0, 0, 0), affinities.shape[1:])
    array = ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(folder / "affinities.zarr", "s0"),
        ["c", "z", "y", "x"],
        roi,
        len(affinities),
        (1, 1, 1),
        np.uint8,
        write_size=Coordinate((64, 64, 64)),
        value_scale=1 / 255,
    )
    array[roi] = affinities
    return array


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=250)
    parser.add_argument("--settings", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    compile_kernels()
    affinities, labels = synthetic((arguments.side,) * 3)
    print(f"{arguments.side}^3 voxels, {len(np.unique(labels))} labels, {arguments.threads} threads")
    print("| settings | wall s | best VOI |\n|---|---|---|", flush=True)
    methods = {"chain": ["seeded", "mutex_watershed"], "bias": 0.5}
    each = -(-arguments.settings // (len(methods["chain"]) * len(SIZES)))
    thresholds = np.linspace(0.05, 0.95, each).round(4).tolist()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        prediction = stored(affinities, Path(folder))
        del affinities
        for agglomeration in (
            {"threshold": 0.05, "min_size": 0},
            {"threshold": thresholds, "min_size": SIZES},
        ):
            config = SegmentationConfig.model_validate({**methods, **agglomeration})
            start = time.perf_counter()
            result = tune(
                [TuningVolume("volume", prediction, labels)],
                OFFSETS,
                config,
                Path(folder) / "tuning",
                block_size=(128, 128, 128),
                num_workers=arguments.threads,
            )
            seconds = time.perf_counter() - start
            best = min(row["voi"] for row in result.table)
            found.append((len(result.table), seconds))
            print(f"| {len(result.table)} | {seconds:.1f} | {best:.2f} |", flush=True)
    (few, base), (many, total) = found
    print(f"\n{many - few} more settings on the same fragments: {total - base:.1f} s")


if __name__ == "__main__":
    main()
