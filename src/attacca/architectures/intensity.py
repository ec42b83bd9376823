"""Intensities as networks see them, the same in training and in prediction."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from attacca.errors import ConfigurationError


@dataclass(frozen=True)
class Intensity:
    """A range of raw values that becomes -1 to 1.

    Args:
        minimum: raw value that becomes -1.
        maximum: raw value that becomes 1.
    """

    minimum: float
    maximum: float

    def __post_init__(self) -> None:
        if not self.maximum > self.minimum:
            raise ConfigurationError(
                f"intensity: the range {self.minimum} to {self.maximum} is empty: the maximum is the larger "
                f"number"
            )

    @classmethod
    def for_dtype(cls, dtype: Any) -> "Intensity":
        """The whole range of an integer type; 0 to 1 for floating point data and for bool."""
        kind = np.dtype(dtype)
        if kind.kind in "iu":
            limits = np.iinfo(kind)
            return cls(float(limits.min), float(limits.max))
        return cls(0.0, 1.0)

    def doubt(self, values: np.ndarray) -> str | None:
        """What speaks against this range for data of which ``values`` are a sample; None if nothing does.

        Data that leave seven eighths of the range unused are nearly of one gray to the network; a sample of one
        value says nothing.
        """
        low, high = float(values.min()), float(values.max())
        width = self.maximum - self.minimum
        if low < self.minimum - 0.05 * width or high > self.maximum + 0.05 * width:
            outside = float(((values < self.minimum) | (values > self.maximum)).mean())
            return f"{100 * outside:.0f} % of the voxels are cut off"
        if low < high and high - low < width / 8:
            return f"they use {100 * (high - low) / width:.2g} % of the range"
        return None

    def to_unit(self, raw: np.ndarray) -> np.ndarray:
        """``raw`` as float32 between 0 and 1; values outside the range are cut off."""
        unit = raw.astype(np.float32)
        unit -= np.float32(self.minimum)
        unit *= np.float32(1.0 / (self.maximum - self.minimum))
        return np.clip(unit, 0.0, 1.0, out=unit)

    def as_dict(self) -> dict[str, float]:
        """Plain numbers, as a checkpoint holds them."""
        return {"minimum": float(self.minimum), "maximum": float(self.maximum)}


def unit_to_network(unit: np.ndarray) -> np.ndarray:
    """Values between 0 and 1 as the network sees them, between -1 and 1."""
    return unit * np.float32(2.0) - np.float32(1.0)


def normalize(raw: np.ndarray, minimum: float, maximum: float) -> np.ndarray:
    """Raw values as the network sees them: ``minimum`` to ``maximum`` becomes -1 to 1, float32.

    The two numbers are those of the checkpoint: ``normalize(raw, **meta["intensity"])``.
    """
    return unit_to_network(Intensity(minimum, maximum).to_unit(raw))
