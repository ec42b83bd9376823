"""Normalization of intensities, the same in training and in prediction."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from attacca.config.intensity import name_percentile
from attacca.errors import ConfigurationError, VolumeError

_LARGEST_SORTED = 2**20


@dataclass(frozen=True)
class Intensity:
    """Range of raw values that is mapped linearly to -1..1.

    Args:
        minimum: raw value that becomes -1.
        maximum: raw value that becomes 1.

    Raises:
        ConfigurationError: the maximum is not above the minimum.

    >>> Intensity.for_dtype("uint8")
    Intensity(minimum=0.0, maximum=255.0)
    """

    minimum: float
    maximum: float

    def __post_init__(self) -> None:
        if not self.maximum > self.minimum:
            raise ConfigurationError(
                f"intensity: the range {self.minimum} to {self.maximum} is empty: give the smaller number first"
            )

    @classmethod
    def for_dtype(cls, dtype: npt.DTypeLike) -> "Intensity":
        """Return the range of an integer dtype; 0 to 1 for floating point data and bool."""
        kind = np.dtype(dtype)
        if kind.kind in "iu":
            limits = np.iinfo(kind)
            return cls(float(limits.min), float(limits.max))
        return cls(0.0, 1.0)

    def find_mismatch(self, values: np.ndarray) -> str | None:
        """Return the reason why data do not fit this range; None if they do.

        More than a twentieth of the voxels outside the range is more than percentiles clip. Data that use less than an
        eighth of the range, apart from the darkest and the brightest voxels, have nearly no contrast for the network. A
        sample with a single value is not judged.

        Args:
            values: a sample of the raw data, any shape.

        >>> Intensity(0, 65535).find_mismatch(np.array([0, 4095]))
        'they use 6.2 % of the range'
        """
        width = self.maximum - self.minimum
        is_outside = (values < self.minimum - 0.05 * width) | (values > self.maximum + 0.05 * width)
        if is_outside.mean() > 0.05:
            clipped = (values < self.minimum) | (values > self.maximum)
            return f"{100 * clipped.mean():.0f} % of the voxels are clipped"
        every = values.ravel()[:: -(-values.size // _LARGEST_SORTED)]
        low, high = (float(value) for value in np.percentile(every, (0.1, 99.9)))
        if low == high:
            low, high = float(values.min()), float(values.max())
        if low < high and high - low < width / 8:
            return f"they use {100 * (high - low) / width:.2g} % of the range"
        return None

    def lacks_contrast(self, low: float, high: float) -> bool:
        """Return whether an image with different values, from ``low`` to ``high``, becomes all black or all white.

        >>> Intensity(0, 1).lacks_contrast(12, 4095)
        True
        """
        return low < high and (high <= self.minimum or low >= self.maximum)

    def check_contrast(self, low: float, high: float, volume: str) -> None:
        """Raise an error if an image becomes all black or all white.

        Args:
            low, high: smallest and largest value of the image.
            volume: its name, for messages.

        Raises:
            VolumeError: the range is below or above all different values of the image.

        >>> Intensity(0, 255).check_contrast(12, 4095, "cube")
        """
        if self.lacks_contrast(low, high):
            color = "black" if high <= self.minimum else "white"
            raise VolumeError(
                f"{volume}: all voxels become {color}: the image has values from {low:g} to {high:g}, but black is "
                f"{self.minimum:g} and white is {self.maximum:g}",
                fix=f"set training.intensity to values of the image, such as [{low:g}, {high:g}], or to percentiles of each "
                "image; or correct path, dataset and channel of the image",
            )

    def to_unit(self, raw: np.ndarray) -> np.ndarray:
        """Return ``raw`` as float32 between 0 and 1; values outside the range are clipped."""
        unit = raw.astype(np.float32)
        unit -= np.float32(self.minimum)
        unit *= np.float32(1.0 / (self.maximum - self.minimum))
        return np.clip(unit, 0.0, 1.0, out=unit)

    def as_dict(self) -> dict[str, float]:
        """Return plain numbers for a checkpoint."""
        return {"minimum": float(self.minimum), "maximum": float(self.maximum)}


@dataclass(frozen=True)
class Percentiles:
    """Percentiles of each volume that are mapped to -1 and 1.

    Args:
        low: percentile that becomes -1.
        high: percentile that becomes 1.

    >>> Percentiles(1, 99).find_range({"1": 20.0, "99": 180.0}, "cube")
    Intensity(minimum=20.0, maximum=180.0)
    """

    low: float
    high: float

    def find_range(self, measured: Mapping[str, float], volume: str) -> Intensity:
        """Return the range of a volume.

        Args:
            measured: percentiles of the volume; see ``attacca.arrays.percentiles``.
            volume: its name, for messages.

        Raises:
            VolumeError: both percentiles are equal.
        """
        low, high = (measured[name_percentile(value)] for value in (self.low, self.high))
        if not high > low:
            names = f"{name_percentile(self.low)} and {name_percentile(self.high)}"
            raise VolumeError(
                f"{volume}: the percentiles {names} of the image are both {low:g}, so that it has no contrast",
                fix="check path, dataset and roi of the image; if most of it is empty, set training.intensity to "
                "percentiles closer to 0 and 100, or to the values of black and white",
            )
        return Intensity(low, high)

    def as_dict(self) -> dict[str, float]:
        """Return plain numbers for a checkpoint."""
        return {"low_percentile": float(self.low), "high_percentile": float(self.high)}


IntensityRule = Intensity | Percentiles
"""Fixed raw values of black and white, or percentiles of each volume."""


def read_intensity(values: Mapping[str, float]) -> IntensityRule:
    """Return the rule of a checkpoint or model file.

    >>> read_intensity({"low_percentile": 1.0, "high_percentile": 99.0})
    Percentiles(low=1.0, high=99.0)
    """
    if "low_percentile" in values:
        return Percentiles(float(values["low_percentile"]), float(values["high_percentile"]))
    return Intensity(float(values["minimum"]), float(values["maximum"]))


def scale_to_network(unit: np.ndarray) -> np.ndarray:
    """Map values from 0..1 to the network's range -1..1."""
    return unit * np.float32(2.0) - np.float32(1.0)


def normalize(raw: np.ndarray, minimum: float, maximum: float) -> np.ndarray:
    """Map raw values from ``minimum``..``maximum`` to -1..1, float32; values outside are clipped.

    Args:
        raw: any shape and real dtype.
        minimum, maximum: of the checkpoint, ``normalize(raw, **meta.intensity)``, unless it has percentiles.

    >>> normalize(np.array([0, 51, 255], np.uint8), 0, 255).round(2)
    array([-1. , -0.6,  1. ], dtype=float32)
    """
    unit = Intensity(minimum, maximum).to_unit(raw)
    unit *= np.float32(2.0)
    unit -= np.float32(1.0)
    return unit
