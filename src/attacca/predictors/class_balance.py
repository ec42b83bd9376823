"""Weights that give each class the same say, however few voxels it has."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from attacca.errors import LabelsError

ClassCounts = dict[int, tuple[float, float]]
"""Class -> (voxels of the class so far, 1 + sum of the mask so far)."""


@numba.njit(cache=True, nogil=True)
def _count(labels, scale, counts):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(labels.size):
        s = scale[i]
        if s != 0:
            counts[labels[i]] += 1
            total += s
    return total


@numba.njit(cache=True, nogil=True)
def _scale(labels, weights, scale):  # type: ignore[no-untyped-def]
    for i in range(labels.size):
        scale[i] *= weights[labels[i]]


def class_indices(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Labels as uint8 (or uint32 for more than 256 classes).

    Raises:
        LabelsError: a label is negative, not smaller than ``num_classes``, or no whole number.
    """
    if labels.dtype == bool:
        return labels.view(np.uint8)
    if labels.size:
        low, high = labels.min(), labels.max()
        # Not-a-number compares as nothing.
        if not (low >= 0 and high < num_classes):
            raise LabelsError(
                f"labels must be classes from 0 to {num_classes - 1}; found values from {low} to {high}"
            )
        if labels.dtype.kind == "f" and (labels % 1).any():
            raise LabelsError("labels must be classes, which are whole numbers; found fractions")
    return labels.astype(np.uint8 if num_classes <= 256 else np.uint32, copy=False)


def count_classes(labels: np.ndarray, scale: np.ndarray, num_classes: int) -> tuple[np.ndarray, float]:
    """Voxels of each class where ``scale`` is not 0 (int64), and the sum of ``scale``.

    Both are sums over voxels: those of blocks add up to those of the volume, in any order, exactly so for
    masks of 0 and 1.

    Args:
        labels: from ``class_indices``.
        scale: float32, of the same shape.
    """
    counts = np.zeros(num_classes, dtype=np.int64)
    total = _count(np.ravel(labels), np.ravel(scale), counts)
    return counts, float(total)


def class_weights(
    present: np.ndarray,
    counts: ClassCounts,
    clipmin: float | None,
    clipmax: float | None,
) -> np.ndarray:
    """Weight of each class, ``1 / num_classes / fraction``, with fractions clipped; 0 for classes not
    present."""
    weights = np.zeros(len(present), dtype=np.float64)
    for class_id, is_present in enumerate(present):
        if is_present:
            numerator, denominator = counts[class_id]
            fraction = numerator / denominator
            if clipmin is not None:
                fraction = max(fraction, clipmin)
            if clipmax is not None:
                fraction = min(fraction, clipmax)
            weights[class_id] = 1.0 / len(present) / fraction
    return weights


