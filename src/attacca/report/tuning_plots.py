"""Plots of the settings that the tuner tried, and of the sizes of segments."""

import math
from collections.abc import Mapping

import numpy as np

from attacca.report.choice import Choice, is_number
from attacca.report.drawings import INK, PAPER, QUIET, SERIES, make_figure, render_svg, use_page_style
from attacca.report.scores import Score

_MAX_POINTS = 1500


def find_pareto_front(split: np.ndarray, merge: np.ndarray) -> np.ndarray:
    """Return the indices of the settings that no other setting improves in both scores, by ascending split.

    Args:
        split, merge: float64, shape (settings,).

    >>> find_pareto_front(np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.6, 0.1]))
    array([0, 2])
    """
    lowest = np.inf
    front = []
    for index in np.lexsort((merge, split)):
        if merge[index] < lowest:
            front.append(int(index))
            lowest = merge[index]
    return np.array(front, dtype=int)


def _has_voi(row: Mapping[str, object]) -> bool:
    return is_number(row.get("voi_split")) and is_number(row.get("voi_merge"))


@use_page_style
def plot_split_and_merge(choice: Choice, name: str, compact: bool = False) -> str:
    """Plot VOI split against VOI merge of all settings, their Pareto front, and the chosen setting.

    Args:
        choice: the settings.
        name: unique on the page.
        compact: draw for the width of a phone.

    Returns:
        An SVG element; empty if no setting has these scores.
    """
    rows = [row for row in choice.rows if _has_voi(row)]
    chosen = choice.row if choice.row is not None and _has_voi(choice.row) else None
    if not rows:
        return ""
    split = np.array([row["voi_split"] for row in rows], dtype=float)
    merge = np.array([row["voi_merge"] for row in rows], dtype=float)
    front = find_pareto_front(split, merge)
    best = float((split + merge).min())
    at = (chosen["voi_split"], chosen["voi_merge"]) if chosen else None
    # Settings with very high scores would compress the others into a corner.
    limit = max(4 * best, 1.15 * sum(at) if at else 0.0, 1e-3)
    is_visible = (split <= limit) & (merge <= limit)
    right = 1.08 * max(float(split[is_visible].max(initial=0)), best, 1e-3)
    top = 1.08 * max(float(merge[is_visible].max(initial=0)), best, 1e-3)
    figure, (axis,) = make_figure(8.4, 5.6, compact=compact)
    for total in np.linspace(0.5, 3, 6) * best:
        axis.plot([0, total], [total, 0], color=QUIET, lw=0.6, ls=(0, (2, 4)), zorder=0.5)
    points = np.flatnonzero(is_visible)
    points = points[:: max(1, len(points) // _MAX_POINTS)]
    label = f"{len(rows)} settings tried"
    axis.scatter(split[points], merge[points], s=16, color=SERIES[0], alpha=0.4, lw=0, label=label)
    axis.plot(split[front], merge[front], color=SERIES[0], lw=1.6, label="best trade-offs")
    if at:
        axis.scatter(
            *at, s=190, marker="*", color=SERIES[1], edgecolor=PAPER, lw=0.8, zorder=5, label="chosen"
        )
        text = f"{at[0]:.3f} + {at[1]:.3f} = {sum(at):.3f}"
        axis.annotate(text, at, xytext=(9, 7), textcoords="offset points", color=INK)
    axis.set_xlim(0, right)
    axis.set_ylim(0, top)
    axis.set_xlabel("VOI split (bits)")
    axis.set_ylabel("VOI merge (bits)")
    axis.legend(loc="upper right")
    alt = f"VOI split against VOI merge of {len(rows)} settings on the validation volumes; "
    alt += f"the best sum is {best:.3f} bits"
    if at:
        alt += f"; chosen: split {at[0]:.3f}, merge {at[1]:.3f}"
    return render_svg(figure, alt, name)


@use_page_style
def plot_criterion(choice: Choice, name: str, compact: bool = False) -> str:
    """Plot the criterion over the setting that was varied, and mark the chosen value.

    Args:
        choice: the settings.
        name: unique on the page.
        compact: draw for the width of a phone.

    Returns:
        An SVG element; empty unless exactly one number was varied.
    """
    criterion = choice.criterion or ""
    rows = [row for row in choice.rows if is_number(row.get(criterion))]
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
    figure, (axis,) = make_figure(8.4, 3.8, compact=compact)
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
    channel, _, score = criterion.rpartition("__")
    axis.set_ylabel(Score(score, math.nan, channel=channel or None).label)
    axis.legend(loc="best")
    return render_svg(figure, alt, name)


@use_page_style
def plot_sizes(sizes: Mapping[str, np.ndarray], unit: str, name: str, compact: bool = False) -> str:
    """Plot histograms of sizes with logarithmic bins.

    Args:
        sizes: sizes by the name of the series, such as ``segments``; shape (n,) each.
        unit: unit of a size.
        name: unique on the page.
        compact: draw for the width of a phone.

    Returns:
        An SVG element; empty without sizes above 0.
    """
    series = {key: values[values > 0] for key, values in sizes.items() if len(values[values > 0])}
    if not series:
        return ""
    largest = max(float(values.max()) for values in series.values())
    smallest = min(float(values.min()) for values in series.values())
    edges = np.logspace(np.log10(smallest) - 0.05, max(np.log10(smallest) + 1, np.log10(largest) + 0.05), 32)
    figure, (axis,) = make_figure(8.4, 3.4, compact=compact)
    for (key, values), color in zip(series.items(), SERIES):
        counts, _ = np.histogram(values, edges)
        axis.stairs(counts, edges, color=color, lw=1.8, label=f"{key} ({len(values)})")
        axis.stairs(counts, edges, color=color, alpha=0.15, fill=True)
    axis.set_xscale("log")
    axis.set_xlabel(f"size ({unit})")
    axis.set_ylabel("number")
    axis.locator_params(axis="y", integer=True)
    # Above the axes, where the legend covers no bin.
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=1 if compact else 2, borderaxespad=0.2)
    summaries = [
        f"{key}: {len(values)}, median {np.median(values):.0f} {unit}" for key, values in series.items()
    ]
    return render_svg(figure, f"Histogram of sizes. {'; '.join(summaries)}", name)
