"""Scores along skeletons in the workflow."""

import json

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_run_lengths_are_scores_of_a_volume(segmented, warm_python, tmp_path):
    checkout = segmented.copy(tmp_path / "copy", warm_python())
    checkout.change("    segmentation:\n", "    evaluation: {run_length: true}\n    segmentation:\n")
    checkout.make("small", "tested", "scores.json")
    rows = json.loads((checkout.results / "small" / "tested" / "scores.json").read_text())["scores"]
    scores = {row["name"]: row for row in rows}
    assert 0 <= scores["nerl"]["value"] <= 1
    assert 0 <= scores["erl"]["value"] < 12 * (40 + 36 + 33) * 2
    assert scores["erl"]["unit"] == "nanometer"
    assert "kimimaro" in scores["erl"]["convention"]
    assert "voi" in scores
