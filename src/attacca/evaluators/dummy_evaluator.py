"""An evaluator with meaningless scores, for tests."""

import hashlib
from pathlib import Path
from typing import Any

from attacca.evaluators.evaluator import Compared, Evaluator
from attacca.evaluators.scores import Criterion, EvaluationScores

_CRITERIA = (
    Criterion("frizz_level", True, (0.0, 1.0), store_best=True, convention="without meaning"),
    Criterion("blipp_score", False, (0.0, 1.0), store_best=True, convention="without meaning"),
)


class DummyEvaluationScores(EvaluationScores):
    """Two meaningless scores: ``frizz_level``, of which more is better, and ``blipp_score``, of which less is.

    Args:
        values: values by name.

    Examples:
        >>> DummyEvaluationScores(frizz_level=0.5, blipp_score=0.25).frizz_level
        0.5
    """

    def __init__(self, **values: float) -> None:
        super().__init__(_CRITERIA, values)


class DummyEvaluator(Evaluator[DummyEvaluationScores]):
    """Computes two numbers between 0 and 1 from the name of a segmentation; arrays are not read."""

    def evaluate_blockwise(
        self,
        output_array_identifier: Compared,
        evaluation_array: Compared,
        directory: str | Path,
        **options: Any,
    ) -> DummyEvaluationScores:
        """Return the scores of a name; arrays of the same name have the same scores."""
        container = Path(str(getattr(output_array_identifier, "container", ""))).name
        dataset = str(getattr(output_array_identifier, "dataset", ""))
        digest = hashlib.sha256(f"{container}/{dataset}".encode()).digest()
        frizz, blipp = (int.from_bytes(part, "big") / 2**32 for part in (digest[:4], digest[4:8]))
        return DummyEvaluationScores(frizz_level=frizz, blipp_score=blipp)

    @property
    def score(self) -> DummyEvaluationScores:
        return DummyEvaluationScores()
