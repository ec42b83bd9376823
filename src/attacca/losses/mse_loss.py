"""Mean squared error."""

import torch

from attacca.losses.loss import Loss, check_shapes, compute_weighted_mean


class MSELoss(Loss):
    """Weighted mean of squared differences.

    With ``reduction="reference"``, it is ``mean((w * p - w * t)**2)``: weights are squared.

    >>> MSELoss().compute(torch.tensor([[0.0, 2.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 1.0]]))
    tensor(1.)
    """

    def compute(
        self, prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        check_shapes(prediction, target)
        squared = (prediction - target.to(prediction.dtype)) ** 2
        if self.reduction == "reference" and weight is not None:
            return (squared * weight.to(prediction.dtype) ** 2).mean()
        return compute_weighted_mean(squared, weight)
