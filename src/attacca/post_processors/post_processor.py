"""Base of all post-processors: from a prediction to the final output, block by block."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Generic

from funlib.geometry import Coordinate
from typing_extensions import TypeVar

from attacca.arrays import Array, LocalArrayIdentifier, ZarrArray
from attacca.arrays.identifier import is_url
from attacca.blockwise.cpu_limit import limit_workers
from attacca.errors import MissingInputError, VolumeError
from attacca.post_processors.post_processor_parameters import PostProcessorParameters

DEFAULT_BLOCK = Coordinate((256, 256, 256))
"""Block size in voxels; arrays with two axes use the last two numbers."""

P = TypeVar("P", bound=PostProcessorParameters, default=Any)


class PostProcessor(ABC, Generic[P]):
    """Turns a model's prediction into the final output.

    Subclasses implement ``enumerate_parameters`` and ``write_output``; users call ``set_prediction`` and
    ``process``.

    Attributes:
        prediction_array_identifier: the prediction, as passed to ``set_prediction``.
        prediction_array: the opened prediction.
    """

    prediction_array_identifier: LocalArrayIdentifier | None = None
    prediction_array: Array | None = None

    @abstractmethod
    def enumerate_parameters(self) -> Iterable[P]:
        """Return all parameters to try."""

    def tuning_parameters(self) -> list[P]:
        """Return the parameters to score on validation volumes: by default the first only."""
        return list(self.enumerate_parameters())[:1]

    def read_parameters(self, values: dict[str, Any]) -> P:
        """Return the parameters with plain values, such as those that a tuning has stored."""
        return type(next(iter(self.enumerate_parameters())))(**values)

    def set_prediction(self, prediction_array_identifier: LocalArrayIdentifier) -> None:
        """Open the prediction.

        Raises:
            MissingInputError: the array is missing.
        """
        self.prediction_array = ZarrArray.open_from_array_identifier(prediction_array_identifier)
        self.prediction_array_identifier = prediction_array_identifier

    def process(
        self,
        parameters: P,
        output_array_identifier: LocalArrayIdentifier,
        num_workers: int = 16,
        block_size: Sequence[int] = DEFAULT_BLOCK,
        *,
        chunk_size: Sequence[int] | None = None,
    ) -> Array:
        """Turn the prediction into the final output.

        Args:
            parameters: from ``enumerate_parameters``, or others of their class.
            output_array_identifier: location of the output; an existing array is overwritten.
            num_workers: number of processes (threads for the watershed), limited by the number of CPUs and of
                blocks; the output does not depend on it.
            block_size: voxels of a block, rounded up to whole chunks of the output; with two axes the last
                two numbers count.
            chunk_size: another name for ``block_size``.

        Returns:
            The output array.

        Raises:
            MissingInputError: ``set_prediction`` was not called.
            VolumeError: the output would replace the prediction.
            BlocksFailedError: a block failed.
        """
        self._check_output(output_array_identifier)
        block = Coordinate(chunk_size or block_size)
        return self.write_output(parameters, output_array_identifier, limit_workers(num_workers), block)

    @abstractmethod
    def write_output(
        self, parameters: P, output: LocalArrayIdentifier, num_workers: int, block_size: Coordinate
    ) -> Array:
        """Compute and write the output, for ``process``.

        Args:
            parameters: as for ``process``.
            output: location of the output, which does not touch the prediction.
            num_workers: number of workers, at most the number of CPUs.
            block_size: voxels, three axes.
        """

    def require_prediction(self) -> Array:
        """Return the opened prediction.

        Raises:
            MissingInputError: ``set_prediction`` was not called.
        """
        if self.prediction_array is None:
            raise MissingInputError(f"{type(self).__name__}: no prediction is set; call set_prediction first")
        return self.prediction_array

    def _check_output(self, output: LocalArrayIdentifier) -> None:
        """Raise an error if the output is at the prediction's location, around it or inside it."""
        prediction = str(self.prediction_array or self.prediction_array_identifier or "")
        if not prediction:
            return
        input_path, output_path = _resolve(prediction), _resolve(str(output))
        if f"{input_path}/".startswith(f"{output_path}/") or f"{output_path}/".startswith(f"{input_path}/"):
            raise VolumeError(
                f"{output}: the output would replace the prediction {prediction}; choose another location"
            )


def _resolve(location: str) -> str:
    return location.rstrip("/") if is_url(location) else os.path.realpath(location)


def round_up(size: Coordinate, unit: Coordinate) -> Coordinate:
    """Return the smallest multiple of ``unit`` that is at least ``size``, along each axis.

    >>> round_up(Coordinate((100, 64)), Coordinate((64, 64)))
    (128, 64)
    """
    return Coordinate(-(-extent // step) * step for extent, step in zip(size, unit))
