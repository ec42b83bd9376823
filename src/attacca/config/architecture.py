"""Which network is trained: the ``architecture`` section of a configuration."""

from typing import Literal

from pydantic import Field, model_validator

from attacca.config.base import StrictModel

Factors = tuple[int, ...]


class UNetConfig(StrictModel):
    """A U-Net for two or three dimensions, with a factor of its own for each axis and level.

    Sizes are voxels. Lists over axes have as many entries as the volume has spatial axes, (z,) y, x.
    """

    type: Literal["unet"] = "unet"
    """Which kind of network this section describes."""
    input_shape: tuple[int, ...] = Field(default=(64, 64, 64), min_length=2, max_length=3)
    """Size of a training sample that goes into the network, in voxels."""
    eval_shape_increase: tuple[int, ...] | None = None
    """How much larger inputs are in prediction than in training, in voxels; none: prediction decides by
    itself."""
    num_fmaps: int = Field(default=12, ge=1)
    """Channels at full resolution."""
    fmap_inc_factor: float = Field(default=2.0, ge=1)
    """How many times more channels each coarser level has."""
    channels: tuple[int, ...] | None = None
    """Channels of each level, finest first, instead of ``num_fmaps`` and ``fmap_inc_factor``."""
    num_out_fmaps: int | None = Field(default=None, ge=1)
    """Channels that the network hands to the prediction head; none: as many as at full resolution."""
    downsample_factors: tuple[Factors, ...] = ((2, 2, 2), (2, 2, 2))
    """Factor between each level and the next coarser one, for each axis; its length is the number of levels
    minus one."""
    kernel_sizes: tuple[Factors, ...] | None = None
    """Size of the convolutions of each level, finest first (odd numbers); none: 3 along every axis,
    everywhere."""
    convs_per_level: int = Field(default=2, ge=1, le=6)
    """Convolutions of each level on the way down, and again on the way up."""
    padding: Literal["valid", "same"] = "same"
    """``valid``: outputs are smaller than inputs, every value has its whole context; ``same``: outputs are as
    large as inputs and values near the border see zeros there (prediction cuts those values off)."""
    residual: bool = False
    """Add the input of each level's convolutions to their output."""
    skip: Literal["concatenate", "add"] = "concatenate"
    """How a level's features join those that come up from the coarser level."""
    upsampling: Literal["nearest", "transposed"] = "nearest"
    """``nearest``: 1 x 1 convolution, then repeated voxels; ``transposed``: transposed convolution."""
    activation: Literal["relu", "leaky_relu", "elu", "silu"] = "relu"
    """Non-linearity after each convolution."""
    normalization: Literal["none", "batch", "group"] = "none"
    """``batch`` has fixed statistics in prediction. The statistics of ``group`` depend on what else is in the
    block, so that blocks do not fit together exactly: it is refused unless ``fixed_input_shape`` says that
        this is known."""
    fixed_input_shape: bool = False
    """Predict with inputs of exactly ``input_shape`` (plus ``eval_shape_increase``). ``normalization: group``
    needs it."""

    @model_validator(mode="after")
    def _fits_together(self) -> "UNetConfig":
        dims = len(self.input_shape)
        for index, factors in enumerate(self.downsample_factors):
            if len(factors) != dims:
                raise ValueError(
                    f"downsample_factors[{index}] is {list(factors)}, but input_shape has {dims} axes: "
                    f"give one factor for each axis, such as {[2] * dims}"
                )
            if min(factors) < 1:
                raise ValueError(f"downsample_factors[{index}] is {list(factors)}: factors are 1 or more")
        levels = len(self.downsample_factors) + 1
        if self.channels is not None and len(self.channels) != levels:
            raise ValueError(
                f"channels has {len(self.channels)} entries, but {len(self.downsample_factors)} "
                f"downsample_factors "
                f"make {levels} levels: give one number for each level"
            )
        if self.kernel_sizes is not None:
            if len(self.kernel_sizes) != levels:
                raise ValueError(f"kernel_sizes has {len(self.kernel_sizes)} entries for {levels} levels")
            for index, sizes in enumerate(self.kernel_sizes):
                if len(sizes) != dims or any(size < 1 or size % 2 == 0 for size in sizes):
                    raise ValueError(
                        f"kernel_sizes[{index}] is {list(sizes)}: give one odd number for each of the "
                        f"{dims} axes"
                    )
        if self.eval_shape_increase is not None and len(self.eval_shape_increase) != dims:
            raise ValueError(
                f"eval_shape_increase has {len(self.eval_shape_increase)} entries, but {dims} axes exist"
            )
        if self.normalization == "group" and not self.fixed_input_shape:
            raise ValueError(
                "normalization: group takes its statistics from the whole input, so that a voxel's "
                "prediction depends "
                "on the block that it falls into and blocks do not fit together exactly. Use none or batch, "
                "or accept "
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


ArchitectureConfig = UNetConfig
