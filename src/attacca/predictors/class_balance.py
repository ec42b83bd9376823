"""Class-balanced loss weights."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np

from attacca.errors import LabelsError

ClassCounts = dict[int, tuple[float, float]]
"""Class -> (voxels of the class, 1 + sum of the mask), summed over calls."""


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


def _convert_to_classes(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Return labels as uint8 (uint32 for more than 256 classes).

    Args:
        labels: any shape; bool, integers or floats.
        num_classes: number of classes; labels are 0 to ``num_classes - 1``.

    Raises:
        LabelsError: a label is negative, ``num_classes`` or larger, or not an integer.
    """
    if labels.dtype == bool:
        return labels.view(np.uint8)
    if labels.size:
        low, high = labels.min(), labels.max()
        # Comparisons with NaN are False.
        if not (low >= 0 and high < num_classes):
            raise LabelsError(
                f"labels must be classes from 0 to {num_classes - 1}; found values from {low} to {high}"
            )
        if labels.dtype.kind == "f" and (labels % 1).any():
            raise LabelsError("labels must be classes, which are whole numbers; found fractions")
    return labels.astype(np.uint8 if num_classes <= 256 else np.uint32, copy=False)


def count_classes(labels: np.ndarray, scale: np.ndarray, num_classes: int) -> tuple[np.ndarray, float]:
    """Count the voxels of each class where ``scale`` is not 0, and sum ``scale``.

    Both are sums over voxels: those of blocks add up to those of the volume in any order; exactly, for masks of 0
    and 1.

    Args:
        labels: from ``_convert_to_classes``, any shape.
        scale: float32, shape of ``labels``.
        num_classes: number of classes.

    Returns:
        counts (int64, one per class) and the sum of ``scale``.

    >>> labels, scale = np.array([0, 1, 1, 1], np.uint8), np.array([1, 1, 1, 0], np.float32)
    >>> count_classes(labels, scale, 2)
    (array([1, 2]), 3.0)
    """
    counts = np.zeros(num_classes, dtype=np.int64)
    total = _count(np.ravel(labels), np.ravel(scale), counts)
    return counts, float(total)


def compute_class_weights(
    present: np.ndarray,
    counts: ClassCounts,
    clipmin: float | None,
    clipmax: float | None,
) -> np.ndarray:
    """Return the weight of each class, ``1 / num_classes / fraction``.

    Args:
        present: bool, one per class; classes that are not present get 0.
        counts: see ``ClassCounts``; the fraction of a class is the quotient of its pair.
        clipmin: lower bound of fractions; None for no bound.
        clipmax: upper bound of fractions; None for no bound.

    >>> compute_class_weights(np.array([True, True]), {0: (90, 100), 1: (1, 100)}, 0.05, 0.95)
    array([ 0.55555556, 10.        ])
    """
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
    """Channels that share one map of weights, which is balanced independently of other channels."""

    channels: slice
    """Channels that get the weights."""
    labels: np.ndarray
    """Class of each voxel, uint8, (*spatial)."""
    mask: np.ndarray | None
    """Factor of the weights, shape of ``labels``; None for 1."""
    num_classes: int = 2
    """Number of classes; with 0, weights are not balanced: they are the mask."""
    clipmin: float | None = 0.05
    """Lower bound of a class's fraction of the voxels; None for no bound."""
    clipmax: float | None = 0.95
    """Upper bound of the fraction; None for no bound."""

    def balance(self, counts: ClassCounts | None = None) -> tuple[np.ndarray, ClassCounts]:
        """Return weights from these voxels and running counts.

        Args:
            counts: running counts, changed in place; None starts new ones.

        Returns:
            weights (float32, shape of ``labels``) and the counts; see ``balance_weights``.
        """
        if self.num_classes == 0:
            return self._scale(), {}
        moving = None if counts is None else [counts]
        masks = [] if self.mask is None else [self.mask]
        bounds = (self.clipmin, self.clipmax)
        weights, updated = balance_weights(self.labels, self.num_classes, masks, None, *bounds, moving)
        return weights, updated[0]

    def count(self, where: tuple[slice, ...]) -> tuple[list[int], float]:
        """Count the voxels of each class inside the mask, and sum the mask, within a box.

        Both add up over boxes.
        """
        if self.num_classes == 0:
            return [], 0.0
        scale = np.ascontiguousarray(self._scale()[where])
        labels = _convert_to_classes(np.ascontiguousarray(self.labels[where]), self.num_classes)
        counts, total = count_classes(labels, scale, self.num_classes)
        return [int(count) for count in counts], total

    def weigh(self, where: tuple[slice, ...], counts: Sequence[int], total: float) -> np.ndarray:
        """Return the weights within a box, from the counts of all boxes.

        Args:
            where: the box, one slice per spatial axis.
            counts: voxels of each class in all boxes.
            total: sum of the mask over all boxes.

        Returns:
            float32, shape of the box.
        """
        scale = np.array(self._scale()[where], order="C")
        if self.num_classes == 0:
            return scale
        class_counts: ClassCounts = {index: (count, 1 + total) for index, count in enumerate(counts)}
        weights = compute_class_weights(np.asarray(counts) > 0, class_counts, self.clipmin, self.clipmax)
        labels = _convert_to_classes(np.ascontiguousarray(self.labels[where]), self.num_classes)
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
    """Return weights such that all classes have the same sum of weights, from running counts over calls.

    In each slab, let ``num`` be the number of voxels of a class inside the masks and ``den`` 1 plus the sum of the
    masks, over this and all earlier calls: ``weight = mask / num_classes / clip(num / den, clipmin, clipmax)``.

    Args:
        label_data: classes, 0 to ``num_classes - 1``, any shape; bool, integers or floats.
        num_classes: number of classes.
        masks: arrays that broadcast to the shape of ``label_data``; their product scales the weights.
        slab: shape of slabs that are balanced independently, -1 for a whole axis; None for a single slab.
        clipmin: lower bound of a class's fraction: rare classes weigh at most ``1 / num_classes / clipmin``. None for
            no bound.
        clipmax: upper bound of a class's fraction; None for no bound.
        moving_counts: the list that an earlier call returned, one entry per slab in C order; changed in place.

    Returns:
        weights (float32, shape of ``label_data``) and the running counts.

    Raises:
        LabelsError: a label is not a class.

    >>> weights, counts = balance_weights(np.array([0, 0, 0, 1]), 2)
    >>> weights.tolist()
    [0.8333333134651184, 0.8333333134651184, 0.8333333134651184, 2.5]
    >>> counts[0:]
    [{0: (3, 5.0), 1: (1, 5.0)}]
    """
    label_data = np.asarray(label_data)
    labels = _convert_to_classes(label_data, num_classes)
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
        counts, total = count_classes(slab_labels, slab_scale, num_classes)
        running = counts_of[index]
        for class_id, (numerator, denominator) in running.items():
            running[class_id] = (numerator + int(counts[class_id]), denominator + total)
        weights = compute_class_weights(counts > 0, running, clipmin, clipmax).astype(np.float32)
        _scale(slab_labels, weights, slab_scale)
        scale[where] = slab_scale.reshape(scale[where].shape)
    return scale, counts_of
