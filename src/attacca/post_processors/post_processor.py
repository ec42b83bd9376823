"""What every post-processor does: turn a prediction into the final output, block by block."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from funlib.geometry import Coordinate

from attacca.arrays import Array, LocalArrayIdentifier, ZarrArray
from attacca.arrays.identifier import is_url
from attacca.blockwise.grid import BlockGrid
from attacca.errors import MissingInputError, VolumeError
from attacca.post_processors.post_processor_parameters import PostProcessorParameters

DEFAULT_BLOCK = Coordinate((256, 256, 256))
"""Block size in voxels; arrays of two axes use the last two numbers."""


class PostProcessor(ABC):
    """Turns a model's prediction into the final output.

    Attributes:
        prediction_array_identifier: the prediction, as given to ``set_prediction``.
    """

    prediction_array_identifier: LocalArrayIdentifier | None = None
    prediction_array: Array | None = None

    @abstractmethod
    def enumerate_parameters(self) -> Iterable[PostProcessorParameters]:
        """All parameters that are worth a try."""

    def set_prediction(self, prediction_array_identifier: LocalArrayIdentifier) -> None:
        """Say where the prediction stands.

        Raises:
            MissingInputError: there is no such array.
        """
        self.prediction_array = ZarrArray.open_from_array_identifier(prediction_array_identifier)
        self.prediction_array_identifier = prediction_array_identifier

    @abstractmethod
    def process(
        self,
        parameters: Any,
        output_array_identifier: LocalArrayIdentifier,
        num_workers: int = 16,
        block_size: Sequence[int] = DEFAULT_BLOCK,
        *,
        chunk_size: Sequence[int] | None = None,
    ) -> Array:
        """Turn the prediction into the final output.

        Args:
            parameters: one of those that ``enumerate_parameters`` gives, or others of their class.
            output_array_identifier: where the output goes; an array that is there already is overwritten.
            num_workers: processes, at most as many as there are CPUs and blocks; the output does not depend
                on it.
            block_size: voxels of a block, made whole in chunks of the output; for two axes the last two
                numbers count.
            chunk_size: another name for ``block_size``.

        Returns:
            The output array.

        Raises:
            MissingInputError: ``set_prediction`` was not called.
            VolumeError: the output would replace the prediction.
            BlocksFailedError: a block failed.
        """

    def _prediction_for(self, output_array_identifier: LocalArrayIdentifier) -> Array:
        """The prediction, after a look at where the output goes."""
        self._check_output(output_array_identifier)
        if self.prediction_array is None:
            raise MissingInputError(f"{type(self).__name__}: no prediction is set; call set_prediction first")
        return self.prediction_array

    def _check_output(self, output_array_identifier: LocalArrayIdentifier) -> None:
        """Refuse an output that would delete the prediction: in its place, around it or inside it."""
        prediction = str(self.prediction_array or self.prediction_array_identifier or "")
        if not prediction:
            return
        given, output = _whole(prediction), _whole(str(output_array_identifier))
        if f"{given}/".startswith(f"{output}/") or f"{output}/".startswith(f"{given}/"):
            raise VolumeError(
                f"{output_array_identifier}: the output would replace the prediction {prediction}; give it a place of "
                "its own"
            )


def _whole(place: str) -> str:
    return place.rstrip("/") if is_url(place) else os.path.realpath(place)


def usable_workers(num_workers: int) -> int:
    """``num_workers``, or the number of CPUs of this process where that is less."""
    return max(
        1,
        min(
            int(num_workers),
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        ),
    )


def chunk_of(prediction: Array) -> Coordinate:
    """World size of an output chunk: that of the prediction, so that whole chunks are read and written."""
    chunk = getattr(prediction, "chunk_size", None)
    return Coordinate(chunk) if chunk is not None else prediction.roi.shape


def output_grid(prediction: Array, output: ZarrArray, block_size: Sequence[int]) -> BlockGrid:
    """Blocks over the prediction, whole in chunks of the output, of at least ``block_size`` voxels."""
    sides = Coordinate(block_size[-prediction.dims :]) * prediction.voxel_size
    whole = Coordinate(-(-side // chunk) * chunk for side, chunk in zip(sides, output.chunk_size))
    return BlockGrid.for_array(output, whole)
