"""Models of the ``training`` section of a configuration."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from attacca.config.base import StrictModel
from attacca.config.intensity import PercentilesConfig

Interval = tuple[float, float]

_DEVICE = r"^(auto|cpu|cuda(:\d+)?|mps)$"


def _check_device(value: Any) -> Any:
    if isinstance(value, str) and not re.match(_DEVICE, value):
        raise ValueError(f"found {value!r}, expected auto, cpu, mps, cuda, or cuda:1 for the second GPU")
    return value


def _check_ascending(name: str, interval: Interval) -> None:
    if interval[0] > interval[1]:
        raise ValueError(f"found {name} {list(interval)}, expected the smaller number first")


class ElasticConfig(StrictModel):
    """Elastic deformation and rotation of raw data and labels."""

    spacing: float | tuple[float, ...] = 24.0
    """Distance between control points in voxels; one number, or one per axis."""
    displacement: float | tuple[float, ...] = 2.0
    """Standard deviation of a control point's displacement in voxels; one number, or one per axis."""
    rotation: Interval = (0.0, 90.0)
    """Smallest and largest angle of the rotation in the plane of the last two axes, in degrees."""
    uniform_3d_rotation: bool = False
    """Draw from all rotations in 3D instead; for volumes with cubic voxels."""
    subsample: int = Field(default=4, ge=1)
    """Interpolate the deformation linearly between each n-th voxel."""
    probability: float = Field(default=0.5, ge=0, le=1)
    """Probability that a sample is deformed."""

    @model_validator(mode="after")
    def _check_values(self) -> "ElasticConfig":
        _check_ascending("rotation", self.rotation)
        return self


class SimpleConfig(StrictModel):
    """Mirroring and transposition."""

    mirror: bool | tuple[int, ...] = True
    """Axes to mirror: true for all, false for none, or a list, counted from 0 among the spatial axes."""
    transpose: bool | tuple[int, ...] = True
    """Axes of equal voxel size to exchange: true for all, false for none, or a list."""


class GammaConfig(StrictModel):
    """Change of brightness that keeps black and white."""

    range: Interval = (0.75, 1.33)
    """Smallest and largest gamma."""
    probability: float = Field(default=0.5, ge=0, le=1)
    """Probability that a sample is changed."""

    @model_validator(mode="after")
    def _check_values(self) -> "GammaConfig":
        _check_ascending("range", self.range)
        if self.range[0] <= 0:
            raise ValueError(f"found range {list(self.range)}, expected numbers above 0")
        return self


class IntensityAugmentConfig(StrictModel):
    """Contrast and brightness."""

    scale: Interval = (0.85, 1.15)
    """Smallest and largest factor of the contrast."""
    shift: Interval = (-0.1, 0.1)
    """Smallest and largest addition to the brightness; 1 is the difference of black and white."""
    per_section: bool = False
    """Draw factor and addition for each section along the first axis, for serial sections."""
    probability: float = Field(default=0.5, ge=0, le=1)
    """Probability that a sample is changed."""

    @model_validator(mode="after")
    def _check_values(self) -> "IntensityAugmentConfig":
        _check_ascending("scale", self.scale)
        _check_ascending("shift", self.shift)
        return self


class NoiseConfig(StrictModel):
    """Gaussian noise."""

    sigma: Interval = (0.0, 0.04)
    """Smallest and largest standard deviation; 1 is the difference of black and white."""
    probability: float = Field(default=0.5, ge=0, le=1)
    """Probability that a sample is changed."""

    @model_validator(mode="after")
    def _check_values(self) -> "NoiseConfig":
        _check_ascending("sigma", self.sigma)
        return self


class SectionsConfig(StrictModel):
    """Defects of serial sections along the first axis."""

    missing: float = Field(default=0.02, ge=0, le=1)
    """Probability that a section is black."""
    low_contrast: float = Field(default=0.02, ge=0, le=1)
    """Probability that a section has low contrast."""
    contrast_scale: float = Field(default=0.1, ge=0, le=1)
    """Factor of the contrast of such a section."""
    slip: float = Field(default=0.02, ge=0, le=1)
    """Probability that a single section is moved sideways."""
    shift: float = Field(default=0.02, ge=0, le=1)
    """Probability that a section and all later ones are moved sideways."""
    max_shift: int = Field(default=4, ge=0)
    """Largest displacement along each axis, in voxels."""


