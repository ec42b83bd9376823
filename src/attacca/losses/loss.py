"""What every loss can do, and the weighted mean that all of them use."""

from abc import ABC, abstractmethod
from typing import Literal

import torch

from attacca.errors import ConfigurationError

Reduction = Literal["mean", "reference"]


class Loss(ABC):
    """How far a prediction is from its target.

    Args:
        reduction: ``"mean"`` is the weighted mean ``sum(w * l) / sum(w)``, 0 where all weights are 0;
            ``"reference"`` is DaCapo's formula, for comparisons with it.
    """

    def __init__(self, reduction: Reduction = "mean") -> None:
        if reduction not in ("mean", "reference"):
            raise ConfigurationError(f"unknown reduction {reduction!r}; known are 'mean' and 'reference'")
        self.reduction = reduction

    @abstractmethod
    def compute(
        self, prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The loss, a tensor with one number.

        Args:
            prediction: (batch, channels, *spatial), what the model gives in training mode.
            target: of the same shape; any dtype.
            weight: of a shape that broadcasts to it; None weighs everything 1.

        Raises:
            attacca.errors.ConfigurationError: shapes do not fit each other.
        """


def weighted_mean(losses: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    """``sum(weight * losses) / sum(weight)``; 0 where the weights' sum is 0."""
    if weight is None:
        return losses.mean()
    weight = weight.to(losses.dtype).expand_as(losses)
    total = weight.sum()
    return (losses * weight).sum() / torch.where(total > 0, total, torch.ones_like(total))


def check_shapes(prediction: torch.Tensor, target: torch.Tensor) -> None:
    """Prediction and target are of one shape.

    Raises:
        ConfigurationError: they are not.
    """
    if prediction.shape != target.shape:
        raise ConfigurationError(
            f"a prediction of shape {tuple(prediction.shape)} cannot be compared with a target of shape "
            f"{tuple(target.shape)}: does the model have the channels of its predictor?"
        )
