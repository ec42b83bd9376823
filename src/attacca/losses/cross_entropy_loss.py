"""Cross-entropy of one class per voxel."""

import torch
from torch.nn.functional import log_softmax

from attacca.losses.loss import Loss, check_shapes, compute_weighted_mean


class CrossEntropyLoss(Loss):
    """Cross-entropy of logits and one-hot targets; voxels with target 0 in all channels do not count.

    The weight of a voxel is the mean of its channels' weights. DaCapo does not have this loss: both reductions are
    the weighted mean.

    >>> logits, target = torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)
    >>> target[:, 0] = 1
    >>> CrossEntropyLoss().compute(logits, target)
    tensor(1.3863)
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
        return compute_weighted_mean(entropy, counts)
