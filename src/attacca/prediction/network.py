"""A trained network as blockwise prediction sees it: sizes, context, channels, value range."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from funlib.geometry import Coordinate

from attacca.errors import ConfigurationError
from attacca.model import Model
from attacca.tasks.task import Task


@dataclass(frozen=True)
class Network:
    """A model in evaluation mode and what is known about it.

    Args:
        model: input (batch, channels, spatial) float32 -> output (batch, channels, spatial), with the
            activation that belongs to prediction.
        num_in_channels: channels of the raw data.
        channel_names: names of the output's channels.
        context: voxels that are read on each side of a tile.
        factor: tiles begin and end at multiples of it, in voxels from the begin of the volume.
        intensity: raw values that the network sees as -1 and as 1.
        value_range: smallest and largest value that the model can give.
        offsets: for channels that are affinities, the voxel offset of each; None for channels whose values
            belong to their voxel alone.
        not_mirrored: why the meaning of the channels does not survive mirroring; empty if it does.
        voxel_size: that of the training volumes, if known.
        fixed_input_shape: the only input shape that may be used, in voxels, or None.
    """

    model: torch.nn.Module
    num_in_channels: int
    channel_names: tuple[str, ...]
    context: Coordinate
    factor: Coordinate
    intensity: tuple[float, float] = (0.0, 1.0)
    value_range: tuple[float, float] = (0.0, 1.0)
    offsets: tuple[tuple[int, ...], ...] | None = None
    not_mirrored: str = ""
    voxel_size: Coordinate | None = None
    fixed_input_shape: Coordinate | None = None

    @property
    def dims(self) -> int:
        """Number of spatial axes."""
        return int(self.factor.dims)

    @property
    def num_channels(self) -> int:
        """Channels of the output."""
        return len(self.channel_names)

    @classmethod
    def from_task(
        cls,
        task: Task,
        model: Model,
        *,
        intensity: tuple[float, float],
        voxel_size: Coordinate | None = None,
    ) -> "Network":
        """Describe a model by the task that created it.

        Args:
            task: gives names, offsets and value range of the channels.
            model: the task's model.
            intensity: raw values that are mapped to -1 and 1.
            voxel_size: world units of the training volumes; None if unknown.
        """
        names = task.predictor.channel_names
        offsets = tuple(tuple(int(step) for step in offset) for offset in task.config.offsets) or None
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
        )

    @classmethod
    def from_model(cls, model: Any, channel_names: Sequence[str] | None = None, **known: Any) -> "Network":
        """The network of an ``attacca.model.Model``, whose architecture knows its context.

        Args:
            model: with ``architecture``, ``num_in_channels``, ``num_out_channels``, ``input_shape``,
                ``output_shape``.
            channel_names: numbers by default.
            known: further arguments of the class.
        """
        architecture = model.architecture
        # Voxels that a head without padding takes away on each side.
        inner = Coordinate(architecture.output_shape(model.input_shape))
        head = (inner - Coordinate(model.output_shape)) / 2
        names = channel_names or [str(channel) for channel in range(model.num_out_channels)]
        return cls(
            model.eval(),
            int(model.num_in_channels),
            tuple(names),
            Coordinate(architecture.context_for(head)),
            Coordinate(architecture.downsampling_factor),
            fixed_input_shape=architecture.fixed_input_shape,
            **known,
        )

    def normalize(self, raw: np.ndarray) -> np.ndarray:
        """Raw values as the network sees them: float32, the intensity range becomes -1 to 1 and is cut off
        there."""
        low, high = self.intensity
        unit = raw.astype(np.float32)
        unit -= np.float32(low)
        unit *= np.float32(1.0 / (high - low))
        np.clip(unit, 0.0, 1.0, out=unit)
        unit *= np.float32(2.0)
        unit -= np.float32(1.0)
        return unit

    def check_raw(self, raw: Any) -> None:
        """Refuse raw data that the network was not made for.

        Raises:
            ConfigurationError: axes, channels or voxel size differ.
        """
        channels = raw.num_channels or 1
        if raw.dims != self.dims or channels != self.num_in_channels:
            raise ConfigurationError(
                f"{raw} has {raw.dims} spatial axes and {channels} channels, the network expects "
                f"{self.dims} and "
                f"{self.num_in_channels}"
            )
        if self.voxel_size is not None and Coordinate(raw.voxel_size) != self.voxel_size:
            raise ConfigurationError(
                f"{raw} has voxels of {tuple(raw.voxel_size)}, the network was trained on "
                f"{tuple(self.voxel_size)}; "
                "predict the scale of the volume that has this voxel size"
            )