class AugmentationConfig(StrictModel):
    """Random changes of samples; a part that is null is disabled."""

    elastic: ElasticConfig | None = None
    """Deformation and rotation."""
    simple: SimpleConfig | None = SimpleConfig()
    """Mirroring and transposition."""
    gamma: GammaConfig | None = GammaConfig()
    """Gamma."""
    intensity: IntensityAugmentConfig | None = IntensityAugmentConfig()
    """Contrast and brightness."""
    noise: NoiseConfig | None = None
    """Noise."""
    sections: SectionsConfig | None = None
    """Missing, low-contrast and shifted sections."""


class RegionConfig(StrictModel):
    """Region in world units."""

    offset: tuple[int, ...]
    """Lower corner."""
    shape: tuple[int, ...]
    """Extent along each axis."""


class SamplingConfig(StrictModel):
    """Locations and frequency of the samples of one volume."""

    weight: float = Field(default=1.0, gt=0)
    """Frequency of this volume, relative to the others."""
    roi: RegionConfig | None = None
    """Region to which samples are restricted; null: the whole volume."""
    points: Path | None = None
    """Text file with one point per line, in world units ((z,) y, x; separated by tabs, commas or spaces). Each sample
    contains one of the points."""
    point_probability: float = Field(default=1.0, ge=0, le=1)
    """Probability that the location of a sample is chosen by a point."""


