"""Predictor of one class per voxel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from attacca.arrays import Array
from attacca.arrays.channel_axis import drop_channel_axis
from attacca.arrays.types import ProbabilityArray
from attacca.config.tasks import DEFAULT_HEAD_KERNEL
from attacca.errors import VolumeError
from attacca.predictors.class_balance import BalancedPart, ClassCounts
from attacca.predictors.predictor import (
    Predictor,
    create_array_like,
    create_model_with_head,
    read_labels,
    read_mask,
)

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture
    from attacca.model import Model


def describe_unknown_classes(values: np.ndarray, classes: Sequence[str]) -> str:
    """Return the message for labels with values that are not classes.

    Args:
        values: the distinct values, ascending.
        classes: names of the classes, by label value from 0.

    >>> describe_unknown_classes(np.array([7]), ["background", "cell"])
    "the labels hold 7, which is not a class: the task's classes are 0 background, 1 cell. Add a class ..."
    """
    named = ", ".join(map(str, values[:10])) + (
        f" and {len(values) - 10} other values" if len(values) > 10 else ""
    )
    known = ", ".join(f"{index} {name}" for index, name in enumerate(classes))
    return (
        f"the labels hold {named}, which {'is not a class' if len(values) == 1 else 'are not classes'}: the task's "
        f"classes are {known}. Add a class for each value, counted from 0, to task.classes; or set 'unlabelled' under "
        "labels to the value of voxels without annotation, or exclude these voxels with a mask"
    )


class OneHotPredictor(Predictor):
    """Probabilities of classes; label value i is the class ``classes[i]``.

    Args:
        classes: names, by label value from 0.
        kernel_size: edge length of the head's convolution, in voxels; None means 3.
        balance_classes: increase the weight of rare classes by running counts; otherwise each voxel inside the mask
            has weight 1.

    >>> predictor = OneHotPredictor(["background", "cell"])
    >>> predictor.process(np.array([[[0, 1, 1, 7]]]))
    array([[[1, 0, 0, 0]],
    <BLANKLINE>
           [[0, 1, 1, 0]]], dtype=uint8)
    """

    def __init__(
        self, classes: Sequence[str], kernel_size: int | None = None, balance_classes: bool = False
    ) -> None:
        self.classes = list(classes)
        self.kernel_size = kernel_size
        self.balance_classes = balance_classes

    @property
    def embedding_dims(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def output_array_type(self) -> ProbabilityArray:
        return ProbabilityArray(self.classes)

    @property
    def channel_names(self) -> list[str]:
        return list(self.classes)

    @property
    def value_range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def target_is_binary(self) -> bool:
        return True

    def create_model(self, architecture: Architecture) -> Model:
        """Return a model with logits in training mode, and probabilities (softmax over classes) in evaluation mode."""
        kernel_size = self.kernel_size or DEFAULT_HEAD_KERNEL
        return create_model_with_head(architecture, self.embedding_dims, kernel_size, "softmax")

    def process(self, labels: np.ndarray) -> np.ndarray:
        """Return one-hot classes.

        Args:
            labels: (1, *spatial), class indices; any integer dtype.

        Returns:
            uint8, (classes, *spatial); voxels whose label is not a class are 0 in all channels.
        """
        one_hot = np.empty((self.embedding_dims, *labels.shape[1:]), dtype=bool)
        for index in range(self.embedding_dims):
            np.equal(labels[0], index, out=one_hot[index])
        return one_hot.view(np.uint8)

    def create_target(self, gt: Array) -> Array:
        labels = drop_channel_axis(read_labels(gt), gt.dims)
        return create_array_like(gt, self.process(labels[np.newaxis]))

    def check_ground_truth(self, gt: Array, mask: Array | None) -> None:
        """Raise an error if a voxel inside the mask does not hold one of the classes."""
        labels = drop_channel_axis(read_labels(gt), gt.dims)
        beyond = labels >= self.embedding_dims
        masked = read_mask(mask)
        if masked is not None:
            beyond &= drop_channel_axis(masked, gt.dims) != 0
        if beyond.any():
            raise VolumeError(describe_unknown_classes(np.unique(labels[beyond]), self.classes))

    def balanced_parts(self, gt: Array, target: Array, mask: Array | None) -> Iterator[BalancedPart]:
        labels = drop_channel_axis(read_labels(gt), gt.dims)
        masked = read_mask(mask)
        if masked is not None:
            masked = drop_channel_axis(masked, gt.dims)
        if not self.balance_classes:
            yield BalancedPart(slice(None), labels, masked, num_classes=0)
            return
        known = labels < self.embedding_dims
        masked = known.view(np.uint8) if masked is None else masked * known
        yield BalancedPart(slice(None), np.where(known, labels, 0), masked, num_classes=self.embedding_dims)

    def pack_counts(self, counts: list[ClassCounts]) -> list[ClassCounts] | None:
        return counts if self.balance_classes else None
