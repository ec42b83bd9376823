"""Trainable model: an architecture with the prediction head of a predictor."""

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from funlib.geometry import Coordinate

from attacca.architectures.architecture import Architecture, crop_center


class Ensemble(torch.nn.Module):
    """Networks whose predictions are averaged. In training, each has its own loss.

    Args:
        members: networks with inputs and outputs of equal shapes.
    """

    def __init__(self, members: Iterable[torch.nn.Module]) -> None:
        super().__init__()
        self.members = torch.nn.ModuleList(members)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the predictions of all members one after the other, shape (members * batch, channels, spatial axes)."""
        return torch.cat([member(x) for member in self.members])


class Model(torch.nn.Module):
    """An architecture followed by a prediction head, as one module.

    Initial weights of all convolutions are drawn from torch's random state (He et al. 2015, for rectifiers).

    Args:
        architecture: maps the input to features.
        prediction_head: maps features to predictions.
        eval_activation: applied in evaluation mode only, for losses that take logits.

    Attributes:
        chain: architecture and head in sequence, or an ensemble of such sequences; checkpoints store its weights.
        num_in_channels, num_out_channels: channels of input and prediction.
        input_shape, output_shape: spatial shapes in training, in voxels.
        eval_input_shape: spatial input shape in prediction, in voxels.

    Examples:
        >>> from attacca.architectures import create_architecture
        >>> from attacca.config.architecture import UNetConfig
        >>> config = UNetConfig(input_shape=(32, 32), num_fmaps=2, downsample_factors=((2, 2),))
        >>> architecture = create_architecture(config, 2, 1)
        >>> head = torch.nn.Conv2d(architecture.num_out_channels, 3, kernel_size=1)
        >>> Model(architecture, head).num_out_channels
        3
    """

    def __init__(
        self,
        architecture: Architecture,
        prediction_head: torch.nn.Module,
        eval_activation: torch.nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.prediction_head = prediction_head
        first = torch.nn.Sequential(architecture, prediction_head)
        others = [copy.deepcopy(first) for _ in range(architecture.members - 1)]
        self.chain: torch.nn.Module = Ensemble([first, *others]) if others else first
        self.num_in_channels: int = architecture.num_in_channels
        self.input_shape = Coordinate(architecture.input_shape)
        self.eval_input_shape = self.input_shape + Coordinate(architecture.eval_shape_increase)
        for layer in self.chain.modules():
            if isinstance(layer, torch.nn.modules.conv._ConvNd):
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        self.num_out_channels, self.output_shape = self.compute_output_shape(self.input_shape)
        self.eval_activation = eval_activation

    @cached_property
    def head_reach(self) -> Coordinate:
        """Voxels on each side by which the prediction head, without padding, reduces the output of the architecture."""
        features = Coordinate(self.architecture.output_shape(self.input_shape))
        return (features - self.output_shape) / 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the prediction for ``x``, shape (batch, channels, spatial axes).

        In training mode, it has logits, those of the members of an ensemble one after the other (see
        ``attacca.losses.compute_loss``).
        """
        if self.training:
            logits: torch.Tensor = self.chain(x)
            return logits
        return self._average(lambda architecture, head: head(architecture(x)))

    def compute_center(self, x: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        """Return the center of the prediction in evaluation mode, shape (batch, channels, spatial axes).

        Args:
            x: input, as for ``forward``.
            shape: spatial shape of the center in voxels, see ``Architecture.compute_center``.
        """
        if any(_is_padded(layer) for layer in self.prediction_head.modules()):
            # Zeros belong around the whole output, not around its center.
            return crop_center(self(x), shape)
        wider = Coordinate(shape) + self.head_reach * 2
        return self._average(lambda architecture, head: head(architecture.compute_center(x, wider)))

    def _average(self, predict: Callable[[Any, Any], torch.Tensor]) -> torch.Tensor:
        """Return the mean of the members' predictions; ``predict`` takes an architecture and a head."""
        members: list[Any] = list(self.chain.members) if isinstance(self.chain, Ensemble) else [self.chain]
        activate = self.eval_activation or torch.nn.Identity()
        total: torch.Tensor = activate(predict(*members[0]))
        for member in members[1:]:
            total = total + activate(predict(*member))
        return total if len(members) == 1 else total / len(members)

    def compute_output_shape(self, input_shape: Coordinate) -> tuple[int, Coordinate]:
        """Return channels and spatial shape in voxels of the prediction for a spatial input shape.

        A copy of the model in evaluation mode processes zeros, so that running statistics do not change. It is on
        torch's meta device, without memory and computation, if its modules support that.
        """

        def shape_on(device: torch.device) -> torch.Size:
            chain = copy.deepcopy(self.chain).to(device).eval()
            return chain(torch.zeros((1, self.num_in_channels, *input_shape), device=device)).shape

        with torch.no_grad():
            try:
                shape = shape_on(torch.device("meta"))
            except Exception:
                # Modules that create tensors or depend on values need real data.
                shape = shape_on(next(self.chain.parameters(), torch.zeros(0)).device)
        return int(shape[1]), Coordinate(shape[2:])

    def scale(self, voxel_size: Coordinate) -> Coordinate:
        """Return the voxel size of the prediction for an input of ``voxel_size``."""
        return self.architecture.scale(voxel_size)


def _is_padded(layer: torch.nn.Module) -> bool:
    padding = getattr(layer, "padding", 0)
    return isinstance(padding, str) or any(np.ravel(padding))
