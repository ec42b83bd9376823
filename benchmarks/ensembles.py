"""Scores of the mean affinities of two networks, beside those of each network.

    python benchmarks/networks.py train --network "full 12-24-48, batch" --sections 0:70 70:90 90:170 --one-way \
        --seed 1 2 --steps 2500 --predictions --output results/slab [--mirrored]
    python benchmarks/ensembles.py results/slab/full-12-24-48-batch-1-2500 results/slab/full-12-24-48-batch-2-2500

The bias of the segmentation is chosen on the first volume, and the second one is scored; ``best VOI`` is that of the bias
which is best on the second volume itself.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi
from networks import CONFIGURATIONS, average_scores, tune_each

from attacca.arrays import NumpyArray
from attacca.config.load import load_configuration
from attacca.segmentation.tuning_volume import TuningVolume

PARTS = ("first", "second")


def load(directory: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return affinities, (c, z, y, x) uint8, and labels, (z, y, x), of a prediction that ``networks.py`` stored."""
    with np.load(directory / f"{part}.npz") as file:
        return file["affinities"], file["labels"]


def score(run: Any, affinities: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the scores of affinities, (c, z, y, x) float32, of both volumes."""
    size = Coordinate(10, 10, 10)
    volumes = []
    for part in PARTS:
        roi = Roi((0, 0, 0), Coordinate(labels[part].shape) * size)
        prediction = NumpyArray.from_np_array(affinities[part], roi, size, ["c", "z", "y", "x"])
        ground_truth = NumpyArray.from_np_array(labels[part], roi, size, ["z", "y", "x"])
        volumes.append(TuningVolume(part, prediction, ground_truth, unlabelled=0))
    with tempfile.TemporaryDirectory() as scratch:
        return average_scores(tune_each(run, volumes, Path(scratch)), ["second"])


def main() -> None:
    """Print a row for each network, and one for their mean."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("predictions", type=Path, nargs="+", help="directories of networks.py")
    arguments = parser.parse_args()
    run = next(iter(load_configuration(CONFIGURATIONS["FIB-25"]).runs.values()))
    loaded = {path.name: {part: load(path, part) for part in PARTS} for path in arguments.predictions}
    labels = {part: values[1] for part, values in next(iter(loaded.values())).items()}
    candidates = {
        name: {part: np.float32(1 / 255) * values[part][0] for part in PARTS}
        for name, values in loaded.items()
    }
    candidates["mean"] = {
        part: np.mean([values[part] for values in candidates.values()], axis=0) for part in PARTS
    }
    print(f"{'network':42s}    VOI  split  merge  ARAND best VOI")
    for name, affinities in candidates.items():
        scores = score(run, affinities, labels)
        names = ("voi", "voi_split", "voi_merge", "adapted_rand_error")
        row = " ".join(f"{scores['score'][key]:6.3f}" for key in names)
        print(f"{name:42s} {row} {scores['best']['voi']:8.3f}", flush=True)


if __name__ == "__main__":
    main()
