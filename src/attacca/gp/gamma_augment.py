"""Gamma: brightness bent without moving black and white."""

from collections.abc import Iterable

import gunpowder as gp
import numpy as np

from attacca.gp.randomness import generator

# Images with a smaller range of values than this are flat: stretching them would show their noise alone.
_FLAT = 1e-3


class GammaAugment(gp.BatchFilter):
    """Raises each array, stretched to 0..1, to the power of one random gamma, and stretches it back.

    Gamma is drawn so that g and 1 / g are equally likely where the interval has both.

    Args:
        arrays: one key or several, of floating point arrays; all get the same gamma.
        gamma_min: smallest gamma, above 0.
        gamma_max: largest gamma.
        p: probability that the batch is augmented.

    Raises:
        ValueError: the interval is empty, or reaches 0.
        TypeError: on a request, if an array is not floating point.
    """

    def __init__(
        self, arrays: gp.ArrayKey | Iterable[gp.ArrayKey], gamma_min: float, gamma_max: float, p: float = 1.0
    ) -> None:
        if not 0 < gamma_min <= gamma_max:
            raise ValueError(
                f"gamma goes from {gamma_min} to {gamma_max}: give two numbers above 0, in order"
            )
        self.arrays = [arrays] if isinstance(arrays, gp.ArrayKey) else list(arrays)
        self.gamma_min = gamma_min
        self.gamma_max = gamma_max
        self.p = p

    def setup(self) -> None:
        for key in self.arrays:
            self.updates(key, self.spec[key])

    def skip_node(self, request: gp.BatchRequest) -> bool:
        return self.p < 1 and generator().random_sample() >= self.p

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        gamma = self.draw()
        result = gp.Batch()
        for key in self.arrays:
            if key not in batch:
                continue
            array = batch[key]
            if array.data.dtype not in (np.float32, np.float64):
                raise TypeError(
                    f"gamma augmentation needs floating point data, {key} is {array.data.dtype}: normalise "
                    f"it first"
                )
            result[key] = gp.Array(apply_gamma(array.data, gamma), array.spec.copy(), array.attrs)
        return result

    def draw(self) -> float:
        """A random gamma, from gunpowder's random numbers."""
        low, high = _linear(self.gamma_min), _linear(self.gamma_max)
        value = generator().uniform(low, high)
        return float(1 + value if value >= 0 else 1 / (1 - value))


def _linear(gamma: float) -> float:
    return gamma - 1 if gamma >= 1 else 1 - 1 / gamma


def apply_gamma(data: np.ndarray, gamma: float) -> np.ndarray:
    """``low + (high - low) * ((data - low) / (high - low)) ** gamma``; flat data are returned as they are."""
    low, high = data.min(), data.max()
    if high - low <= _FLAT:
        return data
    unit = (data - low) / (high - low)
    np.power(unit, data.dtype.type(gamma), out=unit)
    return low + (high - low) * unit
