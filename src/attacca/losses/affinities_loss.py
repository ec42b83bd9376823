"""Loss of affinities and local shape descriptors."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from attacca.errors import ConfigurationError
from attacca.losses.loss import Loss, Reduction, check_shapes, compute_weighted_mean


class AffinitiesLoss(Loss):
    """Binary cross-entropy of the logits of affinities, plus squared errors of descriptors after a sigmoid.

    With ``reduction="reference"`` and without descriptors, the weights are ignored, as in DaCapo.

    Args:
        num_affinities: number of channels that are affinities; later channels are descriptors.
        lsds_to_affs_weight_ratio: weight of the descriptors' term, that of the affinities being 1.
        reduction: see ``Loss``; each term is reduced separately.

    >>> logits, target = torch.zeros(1, 2, 4, 4, 4), torch.ones(1, 2, 4, 4, 4)
    >>> AffinitiesLoss(1, 1.0).compute(logits, target)
    tensor(0.9431)
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
            raise ConfigurationError(
                f"found a prediction with {prediction.shape[1]} channels, expected at least {n} affinities"
            )
        target = target.to(prediction.dtype)
        entropy = binary_cross_entropy_with_logits(prediction[:, :n], target[:, :n], reduction="none")
        descriptors = prediction[:, n:]
        if reference and descriptors.shape[1] == 0:
            return entropy.mean()
        weight = torch.ones_like(prediction) if weight is None else weight.expand_as(prediction)
        reduce = _compute_reference_mean if reference else compute_weighted_mean
        loss = reduce(entropy, weight[:, :n])
        if descriptors.shape[1] == 0:
            return loss
        squared = (torch.sigmoid(descriptors) - target[:, n:]) ** 2
        return loss + self.lsds_to_affs_weight_ratio * reduce(squared, weight[:, n:])


def _compute_reference_mean(losses: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    return losses.mean() if weight is None else (losses * weight).mean()
