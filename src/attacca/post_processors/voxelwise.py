"""Operations on a prediction that need no neighbors: threshold, argmax, a constant."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from attacca.arrays import Array, LocalArrayIdentifier, ZarrArray
from attacca.blockwise import run_blocks
from attacca.blockwise.grid import Block
from attacca.errors import VolumeError
from attacca.evaluators.compared_arrays import open_array
from attacca.post_processors.post_processor import (
    DEFAULT_BLOCK,
    PostProcessor,
    chunk_of,
    output_grid,
    usable_workers,
)


class VoxelOperation(Protocol):
    """What is done with each voxel of a prediction."""

    def prepare(self, prediction: Array) -> Callable[[np.ndarray], np.ndarray]:
        """The function from stored predictions to stored outputs."""

    def num_channels(self, prediction: Array) -> int | None:
        """Channels of the output; None for no channel axis."""

    def dtype(self, prediction: Array) -> np.dtype:
        """The dtype of the output."""


@dataclass(frozen=True)
class Threshold:
    """1 where a value is strictly above a threshold, 0 elsewhere.

    Attributes:
        threshold: in the prediction's own range: of ``stored * value_scale + value_offset``.
        channels: which channels of the prediction, in the order of the output; all of them by default.
    """

    threshold: float
    channels: tuple[int, ...] | None = None

    def prepare(self, prediction: Array) -> Callable[[np.ndarray], np.ndarray]:
        """The function from stored predictions to uint8."""
        scale, offset, threshold = prediction.value_scale, prediction.value_offset, self.threshold
        channels = self._chosen(prediction)

        def above(stored: np.ndarray) -> np.ndarray:
            if channels is not None:
                stored = stored[channels]
            if stored.dtype == np.uint8:
                return table[stored]
            if (scale, offset) == (1.0, 0.0):
                # A numpy number, not a Python one: else the threshold would be rounded to the array's type.
                return (stored > np.float64(threshold)).astype(np.uint8)
            return (stored.astype(np.float64) * scale + offset > threshold).astype(np.uint8)

        table = (np.arange(256) * scale + offset > threshold).astype(np.uint8)
        return above

    def num_channels(self, prediction: Array) -> int | None:
        """As many as are chosen."""
        channels = self._chosen(prediction)
        return prediction.num_channels if channels is None else len(channels)

    def dtype(self, prediction: Array) -> np.dtype:
        """uint8."""
        return np.dtype(np.uint8)

    def _chosen(self, prediction: Array) -> list[int] | None:
        if self.channels is None:
            return None
        found = prediction.num_channels
        if found is None or any(not 0 <= channel < found for channel in self.channels):
            there = "no channel axis" if found is None else f"{found} channels"
            raise VolumeError(
                f"{prediction}: found {there}, expected the channels {list(self.channels)} (from 0)"
            )
        return list(self.channels)


@dataclass(frozen=True)
class Argmax:
    """The number of the channel with the largest value, the first of equals; the channel axis is dropped."""

    def prepare(self, prediction: Array) -> Callable[[np.ndarray], np.ndarray]:
        """The function from stored predictions to class numbers."""
        if prediction.num_channels is None:
            raise VolumeError(f"{prediction}: found no channel axis, expected one channel for each class")
        dtype, upward = self.dtype(prediction), prediction.value_scale > 0

        def largest(stored: np.ndarray) -> np.ndarray:
            return (stored.argmax(axis=0) if upward else stored.argmin(axis=0)).astype(dtype)

        return largest

    def num_channels(self, prediction: Array) -> int | None:
        """None: class numbers have no channels."""
        return None

    def dtype(self, prediction: Array) -> np.dtype:
        """uint8, or uint16 for more than 256 classes."""
        return np.dtype(np.uint8 if (prediction.num_channels or 0) <= 256 else np.uint16)


@dataclass(frozen=True)
class Constant:
    """One number in each voxel, whatever the prediction; uint64, no channel axis.

    Attributes:
        value: the number.
    """

    value: int

    def prepare(self, prediction: Array) -> Callable[[np.ndarray], np.ndarray]:
        """The function from stored predictions to the number."""
        dims = prediction.dims
        return lambda stored: np.full(stored.shape[stored.ndim - dims :], self.value, np.uint64)

    def num_channels(self, prediction: Array) -> int | None:
        """None."""
        return None

    def dtype(self, prediction: Array) -> np.dtype:
        """uint64."""
        return np.dtype(np.uint64)


def create_output(
    prediction: Array,
    identifier: LocalArrayIdentifier,
    operation: VoxelOperation,
    write_size: Sequence[int],
    overwrite: bool = False,
) -> ZarrArray:
    """Make the output array of an operation, or open the equal one that is there.

    Args:
        prediction: its region, voxel size and unit are taken over.
        identifier: where the output goes.
        operation: says dtype and channels.
        write_size: world size of a chunk.
        overwrite: replace an array that is there.
    """
    operation.prepare(prediction)
    return ZarrArray.create_from_array_identifier(
        identifier,
        prediction.axes if operation.num_channels(prediction) is not None else prediction.spatial_axes,
        prediction.roi,
        operation.num_channels(prediction),
        prediction.voxel_size,
        operation.dtype(prediction),
        write_size=write_size,
        overwrite=overwrite,
        unit=prediction.unit,
    )


@dataclass
class PostProcessBlocks:
    """Block function that applies an operation to each voxel of a prediction; it can be pickled.

    Attributes:
        prediction: the prediction, or where it is stored.
        output: where the output array stands; it exists already (``create_output``).
        operation: ``Threshold``, ``Argmax`` or ``Constant``.
    """

    prediction: LocalArrayIdentifier | Array
    output: LocalArrayIdentifier
    operation: VoxelOperation

    def __post_init__(self) -> None:
        self._opened: tuple[Array, ZarrArray, Callable[[np.ndarray], np.ndarray]] | None = None

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_opened": None}

    def open(self) -> None:
        """Open the arrays, once in each process."""
        prediction = open_array(self.prediction)
        output = ZarrArray.open_from_array_identifier(self.output, mode="a")
        self._opened = (prediction, output, self.operation.prepare(prediction))

    def __call__(self, block: Block) -> None:
        """Compute and write ``block.write_roi``."""
        if self._opened is None:
            self.open()
        assert self._opened is not None
        prediction, output, function = self._opened
        output[block.write_roi] = function(prediction[block.write_roi])


def process_voxelwise(
    prediction: Array,
    operation: VoxelOperation,
    output_array_identifier: LocalArrayIdentifier,
    num_workers: int,
    block_size: Sequence[int],
) -> ZarrArray:
    """Apply an operation to a whole prediction and return the output array."""
    output = create_output(
        prediction, output_array_identifier, operation, chunk_of(prediction), overwrite=True
    )
    function = PostProcessBlocks(prediction, output_array_identifier, operation)
    run_blocks(function, output_grid(prediction, output, block_size), num_workers=usable_workers(num_workers))
    return output


class VoxelwisePostProcessor(PostProcessor):
    """Base of the post-processors that do the same with each voxel."""

    @abstractmethod
    def operation(self, parameters: Any) -> VoxelOperation:
        """What is done with each voxel."""

    def process(
        self,
        parameters: Any,
        output_array_identifier: LocalArrayIdentifier,
        num_workers: int = 16,
        block_size: Sequence[int] = DEFAULT_BLOCK,
        *,
        chunk_size: Sequence[int] | None = None,
    ) -> Array:
        return process_voxelwise(
            self._prediction_for(output_array_identifier),
            self.operation(parameters),
            output_array_identifier,
            num_workers,
            chunk_size or block_size,
        )
