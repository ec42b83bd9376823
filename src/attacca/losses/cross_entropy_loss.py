"""One class for each voxel."""

import torch
from torch.nn.functional import log_softmax

from attacca.losses.loss import Loss, check_shapes, weighted_mean


class CrossEntropyLoss(Loss):
    """Cross-entropy of logits and one-hot targets; voxels whose target is 0 in every channel do not count.

    The weight of a voxel is the mean of its channels' weights. DaCapo has no such loss: both reductions are
    the weighted mean.
    """

    def compute(
        self, prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        check_shapes(prediction, target)
        target = target.to(prediction.dtype)
        entropy = -(target * log_softmax(prediction, dim=1)).sum(dim=1)
        counts = (target.sum(dim=1) > 0).to(prediction.dtype)
        if weight is not None:
            counts = counts * weight.to(prediction.dtype).expand_as(prediction).mean(dim=1)
        return weighted_mean(entropy, counts)
