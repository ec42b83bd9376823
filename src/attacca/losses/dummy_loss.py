"""Mean absolute difference."""

import torch

from attacca.losses.loss import Loss, check_shapes


class DummyLoss(Loss):
    """Mean absolute difference, without weights, whatever the reduction."""

    def compute(
        self, prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        check_shapes(prediction, target)
        return (prediction - target.to(prediction.dtype)).abs().mean()