class OptimizerConfig(StrictModel):
    """Optimizer and learning rate."""

    type: Literal["adamw", "radam", "muon"] = "adamw"
    """``adamw``: Adam; ``radam``: rectified Adam; ``muon``: Muon for the kernels of convolutions, Adam for all other
    weights, which learns in fewer iterations. All with decoupled weight decay."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Maximum learning rate, after the warm-up. The default of ``muon`` is 0.02."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Decoupled weight decay."""
    betas: Interval = (0.9, 0.999)
    """Decay of the running means of gradients and of squared gradients, of Adam."""
    warm_up: int = Field(default=50, ge=0)
    """Iterations over which the learning rate increases from 0."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Decrease of the learning rate from the warm-up to the last iteration."""
    final_fraction: float = Field(default=0.02, ge=0, le=1)
    """Final learning rate as a fraction of the maximum, for ``cosine``."""
    gradient_clip: float | None = Field(default=1.0, gt=0)
    """Maximum norm of all gradients together; null: no limit."""

    @model_validator(mode="before")
    @classmethod
    def _choose_rate(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("type") == "muon":
            return {"learning_rate": 2e-2, **values}
        return values

    @model_validator(mode="after")
    def _check_values(self) -> "OptimizerConfig":
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(
                f"found betas {list(self.betas)}, expected two numbers from 0 up to, but not including, 1"
            )
        return self


class CheckpointConfig(StrictModel):
    """Interval of checkpoints, and the policy for deleting them."""

    interval: int = Field(default=250, ge=1)
    """Iterations between checkpoints; the last iteration always writes one."""
    keep_last: int = Field(default=2, ge=1)
    """Number of latest checkpoints to keep."""
    keep_every: int | None = Field(default=None, ge=1)
    """Keep also each checkpoint whose iteration is a multiple of this number."""


class ValidationConfig(StrictModel):
    """Measurements on the validation volumes during training, after checkpoints."""

    crops: int | None = Field(default=8, ge=1)
    """Number of random, fixed samples on which the loss is measured; null: as many as tile the volumes."""
    segmentation_interval: int | None = Field(default=None, ge=1)
    """Iterations between segmentations of the validation volumes with the best post-processing parameters, a multiple
    of ``checkpoint.interval``; null: never."""
    criterion: str = "loss"
    """Criterion of the best checkpoint: ``loss``, or a score of the segmentation, such as ``voi``."""


class TrainingConfig(StrictModel):
    """Settings of training."""

    iterations: int = Field(default=1000, ge=1)
    """Number of optimizer steps."""
    batch_size: int = Field(default=1, ge=1)
    """Samples per step. On a CPU, two small samples are faster than one large one, because PyTorch has faster
    convolutions for batches."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """Optimizer and learning rate."""
    ema_decay: float | None = Field(default=0.99, gt=0, lt=1)
    """Decay of the exponential moving average of the weights, which validation and prediction use; null: no
    average."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Arithmetic of the network; ``auto``: bfloat16 on GPUs that support it, otherwise float32."""
    device: Annotated[str, BeforeValidator(_check_device), Field(pattern=_DEVICE)] = "auto"
    """``auto`` (a GPU if there is one), ``cpu``, ``mps``, ``cuda``, or ``cuda:1`` for the second GPU."""
    torch_threads: int = Field(default=2, ge=1)
    """Threads of the network on a CPU. The members of an ensemble share them: as many members are trained at a time as
    there are threads, which is faster than several threads per network. More threads than members are divided among them.
    The number of threads of a network changes the order of sums, and therefore the last digits of weights."""
    loader_workers: int = Field(default=1, ge=0)
    """Processes that prepare batches; 0: none. The number does not change results."""
    prefetch: int = Field(default=2, ge=1)
    """Batches that each process prepares ahead. The number does not change results."""
    sampling: dict[str, SamplingConfig] = Field(default_factory=dict)
    """Locations and frequency of samples, for training volumes by name."""
    voxel_size_tolerance: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Relative difference of voxel sizes up to which volumes are treated as equal: 0.1 for sections of 45 and 50 nm.
    Voxels are not interpolated: the network sees those of each volume as they are. Each volume keeps its voxel size in
    its results and scores."""
    object_samples: Literal["auto"] | Annotated[float, Field(ge=0, le=1)] = "auto"
    """Probability that a sample contains a voxel of an object: annotated, inside the mask, and not 0. ``auto``: 0.75 for
    volumes of which more than half of the samples at uniform positions would contain none, otherwise 0: uniform
    positions."""
    reject_empty: float = Field(default=0.0, ge=0, le=1)
    """Probability that a sample with background only is replaced."""
    min_masked: float = Field(default=0.0, ge=0, le=1)
    """Minimum fraction of the voxels of a sample that are annotated and inside the mask."""
    targets: Literal["after_augmentation", "from_target_stage"] = "after_augmentation"
    """Compute targets from augmented labels, or read those of the target stage, without augmentations that would change
    them."""
    intensity: tuple[float, float] | PercentilesConfig | None = None
    """Raw values of black and white; null: the range of an integer dtype, or 0 to 1 for floating point data. A warning
    reports data that do not fit, such as 12 bits in 16, or floating point numbers up to 255. ``percentiles: [1, 99]``
    takes black and white from the values of each volume, for volumes of different brightness or contrast; a model
    measures them in each volume to which it is applied."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """Random changes of samples."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    """Interval of checkpoints."""
    validation: ValidationConfig = ValidationConfig()
    """Measurements on the validation volumes."""
    snapshot_interval: int | None = Field(default=None, ge=1)
    """Iterations between snapshots of a batch; null: at each checkpoint."""
    divergence_factor: float = Field(default=10.0, gt=1)
    """Factor of the first iterations' loss at which training stops: the smoothed loss diverges."""

    @model_validator(mode="after")
    def _check_combinations(self) -> "TrainingConfig":
        interval = self.validation.segmentation_interval
        if interval is not None and interval % self.checkpoint.interval:
            raise ValueError(
                f"found validation.segmentation_interval {interval}, expected a multiple of checkpoint.interval "
                f"({self.checkpoint.interval}), because checkpoints are measured"
            )
        if self.validation.criterion != "loss" and interval is None:
            raise ValueError(
                f"validation.criterion is {self.validation.criterion}, but no segmentation is computed during training: "
                "set validation.segmentation_interval, or use the criterion loss"
            )
        if isinstance(self.intensity, tuple):
            _check_ascending("intensity", self.intensity)
            if self.intensity[0] == self.intensity[1]:
                raise ValueError(
                    f"found intensity {list(self.intensity)}, expected two different numbers: the raw values of black "
                    "and white"
                )
        return self

    def deciding(self) -> dict[str, Any]:
        """All settings that change the result, as JSON values."""
        settings = self.model_dump(mode="json")
        for cosmetic in ("loader_workers", "prefetch"):
            del settings[cosmetic]
        return settings

    def portable(self) -> dict[str, Any]:
        """``deciding`` without the paths of files, which are valid on one machine only."""
        settings = self.deciding()
        for sampling in settings["sampling"].values():
            sampling["points"] = None
        return settings
