"""VOI of parts of different sizes of one segmentation, with and without voxels beside other labels.

    python benchmarks/region_sizes.py results/early/member-?-mirrored > benchmarks/region_sizes.txt

Each directory has the predictions of a network for two volumes (``ensembles.py train``). The settings are chosen on the
first one, the mean of the networks is segmented as a whole, and the report's scores of its halves, quarters and so on are
printed.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from ensembles import average_predictions, load_run, make_tuning_volume, tune_volumes

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.evaluators import InstanceEvaluator
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.segmentation.pipeline import segment_volume


def main() -> None:
    """Print a table of the sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("predictions", type=Path, nargs="+", help="directories with first.npz and second.npz")
    arguments = parser.parse_args()
    run = load_run()
    affinities, labels = average_predictions(arguments.predictions, ("first", "second"))
    chosen = tune_volumes(run, {"first": affinities["first"]}, labels)["first"]
    volume = make_tuning_volume("second", affinities["second"], labels["second"])
    ground_truth = volume.ground_truth
    with tempfile.TemporaryDirectory() as scratch:
        segments = ZarrArray.create_from_array_identifier(
            LocalArrayIdentifier(Path(scratch) / "segments.zarr", "s0"),
            ["z", "y", "x"],
            ground_truth.roi,
            None,
            ground_truth.voxel_size,
            np.uint64,
        )
        segment_volume(
            volume.prediction,
            segments,
            run.task.neighborhood,
            chosen.fragments,
            chosen.agglomeration,
            Path(scratch) / "work",
        )
        found = []
        for border in (0, int(ground_truth.voxel_size[0])):
            rules = GroundTruthRules(unlabelled=0, border=border, components=True)
            evaluator = InstanceEvaluator(rules=rules, regions=True)
            scores = evaluator.evaluate_blockwise(segments, ground_truth, Path(scratch) / f"border-{border}")
            print(f"border {border}: adapted Rand error {scores.adapted_rand_error:.3f}")
            found.append(scores.regions)
    print(
        "| parts | voxels | VOI (split + merge) | range | without voxels beside other labels |\n|---|---|---|---|---|"
    )
    for all_voxels, inner in zip(*found, strict=True):
        shape = " x ".join(map(str, all_voxels.shape))
        parts = f"{all_voxels.voi_split:.2f} + {all_voxels.voi_merge:.2f}"
        span = f"{all_voxels.lowest:.2f} to {all_voxels.highest:.2f}"
        print(f"| {all_voxels.parts} | {shape} | {all_voxels.voi:.2f} ({parts}) | {span} | {inner.voi:.2f} |")


if __name__ == "__main__":
    main()
