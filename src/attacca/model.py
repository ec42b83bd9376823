"""A trainable model: an architecture, and the prediction head that a predictor puts on it."""

import copy

import torch
from funlib.geometry import Coordinate

from attacca.architectures.architecture import Architecture


class Model(torch.nn.Module):
    """An architecture followed by a prediction head, as one module.

    Weights of all convolutions are drawn anew (He et al. 2015, for rectifiers) from torch's random numbers.

    Args:
        architecture: what turns the input into features.
        prediction_head: what turns features into predictions.
        eval_activation: applied in evaluation mode only, for losses that take logits.

    Attributes:
        chain: architecture and head in sequence; its weights are what a checkpoint holds.
        num_in_channels, num_out_channels: channels of input and prediction.
        input_shape, output_shape: spatial, in voxels, when training.
        eval_input_shape: spatial, in voxels, when predicting.
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
        self.chain = torch.nn.Sequential(architecture, prediction_head)
        self.num_in_channels: int = architecture.num_in_channels
        self.input_shape = Coordinate(architecture.input_shape)
        self.eval_input_shape = self.input_shape + Coordinate(architecture.eval_shape_increase)
        for layer in self.chain.modules():
            if isinstance(layer, torch.nn.modules.conv._ConvNd):
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        self.num_out_channels, self.output_shape = self.compute_output_shape(self.input_shape)
        self.eval_activation = eval_activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Prediction for ``x`` (batch, channels, spatial axes); logits in training mode."""
        result: torch.Tensor = self.chain(x)
        if not self.training and self.eval_activation is not None:
            result = self.eval_activation(result)
        return result

    def compute_output_shape(self, input_shape: Coordinate) -> tuple[int, Coordinate]:
        """Channels and spatial shape of the prediction for an input of a spatial shape, in voxels.

        Found by sending zeros through a copy in evaluation mode, which changes no running statistics: without
        data where the modules allow it, so that it costs neither memory nor time.
        """

        def shape_on(device: torch.device) -> torch.Size:
            chain = copy.deepcopy(self.chain).to(device).eval()
            return chain(torch.zeros((1, self.num_in_channels, *input_shape), device=device)).shape

        with torch.no_grad():
            try:
                shape = shape_on(torch.device("meta"))
            except Exception:
                # A module that makes tensors of its own, or looks at values, needs real ones.
                shape = shape_on(next(self.chain.parameters(), torch.zeros(0)).device)
        return int(shape[1]), Coordinate(shape[2:])

    def scale(self, voxel_size: Coordinate) -> Coordinate:
        """Voxel size of the prediction for an input of a voxel size."""
        return self.architecture.scale(voxel_size)
