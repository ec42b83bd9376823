"""Comparison of class volumes with ground truth: Dice and Jaccard of each class."""

from collections.abc import Sequence

import numpy as np

from attacca.evaluators.binary_blocks import BinarySides
from attacca.evaluators.compared_arrays import open_array
from attacca.evaluators.contingency import ContingencyTable
from attacca.evaluators.evaluator import Compared
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.evaluators.scores import ChannelScores, Criterion, EvaluationScores
from attacca.evaluators.table_evaluator import TableEvaluator

MEAN = "mean"
"""Channel name of the means over classes."""


def _class_criteria(note: str, of: str = "") -> list[Criterion]:
    end = (f"; {note}" if note else "") + "; nan only where the class is on neither side"
    return [
        Criterion("dice", True, store_best=True, convention=f"{of}2 tp / (2 tp + fp + fn){end}"),
        Criterion("jaccard", True, store_best=True, convention=f"{of}tp / (tp + fp + fn){end}"),
    ]


class OneHotEvaluationScores(ChannelScores):
    """Dice and Jaccard of each class, such as ``nucleus__dice``, and means over classes, ``mean__dice``.

    Args:
        classes: names, in the order of their ids.
        dice, jaccard: one value per class; nan for a class that is on neither side. Means ignore nan.
        note: preparation of the ground truth, in words.

    Examples:
        >>> OneHotEvaluationScores(["nucleus", "cytosol"], [0.5, 1.0], [0.25, 1.0]).mean__dice
        0.75
    """

    def __init__(
        self,
        classes: Sequence[str],
        dice: Sequence[float] | None = None,
        jaccard: Sequence[float] | None = None,
        note: str = "",
    ) -> None:
        undefined = [float("nan")] * len(classes)
        dice, jaccard = dice or undefined, jaccard or undefined
        means = {"dice": _mean(dice), "jaccard": _mean(jaccard)}
        channels = [(MEAN, EvaluationScores(_class_criteria(note, "mean over classes: "), means))]
        for name, one_dice, one_jaccard in zip(classes, dice, jaccard):
            values = {"dice": one_dice, "jaccard": one_jaccard}
            channels.append((name, EvaluationScores(_class_criteria(note), values)))
        super().__init__(channels)


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


class OneHotEvaluator(TableEvaluator[OneHotEvaluationScores]):
    """Dice and Jaccard of each class, for volumes whose values are class numbers.

    Args:
        classes: names of the classes 0, 1, 2, ...
        rules: preparation of the ground truth; classes are not split into components.

    Examples:
        >>> from funlib.geometry import Coordinate, Roi
        >>> from attacca.arrays import NumpyArray
        >>> def as_array(values):
        ...     data = np.array(values, np.uint8)
        ...     return NumpyArray.from_np_array(data, Roi((0, 0), data.shape), Coordinate(1, 1), ["y", "x"])
        >>> evaluator = OneHotEvaluator(["background", "nucleus"])
        >>> evaluator.evaluate(as_array([[0, 0, 1, 1]]), as_array([[0, 1, 1, 1]])).nucleus__dice
        0.8
    """

    def __init__(self, classes: Sequence[str], rules: GroundTruthRules | None = None) -> None:
        super().__init__(rules)
        self.classes = list(classes)
        if self.rules.components:
            raise ValueError(
                "classes cannot be split into connected components; use rules without components"
            )

    def open_sides(
        self, name: str, output_array_identifier: Compared, evaluation_array: Compared, mask: Compared | None
    ) -> BinarySides:
        """Return both sides of a class, see ``Evaluator.open_sides``."""
        number = self.classes.index(name)
        return BinarySides(
            open_array(output_array_identifier),
            open_array(evaluation_array),
            class_id=number,
            rules=self.rules,
            mask=None if mask is None else open_array(mask),
            predicted_id=number,
        )

    @property
    def score(self) -> OneHotEvaluationScores:
        return OneHotEvaluationScores(self.classes, note=self.rules.describe())

    def scores(self, table: ContingencyTable, unit: str = "nanometer") -> OneHotEvaluationScores:
        dice, jaccard = [], []
        for number in range(len(self.classes)):
            predicted, true = table.segment == number, table.ground_truth == number
            both = int(table.count[predicted & true].sum())
            sides = int(table.count[predicted].sum()) + int(table.count[true].sum())
            dice.append(2 * both / sides if sides else float("nan"))
            jaccard.append(both / (sides - both) if sides else float("nan"))
        return OneHotEvaluationScores(self.classes, dice, jaccard, self.rules.describe(unit))
