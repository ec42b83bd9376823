"""Drawings with matplotlib as SVG elements in the style of the page."""

import functools
import io
import re
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Placeholders for the colors of the page, so that a drawing follows the page into the dark mode.
INK, QUIET, GRID, PAPER = "#010101", "#020202", "#030303", "#040404"
SERIES = ("#050505", "#060606", "#070707", "#080808")
_VARIABLES = {
    INK: "var(--ink)",
    QUIET: "var(--quiet)",
    GRID: "var(--line)",
    PAPER: "var(--card)",
    SERIES[0]: "var(--series-1)",
    SERIES[1]: "var(--series-2)",
    SERIES[2]: "var(--series-3)",
    SERIES[3]: "var(--series-4)",
}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "text.color": INK,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "path.simplify": True,
    "path.simplify_threshold": 0.5,
}


_PHONE_WIDTH = 5.2
"""Width of a compact figure in inches of 72 pixels."""


def make_chart(draw: Callable[[bool], str]) -> str:
    """Draw a chart for wide pages and a compact one for phones; the style of the page shows one of the two.

    Args:
        draw: returns an SVG element, compact or not; empty without data.
    """
    wide = draw(False)
    return f'<div class="on-wide">{wide}</div><div class="on-phone">{draw(True)}</div>' if wide else ""


def use_page_style[**P](draw: Callable[P, str]) -> Callable[P, str]:
    """Decorate a function that draws, so that matplotlib uses the style of the page and no other settings."""

    @functools.wraps(draw)
    def draw_with_style(*args: P.args, **kwargs: P.kwargs) -> str:
        # deferred: matplotlib is slow to import, and the terminal summary does not draw.
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_STYLE)
            return draw(*args, **kwargs)

    return draw_with_style


def make_figure(
    width: float, height: float, ratios: tuple[float, ...] = (1.0,), compact: bool = False
) -> "tuple[Figure, list[Axes]]":
    """Make a matplotlib figure and its axes, one above the other with a common x axis.

    Args:
        width, height: in inches of 72 pixels.
        ratios: relative heights of the axes.
        compact: limit the width to that of a phone.
    """
    width = min(width, _PHONE_WIDTH) if compact else width
    # deferred: matplotlib is slow to import, and the terminal summary does not draw.
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def render_svg(figure: "Figure", alt: str, name: str) -> str:
    """Render a figure as an ``<svg>`` element.

    Args:
        figure: made by ``make_figure`` in a function that is decorated with ``use_page_style``.
        alt: text for readers who do not see the drawing.
        name: unique on the page; the same figure with the same name gives the same text.
    """
    # deferred: matplotlib is slow to import, and the terminal summary does not draw.
    import matplotlib

    stream = io.StringIO()
    matplotlib.rcParams["svg.hashsalt"] = name
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, variable)
    text = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", text)
    # Identifiers are unique on the page, not only in the drawing.
    prefix = re.sub(r"[^a-z0-9]+", "-", name.lower())
    text = re.sub(r'id="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\1{prefix}-", text)
    head, rest = text.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return f'{head} class="drawing" role="img" aria-label="{escape(alt, quote=True)}">{rest.strip()}'
