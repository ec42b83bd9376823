"""How a network learns: the ``training`` section of a configuration."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from attacca.config.base import StrictModel

Interval = tuple[float, float]

_DEVICE = r"^(auto|cpu|cuda(:\d+)?|mps)$"


def _device(value: Any) -> Any:
    if isinstance(value, str) and not re.match(_DEVICE, value):
        raise ValueError(f"found {value!r}, expected auto, cpu, mps, cuda, or cuda:1 for the second GPU")
    return value


def _ordered(name: str, interval: Interval) -> None:
    if interval[0] > interval[1]:
        raise ValueError(f"{name} is {list(interval)}: give the smaller number first")


class ElasticConfig(StrictModel):
    """Elastic deformation and rotation of raw data and labels."""

    spacing: float | tuple[float, ...] = 24.0
    """Distance between control points, in voxels; one number, or one for each axis."""
    displacement: float | tuple[float, ...] = 2.0
    """Standard deviation of a control point's displacement, in voxels; one number, or one for each axis."""
    rotation: Interval = (0.0, 90.0)
    """Smallest and largest angle of a rotation in the plane of the last two axes, in degrees."""
    uniform_3d_rotation: bool = False
    """Any rotation in three dimensions, for volumes with cubic voxels."""
    subsample: int = Field(default=4, ge=1)
    """Interpolate the deformation linearly between every n-th voxel."""
    probability: float = Field(default=0.5, ge=0, le=1)
    """Probability that a sample is deformed."""

    @model_validator(mode="after")
    def _sensible(self) -> "ElasticConfig":
        _ordered("rotation", self.rotation)
        return self


class SimpleConfig(StrictModel):
    """Mirror images and exchanged axes."""

    mirror: bool | tuple[int, ...] = True
    """Mirror along axes: all, none, or these, counted from 0 among the spatial axes."""
    transpose: bool | tuple[int, ...] = True
    """Exchange axes of equal voxel size: all of them, none, or these."""


class GammaConfig(StrictModel):
    """Brightness bent without moving black and white."""

    range: Interval = (0.75, 1.33)
    """Smallest and largest gamma."""
    probability: float = Field(default=0.5, ge=0, le=1)
    """Probability that a sample is changed."""

    @model_validator(mode="after")
    def _sensible(self) -> "GammaConfig":
        _ordered("range", self.range)
        if self.range[0] <= 0:
            raise ValueError(f"range is {list(self.range)}: gamma is above 0")
        return self


class IntensityAugmentConfig(StrictModel):
    """Contrast and brightness."""

    scale: Interval = (0.85, 1.15)
    """Smallest and largest factor of the contrast."""
    shift: Interval = (-0.1, 0.1)
    """Smallest and largest addition to the brightness; black to white is 1."""
    per_section: bool = False
    """Draw anew for each section along the first axis, for serial sections."""
    probability: float = Field(default=0.5, ge=0, le=1)
    """Probability that a sample is changed."""

    @model_validator(mode="after")
    def _sensible(self) -> "IntensityAugmentConfig":
        _ordered("scale", self.scale)
        _ordered("shift", self.shift)
        return self


class NoiseConfig(StrictModel):
    """Gaussian noise."""

    sigma: Interval = (0.0, 0.04)
    """Smallest and largest standard deviation; black to white is 1."""
    probability: float = Field(default=0.5, ge=0, le=1)
    """Probability that a sample is changed."""

    @model_validator(mode="after")
    def _sensible(self) -> "NoiseConfig":
        _ordered("sigma", self.sigma)
        return self


class SectionsConfig(StrictModel):
    """What goes wrong with serial sections, along the first axis."""

    missing: float = Field(default=0.02, ge=0, le=1)
    """Probability that a section is black."""
    low_contrast: float = Field(default=0.02, ge=0, le=1)
    """Probability that a section has low contrast."""
    contrast_scale: float = Field(default=0.1, ge=0, le=1)
    """Factor of the contrast of such a section."""
    slip: float = Field(default=0.02, ge=0, le=1)
    """Probability that one section is moved sideways."""
    shift: float = Field(default=0.02, ge=0, le=1)
    """Probability that a section and all after it are moved sideways."""
    max_shift: int = Field(default=4, ge=0)
    """Farthest such movement, in voxels."""


class AugmentationConfig(StrictModel):
    """Random changes to samples; a part that is null is left out."""

    elastic: ElasticConfig | None = None
    """Deformation and rotation."""
    simple: SimpleConfig | None = SimpleConfig()
    """Mirror images and exchanged axes."""
    gamma: GammaConfig | None = GammaConfig()
    """Gamma."""
    intensity: IntensityAugmentConfig | None = IntensityAugmentConfig()
    """Contrast and brightness."""
    noise: NoiseConfig | None = None
    """Noise."""
    sections: SectionsConfig | None = None
    """Missing, pale and shifted sections."""


class RegionConfig(StrictModel):
    """A box in world units."""

    offset: tuple[int, ...]
    """Its begin."""
    shape: tuple[int, ...]
    """Its extent."""


class SamplingConfig(StrictModel):
    """Where samples of one volume are taken, and how often."""

    weight: float = Field(default=1.0, gt=0)
    """How often this volume is chosen, relative to the others."""
    roi: RegionConfig | None = None
    """Take samples only here."""
    points: Path | None = None
    """A text file of points, one a line, in world units ((z,) y, x; separated by tabs, commas or spaces).
    Samples are placed so that each holds a point."""
    point_probability: float = Field(default=1.0, ge=0, le=1)
    """Probability that a sample is placed by a point."""


