"""U-Net for isotropic and anisotropic volumes.

O. Ronneberger, P. Fischer, T. Brox, "U-Net: convolutional networks for biomedical image segmentation", MICCAI 2015; in
3D O. Cicek et al., "3D U-Net: learning dense volumetric segmentation from sparse annotation", MICCAI 2016. Residual
blocks follow K. He et al., "Deep residual learning for image recognition", CVPR 2016, and the output of a network with a
stem W. Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
network", CVPR 2016.

Blocks that are predicted separately fit together exactly if each is read with its ``context`` and is on the grid of
``downsampling_factor``; see ``attacca.architectures.shapes``.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from funlib.geometry import Coordinate
from torch import nn

from attacca.architectures.architecture import Architecture, crop, crop_center
from attacca.architectures.shapes import (
    check_input_shape,
    compute_block_context,
    compute_output_shape,
    create_axes,
    find_center_corners,
)
from attacca.config.architecture import ArchitectureConfig, UNetConfig
from attacca.errors import ConfigurationError

_CONV: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, Any] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_POOL: dict[int, Any] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
_BATCH_NORM: dict[int, Any] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
}


_Corners = tuple[Sequence[int], Sequence[int]]


def space_to_depth(features: torch.Tensor, factors: Sequence[int]) -> torch.Tensor:
    """Return the voxels of each cell as channels.

    Args:
        features: (batch, channels, *spatial); spatial sizes are multiples of ``factors``.
        factors: voxels of a cell, per axis.

    Returns:
        (batch, channels * voxels of a cell, *cells); the voxels of one channel are adjacent, the last axis fastest.

    >>> space_to_depth(torch.arange(8.0).reshape(1, 1, 2, 4), (2, 2))[0, :, 0, 1]
    tensor([2., 3., 6., 7.])
    """
    dims, (batch, channels) = len(factors), features.shape[:2]
    cells = [size // factor for size, factor in zip(features.shape[2:], factors)]
    split = features.reshape(batch, channels, *(n for pair in zip(cells, factors) for n in pair))
    # Channels are last in memory: on a CPU, the first convolution would take twice as long otherwise.
    order = (0, *range(2, 2 * dims + 2, 2), 1, *range(3, 2 * dims + 2, 2))
    last = split.permute(order).reshape(batch, *cells, channels * math.prod(factors))
    return last.movedim(-1, 1)


def depth_to_space(features: torch.Tensor, factors: Sequence[int]) -> torch.Tensor:
    """Return the channels of each cell as voxels, the inverse of ``space_to_depth``.

    Args:
        features: (batch, channels * voxels of a cell, *cells).
        factors: voxels of a cell, per axis.

    Returns:
        (batch, channels, *spatial).

    >>> raw = torch.rand(1, 2, 4, 6)
    >>> bool((depth_to_space(space_to_depth(raw, (2, 3)), (2, 3)) == raw).all())
    True
    """
    dims, (batch, channels), cells = len(factors), features.shape[:2], features.shape[2:]
    channels //= math.prod(factors)
    split = features.movedim(1, -1).reshape(batch, *cells, channels, *factors)
    order = (0, *(n for axis in range(dims) for n in (1 + axis, 2 + dims + axis)), 1 + dims)
    last = split.permute(order).reshape(batch, *(n * f for n, f in zip(cells, factors)), channels)
    return last.movedim(-1, 1)


class SubPixelConvolution(nn.Module):
    """Convolution of cells that computes all voxels of each cell, with activation."""

    def __init__(self, config: UNetConfig, channels_in: int, channels: int, factors: Sequence[int]) -> None:
        super().__init__()
        self.factors = tuple(factors)
        self.conv = _CONV[len(self.factors)](channels_in, channels * math.prod(self.factors), 1)
        self.activation = _ACTIVATIONS[config.activation]()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return depth_to_space(self.activation(self.conv(features)), self.factors)


class ConvBlock(nn.Module):
    """Convolutions of one level, each followed by normalization and activation."""

    def __init__(
        self, config: UNetConfig, dims: int, channels_in: int, channels: int, kernel: Sequence[int]
    ) -> None:
        super().__init__()
        self.residual = config.residual
        layers: list[nn.Module] = []
        count = config.convs_per_level
        padding = tuple(size // 2 for size in kernel) if config.padding == "same" else (0,) * dims
        for index in range(count):
            source = channels_in if index == 0 else channels
            normalized = config.normalization != "none"
            layers.append(_CONV[dims](source, channels, tuple(kernel), padding=padding, bias=not normalized))
            if config.normalization == "batch":
                layers.append(_BATCH_NORM[dims](channels))
            elif config.normalization == "group":
                layers.append(nn.GroupNorm(next(n for n in (8, 4, 3, 2, 1) if channels % n == 0), channels))
            if index < count - 1 or not self.residual:
                layers.append(_ACTIVATIONS[config.activation]())
        self.layers = nn.Sequential(*layers)
        self.shortcut: nn.Module = nn.Identity()
        if self.residual and channels_in != channels:
            self.shortcut = _CONV[dims](channels_in, channels, 1, bias=False)
        self.last = _ACTIVATIONS[config.activation]() if self.residual else nn.Identity()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        result = self.layers(features)
        if not self.residual:
            return result
        return self.last(result + self.shortcut(crop_center(features, result.shape[2:])))


class Upsample(nn.Module):
    """Upsampling from a level to the next finer one, by one factor per axis."""

    def __init__(self, mode: str, dims: int, channels_in: int, channels: int, factors: Sequence[int]) -> None:
        super().__init__()
        self.factors = tuple(factors)
        if mode == "transposed":
            self.conv: nn.Module = _TRANSPOSED[dims](channels_in, channels, self.factors, stride=self.factors)
            self.repeat: nn.Module = nn.Identity()
        else:
            # A 1 x 1 convolution commutes with the repetition of voxels: before it, there are fewer voxels.
            self.conv = _CONV[dims](channels_in, channels, 1)
            self.repeat = nn.Upsample(
                scale_factor=tuple(float(factor) for factor in self.factors), mode="nearest"
            )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.repeat(self.conv(features))


class UNet(Architecture):
    """U-Net with one factor per axis and level.

    Inputs are (batch, ``num_in_channels``, *spatial), outputs (batch, ``num_out_channels``, *spatial).

    Args:
        config: the network.
        num_in_channels: channels of the raw data.

    Raises:
        ConfigurationError: ``input_shape`` is not possible; the message names the nearest possible sizes.

    >>> config = UNetConfig(input_shape=(4, 16, 16), channels=(2, 4), downsample_factors=((1, 2, 2),))
    >>> unet = UNet(config)
    >>> unet(torch.zeros(1, 1, 4, 16, 16)).shape[1:]
    torch.Size([2, 4, 16, 16])
    >>> unet.downsampling_factor, unet.context
    ((1, 2, 2), (6, 8, 8))

    With a stem, the network has half the resolution, but its output has that of the input:

    >>> unet = UNet(config.model_copy(update={"stem": (1, 2, 2)}))
    >>> unet(torch.zeros(1, 1, 4, 16, 16)).shape[1:], unet.downsampling_factor
    (torch.Size([2, 4, 16, 16]), (1, 4, 4))
    """

    def __init__(self, config: UNetConfig, num_in_channels: int = 1) -> None:
        super().__init__()
        self.config = config
        dims = len(config.input_shape)
        channels = config.level_channels
        levels = len(channels)
        kernels = config.kernel_sizes or ((3,) * dims,) * levels
        self.axes = create_axes(config)
        check_input_shape(self.axes, config.input_shape, "architecture.input_shape")
        if config.eval_shape_increase is not None:
            larger = [size + more for size, more in zip(config.input_shape, config.eval_shape_increase)]
            check_input_shape(self.axes, larger, "architecture.input_shape + eval_shape_increase")
        self._num_in_channels = num_in_channels
        self._num_out_channels = config.num_out_fmaps or channels[0]
        stem = config.stem or ()
        finest = channels[0] if stem else self._num_out_channels
        self.subpixel = (
            SubPixelConvolution(config, finest, self._num_out_channels, stem) if stem else nn.Identity()
        )
        self.down = nn.ModuleList(
            ConvBlock(config, dims, source, target, kernel)
            for (source, target), kernel in zip(
                pairwise((num_in_channels * math.prod(stem), *channels)), kernels
            )
        )
        self.pool = nn.ModuleList(
            _POOL[dims](factors, stride=factors) for factors in config.downsample_factors
        )
        self.up = nn.ModuleList(
            Upsample(
                config.upsampling,
                dims,
                channels[level + 1],
                channels[level],
                config.downsample_factors[level],
            )
            for level in range(levels - 1)
        )
        joined = 2 if config.skip == "concatenate" else 1
        self.merge = nn.ModuleList(
            ConvBlock(
                config,
                dims,
                joined * channels[level],
                finest if level == 0 else channels[level],
                kernels[level],
            )
            for level in range(levels - 1)
        )

    def forward(self, raw: torch.Tensor) -> torch.Tensor:
        skipped, features = self._go_down(raw)
        for level in reversed(range(len(self.up))):
            features = self.up[level](features)
            features = self._go_up(level, crop_center(skipped[level], features.shape[2:]), features)
        subpixel: torch.Tensor = self.subpixel(features)
        return subpixel

    def compute_center(self, raw: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
        """Return the center of the output; of each level, the path up computes only what the center needs.

        The values are those of the whole output, if ``raw`` has the context of a block of this shape.

        >>> config = UNetConfig(input_shape=(32, 32), channels=(2, 4), downsample_factors=((2, 2),))
        >>> unet, raw = UNet(config).eval(), torch.rand(1, 1, 32, 32)
        >>> center = unet.compute_center(raw, (16, 16))
        >>> center.shape[2:], bool(torch.allclose(center, unet(raw)[..., 8:24, 8:24], atol=1e-5))
        (torch.Size([16, 16]), True)
        """
        if not self.config.omits_margins:
            return super().compute_center(raw, shape)
        begin = [(size - inner) // 2 for size, inner in zip(raw.shape[2:], shape)]
        end = [b + inner for b, inner in zip(begin, shape)]
        corners = find_center_corners(self.axes, raw.shape[2:], shape)
        outer = corners.pop(0) if self.config.stem is not None else None
        skipped, features = self._go_down(raw)
        origin: Sequence[int] = (0,) * self.dims
        for level in reversed(range(len(self.up))):
            low, high = corners[level]
            factors = self.config.downsample_factors[level]
            features = self.up[level](_crop_cells(features, origin, (low, high), factors))
            features = self._go_up(level, crop(skipped.pop(), low, high), features)
            origin = low
        if outer is not None:
            assert self.config.stem is not None
            features = _crop_cells(features, origin, outer, self.config.stem)
            origin = outer[0]
        center: torch.Tensor = crop(self.subpixel(features), *_shift((begin, end), origin))
        return center

    def _go_down(self, raw: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Return the features of each level but the coarsest, and those of the coarsest."""
        skipped = []
        features = raw if self.config.stem is None else space_to_depth(raw, self.config.stem)
        for level, block in enumerate(self.down):
            features = block(features)
            if level < len(self.pool):
                skipped.append(features)
                features = self.pool[level](features)
        return skipped, features

    def _go_up(self, level: int, skip: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Return the features of a level, from those of the path down and the upsampled ones."""
        joined = torch.cat([skip, features], dim=1) if self.config.skip == "concatenate" else skip + features
        merged: torch.Tensor = self.merge[level](joined)
        return merged

    @property
    def input_shape(self) -> Coordinate:
        return Coordinate(self.config.input_shape)

    @property
    def eval_shape_increase(self) -> Coordinate:
        return Coordinate(self.config.eval_shape_increase or (0,) * self.dims)

    @property
    def num_in_channels(self) -> int:
        return self._num_in_channels

    @property
    def num_out_channels(self) -> int:
        return self._num_out_channels

    @property
    def dims(self) -> int:
        return len(self.config.input_shape)

    @property
    def downsampling_factor(self) -> Coordinate:
        return Coordinate(axis.factor for axis in self.axes)

    def context_for(self, further: Coordinate | None = None) -> Coordinate:
        return Coordinate(compute_block_context(self.axes, further))

    @property
    def members(self) -> int:
        return self.config.members

    @property
    def fixed_input_shape(self) -> Coordinate | None:
        return self.input_shape + self.eval_shape_increase if self.config.fixed_input_shape else None

    def output_shape(self, input_shape: Coordinate) -> Coordinate:
        return Coordinate(compute_output_shape(self.axes, input_shape))


def _shift(corners: _Corners, origin: Sequence[int]) -> _Corners:
    """Return corners that count from ``origin``."""
    begin, end = corners
    return [b - o for b, o in zip(begin, origin)], [e - o for e, o in zip(end, origin)]


def _crop_cells(
    features: torch.Tensor, origin: Sequence[int], corners: _Corners, factors: Sequence[int]
) -> torch.Tensor:
    """Return the coarse voxels of ``features``, which begin at ``origin``, between fine corners."""
    begin, end = ([n // f for n, f in zip(corner, factors)] for corner in corners)
    return crop(features, *_shift((begin, end), origin))


def check_dims(config: ArchitectureConfig, dims: int) -> None:
    """Raise an error if a network and the volumes have different numbers of axes.

    Raises:
        ConfigurationError: the numbers differ.
    """
    network_dims = len(config.input_shape)
    if network_dims != dims:
        raise ConfigurationError(
            f"architecture.input_shape: {list(config.input_shape)} has {network_dims} axes, but the volumes have "
            f"{dims}: give {dims} sizes, and {dims} factors per level in downsample_factors"
        )
