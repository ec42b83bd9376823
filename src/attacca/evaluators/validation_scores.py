"""Scores of all validations of a training: iterations x data sets x parameters x criteria."""

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
        iteration: iteration of training.
        scores: float64, shape (data sets, parameters, criteria); nan for undefined scores.
    """

    iteration: int
    scores: np.ndarray | Sequence[Sequence[Sequence[float]]]


@dataclass
class ValidationScores:
    """Scores of all validations of a training.

    Attributes:
        parameters: candidate parameters of the post-processor.
        datasets: names of the data sets.
        evaluation_scores: gives the criteria and their directions.
        scores: the scores of each validated iteration.

    Examples:
        >>> from attacca.evaluators import DummyEvaluationScores
        >>> history = ValidationScores([0], ["cube"], DummyEvaluationScores())
        >>> history.add_iteration_scores(ValidationIterationScores(100, [[[0.2, 0.4]]]))
        >>> history.add_iteration_scores(ValidationIterationScores(200, [[[0.3, 0.5]]]))
        >>> iterations, scores = history.get_best("iterations")
        >>> iterations.tolist(), scores.tolist()
        ([[[200, 100]]], [[[0.3, 0.4]]])
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
        return [one.iteration for one in self.scores]

    @property
    def validated_until(self) -> int:
        """The first iteration after all validated ones; 0 without any."""
        return max(self.iterations) + 1 if self.scores else 0

    def add_iteration_scores(self, iteration_scores: ValidationIterationScores) -> None:
        """Add the scores of one iteration.

        Raises:
            ValueError: their shape is not (data sets, parameters, criteria), or the iteration was added before.
        """
        shape = np.asarray(iteration_scores.scores, np.float64).shape
        expected = (len(self.datasets), len(self.parameters), len(self.criteria))
        if shape != expected:
            raise ValueError(
                f"found scores of shape {shape}, expected (data sets, parameters, criteria) = {expected}"
            )
        if iteration_scores.iteration in self.iterations:
            raise ValueError(f"iteration {iteration_scores.iteration} was validated before")
        self.scores.append(iteration_scores)

    def delete_after(self, iteration: int) -> None:
        """Delete validations after ``iteration``, from which training resumes."""
        self.scores = [one for one in self.scores if one.iteration <= iteration]

    def to_array(self) -> np.ndarray:
        """Return all scores, float64, shape (iterations, data sets, parameters, criteria)."""
        shape = (len(self.scores), len(self.datasets), len(self.parameters), len(self.criteria))
        return np.array([one.scores for one in self.scores], np.float64).reshape(shape)

    def get_best(self, dim: str, data: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the best score of each criterion along one dimension, the first one if scores are equal.

        Args:
            dim: ``"iterations"``, ``"datasets"`` or ``"parameters"``.
            data: scores in the shape of ``to_array``; all scores by default.

        Returns:
            Two arrays without the dimension. The first is int64, the iteration of the best score, or the index of
            its data set or parameters; -1 if all scores are nan. The second is float64, the best score; nan if all
            scores are nan.

        Raises:
            ValueError: the dimension is empty or unknown.
        """
        if dim not in DIMENSIONS[:3]:
            raise ValueError(
                f"dim: found {dim!r}, expected one of {', '.join(DIMENSIONS[:3])}; not the criteria"
            )
        scores = self.to_array() if data is None else np.asarray(data, np.float64)
        axis = DIMENSIONS.index(dim)
        if scores.shape[axis] == 0:
            raise ValueError(f"no {dim} to choose from")
        is_upward = np.array([self.evaluation_scores.higher_is_better(name) for name in self.criteria])
        signed = np.where(is_upward, scores, -scores)
        defined = ~np.isnan(signed)
        place = np.where(defined, signed, -np.inf).argmax(axis)
        # nan was replaced by the worst possible score: an infinitely bad defined score must win over it.
        worst = np.isneginf(np.where(defined, signed, -np.inf).max(axis))
        place = np.where(worst, defined.argmax(axis), place)
        values = np.take_along_axis(scores, np.expand_dims(place, axis), axis).squeeze(axis)
        labels = np.array(self.iterations) if dim == "iterations" else np.arange(scores.shape[axis])
        return np.where(defined.any(axis), labels[place], -1), values
