"""Drawings and pictures of a training: its curve, and what batches looked like."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attacca.report.channels import channel_pictures
from attacca.report.pictures import (
    INK,
    PAPER,
    QUIET,
    SERIES,
    Picture,
    drawing,
    new_figure,
    normalised,
    picture,
    styled,
    unit_range,
)

_POINTS = 1200


Curve = tuple[np.ndarray, np.ndarray]


@styled
def training_curve(
    metrics: Mapping[str, np.ndarray],
    validation: Mapping[str, Curve],
    best_iteration: int | None,
    name: str,
) -> str:
    """Loss and learning rate over iterations, validation beside them, the best checkpoint marked.

    Args:
        metrics: columns ``iteration``, ``loss`` and, if known, ``learning_rate``.
        validation: iterations and values by the name of the score; ``loss`` is drawn beside that of the
            training.
        best_iteration: of the checkpoint that predicts.
        name: unique on the page.

    Returns:
        An SVG element; empty without a curve to draw.
    """
    iteration, loss = metrics.get("iteration", np.empty(0)), metrics.get("loss", np.empty(0))
    if not len(loss):
        return ""
    with_rate = len(metrics.get("learning_rate", [])) == len(loss)
    scores = {key: curve for key, curve in validation.items() if key != "loss" and _there(curve)}
    scores = {key: curve for key, curve in scores.items() if key.startswith("voi")} or scores
    ratios = (3.0, *([1.6] if scores else []), *([0.8] if with_rate else []))
    figure, made = new_figure(14.6, 1.0 + 0.95 * sum(ratios), len(ratios), ratios)
    axes = list(np.atleast_1d(made))
    _draw_loss(axes[0], iteration, loss, validation.get("loss"))
    for (key, (at, values)), color in zip(scores.items(), (SERIES[0], SERIES[1], SERIES[3])):
        there = np.isfinite(values)
        axes[1].plot(at[there], values[there], "o-", ms=4, color=color, label=key.replace("_", " "))
    if scores:
        axes[1].set_ylabel("validation")
    if with_rate:
        at, rate = _thin(iteration, metrics["learning_rate"])
        axes[-1].plot(at, rate, color=QUIET, lw=1.4)
        axes[-1].set_ylabel("learning rate")
        axes[-1].set_ylim(bottom=0)
        axes[-1].ticklabel_format(axis="y", scilimits=(0, 0))
    if best_iteration is not None:
        for axis in axes:
            told = f"checkpoint that predicts: {best_iteration}" if axis is axes[0] else None
            axis.axvline(best_iteration, color=INK, lw=1, ls=(0, (4, 3)), label=told)
    for axis in axes[: len(axes) - with_rate]:
        # Above the axes, where no curve runs.
        axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2)
    axes[-1].set_xlabel("iteration")
    axes[-1].set_xlim(0, max(float(iteration.max()), float(best_iteration or 0)) * 1.01)
    last = f"{loss[-1]:.4g}" if np.isfinite(loss[-1]) else "not finite"
    alt = f"Training loss over {int(iteration.max())} iterations, from {loss[0]:.4g} to {last}"
    if best_iteration is not None:
        alt += f"; the checkpoint of iteration {best_iteration} is used"
    return drawing(figure, alt, name)


def _draw_loss(axis: Any, iteration: np.ndarray, loss: np.ndarray, validation: Curve | None) -> None:
    finite = np.isfinite(loss)
    at, values = _thin(iteration[finite], loss[finite])
    axis.plot(at, values, color=SERIES[0], lw=0.8, alpha=0.35)
    axis.plot(at, _smooth(values), color=SERIES[0], label="training, smoothed")
    if validation is not None and _there(validation):
        there = np.isfinite(validation[1])
        style = {"ms": 4.5, "mec": PAPER, "mew": 0.8, "color": SERIES[1]}
        axis.plot(validation[0][there], validation[1][there], "o-", label="validation", **style)
    if len(values) and values.min() > 0 and values.max() / values.min() > 20:
        axis.set_yscale("log")
    axis.set_ylabel("loss")


def _there(curve: Curve) -> bool:
    return bool(np.isfinite(curve[1]).any())


def _thin(at: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over bins, where there are more points than a drawing can show."""
    if len(at) <= _POINTS:
        return at, values
    edges = np.linspace(0, len(at), _POINTS + 1).astype(int)[:-1]
    counts = np.diff([*edges, len(at)])
    return np.add.reduceat(at, edges) / counts, np.add.reduceat(values, edges) / counts


def _smooth(values: np.ndarray) -> np.ndarray:
    """A running mean over a fortieth of the curve; shorter at its ends, so that nothing is invented there."""
    half = len(values) // 80
    if half < 1:
        return values
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def snapshot_pictures(path: Path, task: Mapping[str, Any]) -> list[Picture]:
    """Pictures of one batch; an empty list where the file is not whole.

    Args:
        path: a .npz file with one section of the arrays ``raw``, ``target``, ``weight`` and
            ``prediction``, each of shape (channels, y, x), and ``offset``, where the others begin in ``raw``.
        task: the section of the configuration; tells what channels mean.
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
        pictures.append(picture(normalised(raw), "Raw image of a training batch", "raw"))
    for key, told in (
        ("target", "what was to be learnt"),
        ("weight", ""),
        ("prediction", "what was predicted"),
    ):
        if key not in arrays:
            continue
        if key == "weight":
            weight = arrays[key][0]
            image = unit_range(weight / max(float(weight.max()), 1e-6))
            pictures.append(picture(image, "Weights of a training batch; bright counts much", "weight"))
        else:
            where = f"a training batch: {told}"
            pictures.append(channel_pictures(arrays[key], task, key, (1, 2), (1.0, 1.0), where)[0])
    return pictures
