"""Table and picture of the networks that ``networks.py`` has trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

Row = Mapping[str, Any]
_COLUMNS = {
    "weights": ("9.0f", lambda row: row["weights"]),
    "kflop/voxel": ("11.1f", lambda row: row["flops per voxel"] / 1e3),
    "context": ("7.0f", lambda row: row["context"]),
    "CPU s": ("6.0f", lambda row: row["curve"][-1][0]),
    "steps": ("6.0f", lambda row: row["steps"]),
    "s/step": ("7.3f", lambda row: row["seconds per step"]),
    "s/batch": ("7.3f", lambda row: row["seconds per batch"]),
    "predict s": ("9.1f", lambda row: row["prediction seconds"]),
    "train loss": ("10.3f", lambda row: np.mean([loss for _, loss in row["curve"][-100:]])),
    "loss": ("6.3f", lambda row: row["loss"]),
    "VOI": ("6.3f", lambda row: row["score"]["voi"]),
    "split": ("6.3f", lambda row: row["score"]["voi_split"]),
    "merge": ("6.3f", lambda row: row["score"]["voi_merge"]),
    "ARAND": ("6.3f", lambda row: row["score"]["adapted_rand_error"]),
    "best VOI": ("8.3f", lambda row: row["best"]["voi"]),
}
"""Format and value of each column. ``train loss`` is the mean of the last hundred steps."""


def group_seeds(results: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the trainings of each network with the same number of steps, in the order of their first ones."""
    numbers: dict[str, set[int]] = {}
    for row in results:
        numbers.setdefault(row["network"], set()).add(row["steps"])
    groups: dict[str, list[Row]] = {}
    for row in results:
        name = row["network"]
        label = name if len(numbers[name]) == 1 else f"{name}, {row['steps']} steps"
        groups.setdefault(label, []).append(row)
    return groups


def print_table(results: Sequence[Row]) -> None:
    """Print a row for each training, and the means of the networks with several seeds."""
    names = " ".join(f"{name:>{format.split('.')[0]}s}" for name, (format, _) in _COLUMNS.items())
    print(f"{'network':30s} {'seed':>4s} {names}")
    for rows in group_seeds(results).values():
        for row in rows:
            print(_format_row(str(row["seed"]), [row]))
        if len(rows) > 1:
            print(_format_row("mean", rows))


def _format_row(label: str, rows: Sequence[Row]) -> str:
    values = (f"{np.mean([value(row) for row in rows]):{format}}" for format, value in _COLUMNS.values())
    return f"{rows[0]['network']:30s} {label:>4s} {' '.join(values)}"


def draw_results(results: Sequence[Row], path: Path) -> None:
    """Draw the training loss, and the loss and VOI of other sections, against CPU seconds of the training.

    Lines of the training loss are means of the seeds, each value a mean of a twentieth of the time. In the other panels,
    small points are seeds, and large ones their medians. Triangles at the upper edge are seeds with higher values.
    """
    matplotlib.use("Agg")
    # deferred: the backend has to be chosen first
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 3, figsize=(13, 4), layout="constrained")
    groups = group_seeds(results)
    ends = {
        label: np.array([[row["curve"][-1][0], row["loss"], row["score"]["voi"]] for row in rows])
        for label, rows in groups.items()
    }
    limits = 1.1 * np.max([np.median(values, axis=0) for values in ends.values()], axis=0)
    for number, (label, rows) in enumerate(groups.items()):
        color = f"C{number}"
        curves = np.array([_average_curve(row["curve"]) for row in rows])
        panels[0].plot(*curves.mean(0), color=color, label=label)
        for column, axes in enumerate(panels[1:], start=1):
            times, values = ends[label][:, 0], ends[label][:, column]
            is_inside = values <= limits[column]
            axes.plot(times[is_inside], values[is_inside], ".", color=color, alpha=0.6)
            axes.plot(times[~is_inside], [limits[column]] * np.count_nonzero(~is_inside), "^", color=color)
            axes.plot(np.median(times), np.median(values), "o", color=color)
    labels = ("training loss", "loss on other sections", "VOI (bits)")
    for axes, name in zip(panels, labels, strict=True):
        axes.set(xlabel="CPU seconds of the training", ylabel=name)
        axes.set_xlim(left=0)
    panels[0].legend(fontsize="small")
    markers = [
        pyplot.Line2D([], [], color="0.4", linestyle="", marker=marker, alpha=alpha, label=label)
        for marker, alpha, label in (
            (".", 0.6, "a seed"),
            ("o", 1, "median of the seeds"),
            ("^", 1, "a seed above the panel"),
        )
    ]
    panels[1].legend(handles=markers, fontsize="small", loc="lower left")
    figure.savefig(path, dpi=120)


def _average_curve(curve: Sequence[tuple[float, float]], parts: int = 20) -> np.ndarray:
    """Return the centers and means of equal parts of the time of a training, (2, parts)."""
    times, losses = np.array(curve).T
    edges = np.linspace(0, times[-1], parts + 1)
    index = np.clip(np.digitize(times, edges) - 1, 0, parts - 1)
    return np.array([(edges[:-1] + edges[1:]) / 2, [losses[index == part].mean() for part in range(parts)]])
