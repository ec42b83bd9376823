"""Plots and pictures of a training: its curves, and snapshots of batches."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from attacca.config.task import TaskConfig
from attacca.report.channels import draw_channels
from attacca.report.drawings import INK, PAPER, QUIET, SERIES, make_figure, render_svg, use_page_style
from attacca.report.pictures import Picture, make_picture, normalize_contrast, quantize_unit_range
from attacca.report.results import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_POINTS = 1200


@use_page_style
def plot_training_curve(
    metrics: Mapping[str, np.ndarray],
    validation: Mapping[str, Curve],
    best_iteration: int | None,
    name: str,
    compact: bool = False,
) -> str:
    """Plot loss, validation scores and learning rate over iterations, and mark the best checkpoint.

    Args:
        metrics: columns ``iteration``, ``loss`` and, if known, ``learning_rate``; shape (n,) each.
        validation: curves by the name of the score; ``loss`` is plotted beside the training loss.
        best_iteration: iteration of the checkpoint that predicts.
        name: unique on the page.
        compact: draw for the width of a phone.

    Returns:
        An SVG element; empty without a loss.
    """
    iteration, loss = metrics.get("iteration", np.empty(0)), metrics.get("loss", np.empty(0))
    if not len(loss):
        return ""
    has_rate = len(metrics.get("learning_rate", [])) == len(loss)
    scores = {key: curve for key, curve in validation.items() if key != "loss" and _has_values(curve)}
    scores = {key: curve for key, curve in scores.items() if key.startswith("voi")} or scores
    ratios = (3.0, *([1.6] if scores else []), *([1.2] if has_rate else []))
    figure, axes = make_figure(14.6, 1.0 + 0.95 * sum(ratios), ratios, compact)
    _plot_loss(axes[0], iteration, loss, validation.get("loss"))
    for (key, curve), color in zip(scores.items(), (SERIES[0], SERIES[1], SERIES[3])):
        at, values = _drop_infinite(curve)
        axes[1].plot(at, values, "o-", ms=4, color=color, label=key.replace("_", " "))
    if scores:
        axes[1].set_ylabel("validation")
    if has_rate:
        at, rate = _average_bins(iteration, metrics["learning_rate"])
        axes[-1].plot(at, rate, color=QUIET, lw=1.4)
        axes[-1].set_ylabel("learning rate")
        axes[-1].set_ylim(bottom=0)
        axes[-1].ticklabel_format(axis="y", scilimits=(0, 0))
    if best_iteration is not None:
        for axis in axes:
            label = f"checkpoint used for prediction: {best_iteration}" if axis is axes[0] else None
            axis.axvline(best_iteration, color=INK, lw=1, ls=(0, (4, 3)), label=label)
    for axis in axes[: len(axes) - has_rate]:
        # Above the axes, where the legend covers no curve.
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=1 if compact else 4, borderaxespad=0.2)
    axes[-1].set_xlabel("iteration")
    axes[-1].set_xlim(0, max(float(iteration.max()), float(best_iteration or 0)) * 1.01)
    last = f"{loss[-1]:.4g}" if np.isfinite(loss[-1]) else "not finite"
    alt = f"Training loss over {int(iteration.max())} iterations, from {loss[0]:.4g} to {last}"
    if best_iteration is not None:
        alt += f"; the checkpoint of iteration {best_iteration} is used"
    return render_svg(figure, alt, name)


def _plot_loss(axis: "Axes", iteration: np.ndarray, loss: np.ndarray, validation: Curve | None) -> None:
    at, values = _average_bins(*_drop_infinite((iteration, loss)))
    axis.plot(at, values, color=SERIES[0], lw=0.8, alpha=0.35)
    axis.plot(at, _smooth(values), color=SERIES[0], label="training, smoothed")
    if validation is not None and _has_values(validation):
        axis.plot(
            *_drop_infinite(validation), "o-", ms=4.5, mec=PAPER, mew=0.8, color=SERIES[1], label="validation"
        )
    if len(values) and values.min() > 0 and values.max() / values.min() > 20:
        axis.set_yscale("log")
    axis.set_ylabel("loss")


def _has_values(curve: Curve) -> bool:
    return bool(np.isfinite(curve[1]).any())


def _drop_infinite(curve: Curve) -> Curve:
    is_finite = np.isfinite(curve[1])
    return curve[0][is_finite], curve[1][is_finite]


def _average_bins(at: np.ndarray, values: np.ndarray) -> Curve:
    """Average over bins if there are more points than a plot can show."""
    if len(at) <= _MAX_POINTS:
        return at, values
    edges = np.linspace(0, len(at), _MAX_POINTS + 1).astype(int)[:-1]
    counts = np.diff([*edges, len(at)])
    return np.add.reduceat(at, edges) / counts, np.add.reduceat(values, edges) / counts


def _smooth(values: np.ndarray) -> np.ndarray:
    """Return a running mean over a fortieth of the curve, over fewer points at its ends."""
    half = len(values) // 80
    if half < 1:
        return values
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def draw_snapshot(path: Path, task: TaskConfig | None) -> list[Picture]:
    """Draw one training batch; an empty list if the file is incomplete.

    Args:
        path: a .npz file with one section of the arrays ``raw``, ``target``, ``weight`` and ``prediction``,
            each of shape (channels, y, x), and ``offset``, the position of the others in ``raw``.
        task: meaning of the channels.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return []
    pictures = []
    target = arrays.get("target")
    if "raw" in arrays:
        raw = arrays["raw"][0]
        if target is not None and "offset" in arrays:
            y, x = (max(0, int(value)) for value in arrays["offset"])
            raw = raw[y : y + target.shape[1], x : x + target.shape[2]]
        pictures.append(
            make_picture(
                normalize_contrast(raw), "Raw image of a training batch", "raw", legend="gray values"
            )
        )
    for key in ("target", "weight", "prediction"):
        if key == "weight" and key in arrays:
            number, weight = len(arrays[key]), arrays[key][0]
            largest = float(weight.max())
            image = quantize_unit_range(weight / max(largest, 1e-6))
            legend = f"black 0, white {largest:.3g}{f'; first of {number} channels' * (number > 1)}"
            pictures.append(make_picture(image, "Loss weights of a training batch", "weight", legend=legend))
        elif key in arrays:
            weight = arrays.get("weight") if key == "target" else None
            drawn = draw_channels(arrays[key], task, key, (1, 2), (1.0, 1.0), "training batch", weight)
            pictures.append(drawn[0])
    return pictures
