"""Pictures that are part of the page: PNG files as text, drawings as SVG elements."""

import base64
import functools
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any, ParamSpec

import numpy as np

P = ParamSpec("P")


@dataclass(frozen=True)
class Picture:
    """A picture with what the page says about it.

    Attributes:
        source: a data URI.
        width, height: in pixels of the page at natural size; their ratio is that of the lengths shown.
        alt: what is seen, for those who do not see it.
        title: a short heading.
        swatches: names with their colors, where colors stand for classes.
    """

    source: str
    width: int
    height: int
    alt: str
    title: str = ""
    swatches: tuple[tuple[str, str], ...] = ()


def picture(
    image: np.ndarray,
    alt: str,
    title: str = "",
    pixel_size: tuple[float, float] = (1.0, 1.0),
    swatches: tuple[tuple[str, str], ...] = (),
) -> Picture:
    """A picture of an array.

    Args:
        image: uint8, shape (y, x) gray, (y, x, 3) color, or (y, x, 4) with opacity.
        alt: what is seen.
        title: heading above it.
        pixel_size: lengths of a pixel along y and x in a common unit; pixels that are not square are
            stretched.
        swatches: legend.
    """
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, format="PNG", optimize=True)
    source = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
    unit = min(pixel_size)
    height, width = (max(1, round(n * size / unit)) for n, size in zip(image.shape[:2], pixel_size))
    return Picture(source, width, height, alt, title, swatches)


def normalised(image: np.ndarray, low: float = 0.5, high: float = 99.5) -> np.ndarray:
    """Gray values spread between two percentiles, as uint8; voxels of value nan are black."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    if values.size == 0:
        return np.zeros(values.shape, np.uint8)
    bottom, top = np.percentile(values, [low, high])
    if top <= bottom:
        bottom, top = float(values.min()), float(values.max())
    scale = top - bottom if top > bottom else 1.0
    return np.rint(255 * np.clip((values - bottom) / scale, 0, 1)).astype(np.uint8)


def unit_range(values: np.ndarray) -> np.ndarray:
    """Values from 0 to 1 as uint8, others cut."""
    return np.rint(255 * np.clip(np.nan_to_num(values), 0, 1)).astype(np.uint8)


# Colors of drawings stand for the page's own, so that a drawing follows the page into the dark.
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


def styled(draw: Callable[P, str]) -> Callable[P, str]:
    """Decorator of functions that draw: matplotlib in the page's style, and in no other."""

    @functools.wraps(draw)
    def with_style(*args: P.args, **kwargs: P.kwargs) -> str:
        import matplotlib
        from matplotlib import rc_context

        with rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_STYLE)
            return draw(*args, **kwargs)

    return with_style


def new_figure(
    width: float, height: float, rows: int = 1, ratios: tuple[float, ...] | None = None
) -> tuple[Any, Any]:
    """A matplotlib figure and its axes, one above the other with a common x axis.

    Args:
        width, height: in inches of 72 pixels.
        rows: number of axes.
        ratios: their relative heights.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes if rows > 1 else axes[0]


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


def drawing(figure: Any, alt: str, name: str) -> str:
    """A figure as an ``<svg>`` element.

    Args:
        figure: made by ``new_figure`` in a function that is ``styled``.
        alt: what is seen.
        name: unique on the page; the same figure under the same name gives the same text.
    """
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
    # Names inside a drawing must not meet those of another one.
    prefix = re.sub(r"[^a-z0-9]+", "-", name.lower())
    text = re.sub(r'id="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r'(xlink:href="#|url\(#)', rf"\1{prefix}-", text)
    head, rest = text.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return f'{head} class="drawing" role="img" aria-label="{escape(alt, quote=True)}">{rest.strip()}'