class OptimizerConfig(StrictModel):
    """How weights are updated."""

    type: Literal["adamw", "radam"] = "adamw"
    """Adam, or rectified Adam; both with decoupled weight decay."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """The largest learning rate, after the warm-up."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Decoupled weight decay."""
    betas: Interval = (0.9, 0.999)
    """Decay of the running means of gradients and of their squares."""
    warm_up: int = Field(default=50, ge=0)
    """Iterations over which the learning rate rises from 0."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate falls after the warm-up, until the last iteration."""
    final_fraction: float = Field(default=0.02, ge=0, le=1)
    """The last learning rate, as a fraction of the largest (cosine)."""
    gradient_clip: float | None = Field(default=1.0, gt=0)
    """Largest norm of all gradients together; null: no limit."""

    @model_validator(mode="after")
    def _sensible(self) -> "OptimizerConfig":
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(
                f"found betas {list(self.betas)}, expected two numbers from 0 up to, but not including, 1"
            )
        return self


class CheckpointConfig(StrictModel):
    """When weights are saved, and which are kept."""

    interval: int = Field(default=250, ge=1)
    """Iterations between checkpoints; the last iteration always makes one."""
    keep_last: int = Field(default=2, ge=1)
    """How many of the latest checkpoints are kept."""
    keep_every: int | None = Field(default=None, ge=1)
    """Keep, too, each checkpoint whose iteration is a multiple of this."""


class ValidationConfig(StrictModel):
    """What is measured on the validation volumes while the network learns; it follows the checkpoints."""

    crops: int | None = Field(default=8, ge=1)
    """Number of random, always equal samples on which the loss is measured; null: as many as tile the
    volumes."""
    segmentation_interval: int | None = Field(default=None, ge=1)
    """Iterations between segmentations of the validation volumes with the best post-processing parameters (a
    multiple of ``checkpoint.interval``); null: never."""
    criterion: str = "loss"
    """What the best checkpoint is chosen by: ``loss``, or a score of the segmentation, such as ``voi``."""


class TrainingConfig(StrictModel):
    """The whole section."""

    iterations: int = Field(default=1000, ge=1)
    """Steps of the optimiser."""
    batch_size: int = Field(default=1, ge=1)
    """Samples of a step. On a CPU, two small samples are better than one large one: PyTorch has faster
    convolutions for batches."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """How weights are updated."""
    ema_decay: float | None = Field(default=0.99, gt=0, lt=1)
    """Weight of the past in the running mean of the weights, which validation and prediction use; null: use
    the weights as they are."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Arithmetic of the network; ``auto``: bfloat16 on GPUs that have it, float32 elsewhere."""
    device: Annotated[str, BeforeValidator(_device), Field(pattern=_DEVICE)] = "auto"
    """``auto`` takes a GPU where there is one; ``cpu``, ``cuda``, ``cuda:1``."""
    torch_threads: int = Field(default=2, ge=1)
    """Threads of the network on a CPU. It changes the order of sums, and so the last digits of weights."""
    loader_workers: int = Field(default=1, ge=0)
    """Processes that prepare batches; 0: none. It changes no result."""
    prefetch: int = Field(default=2, ge=1)
    """Batches that each of them prepares ahead. It changes no result."""
    sampling: dict[str, SamplingConfig] = Field(default_factory=dict)
    """Where samples are taken, for training volumes by name."""
    reject_empty: float = Field(default=0.0, ge=0, le=1)
    """Probability that a sample with nothing but background is replaced."""
    min_masked: float = Field(default=0.0, ge=0, le=1)
    """Smallest fraction of voxels of a sample that must be labelled and within the mask."""
    targets: Literal["after_augmentation", "from_target_stage"] = "after_augmentation"
    """Make targets from augmented labels, or read those of the target stage (without augmentations that would
    change them)."""
    intensity: tuple[float, float] | None = None
    """Raw values that are black and white; null: the range of integer data, 0 to 1 for floating point
    data. Data that do not fit are warned of: 12 bits in 16, say, or floating point numbers up to 255."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """Random changes to samples."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    """When weights are saved."""
    validation: ValidationConfig = ValidationConfig()
    """What is measured while the network learns."""
    snapshot_interval: int | None = Field(default=None, ge=1)
    """Iterations between pictures of a batch; null: at each checkpoint."""
    divergence_factor: float = Field(default=10.0, gt=1)
    """Stop when the smoothed loss is this many times that of the first iterations."""

    @model_validator(mode="after")
    def _fits_together(self) -> "TrainingConfig":
        interval = self.validation.segmentation_interval
        if interval is not None and interval % self.checkpoint.interval:
            raise ValueError(
                f"validation.segmentation_interval is {interval}: give a multiple of checkpoint.interval "
                f"({self.checkpoint.interval}), since it is checkpoints that are measured"
            )
        if self.validation.criterion != "loss" and interval is None:
            raise ValueError(
                f"validation.criterion is {self.validation.criterion}, but no segmentation is made while "
                f"the network "
                "learns: set validation.segmentation_interval, or use the criterion loss"
            )
        if self.intensity is not None:
            _ordered("intensity", self.intensity)
            if self.intensity[0] == self.intensity[1]:
                raise ValueError(
                    f"found intensity {list(self.intensity)}, expected two different numbers: the raw values that "
                    "are black and white"
                )
        return self

    def deciding(self) -> dict[str, Any]:
        """All settings that change the result, as JSON values."""
        settings = self.model_dump(mode="json")
        for cosmetic in ("loader_workers", "prefetch"):
            del settings[cosmetic]
        return settings
