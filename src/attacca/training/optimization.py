"""Optimizer, learning rate and averaged weights, as functions of the iteration."""

import math
from collections.abc import Iterator
from typing import Any

import torch

from attacca.config.training import OptimizerConfig
from attacca.model import Ensemble
from attacca.training.muon import Muon


def compute_learning_rate(config: OptimizerConfig, iteration: int, iterations: int) -> float:
    """Return the learning rate of an iteration: a linear warm-up, then a constant or half a cosine.

    Cosine annealing follows I. Loshchilov, F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.

    Args:
        config: maximum, warm-up and schedule.
        iteration: counted from 0.
        iterations: number of iterations of the training.

    >>> config = OptimizerConfig(learning_rate=1.0, warm_up=10, final_fraction=0.1)
    >>> [round(compute_learning_rate(config, iteration, 110), 2) for iteration in (0, 9, 60, 110)]
    [0.1, 1.0, 0.55, 0.1]
    """
    if iteration < config.warm_up:
        return config.learning_rate * (iteration + 1) / config.warm_up
    if config.schedule == "constant":
        return config.learning_rate
    remaining = max(1, iterations - config.warm_up)
    progress = min(1.0, (iteration - config.warm_up) / remaining)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return config.learning_rate * (config.final_fraction + (1 - config.final_fraction) * cosine)


def create_optimizer(config: OptimizerConfig, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Return Muon, Adam or rectified Adam with decoupled weight decay; biases and other vectors do not decay.

    D. Kingma, J. Ba, "Adam", ICLR 2015; I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019;
    L. Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020. Muon changes the kernels of
    architectures; prediction heads and all vectors are changed by Adam.

    Args:
        config: algorithm and its settings.
        model: the chain of a ``Model``.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if config.type == "muon":
        kernels = [
            weight for weight in _list_hidden_weights(model) if weight.requires_grad and weight.ndim > 1
        ]
        chosen = {id(weight) for weight in kernels}
        return Muon(
            kernels,
            (parameter for parameter in parameters if id(parameter) not in chosen),
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
        )
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.type == "radam":
        return torch.optim.RAdam(
            groups, lr=config.learning_rate, betas=config.betas, decoupled_weight_decay=True, foreach=False
        )
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, foreach=False)


def _list_hidden_weights(model: torch.nn.Module) -> Iterator[torch.nn.Parameter]:
    """Yield the parameters of all architectures of a chain: all but those of prediction heads."""
    for member in model.members if isinstance(model, Ensemble) else [model]:
        yield from (member[0] if isinstance(member, torch.nn.Sequential) else member).parameters()


class WeightAverage:
    """Exponential moving average of a model's weights and buffers.

    The decay increases with the iterations, ``min(decay, (1 + n) / (10 + n))``, so that the average forgets the random
    initial weights (B. Polyak, A. Juditsky, "Acceleration of stochastic approximation by averaging", 1992).

    Args:
        model: the model whose weights are averaged; not changed.
        decay: weight of the past.
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: torch.nn.Module, iteration: int) -> None:
        """Add the weights after an iteration, counted from 0, to the average."""
        share = 1 - min(self.decay, (1 + iteration) / (10 + iteration))
        for name, value in model.state_dict().items():
            average = self.state[name]
            if average.is_floating_point():
                average.lerp_(value, share)
            else:
                average.copy_(value)
