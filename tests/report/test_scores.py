"""Tables of scores: comparable scores in one table, the best ones marked, every digit in the file."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.cli.main import main
from attacca.report import summarize_results, write_report
from attacca.report.results import Results
from attacca.report.scores import (
    Score,
    choose_principal_keys,
    find_best,
    format_score,
    group_comparable,
    read_scores,
    write_scores_table,
)


def test_a_score_without_a_value_is_nan_and_shown_as_a_dash() -> None:
    score = Score.from_json({"name": "recall", "value": None})
    assert math.isnan(score.value)
    assert score.text == "–"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("cremi_score", "CREMI score"),
        ("rand_recall", "Rand recall"),
        ("nerl", "normalized expected run length"),
        ("f1_iou50", "F1 at IoU 0.5"),
        ("precision_iou12.5", "precision at IoU 0.125"),
        ("mean_false_distance", "mean false distance"),
    ],
)
def test_a_score_has_a_readable_name_in_tables(name: str, label: str) -> None:
    assert Score(name, 0.5).label == label


def test_the_criterion_comes_first_and_means_before_single_classes() -> None:
    scores = [Score(name, 0.5, channel=channel) for channel in ("a", "b", "mean") for name in ("dice", "voi")]
    assert choose_principal_keys(scores)[0] == ("mean", "voi")
    assert choose_principal_keys(scores, "b__dice")[0] == ("mean", "voi")
    alone = [score for score in scores if score.channel != "mean"]
    assert choose_principal_keys(alone, "b__dice")[0] == ("b", "dice")


def test_runs_that_were_scored_in_other_ways_are_in_other_tables() -> None:
    voi, dice = [Score("voi", 0.5)], [Score("dice", 0.9, channel="membrane")]
    assert group_comparable([voi, dice, [], voi]) == [[0, 3], [1]]


def test_the_best_value_is_the_lowest_or_the_highest_according_to_the_score() -> None:
    voi = [Score("voi", value, higher_is_better=False) for value in (0.5, 0.3)]
    assert find_best(voi, ["a", "a"]) == {1}
    assert find_best([Score("dice", 0.5), Score("dice", 0.3)], ["a", "a"]) == {0}
    assert find_best([Score("dice", 0.5), Score("dice", math.nan)], ["a", "a"]) == set()
    dice = [Score("dice", value) for value in (0.5, 0.5, math.nan, 0.9)]
    assert find_best(dice, ["a", "a", "a", "b"]) == {0, 1}


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.floats(allow_nan=True))
def test_every_number_has_a_short_text(value: float) -> None:
    text = format_score(value)
    assert text and len(text) < 320
    assert abs(value) > 1e6 or len(text) <= 8 or math.isnan(value)


def test_the_table_file_holds_every_score_to_the_last_digit(tmp_path: Path) -> None:
    score = Score("voi", 0.1 + 0.2, "bits", False, convention="log2;\nno background")
    write_scores_table(tmp_path / "scores.tsv", [("run", "volume", "test", score)])
    header, line = (tmp_path / "scores.tsv").read_text().splitlines()
    row = dict(zip(header.split("\t"), line.split("\t")))
    assert float(row["value"]) == 0.1 + 0.2
    assert row["higher_is_better"] == "false"
    assert row["convention"] == "log2; no background"


def test_the_summary_shows_scores_directions_and_the_path_of_the_report(fake_results: Any) -> None:
    text = summarize_results(fake_results.directory)
    assert "tissue-test" in text and "0.390" in text
    assert "VOI ↓" in text
    assert "membranes" in text and "0.810" in text
    assert "report.html" in text


@pytest.mark.parametrize("width", [60, 80, 110])
def test_names_of_scores_are_not_truncated_in_narrow_terminals(fake_results: Any, width: int) -> None:
    lines = summarize_results(fake_results.directory, width).splitlines()
    tables = lines[: next(index for index, line in enumerate(lines) if "lower is better" in line)]
    words = " ".join(tables).split()
    assert "…" not in " ".join(tables) and max(map(len, tables)) <= width
    # A score has one column, also if several tables are needed.
    assert words.count("adapted") == words.count("precision") == 1


def test_the_summary_names_unlabeled_volumes_and_the_location_of_their_segmentation(
    tmp_path: Path, fake_results: Any
) -> None:
    shutil.copytree(fake_results.directory, tmp_path, dirs_exist_ok=True)
    (tmp_path / "default" / "tissue-test" / "scores.json").unlink()
    shutil.rmtree(tmp_path / "volumes" / "tissue-test.zarr" / "labels")
    segmentation = tmp_path / "default" / "tissue-test.zarr" / "labels" / "segmentation"
    text = summarize_results(tmp_path)
    assert f"default/tissue-test is segmented (no labels): {segmentation}" in text
    assert text.count("default/tissue-test is segmented") == 1 and "No scores" not in text
    shutil.rmtree(segmentation)
    moved = "default/tissue-test.zarr/labels/segmentation in the 'storage' of the configuration"
    assert moved in summarize_results(tmp_path)


def test_the_summary_names_unfinished_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "workflow.json").write_text("{}")
    assert main(["summary", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "nothing is segmented yet" in text and f"'attacca status {tmp_path}'" in text


@pytest.mark.parametrize(
    ("name", "problem"),
    [("nothere", "does not exist"), ("config.yaml", "is a file"), (".", "holds no results")],
)
def test_a_summary_of_a_directory_without_results_is_refused(
    name: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text("")
    assert main(["summary", str(tmp_path / name)]) == 1
    printed = capsys.readouterr()
    assert str(tmp_path / name) in printed.err and problem in printed.err and not printed.out


@pytest.mark.parametrize(
    "text", ['{"scores": [{"name": "vo', "[]", '{"scores": [{"name": "voi", "value": "x"}]}']
)
def test_damaged_scores_are_reported_with_a_fix(text: str, tmp_path: Path, fake_results: Any) -> None:
    shutil.copytree(fake_results.directory / "default", tmp_path / "default")
    (tmp_path / "default" / "tissue-test" / "scores.json").write_text(text)
    summary = summarize_results(tmp_path)
    assert f"{tmp_path}/default/tissue-test/scores.json is broken: delete it" in summary
    assert "tissue-validation" in summary
    write_report(tmp_path, tmp_path / "report.html", fake_results.runs, fake_results.volumes)
    assert "default/tissue-test/scores.json is broken: delete it" in (tmp_path / "report.html").read_text()


def test_a_broken_scores_file_is_a_segmentation_without_scores(tmp_path: Path) -> None:
    place = tmp_path / "run" / "volume"
    place.mkdir(parents=True)
    (place / "scores.json").write_text('{"scores": [{"name": "vo')
    assert read_scores(Results(tmp_path), "run", "volume") == []
    (place / "scores.json").write_text(
        json.dumps({"scores": [{"name": "voi", "value": 0.3, "unit": "bits"}]})
    )
    assert read_scores(Results(tmp_path), "run", "volume")[0].value == 0.3
