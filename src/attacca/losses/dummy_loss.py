"""Mean absolute difference, for compatibility with DaCapo."""

import torch

from attacca.losses.loss import Loss, check_shapes


class DummyLoss(Loss):
    """Mean absolute difference without weights, with either reduction."""

    def compute(
        self, prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        check_shapes(prediction, target)
        return (prediction - target.to(prediction.dtype)).abs().mean()
