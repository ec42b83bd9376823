"""Evaluator: scores of a segmentation in comparison with labels.

This one compares ids: of segments (affinities) or of classes (one_hot). In the configuration, beside the other keys of
the task:

    extensions: [evaluator.py]
    runs:
      NAME:
        task: {type: one_hot, evaluator: {type: my_evaluator}}
"""

from typing import Literal

import numpy as np

from attacca import (
    ContingencyTable,
    Criterion,
    EvaluationScores,
    GroundTruthRules,
    Options,
    TableEvaluator,
    register,
)


class PurityOptions(Options):
    """Keys of the section ``evaluator``. A change of one computes the scores again, and nothing else."""

    type: Literal["my_evaluator"] = "my_evaluator"
    """Name by which the configuration selects this evaluator."""
    min_voxels: int = 1
    """Segments of fewer voxels do not count."""


@register("evaluator", PurityOptions)
class PurityEvaluator(TableEvaluator[EvaluationScores]):
    """Share of the voxels that lie in the object with which their segment shares most voxels."""

    def __init__(self, options: PurityOptions, rules: GroundTruthRules) -> None:
        super().__init__(rules)
        self.options = options

    @property
    def score(self) -> EvaluationScores:
        """The scores without values. The first one chooses settings, unless the configuration names another one."""
        convention = "voxels in the object that shares most voxels with their segment, of all voxels"
        return EvaluationScores([Criterion("purity", higher_is_better=True, convention=convention)])

    def scores(self, table: ContingencyTable, unit: str = "nanometer") -> EvaluationScores:
        """Return the scores; the table has the numbers of voxels by segment and object, summed over all blocks."""
        segments, row = np.unique(table.segment, return_inverse=True)
        largest, total = np.zeros(len(segments), np.int64), np.zeros(len(segments), np.int64)
        np.maximum.at(largest, row, table.count)
        np.add.at(total, row, table.count)
        counted = total >= self.options.min_voxels
        if not counted.any():
            return self.score
        purity = largest[counted].sum() / total[counted].sum()
        return EvaluationScores([self.score.criterion("purity")], {"purity": purity})
