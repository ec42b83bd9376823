"""The history of validation: iterations x data sets x parameters x criteria."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attacca.evaluators.scores import EvaluationScores

DIMENSIONS = ("iterations", "datasets", "parameters", "criteria")


@dataclass(frozen=True)
class ValidationIterationScores:
    """All scores of one iteration.

    Attributes:
        iteration: of training.
        scores: float64, shape (data sets, parameters, criteria); nan where a score is not defined.
    """

    iteration: int
    scores: np.ndarray | Sequence[Sequence[Sequence[float]]]


@dataclass
class ValidationScores:
    """Scores of all validations of a training.

    Attributes:
        parameters: parameters of the post-processor that are tried.
        datasets: names of the data sets.
        evaluation_scores: says which criteria there are, and their directions.
        scores: one entry for each validated iteration.
    """

    parameters: list[Any]
    datasets: list[Hashable]
    evaluation_scores: EvaluationScores
    scores: list[ValidationIterationScores] = field(default_factory=list)

    @property
    def criteria(self) -> list[str]:
        """Names of the criteria."""
        return self.evaluation_scores.criteria

    @property
    def iterations(self) -> list[int]:
        """Validated iterations, in the order in which they were added."""
        return [entry.iteration for entry in self.scores]

    @property
    def validated_until(self) -> int:
        """Iterations for which no validation is needed any more: the last validated one and 1; 0 at first."""
        return max(self.iterations) + 1 if self.scores else 0

    def add_iteration_scores(self, iteration_scores: ValidationIterationScores) -> None:
        """Add the scores of one iteration.

        Raises:
            ValueError: their shape is not (data sets, parameters, criteria), or the iteration is there
            already.
        """
        shape = np.asarray(iteration_scores.scores, np.float64).shape
        expected = (len(self.datasets), len(self.parameters), len(self.criteria))
        if shape != expected:
            raise ValueError(
                f"scores of shape (data sets, parameters, criteria) = {expected} expected, not {shape}"
            )
        if iteration_scores.iteration in self.iterations:
            raise ValueError(f"iteration {iteration_scores.iteration} was validated before")
        self.scores.append(iteration_scores)

    def delete_after(self, iteration: int) -> None:
        """Forget validations after ``iteration``, which stays: training goes on from there."""
        self.scores = [entry for entry in self.scores if entry.iteration <= iteration]

    def to_array(self) -> np.ndarray:
        """All scores, float64, shape (iterations, data sets, parameters, criteria)."""
        shape = (len(self.scores), len(self.datasets), len(self.parameters), len(self.criteria))
        return np.array([entry.scores for entry in self.scores], np.float64).reshape(shape)

    def get_best(self, dim: str, data: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The best along one dimension, each criterion in its own direction; the first of equals.

        Args:
            dim: ``"iterations"``, ``"datasets"`` or ``"parameters"``.
            data: scores as from ``to_array``, all of them by default.

        Returns:
            Where the best is (the iteration, or the index of the data set or parameters; -1 where all scores
            are nan), int64, and the best score, float64 (nan there); both without the dimension.

        Raises:
            ValueError: there is nothing to choose from, or no such dimension.
        """
        if dim not in DIMENSIONS[:3]:
            raise ValueError(f"the best is taken along {', '.join(DIMENSIONS[:3])}, not {dim!r}")
        scores = self.to_array() if data is None else np.asarray(data, np.float64)
        axis = DIMENSIONS.index(dim)
        if scores.shape[axis] == 0:
            raise ValueError(f"there are no {dim} to choose from")
        upward = np.array([self.evaluation_scores.higher_is_better(name) for name in self.criteria])
        signed = np.where(upward, scores, -scores)
        defined = ~np.isnan(signed)
        place = np.where(defined, signed, -np.inf).argmax(axis)
        # An infinite worst score stands level with nan above; what is defined goes first.
        worst = np.isneginf(np.where(defined, signed, -np.inf).max(axis))
        place = np.where(worst, defined.argmax(axis), place)
        values = np.take_along_axis(scores, np.expand_dims(place, axis), axis).squeeze(axis)
        labels = np.array(self.iterations) if dim == "iterations" else np.arange(scores.shape[axis])
        return np.where(defined.any(axis), labels[place], -1), values
