"""One class for each voxel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from attacca.arrays import Array
from attacca.arrays.types import ProbabilityArray
from attacca.errors import VolumeError
from attacca.predictors.class_balance import BalancedPart, ClassCounts
from attacca.predictors.label_arrays import without_channels
from attacca.predictors.predictor import DEFAULT_HEAD_KERNEL, Predictor, convolution, labels_of, like, mask_of

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture
    from attacca.model import Model


def unknown_classes(values: np.ndarray, classes: Sequence[str]) -> str:
    """What is wrong with labels that hold ``values``, which are none of the classes."""
    named = ", ".join(map(str, values[:10])) + (
        f" and {len(values) - 10} other values" if len(values) > 10 else ""
    )
    known = ", ".join(f"{index} {name}" for index, name in enumerate(classes))
    return (
        f"the labels hold {named}, which {'is no class' if len(values) == 1 else 'are no classes'}: the task's "
        f"classes are {known}. Name a class for each value, counted from 0, under task.classes; or say under "
        "labels which value is 'unlabelled', or leave these voxels out with a mask"
    )


class OneHotPredictor(Predictor):
    """Probabilities of classes; the label value i is the class ``classes[i]``.

    Args:
        classes: names, in the order of label values from 0.
        kernel_size: edge length of the head's convolution in voxels; None is 3.
        balance_classes: weigh rare classes up by their running counts; otherwise each voxel under the mask
            weighs 1.
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
        """Logits when training, probabilities (softmax over classes) in evaluation mode."""
        import torch

        from attacca.model import Model

        head = convolution(architecture, self.embedding_dims, self.kernel_size or DEFAULT_HEAD_KERNEL)
        return Model(architecture, head, eval_activation=torch.nn.Softmax(dim=1))

    def process(self, labels: np.ndarray) -> np.ndarray:
        """One-hot classes.

        Args:
            labels: (1, *spatial), class numbers.

        Returns:
            uint8, (classes, *spatial); a voxel with a label that is no class is 0 in all channels.
        """
        one_hot = np.empty((self.embedding_dims, *labels.shape[1:]), dtype=bool)
        for index in range(self.embedding_dims):
            np.equal(labels[0], index, out=one_hot[index])
        return one_hot.view(np.uint8)

    def create_target(self, gt: Array) -> Array:
        labels = without_channels(labels_of(gt), gt.dims)
        return like(gt, self.process(labels[np.newaxis]))

    def check_ground_truth(self, gt: Array, mask: Array | None) -> None:
        """Every voxel under the mask holds one of the classes."""
        labels = without_channels(labels_of(gt), gt.dims)
        beyond = labels >= self.embedding_dims
        masked = mask_of(mask)
        if masked is not None:
            beyond &= without_channels(masked, gt.dims) != 0
        if beyond.any():
            raise VolumeError(unknown_classes(np.unique(labels[beyond]), self.classes))

    def balanced_parts(self, gt: Array, target: Array, mask: Array | None) -> Iterator[BalancedPart]:
        labels = without_channels(labels_of(gt), gt.dims)
        masked = mask_of(mask)
        if masked is not None:
            masked = without_channels(masked, gt.dims)
        if not self.balance_classes:
            yield BalancedPart(slice(None), labels, masked, num_classes=0)
            return
        known = labels < self.embedding_dims
        masked = known.view(np.uint8) if masked is None else masked * known
        yield BalancedPart(slice(None), np.where(known, labels, 0), masked, num_classes=self.embedding_dims)

    def pack_counts(self, counts: list[ClassCounts]) -> list[ClassCounts] | None:
        return counts if self.balance_classes else None
