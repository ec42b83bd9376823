"""Mean squared error."""

import torch

from attacca.losses.loss import Loss, check_shapes, weighted_mean


class MSELoss(Loss):
    """Weighted mean of squared differences; by ``"reference"``, ``mean((w * p - w * t)**2)``: weights
    squared."""

    def compute(
        self, prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        check_shapes(prediction, target)
        squared = (prediction - target.to(prediction.dtype)) ** 2
        if self.reduction == "reference" and weight is not None:
            return (squared * weight.to(prediction.dtype) ** 2).mean()
        return weighted_mean(squared, weight)
