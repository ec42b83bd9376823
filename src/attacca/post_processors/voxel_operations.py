"""Operations that decide each voxel of a prediction by itself: threshold, argmax, a constant."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from attacca.arrays import Array
from attacca.errors import VolumeError

Function = Callable[[np.ndarray], np.ndarray]
"""From stored predictions to stored outputs."""


class VoxelOperation(Protocol):
    """An operation on each voxel of a prediction."""

    def prepare(self, prediction: Array) -> Function:
        """Return the function from stored predictions to stored outputs."""

    def num_channels(self, prediction: Array) -> int | None:
        """Return the number of channels of the output; None for no channel axis."""

    def dtype(self, prediction: Array) -> np.dtype:
        """Return the dtype of the output."""


@dataclass(frozen=True)
class Threshold:
    """1 where a value is strictly above a threshold, 0 elsewhere.

    Attributes:
        threshold: in the prediction's own range, that of ``stored * value_scale + value_offset``.
        channels: channels of the prediction, in the order of the output; all of them by default.

    >>> from funlib.geometry import Coordinate, Roi
    >>> from attacca.arrays import NumpyArray
    >>> values = np.array([[0.2, 0.5, 0.9]], np.float32)
    >>> array = NumpyArray.from_np_array(values, Roi((0, 0), (1, 3)), Coordinate((1, 1)), ["y", "x"])
    >>> Threshold(0.5).prepare(array)(values)
    array([[0, 0, 1]], dtype=uint8)
    >>> Threshold(0.1).prepare(array)(values)
    array([[1, 1, 1]], dtype=uint8)
    """

    threshold: float
    channels: tuple[int, ...] | None = None

    def prepare(self, prediction: Array) -> Function:
        """Return the function from stored predictions to uint8.

        Raises:
            VolumeError: the prediction lacks a channel.
        """
        scale, offset, threshold = prediction.value_scale, prediction.value_offset, self.threshold
        channels = self._select_channels(prediction)
        table = (np.arange(256) * scale + offset > threshold).astype(np.uint8)

        def compare(stored: np.ndarray) -> np.ndarray:
            if channels is not None:
                stored = stored[channels]
            if stored.dtype == np.uint8:
                return table[stored]
            if (scale, offset) == (1.0, 0.0):
                # A Python number would be rounded to the array's dtype.
                return (stored > np.float64(threshold)).astype(np.uint8)
            return (stored.astype(np.float64) * scale + offset > threshold).astype(np.uint8)

        return compare

    def num_channels(self, prediction: Array) -> int | None:
        """Return the number of selected channels."""
        channels = self._select_channels(prediction)
        return prediction.num_channels if channels is None else len(channels)

    def dtype(self, prediction: Array) -> np.dtype:
        """Return uint8."""
        return np.dtype(np.uint8)

    def _select_channels(self, prediction: Array) -> list[int] | None:
        if self.channels is None:
            return None
        count = prediction.num_channels
        if count is None or any(not 0 <= channel < count for channel in self.channels):
            found = "no channel axis" if count is None else f"{count} channels"
            raise VolumeError(
                f"{prediction}: found {found}, expected the channels {list(self.channels)} (from 0)"
            )
        return list(self.channels)


@dataclass(frozen=True)
class Argmax:
    """Number of the channel with the largest value, the first of equals; the output has no channel axis.

    Attributes:
        factors: factor of each channel's value; empty for none.

    >>> from funlib.geometry import Coordinate, Roi
    >>> from attacca.arrays import NumpyArray
    >>> values = np.array([[[0.2, 0.5, 0.9]], [[0.3, 0.1, 0.9]]], np.float32)
    >>> array = NumpyArray.from_np_array(values, Roi((0, 0), (1, 3)), Coordinate((1, 1)), ["c", "y", "x"])
    >>> Argmax().prepare(array)(values)
    array([[1, 0, 0]], dtype=uint8)
    >>> Argmax(factors=(1.0, 0.5)).prepare(array)(values)
    array([[0, 0, 0]], dtype=uint8)
    """

    factors: tuple[float, ...] = ()

    def prepare(self, prediction: Array) -> Function:
        """Return the function from stored predictions to class numbers.

        Raises:
            VolumeError: the prediction has no channel axis, or not one channel for each factor.
        """
        if prediction.num_channels is None:
            raise VolumeError(f"{prediction}: found no channel axis, expected one channel for each class")
        if self.factors:
            return self._prepare_product(prediction)
        dtype, is_ascending = self.dtype(prediction), prediction.value_scale > 0

        def find_largest(stored: np.ndarray) -> np.ndarray:
            return (stored.argmax(axis=0) if is_ascending else stored.argmin(axis=0)).astype(dtype)

        return find_largest

    def _prepare_product(self, prediction: Array) -> Function:
        """Return the function for values that are multiplied with factors, in the range of the prediction."""
        if len(self.factors) != prediction.num_channels:
            raise VolumeError(
                f"{prediction}: found {prediction.num_channels} channels, expected {len(self.factors)}, one for each of "
                f"the factors {list(self.factors)}"
            )
        dtype, shift = self.dtype(prediction), prediction.value_offset / prediction.value_scale
        # Without the scale, products of stored integers are exact, so that equal ones are recognized.
        factors = [factor * np.sign(prediction.value_scale) for factor in self.factors]

        def find_largest(stored: np.ndarray) -> np.ndarray:
            best = np.full(stored.shape[1:], -np.inf)
            classes = np.zeros(stored.shape[1:], dtype)
            for number, factor in enumerate(factors):
                product = factor * (stored[number] + shift)
                is_larger = product > best
                best[is_larger] = product[is_larger]
                classes[is_larger] = number
            return classes

        return find_largest

    def num_channels(self, prediction: Array) -> int | None:
        """Return None: class numbers have no channels."""
        return None

    def dtype(self, prediction: Array) -> np.dtype:
        """Return uint8, or uint16 for more than 256 classes."""
        return np.dtype(np.uint8 if (prediction.num_channels or 0) <= 256 else np.uint16)


@dataclass(frozen=True)
class Constant:
    """One number in each voxel, whatever the prediction; uint64, no channel axis.

    Attributes:
        value: the number.
    """

    value: int

    def prepare(self, prediction: Array) -> Function:
        """Return the function from stored predictions to the number."""
        dims = prediction.dims
        return lambda stored: np.full(stored.shape[stored.ndim - dims :], self.value, np.uint64)

    def num_channels(self, prediction: Array) -> int | None:
        """Return None."""
        return None

    def dtype(self, prediction: Array) -> np.dtype:
        """Return uint64."""
        return np.dtype(np.uint64)