@dataclass(frozen=True)
class BalancedPart:
    """Channels whose weights are one map, balanced by itself."""

    channels: slice
    """The channels that get the weights."""
    labels: np.ndarray
    """Class of each voxel (uint8, spatial axes)."""
    mask: np.ndarray | None
    """What multiplies the weights, of the shape of ``labels``; None for 1."""
    num_classes: int = 2
    """Number of classes; 0 does not balance: the weights are the mask."""
    clipmin: float | None = 0.05
    """Smallest fraction that a class is taken to have."""
    clipmax: float | None = 0.95
    """Largest fraction."""

    def balance(self, counts: ClassCounts | None = None) -> tuple[np.ndarray, ClassCounts]:
        """Weights by these voxels and the running ``counts`` (which are changed), as of
        ``balance_weights``."""
        if self.num_classes == 0:
            return self._scale(), {}
        moving = None if counts is None else [counts]
        masks = [] if self.mask is None else [self.mask]
        bounds = (self.clipmin, self.clipmax)
        weights, updated = balance_weights(self.labels, self.num_classes, masks, None, *bounds, moving)
        return weights, updated[0]

    def count(self, where: tuple[slice, ...]) -> tuple[list[int], float]:
        """Voxels of each class under the mask and the mask's sum, within a box; both add up over boxes."""
        if self.num_classes == 0:
            return [], 0.0
        scale = np.ascontiguousarray(self._scale()[where])
        labels = class_indices(np.ascontiguousarray(self.labels[where]), self.num_classes)
        counts, total = count_classes(labels, scale, self.num_classes)
        return [int(count) for count in counts], total

    def weigh(self, where: tuple[slice, ...], counts: Sequence[int], total: float) -> np.ndarray:
        """Weights (float32) within a box, by the counts of all boxes together."""
        scale = np.array(self._scale()[where], order="C")
        if self.num_classes == 0:
            return scale
        of_class: ClassCounts = {index: (count, 1 + total) for index, count in enumerate(counts)}
        weights = class_weights(np.asarray(counts) > 0, of_class, self.clipmin, self.clipmax)
        labels = class_indices(np.ascontiguousarray(self.labels[where]), self.num_classes)
        _scale(labels.ravel(), weights.astype(np.float32), scale.reshape(-1))
        return scale

    def _scale(self) -> np.ndarray:
        if self.mask is None:
            return np.ones(self.labels.shape, dtype=np.float32)
        return self.mask.astype(np.float32, copy=False)


def balance_weights(
    label_data: np.ndarray,
    num_classes: int,
    masks: Sequence[np.ndarray] = (),
    slab: Sequence[int] | None = None,
    clipmin: float | None = 0.05,
    clipmax: float | None = 0.95,
    moving_counts: list[ClassCounts] | None = None,
) -> tuple[np.ndarray, list[ClassCounts]]:
    """Weights by which each class has the same sum of weights, from running counts over successive calls.

    In each slab, with ``num`` the voxels of a class under the masks and ``den`` 1 plus the sum of the masks,
    over this
    and all earlier calls: ``weight = mask / num_classes / clip(num / den)``.

    Args:
        label_data: classes, 0 to ``num_classes - 1``; bool, integers or floats.
        masks: arrays that broadcast to the shape of ``label_data``; their product scales the weights.
        slab: shape of the slabs that are balanced by themselves, -1 for a whole axis; None is one slab.
        clipmin: smallest fraction that a class is taken to have; None for no bound.
        clipmax: largest fraction.
        moving_counts: the list returned by an earlier call, one entry for each slab in C order; it is
            changed.

    Returns:
        weights (float32, shape of ``label_data``) and the running counts.

    Raises:
        LabelsError: a label is no class.
    """
    label_data = np.asarray(label_data)
    labels = class_indices(label_data, num_classes)
    scale = np.ones(labels.shape, dtype=np.float32)
    for mask in masks:
        scale *= mask
    if scale.size == 0:
        return scale, [] if moving_counts is None else moving_counts
    shape = [
        size if part == -1 else part
        for size, part in zip(labels.shape, labels.shape if slab is None else slab)
    ]
    counts_of = [] if moving_counts is None else moving_counts
    starts = itertools.product(*(range(0, size, part) for size, part in zip(labels.shape, shape)))
    for index, start in enumerate(starts):
        where = tuple(slice(begin, begin + part) for begin, part in zip(start, shape))
        if index == len(counts_of):
            counts_of.append(dict.fromkeys(range(num_classes), (0, 1)))
        slab_labels = np.ascontiguousarray(labels[where]).ravel()
        slab_scale = np.ascontiguousarray(scale[where]).ravel()
        found, total = count_classes(slab_labels, slab_scale, num_classes)
        running = counts_of[index]
        for class_id, (numerator, denominator) in running.items():
            running[class_id] = (numerator + int(found[class_id]), denominator + total)
        weights = class_weights(found > 0, running, clipmin, clipmax).astype(np.float32)
        _scale(slab_labels, weights, slab_scale)
        scale[where] = slab_scale.reshape(scale[where].shape)
    return scale, counts_of
