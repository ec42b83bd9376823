"""Models of the ``architecture`` section of a configuration."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, TypeAdapter, model_validator

from attacca.config.base import StrictModel
from attacca.config.extension import ArchitectureOptions, extend_type

Factors = tuple[int, ...]


class UNetConfig(StrictModel):
    """U-Net in 2D or 3D, with one factor per axis and level.

    Sizes are in voxels. Lists over axes have one entry per spatial axis of the volume, (z,) y, x.
    """

    type: Literal["unet"] = "unet"
    """Type of the network."""
    input_shape: tuple[int, ...] = Field(default=(64, 64, 64), min_length=2, max_length=3)
    """Input shape of the network in training, in voxels. In 2D, images have the axes y, x. A 2D network on the sections of
    a stack has one voxel along z, as in [1, 128, 128], and convolutions and factors of 1 along z: ``kernel_sizes``
    [[1, 3, 3], ...] and ``downsample_factors`` [[1, 2, 2], ...]."""
    eval_shape_increase: tuple[int, ...] | None = None
    """Difference of the input shapes in prediction and in training, in voxels; null: prediction chooses its shapes."""
    stem: Factors | None = None
    """Factors, one per axis, by which the network reduces the resolution before its finest level, such as [2, 2, 2]
    for isotropic volumes or [1, 2, 2] for thick sections. The voxels of each cell of this size become channels, and
    the last convolution computes all voxels of a cell: the output has full resolution (sub-pixel convolution). At half
    the resolution, convolutions have an eighth of the cost in 3D, and twice the field of view."""
    num_fmaps: int = Field(default=12, ge=1)
    """Number of channels of the finest level, which has full resolution without ``stem``."""
    fmap_inc_factor: float = Field(default=2.0, ge=1)
    """Factor of the number of channels between each level and the next coarser one."""
    channels: tuple[int, ...] | None = None
    """Channels of each level, finest first, instead of ``num_fmaps`` and ``fmap_inc_factor``."""
    num_out_fmaps: int | None = Field(default=None, ge=1)
    """Number of channels of the output, for the prediction head; null: as many as at the finest level."""
    downsample_factors: tuple[Factors, ...] = ((2, 2, 2), (2, 2, 2))
    """Factors between each level and the next coarser one, one per axis; the number of levels minus one entries."""
    kernel_sizes: tuple[Factors, ...] | None = None
    """Size of the convolutions of each level, finest first, odd numbers; null: 3 along each axis."""
    convs_per_level: int = Field(default=2, ge=1, le=6)
    """Convolutions per level on the path down, and again on the path up."""
    padding: Literal["valid", "same"] = "same"
    """``valid``: outputs are smaller than inputs, and all values have their whole context. ``same``: outputs are as large
    as inputs, and values near the border depend on zeros (prediction discards these values)."""
    residual: bool = False
    """Add the input of each level's convolutions to their output."""
    skip: Literal["concatenate", "add"] = "concatenate"
    """Combination of a level's features with those from the coarser level."""
    upsampling: Literal["nearest", "transposed"] = "nearest"
    """``nearest``: 1 x 1 convolution, then repeated voxels; ``transposed``: transposed convolution."""
    activation: Literal["relu", "leaky_relu", "elu", "silu"] = "relu"
    """Non-linearity after each convolution."""
    normalization: Literal["none", "batch", "group"] = "none"
    """``batch`` has fixed statistics in prediction. The statistics of ``group`` depend on the whole block, so that blocks
    do not fit together exactly: it is accepted only with ``fixed_input_shape: true``."""
    members: int = Field(default=1, ge=1, le=16)
    """Number of networks with different initial weights that are trained on the same samples, and whose predictions are
    averaged (an ensemble). Training and prediction take as many times longer."""
    fixed_input_shape: bool = False
    """Predict with inputs of exactly ``input_shape`` (plus ``eval_shape_increase``); required by
    ``normalization: group``."""

    @model_validator(mode="after")
    def _check_combinations(self) -> "UNetConfig":
        dims = len(self.input_shape)
        if self.stem is not None and (len(self.stem) != dims or min(self.stem) < 1):
            raise ValueError(
                f"found stem {list(self.stem)}, expected {dims} factors of 1 or more, such as {[2] * dims}"
            )
        for index, factors in enumerate(self.downsample_factors):
            if len(factors) != dims:
                raise ValueError(
                    f"downsample_factors[{index}] is {list(factors)}, but input_shape has {dims} axes: "
                    f"give one factor per axis, such as {[2] * dims}"
                )
            if min(factors) < 1:
                raise ValueError(f"found downsample_factors[{index}] {list(factors)}, expected 1 or more")
        levels = len(self.downsample_factors) + 1
        if self.channels is not None and len(self.channels) != levels:
            raise ValueError(
                f"channels has {len(self.channels)} entries, but {len(self.downsample_factors)} downsample_factors make "
                f"{levels} levels: give one number per level"
            )
        if self.kernel_sizes is not None:
            if len(self.kernel_sizes) != levels:
                raise ValueError(
                    f"kernel_sizes has {len(self.kernel_sizes)} entries for {levels} levels: give one per level"
                )
            for index, sizes in enumerate(self.kernel_sizes):
                if len(sizes) != dims or any(size < 1 or size % 2 == 0 for size in sizes):
                    raise ValueError(
                        f"kernel_sizes[{index}] is {list(sizes)}: give one odd number for each of the {dims} axes"
                    )
        if self.eval_shape_increase is not None and len(self.eval_shape_increase) != dims:
            raise ValueError(
                f"eval_shape_increase has {len(self.eval_shape_increase)} entries, but input_shape has {dims} axes: give "
                "one number per axis"
            )
        if self.normalization == "group" and not self.fixed_input_shape:
            raise ValueError(
                "normalization: group computes its statistics over the whole input, so that a voxel's prediction depends "
                "on the block that contains it, and blocks do not fit together exactly. Use none or batch, or accept "
                "this with fixed_input_shape: true"
            )
        return self

    @property
    def level_channels(self) -> tuple[int, ...]:
        """Channels of each level, finest first."""
        if self.channels is not None:
            return self.channels
        levels = len(self.downsample_factors) + 1
        return tuple(round(self.num_fmaps * self.fmap_inc_factor**level) for level in range(levels))

    @property
    def omits_margins(self) -> bool:
        """True if the center of an output takes fewer operations than the whole output.

        Without padding, outputs have no margin. The statistics of group normalization need the whole output.
        """
        return self.padding == "same" and self.normalization != "group"


def _is_unet(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value.get("type", "unet") == "unet")
    return not isinstance(value, str | ArchitectureOptions)


if TYPE_CHECKING:
    ArchitectureConfig = UNetConfig | ArchitectureOptions
else:
    ArchitectureConfig = extend_type(UNetConfig, "architecture", _is_unet, ["unet"], ArchitectureOptions)

_READER: TypeAdapter[ArchitectureConfig] = TypeAdapter(ArchitectureConfig)


def read_architecture_config(section: Any) -> ArchitectureConfig:
    """Return the network for the plain values of an ``architecture:`` section.

    Raises:
        pydantic.ValidationError: the values are not a valid network.

    Examples:
        >>> read_architecture_config({"input_shape": [32, 32, 32]}).input_shape
        (32, 32, 32)
    """
    return _READER.validate_python(section)
