"""Loss of classes and their distances."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from attacca.errors import ConfigurationError
from attacca.losses.loss import Loss, check_shapes, compute_weighted_mean


class HotDistanceLoss(Loss):
    """Binary cross-entropy of the first half of the channels (logits), plus squared errors of the second half.

    With ``reduction="reference"``, the terms are ``mean(bce * w)`` and ``mean((w * p - w * t)**2)``: weights of the
    second are squared.

    >>> HotDistanceLoss().compute(torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 4, 4))
    tensor(1.6931)
    """

    def compute(
        self, prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        check_shapes(prediction, target)
        if target.shape[1] % 2:
            raise ConfigurationError(
                f"a hot-distance target has an even number of channels, not {target.shape[1]}: the first half is "
                "inside or outside, the second half distances"
            )
        n = target.shape[1] // 2
        target = target.to(prediction.dtype)
        entropy = binary_cross_entropy_with_logits(prediction[:, :n], target[:, :n], reduction="none")
        squared = (prediction[:, n:] - target[:, n:]) ** 2
        if weight is None:
            return entropy.mean() + squared.mean()
        weight = weight.to(prediction.dtype).expand_as(prediction)
        if self.reduction == "reference":
            return (entropy * weight[:, :n]).mean() + (squared * weight[:, n:] ** 2).mean()
        return compute_weighted_mean(entropy, weight[:, :n]) + compute_weighted_mean(squared, weight[:, n:])
