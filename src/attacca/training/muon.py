"""Muon, an optimizer for the kernels of convolutions."""

from collections.abc import Iterable
from typing import Any

import torch

# Coefficients of the iteration, which increase small singular values fast instead of converging to one (K. Jordan 2024).
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon(torch.optim.AdamW):
    """Muon for the kernels of a network, and AdamW for its other parameters.

    The step of a kernel is its mean gradient, as a matrix with a row per channel, in which all singular values
    are replaced by about one, so that directions with small gradients are learned as fast as those with large ones
    (K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024). Its length is that of a typical
    step of Adam (J. Liu et al., "Muon is scalable for LLM training", 2025), so that one learning rate fits both.

    ``torch.optim.Muon`` takes matrices only, and computes in bfloat16, which takes up to forty times as long as float32
    on a CPU without such instructions.

    Args:
        kernels: weights with at least two axes. The first one makes the rows of the matrix: output channels, or the input
            channels of a transposed convolution.
        others: all other parameters. They do not decay.
        lr: learning rate.
        betas: decays of the running means of gradients and of squared gradients, of ``others``.
        weight_decay: decoupled decay of kernels.
        momentum: decay of the running mean of gradients, of ``kernels``.

    Examples:
        >>> layer = torch.nn.Conv2d(2, 4, 3)
        >>> optimizer = Muon([layer.weight], [layer.bias], lr=0.01)
        >>> layer(torch.ones(1, 2, 3, 3)).sum().backward()
        >>> optimizer.step()
    """

    def __init__(
        self,
        kernels: Iterable[torch.nn.Parameter],
        others: Iterable[torch.nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
        momentum: float = 0.95,
    ) -> None:
        groups: list[dict[str, Any]] = [
            {"params": list(kernels), "weight_decay": weight_decay, "momentum": momentum},
            {"params": list(others), "weight_decay": 0.0},
        ]
        super().__init__(groups, lr=lr, betas=betas, foreach=False)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Change all parameters that have a gradient. Gradients of kernels are removed."""
        group = self.param_groups[0]
        rate, decay, momentum = group["lr"], group["weight_decay"], group["momentum"]
        for kernel in group["params"]:
            if kernel.grad is None:
                continue
            state = self.state[kernel]
            if not state:
                # AdamW expects the number of steps in the state that a checkpoint restores.
                state["step"], state["momentum"] = torch.zeros(()), torch.zeros_like(kernel)
            state["step"] += 1
            mean = state["momentum"].lerp_(kernel.grad, 1 - momentum)
            # Nesterov's variant looks one step ahead.
            matrix = orthogonalize(kernel.grad.lerp(mean, momentum).flatten(1))
            length = 0.2 * max(matrix.shape) ** 0.5
            kernel.mul_(1 - rate * decay).add_(matrix.view(kernel.shape), alpha=-rate * length)
            # AdamW passes over parameters without a gradient.
            kernel.grad = None
        super().step(closure)


def orthogonalize(matrix: torch.Tensor) -> torch.Tensor:
    """Return a matrix with the singular vectors of ``matrix`` and singular values between about 0.7 and 1.2.

    Singular values below a thousandth of the norm stay smaller. The iteration of Newton and Schulz needs products of
    matrices only (K. Jordan et al., see ``Muon``).

    Args:
        matrix: float32, any shape. Zeros stay zeros.

    >>> torch.linalg.svdvals(orthogonalize(torch.diag(torch.tensor([3.0, 0.5, 0.1])))).round(decimals=1)
    tensor([1.1000, 1.0000, 0.7000])
    """
    a, b, c = _COEFFICIENTS
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if is_tall else x
