"""Drawings of numbers about segmentations: settings tried, and sizes of segments."""

from collections.abc import Mapping

import numpy as np

from attacca.report.choice import Choice, is_number
from attacca.report.pictures import INK, PAPER, QUIET, SERIES, drawing, new_figure, styled


def pareto_front(split: np.ndarray, merge: np.ndarray) -> np.ndarray:
    """Indices of the settings that no other beats in both, in order of growing split."""
    order = np.lexsort((merge, split))
    lowest = np.inf
    kept = []
    for index in order:
        if merge[index] < lowest:
            kept.append(int(index))
            lowest = merge[index]
    return np.array(kept, dtype=int)


def _has_voi(row: Mapping[str, object]) -> bool:
    return is_number(row.get("voi_split")) and is_number(row.get("voi_merge"))


@styled
def tuning_plot(choice: Choice, name: str) -> str:
    """VOI split against VOI merge of all settings, those that none beats in both, and the chosen one.

    Returns:
        An SVG element; empty where no such settings were tried.
    """
    rows = [row for row in choice.rows if _has_voi(row)]
    chosen = choice.row if choice.row is not None and _has_voi(choice.row) else None
    if not rows:
        return ""
    split = np.array([row["voi_split"] for row in rows], dtype=float)
    merge = np.array([row["voi_merge"] for row in rows], dtype=float)
    front = pareto_front(split, merge)
    best = float((split + merge).min())
    at = (chosen["voi_split"], chosen["voi_merge"]) if chosen else None
    # Hopeless settings would squeeze the others into a corner.
    limit = max(4 * best, 1.15 * sum(at) if at else 0.0, 1e-3)
    shown = (split <= limit) & (merge <= limit)
    right = 1.08 * max(float(split[shown].max(initial=0)), best, 1e-3)
    top = 1.08 * max(float(merge[shown].max(initial=0)), best, 1e-3)
    figure, axis = new_figure(8.4, 5.6)
    sums = np.linspace(0.5, 3, 6) * best
    for total in sums:
        axis.plot([0, total], [total, 0], color=QUIET, lw=0.6, ls=(0, (2, 4)), zorder=0.5)
    thin = np.flatnonzero(shown)
    thin = thin[:: max(1, len(thin) // 1500)]
    axis.scatter(
        split[thin], merge[thin], s=16, color=SERIES[0], alpha=0.4, lw=0, label=f"{len(rows)} settings tried"
    )
    axis.plot(split[front], merge[front], color=SERIES[0], lw=1.6, label="none better in both")
    if at:
        axis.scatter(
            *at, s=190, marker="*", color=SERIES[1], edgecolor=PAPER, lw=0.8, zorder=5, label="chosen"
        )
        axis.annotate(
            f"{at[0]:.3f} + {at[1]:.3f} = {sum(at):.3f}",
            at,
            xytext=(9, 7),
            textcoords="offset points",
            color=INK,
        )
    axis.set_xlim(0, right)
    axis.set_ylim(0, top)
    axis.set_xlabel("VOI split (bits)")
    axis.set_ylabel("VOI merge (bits)")
    axis.legend(loc="upper right")
    alt = f"VOI split against VOI merge of {len(rows)} settings on the validation volumes; "
    alt += f"the best sum is {best:.3f} bits"
    if at:
        alt += f"; chosen: split {at[0]:.3f}, merge {at[1]:.3f}"
    return drawing(figure, alt, name)


@styled
def criterion_plot(choice: Choice, name: str) -> str:
    """The criterion over the one setting that was varied, and the chosen value.

    Returns:
        An SVG element; empty where not exactly one number was varied.
    """
    criterion = choice.criterion or ""
    # A setting without a score stands in the table with a huge one.
    rows = [row for row in choice.rows if is_number(row.get(criterion)) and abs(row[criterion]) < 1e8]
    varied = [
        key
        for key in (rows[0] if rows else {})
        if key not in (criterion, "id")
        and all(is_number(row.get(key)) for row in rows)
        and len({row[key] for row in rows}) > 1
    ]
    if len(rows) < 2 or len(varied) != 1:
        return ""
    setting = varied[0]
    rows = sorted(rows, key=lambda row: row[setting])
    figure, axis = new_figure(8.4, 3.8)
    x, y = [row[setting] for row in rows], [row[criterion] for row in rows]
    axis.plot(x, y, "o-", ms=5, color=SERIES[0], label=f"{len(rows)} settings tried")
    alt = f"{criterion} over {setting} from {x[0]:g} to {x[-1]:g} on the validation volumes"
    chosen = choice.row
    if chosen in rows:
        at = chosen[setting], chosen[criterion]
        axis.scatter(*at, s=170, marker="*", color=SERIES[1], zorder=5, label="chosen")
        axis.annotate(f"{at[1]:.3f}", at, xytext=(9, 7), textcoords="offset points", color=INK)
        alt += f"; chosen: {at[0]:g} with {at[1]:.3f}"
    axis.set_xlabel(setting.replace("_", " "))
    axis.set_ylabel(str(criterion).replace("__", ": ").replace("_", " "))
    axis.legend(loc="best")
    return drawing(figure, alt, name)


@styled
def size_histogram(sizes: Mapping[str, np.ndarray], unit: str, name: str) -> str:
    """Numbers of objects by size, on a logarithmic scale.

    Args:
        sizes: sizes of the objects in voxels, by name of the series.
        unit: what a size is counted in.
        name: unique on the page.
    """
    filled = {key: values[values > 0] for key, values in sizes.items() if len(values[values > 0])}
    if not filled:
        return ""
    largest = max(float(values.max()) for values in filled.values())
    smallest = min(float(values.min()) for values in filled.values())
    edges = np.logspace(np.log10(smallest) - 0.05, max(np.log10(smallest) + 1, np.log10(largest) + 0.05), 32)
    figure, axis = new_figure(8.4, 3.4)
    for (key, values), color in zip(filled.items(), SERIES):
        counts, _ = np.histogram(values, edges)
        axis.stairs(counts, edges, color=color, lw=1.8, label=f"{key} ({len(values)})")
        axis.stairs(counts, edges, color=color, alpha=0.15, fill=True)
    axis.set_xscale("log")
    axis.set_xlabel(f"size ({unit})")
    axis.set_ylabel("objects")
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.legend(loc="upper left")
    told = "; ".join(
        f"{key}: {len(values)}, median {np.median(values):.0f} {unit}" for key, values in filled.items()
    )
    return drawing(figure, f"Histogram of object sizes. {told}", name)
