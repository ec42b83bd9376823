from pathlib import Path

from attacca.evaluators import (
    BinarySegmentationEvaluationScores,
    InstanceEvaluationScores,
    OneHotEvaluationScores,
)

PAGE = Path(__file__).parents[2] / "docs" / "scores.md"


def test_the_page_on_scores_names_each_of_them():
    text = PAGE.read_text()
    names = [
        *BinarySegmentationEvaluationScores().criteria,
        *InstanceEvaluationScores(thresholds=[0.5]).criteria,
        *(name for name in OneHotEvaluationScores(["a"]).criteria if name.startswith("mean__")),
    ]
    assert [name for name in names if f"`{name}`" not in text] == []
