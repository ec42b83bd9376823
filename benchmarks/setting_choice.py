"""Scores of the setting that the tuner chooses: the middle of a plateau of thresholds, compared with its first one.

    python benchmarks/networks.py train --data tissue --network "full 12-24-48, batch, muon" --seed 3 --steps 250 \
        --predictions --output results/tissue
    python benchmarks/ensembles.py train --sections 100:170 80:100 0:80 --output results/early
    python benchmarks/setting_choice.py results/tissue/* results/early/member-? > benchmarks/setting_choice.txt

Each directory has the predictions of a network for two volumes. All settings that ``config.yaml`` has by default are
scored on both. The setting is chosen on one volume and scored on the other one, in both directions. ``first`` is the
first setting with the lowest VOI, ``middle`` that of ``attacca.segmentation.choice_of_setting``, ``best`` the lowest VOI
on the scored volume.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
from ensembles import average_predictions, make_tuning_volume  # noqa: E402

from attacca.config.evaluation import EvaluationConfig  # noqa: E402
from attacca.config.load import load_configuration  # noqa: E402
from attacca.segmentation.choice_of_setting import choose_setting  # noqa: E402
from attacca.segmentation.tuning import score_settings  # noqa: E402


def score_all(directory: Path, part: str, run: Any) -> tuple[list[Any], list[dict[str, Any]]]:
    """Return all settings of a run, and their scores on a stored prediction."""
    affinities, labels = average_predictions([directory], [part])
    with tempfile.TemporaryDirectory() as scratch:
        return score_settings(
            [make_tuning_volume(part, affinities[part], labels[part])],
            run.task.neighborhood,
            run.segmentation,
            scratch,
            criterion="voi",
            evaluation=EvaluationConfig(connected_components=True),
        )


def main() -> None:
    """Print a row for each direction, and the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("predictions", type=Path, nargs="+", help="directories with first.npz and second.npz")
    arguments = parser.parse_args()
    configuration = load_configuration(Path(__file__).resolve().parents[1] / "config.yaml")
    run: Any = next(iter(configuration.runs.values()))
    print(f"{'':30s} {'VOI':^23s}   {'adapted Rand error':^15s}")
    print(
        f"{'prediction, scored volume':30s} {'first':>7s} {'middle':>7s} {'best':>7s}   {'first':>7s} {'middle':>7s}"
    )
    found = []
    for directory in (path for path in arguments.predictions if path.is_dir()):
        scored = {part: score_all(directory, part, run) for part in ("first", "second")}
        for given, part in (("first", "second"), ("second", "first")):
            settings, rows = scored[given]
            first = min(range(len(rows)), key=lambda index: (rows[index]["voi"], index))
            chosen = [
                scored[part][1][index] for index in (first, choose_setting(settings, rows, "voi", False))
            ]
            best = min(row["voi"] for row in scored[part][1])
            errors = [row["adapted_rand_error"] for row in chosen]
            found.append([*(row["voi"] for row in chosen), best, *errors])
            name = f"{directory.parent.name}/{directory.name}"[-22:]
            print_row(f"{name}, {part}", found[-1])
    print_row(f"mean of these {len(found)}", np.mean(found, axis=0).tolist())


def print_row(label: str, values: list[float]) -> None:
    """Print scores of a direction."""
    print(
        f"{label:30s} {' '.join(f'{v:7.3f}' for v in values[:3])}   {' '.join(f'{v:7.3f}' for v in values[3:])}",
        flush=True,
    )


if __name__ == "__main__":
    main()
