"""Base of all evaluators, which compare segmentations with ground truth and record the best scores."""

import math
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from attacca.arrays import Array, LocalArrayIdentifier
from attacca.evaluators.scores import EvaluationScores
from attacca.progress import Progress

if TYPE_CHECKING:
    from attacca.evaluators.binary_blocks import BinarySides
    from attacca.evaluators.validation_scores import ValidationScores

Best = tuple[int, float]
"""The iteration of the best score, and the score."""

Scores = TypeVar("Scores", bound=EvaluationScores, default=Any)
"""The class of an evaluator's scores."""

Compared = LocalArrayIdentifier | Array
"""An array, or its location."""


class Evaluator(ABC, Generic[Scores]):
    """Comparison of a segmentation with ground truth, and a record of the best scores.

    The best scores are recorded by data set, parameters of the post-processor and criterion, in the direction of
    each criterion.
    """

    def __init__(self) -> None:
        self._best_scores: dict[tuple[Any, Any, str], Best | None] = {}

    def evaluate(self, output_array_identifier: Compared, evaluation_array: Compared) -> Scores:
        """Compare a segmentation with ground truth in the region in which both are defined.

        Args:
            output_array_identifier: the segmentation.
            evaluation_array: the ground truth.

        Raises:
            VolumeError: voxel sizes or channels differ, or the arrays do not overlap.
        """
        with tempfile.TemporaryDirectory(prefix="attacca-evaluate-") as directory:
            return self.evaluate_blockwise(output_array_identifier, evaluation_array, directory)

    @abstractmethod
    def evaluate_blockwise(
        self,
        output_array_identifier: Compared,
        evaluation_array: Compared,
        directory: str | Path,
        *,
        mask: Compared | None = None,
        block_size: Sequence[int] | None = None,
        key: Any = None,
        num_workers: int = 1,
        progress: Progress | None = None,
        **run_options: Any,
    ) -> Scores:
        """Compare arrays of any size. A call with the directory and key of an interrupted one resumes it.

        Args:
            output_array_identifier: the segmentation.
            evaluation_array: the ground truth.
            directory: local directory for scratch arrays and the tables of blocks.
            mask: voxels of value 0 do not count; all voxels count by default.
            block_size: size of the blocks in world units, for evaluators that compare in such blocks; scores do not
                depend on it.
            key: values that identify both arrays (fingerprints); without it, earlier results are ignored.
            num_workers: processes; the scores do not depend on it.
            progress: counts all blocks, and those that are done.
            run_options: further keyword arguments of ``run_blocks``: ``retries``, ``timeout`` and ``scheduler_address``.

        Raises:
            VolumeError: the arrays cannot be compared.
            BlocksFailedError: a block failed.
        """

    def compare_shard(
        self,
        output_array_identifier: Compared,
        evaluation_array: Compared,
        directory: str | Path,
        shard: tuple[int, int],
        **options: Any,
    ) -> None:
        """Compute the blocks of a shard for ``evaluate_blockwise``, which computes what is missing.

        An evaluator whose blocks depend on each other computes nothing here.

        Args:
            output_array_identifier: the segmentation.
            evaluation_array: the ground truth.
            directory: as for ``evaluate_blockwise``.
            shard: number of the shard and number of shards.
            options: keyword arguments of ``evaluate_blockwise``.
        """
        return None

    def open_sides(
        self, name: str, output_array_identifier: Compared, evaluation_array: Compared, mask: Compared | None
    ) -> "BinarySides":
        """Return both sides of a class or channel as foreground.

        Args:
            name: name of the class or channel.
            output_array_identifier: the segmentation.
            evaluation_array: the ground truth.
            mask: voxels of value 0 do not count; all voxels count without it.

        Raises:
            ValueError: the evaluator does not compare a class or channel with this name.
        """
        raise ValueError(f"{type(self).__name__} compares no class with the name {name}")

    @property
    @abstractmethod
    def score(self) -> Scores:
        """Scores without values (nan): the criteria, their directions and bounds."""

    @property
    def criteria(self) -> list[str]:
        """Names of the criteria that choose checkpoints; ``score.criteria`` has all names."""
        return self.score.criteria

    def higher_is_better(self, criterion: str) -> bool:
        """Return whether larger values of ``criterion`` are better."""
        return self.score.higher_is_better(criterion)

    def bounds(self, criterion: str) -> tuple[float, float]:
        """Return the smallest and largest possible value of ``criterion``; nan for a side without bound."""
        return self.score.bounds(criterion)

    def store_best(self, criterion: str) -> bool:
        """Return whether the best checkpoint by ``criterion`` is kept."""
        return self.score.store_best(criterion)

    def compare(self, score_1: float, score_2: float, criterion: str) -> bool:
        """Return whether ``score_1`` is strictly better than ``score_2`` by ``criterion``; False if it is nan."""
        return self.score.criterion(criterion).is_better(score_1, score_2)

    @property
    def best_scores(self) -> dict[tuple[Any, Any, str], Best | None]:
        """Best iteration and score by (data set, parameters, criterion); None if no score is defined."""
        return self._best_scores

    def is_best(
        self, dataset: Hashable, parameter: Hashable, criterion: str, score: EvaluationScores
    ) -> bool:
        """Return whether ``score`` is better than the recorded one of a data set, parameters and criterion.

        False for a nan score, and for criteria without ``store_best``.
        """
        value = score.value(criterion)
        if not self.store_best(criterion) or math.isnan(value):
            return False
        previous = self._best_scores.get((dataset, parameter, criterion))
        return previous is None or self.compare(value, previous[1], criterion)

    def get_overall_best(self, dataset: Hashable, criterion: str) -> float | None:
        """Return the best score of a data set over all parameters; None if no score is defined."""
        best = self._overall_best(dataset, criterion)
        return None if best is None else best[1]

    def get_overall_best_parameters(self, dataset: Hashable, criterion: str) -> Any:
        """Return the parameters of the best score of a data set; None if no score is defined."""
        best = self._overall_best(dataset, criterion)
        return None if best is None else best[0]

    def _overall_best(self, dataset: Hashable, criterion: str) -> tuple[Any, float] | None:
        best: tuple[Any, float] | None = None
        for (recorded_dataset, parameter, recorded_criterion), recorded in self._best_scores.items():
            if recorded_dataset != dataset or recorded_criterion != criterion or recorded is None:
                continue
            if best is None or self.compare(recorded[1], best[1], criterion):
                best = (parameter, recorded[1])
        return best

    def set_best(self, validation_scores: "ValidationScores") -> None:
        """Record the best iteration of each data set, parameters and criterion from past validations."""
        iterations, values = validation_scores.get_best("iterations")
        for d, dataset in enumerate(validation_scores.datasets):
            for p, parameter in enumerate(validation_scores.parameters):
                for c, criterion in enumerate(validation_scores.criteria):
                    value = float(values[d, p, c])
                    best = None if math.isnan(value) else (int(iterations[d, p, c]), value)
                    self._best_scores[(dataset, parameter, criterion)] = best
