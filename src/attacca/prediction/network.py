"""A trained network with what blockwise prediction needs: sizes, context, channels, value range."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from funlib.geometry import Coordinate

from attacca.architectures.intensity import Intensity, IntensityRule, normalize
from attacca.arrays import Array
from attacca.arrays.percentiles import measure_percentiles
from attacca.config.intensity import name_percentile
from attacca.config.units import find_largest_difference
from attacca.errors import ConfigurationError
from attacca.model import Model
from attacca.tasks.task import Task

_UNIT_RANGE = Intensity(0.0, 1.0)


@dataclass(frozen=True)
class Network:
    """A model in evaluation mode, with its geometry and the meaning of its channels.

    Args:
        model: maps float32 (batch, channels, spatial axes) to (batch, channels, spatial axes), with the
            activation of prediction.
        num_in_channels: number of channels of the raw data.
        channel_names: names of the output channels that are predicted; the model may have further ones after them.
        context: voxels that are read on each side of a tile.
        factor: tile corners are multiples of it, in voxels from the start of the volume.
        intensity: raw values, or percentiles of each volume (see ``fit_intensity``), that are mapped to -1 and 1.
        value_range: smallest and largest possible output.
        offsets: offset in voxels of each channel, if channels are affinities; None if values belong to their own
            voxel only.
        not_mirrored: reason why predictions of mirrored inputs cannot be mapped back; empty if they can.
        voxel_size: voxel size of the training volumes, in world units; None if unknown.
        fixed_input_shape: the only permitted input shape, in voxels; None if any shape is permitted.
        voxel_size_tolerance: relative difference up to which the voxel size of raw data may differ.
    """

    model: torch.nn.Module
    num_in_channels: int
    channel_names: tuple[str, ...]
    context: Coordinate
    factor: Coordinate
    intensity: IntensityRule = _UNIT_RANGE
    value_range: tuple[float, float] = (0.0, 1.0)
    offsets: tuple[tuple[int, ...], ...] | None = None
    not_mirrored: str = ""
    voxel_size: Coordinate | None = None
    fixed_input_shape: Coordinate | None = None
    voxel_size_tolerance: float = 0.0

    @property
    def dims(self) -> int:
        """Number of spatial axes."""
        return int(self.factor.dims)

    @property
    def num_channels(self) -> int:
        """Number of predicted channels."""
        return len(self.channel_names)

    @classmethod
    def from_task(
        cls,
        task: Task,
        model: Model,
        *,
        intensity: IntensityRule,
        voxel_size: Coordinate | None = None,
        voxel_size_tolerance: float = 0.0,
        descriptors: bool = False,
    ) -> "Network":
        """Describe a model by the task that created it.

        Args:
            task: gives names, offsets and value range of the channels.
            model: the task's model.
            intensity: raw values, or percentiles of each volume, that are mapped to -1 and 1.
            voxel_size: world units of the training volumes; None if unknown.
            voxel_size_tolerance: relative difference up to which the voxel size of raw data may differ.
            descriptors: predict local shape descriptors, too, which only the training needs.
        """
        names = task.predictor.channel_names
        offsets = tuple(tuple(int(step) for step in offset) for offset in task.config.offsets) or None
        if offsets is not None and not descriptors:
            names = names[: len(offsets)]
        reason = ""
        if offsets is not None and len(names) > len(offsets):
            offsets, reason = None, "local shape descriptors are directions, which mirroring changes"
        low, high = task.predictor.value_range
        return cls.from_model(
            model,
            names,
            intensity=intensity,
            value_range=(low, high),
            offsets=offsets,
            not_mirrored=reason,
            voxel_size=voxel_size,
            voxel_size_tolerance=voxel_size_tolerance,
        )

    @classmethod
    def from_model(cls, model: Model, channel_names: Sequence[str] | None = None, **known: Any) -> "Network":
        """Describe a model, with context and factor of its architecture.

        Args:
            model: the model; set to evaluation mode.
            channel_names: names of the output channels; numbers by default.
            known: further arguments of the class.
        """
        architecture = model.architecture
        names = channel_names or [str(channel) for channel in range(model.num_out_channels)]
        return cls(
            model.eval(),
            int(model.num_in_channels),
            tuple(names),
            Coordinate(architecture.context_for(model.head_reach)),
            Coordinate(architecture.downsampling_factor),
            fixed_input_shape=architecture.fixed_input_shape,
            **known,
        )

    def fit_intensity(self, raw: Array, measured: Mapping[str, float] | None = None) -> "Network":
        """Return the network with the raw values of black and white of a volume.

        Args:
            raw: the raw data.
            measured: percentiles from the record of the import; measured now if they are needed and not given.

        Raises:
            VolumeError: the percentiles of black and white are equal; or, of a recorded image, all voxels become black or
                white.
        """
        if isinstance(self.intensity, Intensity):
            if measured:
                low, high = (measured[name_percentile(value)] for value in (0, 100))
                self.intensity.check_contrast(low, high, str(raw))
            return self
        found = self.intensity.find_range(measured or measure_percentiles(raw), str(raw))
        return replace(self, intensity=found)

    def normalize(self, raw: np.ndarray) -> np.ndarray:
        """Map the intensity range to -1 to 1, and clip values outside.

        Args:
            raw: raw values, any shape and dtype.

        Returns:
            float32, shape of ``raw``.
        """
        assert isinstance(self.intensity, Intensity), "call fit_intensity first"
        return normalize(raw, self.intensity.minimum, self.intensity.maximum)

    def check_raw(self, raw: Array) -> None:
        """Raise an error if raw data does not fit the network.

        Raises:
            ConfigurationError: axes, channels or voxel size differ.
        """
        channels = raw.num_channels or 1
        if raw.dims != self.dims or channels != self.num_in_channels:
            raise ConfigurationError(
                f"{raw}: found {raw.dims} spatial axes and {channels} channels, the network expects {self.dims} axes "
                f"and {self.num_in_channels} channels; train a network on such volumes"
            )
        if self.voxel_size is None:
            return
        difference = find_largest_difference(raw.voxel_size, self.voxel_size)
        if difference > self.voxel_size_tolerance:
            raise ConfigurationError(
                f"{raw}: found voxels of {tuple(raw.voxel_size)}, the network was trained on {tuple(self.voxel_size)} with "
                f"a voxel_size_tolerance of {self.voxel_size_tolerance:g}; predict the scale of the volume with this voxel "
                "size"
            )
