"""Gamma augmentation: a change of brightness that keeps black and white."""

from collections.abc import Iterable

import gunpowder as gp
import numpy as np

from attacca.gp.random_state import get_generator

# Images with a smaller range of values are flat: stretching them to 0..1 would amplify noise.
_FLAT = 1e-3


class GammaAugment(gp.BatchFilter):
    """Scale each array to 0..1, raise it to the power of a random gamma, and scale it back.

    Gamma is drawn such that g and 1 / g are equally likely if the interval contains both.

    Args:
        arrays: one or several keys of float32 or float64 arrays of any shape; all get the same gamma.
        gamma_min: smallest gamma, above 0.
        gamma_max: largest gamma.
        p: probability that a batch is augmented.

    Raises:
        ValueError: the interval is empty, or contains 0.
        TypeError: on a request, if an array is not floating point.
    """

    def __init__(
        self, arrays: gp.ArrayKey | Iterable[gp.ArrayKey], gamma_min: float, gamma_max: float, p: float = 1.0
    ) -> None:
        if not 0 < gamma_min <= gamma_max:
            raise ValueError(
                f"found gamma_min {gamma_min} and gamma_max {gamma_max}, expected two ascending numbers above 0"
            )
        self.arrays = [arrays] if isinstance(arrays, gp.ArrayKey) else list(arrays)
        self.gamma_min = gamma_min
        self.gamma_max = gamma_max
        self.p = p

    def setup(self) -> None:
        for key in self.arrays:
            self.updates(key, self.spec[key])

    def skip_node(self, request: gp.BatchRequest) -> bool:
        return self.p < 1 and get_generator().random_sample() >= self.p

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        gamma = self.draw()
        result = gp.Batch()
        for key in self.arrays:
            if key not in batch:
                continue
            array = batch[key]
            if array.data.dtype not in (np.float32, np.float64):
                raise TypeError(
                    f"gamma augmentation needs floating point data, but {key} is {array.data.dtype}: normalize it first"
                )
            result[key] = gp.Array(apply_gamma(array.data, gamma), array.spec.copy(), array.attrs)
        return result

    def draw(self) -> float:
        """Draw a random gamma from gunpowder's random numbers."""
        low, high = _linearize(self.gamma_min), _linearize(self.gamma_max)
        value = get_generator().uniform(low, high)
        return float(1 + value if value >= 0 else 1 / (1 - value))


def _linearize(gamma: float) -> float:
    return gamma - 1 if gamma >= 1 else 1 - 1 / gamma


def apply_gamma(data: np.ndarray, gamma: float) -> np.ndarray:
    """Return ``low + (high - low) * ((data - low) / (high - low)) ** gamma`` for the range ``low`` to ``high`` of data.

    Args:
        data: floating point, any shape; flat data (a range below 1e-3) are returned unchanged.
        gamma: above 1 darkens, below 1 brightens.

    >>> apply_gamma(np.array([0.0, 0.5, 1.0]), 2.0)
    array([0.  , 0.25, 1.  ])
    """
    low, high = data.min(), data.max()
    if high - low <= _FLAT:
        return data
    unit = (data - low) / (high - low)
    np.power(unit, data.dtype.type(gamma), out=unit)
    return low + (high - low) * unit
