"""Affinities, and local shape descriptors beside them."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from attacca.errors import ConfigurationError
from attacca.losses.loss import Loss, Reduction, check_shapes, weighted_mean


class AffinitiesLoss(Loss):
    """Binary cross-entropy of affinities' logits, plus squared errors of descriptors after a sigmoid.

    By ``"reference"``, without descriptors, the weights are not used.

    Args:
        num_affinities: how many of the first channels are affinities; the others are descriptors.
        lsds_to_affs_weight_ratio: weight of the descriptors' term.
        reduction: see ``Loss``; each term is reduced by itself.
    """

    def __init__(
        self, num_affinities: int, lsds_to_affs_weight_ratio: float, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        self.num_affinities = num_affinities
        self.lsds_to_affs_weight_ratio = lsds_to_affs_weight_ratio

    def compute(
        self, prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        n = self.num_affinities
        reference = self.reduction == "reference"
        if not reference:
            check_shapes(prediction, target)
        if prediction.shape[1] < n:
            raise ConfigurationError(f"a prediction of {prediction.shape[1]} channels has no {n} affinities")
        target = target.to(prediction.dtype)
        entropy = binary_cross_entropy_with_logits(prediction[:, :n], target[:, :n], reduction="none")
        descriptors = prediction[:, n:]
        if reference and descriptors.shape[1] == 0:
            return entropy.mean()
        weight = torch.ones_like(prediction) if weight is None else weight.expand_as(prediction)
        reduced = _reference_mean if reference else weighted_mean
        loss = reduced(entropy, weight[:, :n])
        if descriptors.shape[1] == 0:
            return loss
        squared = (torch.sigmoid(descriptors) - target[:, n:]) ** 2
        return loss + self.lsds_to_affs_weight_ratio * reduced(squared, weight[:, n:])


def _reference_mean(losses: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    return losses.mean() if weight is None else (losses * weight).mean()
