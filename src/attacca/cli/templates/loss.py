"""Loss: compares a prediction with its target, as one number that training minimizes.

In the configuration, beside the other keys of any task:

    extensions: [loss.py]
    runs:
      NAME:
        task: {type: distance, loss: {type: my_loss, delta: 0.5}}
"""

from typing import Literal

import torch

from attacca import Loss, Options, register


class HuberOptions(Options):
    """Keys of the section ``loss``. Attacca checks their values; a change of one trains the network again."""

    type: Literal["my_loss"] = "my_loss"
    """Name by which the configuration selects this loss."""
    delta: float = 0.5
    """Difference above which errors count linearly."""


@register("loss", HuberOptions)
class HuberLoss(Loss):
    """Squared differences, which are linear where they are large (Huber 1964)."""

    def __init__(self, options: HuberOptions) -> None:
        super().__init__()
        self.delta = options.delta

    def compute(
        self, prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return one number; prediction, target and weight have the shape (batch, channels, z, y, x)."""
        target = target.to(prediction.dtype)
        losses = torch.nn.functional.huber_loss(prediction, target, reduction="none", delta=self.delta)
        if weight is None:
            return losses.mean()
        # Weights are 0 where nothing is annotated.
        return (losses * weight).sum() / weight.sum().clamp(min=1e-6)
