"""Compares a volume of classes with the truth: Dice and Jaccard for each class."""

from collections.abc import Sequence

import numpy as np

from attacca.evaluators.contingency import ContingencyTable
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.evaluators.scores import ChannelScores, Criterion, EvaluationScores
from attacca.evaluators.table_evaluator import TableEvaluator

MEAN = "mean"
"""Name of the scores that are means over classes."""


def _class_criteria(note: str, of: str = "") -> list[Criterion]:
    end = (f"; {note}" if note else "") + "; nan only where the class is on neither side"
    return [
        Criterion("dice", True, store_best=True, convention=f"{of}2 tp / (2 tp + fp + fn){end}"),
        Criterion("jaccard", True, store_best=True, convention=f"{of}tp / (tp + fp + fn){end}"),
    ]


class OneHotEvaluationScores(ChannelScores):
    """Dice and Jaccard for each class, ``class__dice``, and means over classes that occur, ``mean__dice``.

    Args:
        classes: names in the order of their ids.
        dice, jaccard: one value for each class; nan where a class is on neither side.
        note: what was done to the truth first.
    """

    def __init__(
        self,
        classes: Sequence[str],
        dice: Sequence[float] | None = None,
        jaccard: Sequence[float] | None = None,
        note: str = "",
    ) -> None:
        nothing = [float("nan")] * len(classes)
        dice, jaccard = dice or nothing, jaccard or nothing
        means = {"dice": _mean(dice), "jaccard": _mean(jaccard)}
        entries = [(MEAN, EvaluationScores(_class_criteria(note, "mean over classes: "), means))]
        for name, one_dice, one_jaccard in zip(classes, dice, jaccard):
            values = {"dice": one_dice, "jaccard": one_jaccard}
            entries.append((name, EvaluationScores(_class_criteria(note), values)))
        super().__init__(entries)


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


class OneHotEvaluator(TableEvaluator[OneHotEvaluationScores]):
    """Dice and Jaccard for each class; a voxel's value is the number of its class.

    Args:
        classes: names of the classes 0, 1, 2, ...
        rules: what is done to the truth first.
    """

    def __init__(self, classes: Sequence[str], rules: GroundTruthRules | None = None) -> None:
        super().__init__(rules)
        self.classes = list(classes)
        if self.rules.components:
            raise ValueError("the truth of classes is not split into connected components")

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
