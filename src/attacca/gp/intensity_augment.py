"""Augmentations of intensities between 0 and 1: contrast, brightness, noise."""

from collections.abc import Sequence

import gunpowder as gp
import numpy as np

from attacca.gp.random_state import get_generator


class ToUnit(gp.BatchFilter):
    """Convert raw data to float32 between 0 and 1.

    Args:
        array: raw data of any shape and real dtype.
        minimum, maximum: raw values that become 0 and 1; values outside this range are clipped.
    """

    def __init__(self, array: gp.ArrayKey, minimum: float, maximum: float) -> None:
        self.array = array
        self.minimum = minimum
        self.maximum = maximum

    def setup(self) -> None:
        self.enable_autoskip()
        spec = self.spec[self.array].copy()
        spec.dtype = np.dtype(np.float32)
        spec.interpolatable = True
        self.updates(self.array, spec)

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        dependencies = gp.BatchRequest()
        dependencies[self.array] = request[self.array].copy()
        dependencies[self.array].dtype = None
        return dependencies

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        spec = batch[self.array].spec.copy()
        spec.dtype = np.dtype(np.float32)
        spec.interpolatable = True
        unit = batch[self.array].data.astype(np.float32)
        unit -= np.float32(self.minimum)
        unit *= np.float32(1 / (self.maximum - self.minimum))
        np.clip(unit, 0, 1, out=unit)
        result = gp.Batch()
        result[self.array] = gp.Array(unit, spec)
        return result


class _RandomFilter(gp.BatchFilter):
    """Base of the filters that change one array with a probability."""

    def __init__(self, array: gp.ArrayKey, p: float) -> None:
        self.array = array
        self.p = p

    def setup(self) -> None:
        self.enable_autoskip()
        self.updates(self.array, self.spec[self.array])

    def skip_node(self, request: gp.BatchRequest) -> bool:
        return self.p < 1 and get_generator().random_sample() >= self.p


class IntensityAugment(_RandomFilter):
    """Scale contrast about the mean, shift brightness, and clip to 0..1.

    Args:
        array: floating point data between 0 and 1, ([channels,] *spatial).
        scale: smallest and largest factor of the contrast.
        shift: smallest and largest addition to the brightness; 1 is the difference of black and white.
        per_section: draw factor and shift for each section along the first spatial axis separately.
        p: probability that a batch is augmented.
    """

    def __init__(
        self,
        array: gp.ArrayKey,
        scale: Sequence[float],
        shift: Sequence[float],
        per_section: bool = False,
        p: float = 1.0,
    ) -> None:
        super().__init__(array, p)
        self.scale = (float(scale[0]), float(scale[1]))
        self.shift = (float(shift[0]), float(shift[1]))
        self.per_section = per_section

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        array = batch[self.array]
        dims = array.spec.roi.dims
        spatial = tuple(range(array.data.ndim - dims, array.data.ndim))
        sections = array.data.shape[spatial[0]] if self.per_section else 1
        scale = get_generator().uniform(*self.scale, size=sections)
        shift = get_generator().uniform(*self.shift, size=sections)
        shape = (-1, *(1,) * (dims - 1))
        over = spatial[1:] if self.per_section else spatial
        mean = array.data.mean(axis=over, keepdims=True, dtype=np.float64)
        factor = scale.reshape(shape)
        addition = (mean * (1 - factor) + shift.reshape(shape)).astype(np.float32)
        data = array.data * factor.astype(np.float32)
        data += addition
        np.clip(data, 0, 1, out=data)
        result = gp.Batch()
        result[self.array] = gp.Array(data.astype(array.data.dtype, copy=False), array.spec.copy())
        return result


class NoiseAugment(_RandomFilter):
    """Add Gaussian noise of a random standard deviation, and clip to 0..1.

    Args:
        array: floating point data between 0 and 1, any shape.
        sigma: smallest and largest standard deviation; 1 is the difference of black and white.
        p: probability that a batch is augmented.
    """

    def __init__(self, array: gp.ArrayKey, sigma: Sequence[float], p: float = 1.0) -> None:
        super().__init__(array, p)
        self.sigma = (float(sigma[0]), float(sigma[1]))

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        array = batch[self.array]
        sigma = get_generator().uniform(*self.sigma)
        # A separate generator draws float32 directly, twice as fast as the global one.
        own = np.random.default_rng(int(get_generator().randint(0, 2**31)))
        noise = own.standard_normal(array.data.shape, dtype=np.float32)
        noise *= np.float32(sigma)
        noise += array.data
        np.clip(noise, 0, 1, out=noise)
        result = gp.Batch()
        result[self.array] = gp.Array(noise.astype(array.data.dtype, copy=False), array.spec.copy())
        return result
