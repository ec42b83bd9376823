"""Scores along skeletons, and of parts of a volume, in the workflow."""

import json

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_run_lengths_are_scores_of_a_volume(segmented, warm_python, tmp_path):
    checkout = segmented.copy(tmp_path / "copy", warm_python())
    checkout.change(
        "    segmentation:\n", "    evaluation: {run_length: true, regions: true}\n    segmentation:\n"
    )
    checkout.make("small", "tested", "scores.json")
    stored = json.loads((checkout.results / "small" / "tested" / "scores.json").read_text())
    scores = {row["name"]: row for row in stored["scores"]}
    assert 0 <= scores["nerl"]["value"] <= 1
    assert 0 <= scores["erl"]["value"] < 12 * (40 + 36 + 33) * 2
    assert scores["erl"]["unit"] == "nanometer"
    assert "kimimaro" in scores["erl"]["convention"]
    sizes = stored["regions"]["sizes"]
    assert sizes[0]["parts"] == 1 and sizes[0]["voi"] == pytest.approx(scores["voi"]["value"])
    assert len(sizes) > 1
