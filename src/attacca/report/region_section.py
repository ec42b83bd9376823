"""Variation of information of nested parts of a volume, as a table and a chart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attacca.evaluators.nested_regions import RegionSize
from attacca.report.drawings import SERIES, make_chart, make_figure, render_svg, use_page_style
from attacca.report.results import Results, read_json
from attacca.report.scores import format_score


@dataclass(frozen=True)
class RegionSection:
    """Variation of information of the parts of a volume, by their size.

    Attributes:
        chart: variation of information over the size of the parts.
        rows: cells of each size, the whole region first: parts, shape, VOI, split, merge, range of single parts.
    """

    chart: str
    rows: tuple[tuple[str, ...], ...]


def read_regions(results: Results, run: str, volume: str) -> RegionSection | None:
    """Read the regions of an evaluation; None without ``evaluation.regions``.

    Args:
        results: results of all runs.
        run: name of the run.
        volume: name of the volume.
    """
    stored = read_json(results.layout.scores(run, volume)).get("regions")
    if not isinstance(stored, dict) or not stored.get("sizes"):
        return None
    sizes = [RegionSize(**{**size, "shape": tuple(size["shape"])}) for size in stored["sizes"]]
    name = f"regions-{run}-{volume}"
    chart = make_chart(lambda compact: plot_regions(sizes, f"{name}{'-compact' * compact}", compact))
    return RegionSection(chart, tuple(_make_row(size) for size in sizes))


def _make_row(size: RegionSize) -> tuple[str, ...]:
    spread = f"{format_score(size.lowest)} to {format_score(size.highest)}"
    values = (size.voi, size.voi_split, size.voi_merge)
    return (
        str(size.parts),
        " × ".join(map(str, size.shape)),
        *map(format_score, values),
        spread if size.parts > 1 else "",
    )


@use_page_style
def plot_regions(sizes: Sequence[RegionSize], name: str, compact: bool = False) -> str:
    """Plot variation of information over the size of the parts, with the range of single parts.

    Args:
        sizes: values of each size, the whole region first.
        name: unique on the page.
        compact: draw for the width of a phone.

    Returns:
        An SVG element; empty without a part.
    """
    if len(sizes) < 2:
        return ""
    voxels = [float(np.prod(size.shape, dtype=np.float64)) for size in sizes]
    figure, (axis,) = make_figure(8.4, 3.4, compact=compact)
    axis.fill_between(
        voxels,
        [size.lowest for size in sizes],
        [size.highest for size in sizes],
        color=SERIES[0],
        alpha=0.15,
        lw=0,
        label="range of single parts",
    )
    axis.plot(voxels, [size.voi for size in sizes], "o-", ms=5, color=SERIES[0], label="VOI")
    axis.plot(voxels, [size.voi_split for size in sizes], "--", color=SERIES[1], label="split")
    axis.plot(voxels, [size.voi_merge for size in sizes], ":", color=SERIES[2], label="merge")
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("voxels of a part")
    axis.set_ylabel("bits")
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2 if compact else 4, borderaxespad=0.2)
    alt = "VOI by size of the evaluated part: " + ", ".join(
        f"{format_score(size.voi)} bits for {' × '.join(map(str, size.shape))} voxels" for size in sizes
    )
    return render_svg(figure, alt, name)
