"""Interface of losses, and the weighted mean that all of them use."""

from abc import ABC, abstractmethod
from typing import Literal

import torch

from attacca.errors import ConfigurationError

Reduction = Literal["mean", "reference"]


class Loss(ABC):
    """Distance of a prediction from its target, as one number.

    Args:
        reduction: ``"mean"`` is the weighted mean ``sum(w * l) / sum(w)``, or 0 if all weights are 0;
            ``"reference"`` is DaCapo's formula, for comparisons with DaCapo.

    Raises:
        ConfigurationError: the reduction is another one.
    """

    def __init__(self, reduction: Reduction = "mean") -> None:
        if reduction not in ("mean", "reference"):
            raise ConfigurationError(f"found reduction {reduction!r}, expected 'mean' or 'reference'")
        self.reduction = reduction

    @abstractmethod
    def compute(
        self, prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss, a tensor with one number.

        Args:
            prediction: output of the model in training mode, (batch, channels, *spatial), floating point.
            target: shape of ``prediction``, any dtype.
            weight: a shape that broadcasts to that of ``prediction``, any dtype; None for 1.

        Raises:
            attacca.errors.ConfigurationError: the shapes do not fit each other.
        """


def compute_weighted_mean(losses: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    """Return ``sum(weight * losses) / sum(weight)``, or 0 if the sum of the weights is 0.

    Args:
        losses: any shape, floating point.
        weight: a shape that broadcasts to that of ``losses``; None for 1.

    >>> compute_weighted_mean(torch.tensor([1.0, 5.0]), torch.tensor([3.0, 1.0]))
    tensor(2.)
    """
    if weight is None:
        return losses.mean()
    weight = weight.to(losses.dtype).expand_as(losses)
    total = weight.sum()
    return (losses * weight).sum() / torch.where(total > 0, total, torch.ones_like(total))


def check_shapes(prediction: torch.Tensor, target: torch.Tensor) -> None:
    """Raise an error if prediction and target have different shapes.

    Raises:
        ConfigurationError: the shapes differ.
    """
    if prediction.shape != target.shape:
        raise ConfigurationError(
            f"a prediction of shape {tuple(prediction.shape)} cannot be compared with a target of shape "
            f"{tuple(target.shape)}: give the model the channels of its predictor, with create_model"
        )


def compute_loss(
    loss: Loss, prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Return the loss of a prediction in training mode; that of an ensemble is the mean of its members' losses.

    Args:
        loss: of the task.
        prediction: (members * batch, channels, spatial axes), the members of an ensemble one after the other.
        target: (batch, channels, spatial axes).
        weight: (batch, channels, spatial axes).
    """
    losses = [loss.compute(part, target, weight) for part in prediction.split(len(target))]
    return losses[0] if len(losses) == 1 else torch.stack(losses).mean()
