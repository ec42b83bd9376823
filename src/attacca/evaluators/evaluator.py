"""What every evaluator does: compare a segmentation with the truth, and remember the best scores."""

import math
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attacca.arrays import Array, LocalArrayIdentifier
from attacca.evaluators.scores import EvaluationScores
from attacca.progress import Progress

if TYPE_CHECKING:
    from attacca.evaluators.validation_scores import ValidationScores

Best = tuple[int, float]
"""The iteration of the best score, and the score."""

Scores = TypeVar("Scores", bound=EvaluationScores)
"""What an evaluator gives."""

Compared = LocalArrayIdentifier | Array
"""An array, or where it is stored."""


class Evaluator(ABC, Generic[Scores]):
    """Compares a segmentation with the truth.

    Scores are kept by data set, parameters of the post-processor and criterion; each criterion is compared in
    its own direction.
    """

    def __init__(self) -> None:
        self._best_scores: dict[tuple[Any, Any, str], Best | None] = {}

    def evaluate(self, output_array_identifier: Compared, evaluation_array: Compared) -> Scores:
        """Compare a segmentation with the truth, where both are defined.

        Args:
            output_array_identifier: the segmentation.
            evaluation_array: the truth.

        Raises:
            VolumeError: voxel sizes or channels differ, or the two have no voxel in common.
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
        key: Any = None,
        num_workers: int = 1,
        progress: Progress | None = None,
    ) -> Scores:
        """Compare arrays of any size; an interrupted call is taken up by one with its directory and key.

        Args:
            output_array_identifier: the segmentation.
            evaluation_array: the truth.
            directory: for scratch arrays and the tables of blocks, on a local disk.
            mask: voxels that count, not 0; all of them by default.
            key: what the two arrays depend on (fingerprints); without it nothing of an earlier call is used.
            num_workers: processes; the result does not depend on it.
            progress: it is told of all blocks, and of those that are done.

        Raises:
            VolumeError: the arrays cannot be compared.
            BlocksFailedError: a block failed.
        """

    @property
    @abstractmethod
    def score(self) -> Scores:
        """Scores without values (nan): which criteria there are, their directions and bounds."""

    @property
    def criteria(self) -> list[str]:
        """Names of the criteria by which checkpoints are chosen; ``score.criteria`` has all."""
        return self.score.criteria

    def higher_is_better(self, criterion: str) -> bool:
        """Whether a larger value of ``criterion`` is a better one."""
        return self.score.higher_is_better(criterion)

    def bounds(self, criterion: str) -> tuple[float, float]:
        """Smallest and largest possible value of ``criterion``; nan where there is no bound."""
        return self.score.bounds(criterion)

    def store_best(self, criterion: str) -> bool:
        """Whether the best checkpoint by ``criterion`` is kept."""
        return self.score.store_best(criterion)

    def compare(self, score_1: float, score_2: float, criterion: str) -> bool:
        """Whether ``score_1`` is strictly better than ``score_2`` by ``criterion``; nan never is."""
        return self.score.criterion(criterion).is_better(score_1, score_2)

    @property
    def best_scores(self) -> dict[tuple[Any, Any, str], Best | None]:
        """Best iteration and score by (data set, parameters, criterion); None where there is no number."""
        return self._best_scores

    def is_best(
        self, dataset: Hashable, parameter: Hashable, criterion: str, score: EvaluationScores
    ) -> bool:
        """Whether ``score`` is better than what was recorded for this data set, parameters and criterion.

        Criteria of which the best is not stored never are.
        """
        value = score.value(criterion)
        if not self.store_best(criterion) or math.isnan(value):
            return False
        previous = self._best_scores.get((dataset, parameter, criterion))
        return previous is None or self.compare(value, previous[1], criterion)

    def get_overall_best(self, dataset: Hashable, criterion: str) -> float | None:
        """Best score for a data set over all parameters; None where there is no number."""
        best = self._overall_best(dataset, criterion)
        return None if best is None else best[1]

    def get_overall_best_parameters(self, dataset: Hashable, criterion: str) -> Any:
        """The parameters that gave the best score for a data set; None where there is no number."""
        best = self._overall_best(dataset, criterion)
        return None if best is None else best[0]

    def _overall_best(self, dataset: Hashable, criterion: str) -> tuple[Any, float] | None:
        best: tuple[Any, float] | None = None
        for (one_dataset, parameter, one_criterion), entry in self._best_scores.items():
            if one_dataset != dataset or one_criterion != criterion or entry is None:
                continue
            if best is None or self.compare(entry[1], best[1], criterion):
                best = (parameter, entry[1])
        return best

    def set_best(self, validation_scores: "ValidationScores") -> None:
        """Take the best iterations for each data set, parameters and criterion from past validations."""
        iterations, values = validation_scores.get_best("iterations")
        for d, dataset in enumerate(validation_scores.datasets):
            for p, parameter in enumerate(validation_scores.parameters):
                for c, criterion in enumerate(validation_scores.criteria):
                    value = float(values[d, p, c])
                    best = None if math.isnan(value) else (int(iterations[d, p, c]), value)
                    self._best_scores[(dataset, parameter, criterion)] = best
