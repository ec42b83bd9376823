"""The network of a model file as other programs run it: one module, the sizes of its inputs and outputs, an example."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from funlib.geometry import Coordinate, Roi
from scipy.ndimage import gaussian_filter

from attacca.architectures.intensity import Intensity
from attacca.arrays import NumpyArray
from attacca.config.model_description import ModelDescription, read_model_description
from attacca.errors import ModelFileError
from attacca.model import Model
from attacca.model_file import unpack_model
from attacca.prediction.loading import load_network
from attacca.prediction.network import Network

_SMOOTHING = 1.5
"""Standard deviation of the smoothing of the example image, in voxels."""


class PredictedChannels(torch.nn.Module):
    """The channels of a model that a prediction stores, without those that only the training needs.

    Args:
        model: see ``Network.model``.
        number: number of channels that are kept.
    """

    def __init__(self, model: torch.nn.Module, number: int) -> None:
        super().__init__()
        self.model = model
        self.number = number

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        """Return the prediction (batch, channels, *spatial) for normalized raw data."""
        prediction: torch.Tensor = self.model(raw)[:, : self.number]
        return prediction


@dataclass(frozen=True)
class AxisSizes:
    """Possible sizes of the input along one axis, and the size of the output, in voxels.

    Inputs of ``minimum``, ``minimum + step``, ``minimum + 2 * step`` and so on are possible; only of ``minimum`` if the
    step is None. An input of ``size`` gives an output of ``size - lost``. Without ``halo`` voxels on each side of it, the
    output does not depend on the borders of the input, and is a tile of Attacca's prediction: the center of the input,
    without ``context`` voxels on each side.
    """

    name: str
    minimum: int
    step: int | None
    lost: int
    halo: int
    context: int

    @property
    def padding(self) -> tuple[int, int]:
        """Voxels before and after the output that are missing to the size of the input."""
        return self.context - self.halo, self.lost - (self.context - self.halo)


@dataclass(frozen=True)
class PortableNetwork:
    """The network of a model file, in evaluation mode on the CPU.

    Args:
        description: description in the model file.
        digest: digest of the model.
        network: geometry and intensities.
        module: maps normalized raw data to predictions, with the activation of prediction.
        axes: sizes along [z,] y, x.
    """

    description: ModelDescription
    digest: str
    network: Network
    module: PredictedChannels
    axes: tuple[AxisSizes, ...]

    def input_shape(self, steps: int = 0) -> tuple[int, ...]:
        """Return the spatial shape of the smallest input, enlarged by a number of steps along each axis."""
        return tuple(axis.minimum + steps * (axis.step or 0) for axis in self.axes)

    def create_example(self) -> np.ndarray:
        """Return smoothed noise as raw data of the smallest input.

        Returns:
            (channels, *spatial), with the type of the volumes of the training, over the range of intensities.
        """
        shape = (self.network.num_in_channels, *self.input_shape())
        noise = np.random.default_rng(0).standard_normal(shape)
        smooth = gaussian_filter(noise, (0, *(_SMOOTHING for _ in self.axes)))
        unit = (smooth - smooth.min()) / (smooth.max() - smooth.min())
        dtype = np.dtype(self.dtype)
        limits = Intensity.for_dtype(dtype)
        rule = self.network.intensity
        used = rule if isinstance(rule, Intensity) else limits
        scaled = used.minimum + unit * (used.maximum - used.minimum)
        if dtype.kind == "f":
            return scaled.astype(dtype)
        return np.rint(scaled).clip(limits.minimum, limits.maximum).astype(dtype)

    @property
    def dtype(self) -> str:
        """Type of the raw data: that of the volumes of the training, or float32 for types that programs do not share."""
        kinds = {volume.dtype for volume in self.description.volumes}
        found = np.dtype(kinds.pop()) if len(kinds) == 1 else np.dtype("float32")
        return str(found) if found.kind in "iu" or str(found) in ("float32", "float64") else "float32"

    def predict(self, raw: np.ndarray) -> np.ndarray:
        """Return Attacca's prediction for an input.

        Args:
            raw: (channels, *spatial), any type.

        Returns:
            float32, (channels, *spatial), clipped to the value range.
        """
        voxel_size = Coordinate(self.description.voxel_size)
        roi = Roi((0,) * len(self.axes), Coordinate(raw.shape[1:]) * voxel_size)
        array = NumpyArray.from_np_array(raw, roi, voxel_size, ["c", *(axis.name for axis in self.axes)])
        normalized = self.network.fit_intensity(array).normalize(raw)
        with torch.inference_mode():
            output = self.module(torch.from_numpy(normalized[None]))[0].numpy()
        return np.clip(output, *self.network.value_range)


def open_portable_network(path: Path) -> PortableNetwork:
    """Return the network of a model file.

    Args:
        path: the model file. The extensions that it needs have to be loaded.

    Raises:
        MissingInputError: the file does not exist.
        ModelFileError: the file cannot be used, or the size of the network's output does not follow from its input.
    """
    description, digest = read_model_description(path)
    with TemporaryDirectory() as directory:
        checkpoint = Path(directory) / "checkpoint"
        unpack_model(path, checkpoint)
        network = load_network(checkpoint)
    module = PredictedChannels(network.model, network.num_channels).eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return PortableNetwork(description, digest, network, module, _find_sizes(network, path))


def _find_sizes(network: Network, path: Path) -> tuple[AxisSizes, ...]:
    model = network.model
    assert isinstance(model, Model)
    fixed = network.fixed_input_shape
    shape = network.factor + network.context * 2 if fixed is None else fixed
    tile = network.factor if fixed is None else fixed - network.context * 2
    output = model.compute_output_shape(shape)[1]
    lost = shape - output
    if fixed is None:
        larger = shape + network.factor
        found = model.compute_output_shape(larger)[1]
        if found != larger - lost:
            raise ModelFileError(
                f"{path}: the output of the network does not grow with its input: an input of {tuple(larger)} gives "
                f"{tuple(found)}, expected {tuple(larger - lost)}",
                fix="return the permitted shape as fixed_input_shape in the extension of the network",
            )
    return tuple(
        AxisSizes(name, size, None if fixed is not None else factor, gone, (kept - center) // 2, context)
        for name, size, factor, gone, kept, center, context in zip(
            "zyx"[-network.dims :], shape, network.factor, lost, output, tile, network.context
        )
    )
