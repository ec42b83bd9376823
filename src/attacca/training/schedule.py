"""Learning rate and averaged weights, as functions of the iteration."""

import math
from typing import Any

import torch

from attacca.config.training import OptimizerConfig


def learning_rate(config: OptimizerConfig, iteration: int, iterations: int) -> float:
    """Learning rate of an iteration, counted from 0: a linear rise, then half a cosine (Loshchilov, Hutter
    2017)."""
    if iteration < config.warm_up:
        return config.learning_rate * (iteration + 1) / config.warm_up
    if config.schedule == "constant":
        return config.learning_rate
    remaining = max(1, iterations - config.warm_up)
    progress = min(1.0, (iteration - config.warm_up) / remaining)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.learning_rate * (config.final_fraction + (1 - config.final_fraction) * cosine)


def create_optimizer(config: OptimizerConfig, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Adam or RAdam with decoupled decay (Kingma, Ba 2015; Loshchilov, Hutter 2019; Liu et al. 2020).

    Biases and other vectors do not decay.
    """
    decayed = [
        parameter for parameter in model.parameters() if parameter.requires_grad and parameter.ndim > 1
    ]
    others = [
        parameter for parameter in model.parameters() if parameter.requires_grad and parameter.ndim <= 1
    ]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if config.type == "radam":
        return torch.optim.RAdam(
            groups, lr=config.learning_rate, betas=config.betas, decoupled_weight_decay=True, foreach=False
        )
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, foreach=False)


class WeightAverage:
    """Exponential moving average of a model's weights and buffers.

    The decay rises with the iterations, ``min(decay, (1 + n) / (10 + n))``, so that the average forgets the
    random beginning.

    Args:
        model: whose weights are averaged; not changed.
        decay: weight of the past.
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: torch.nn.Module, iteration: int) -> None:
        """Take the weights after an iteration, counted from 0, into the mean."""
        share = 1 - min(self.decay, (1 + iteration) / (10 + iteration))
        for name, value in model.state_dict().items():
            average = self.state[name]
            if average.is_floating_point():
                average.lerp_(value, share)
            else:
                average.copy_(value)
