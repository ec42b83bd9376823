"""Drawings follow the page's colors, and bad or missing numbers never stop a report."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.config.tasks import read_task_config
from attacca.report.channels import choose_axis_channels, draw_channels
from attacca.report.choice import Choice
from attacca.report.results import Results, read_table
from attacca.report.training_plots import draw_snapshot, plot_training_curve
from attacca.report.tuning_plots import find_pareto_front, plot_criterion, plot_sizes, plot_split_and_merge

DISTANCES = {"clip_distance": 5.0, "tol_distance": 1.0}


def curve(length: int = 50) -> dict[str, np.ndarray]:
    at = np.arange(1.0, length + 1)
    return {"iteration": at, "loss": 1 / at, "learning_rate": np.full(length, 1e-3)}


def test_a_drawing_is_whole_xml_with_a_description_and_the_colors_of_the_page() -> None:
    text = plot_training_curve(
        curve(), {"loss": (np.array([10.0, 20.0]), np.array([0.5, 0.4]))}, 20, "training-a"
    )
    ElementTree.fromstring(text)
    assert 'role="img"' in text and "aria-label=" in text
    assert "var(--series-1)" in text and "#050505" not in text
    assert "checkpoint used for prediction: 20" in text


def test_the_same_numbers_give_the_same_drawing_and_names_never_meet() -> None:
    first, second = (plot_training_curve(curve(), {}, None, "training-a") for _ in range(2))
    other = plot_training_curve(curve(), {}, None, "training-b")
    assert first == second
    names = [{part.split('"')[0] for part in text.split('id="')[1:]} for text in (first, other)]
    assert names[0] and not names[0] & names[1]


@pytest.mark.parametrize("loss", [[], [np.nan], [np.nan, 1.0, np.inf], [0.0, 0.0], [1.0], [-1.0, 2.0]])
def test_any_loss_can_be_drawn(loss: list[float]) -> None:
    metrics = {"iteration": np.arange(1.0, len(loss) + 1), "loss": np.array(loss)}
    assert plot_training_curve(metrics, {"voi": (np.array([1.0]), np.array([np.nan]))}, 1, "t") or not loss


@pytest.mark.parametrize("best", [1, 25, 50])
def test_the_legend_and_the_mark_of_the_checkpoint_are_above_the_curve(best: int) -> None:
    svg = plot_training_curve(curve(), {"loss": (np.array([10.0]), np.array([0.5]))}, best, "t")
    heights = {text: float(y) for y, text in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>([^<]+)</text>', svg)}
    legend = {"training, smoothed", "validation", f"checkpoint used for prediction: {best}"}
    assert max(heights[text] for text in legend) < min(heights[text] for text in set(heights) - legend)


def test_a_long_curve_makes_no_large_drawing() -> None:
    assert len(plot_training_curve(curve(200_000), {}, None, "t")) < 150_000


def test_half_a_line_at_the_end_of_a_table_is_left_out(tmp_path: Path) -> None:
    place = tmp_path / "run" / "training"
    place.mkdir(parents=True)
    (place / "metrics.tsv").write_text("iteration\tloss\n1\t0.5\n2\t0.4\n3\t0.")
    table = read_table(place / "metrics.tsv")
    assert table["iteration"].tolist() == [1, 2]
    (place / "validation.tsv").write_text("iteration\tcriterion\tvalue\n1\tloss\t0.5\n1\tvoi\t2\n2\tloss\t0.")
    curves = Results(tmp_path).validation_curves("run")
    assert {name: values.tolist() for name, (_, values) in curves.items()} == {"loss": [0.5], "voi": [2.0]}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=30))
def test_nothing_beats_the_front_and_the_front_beats_all_else(points: list[tuple[int, int]]) -> None:
    split, merge = (np.array(values, float) for values in zip(*points))
    front = [(split[i], merge[i]) for i in find_pareto_front(split, merge)]
    for a, b in front:
        assert not any((s <= a and m <= b and (s, m) != (a, b)) for s, m in points)
    for s, m in points:
        assert any(a <= s and b <= m for a, b in front)


def test_the_chosen_setting_is_marked_among_all_that_were_tried() -> None:
    rows = [{"bias": 1, "voi_split": 0.2, "voi_merge": 0.3}, {"bias": 2, "voi_split": 0.1, "voi_merge": 0.3}]
    text = plot_split_and_merge(Choice(rows, rows[1]), "tuning")
    assert "0.100 + 0.300 = 0.400" in text and ">chosen<" in text
    assert ">chosen<" not in plot_split_and_merge(Choice(rows), "tuning")
    assert plot_split_and_merge(Choice([{"bias": 1}]), "tuning") == ""
    assert plot_split_and_merge(Choice(), "tuning") == ""


def test_the_chosen_threshold_of_classes_is_marked_on_the_curve_of_the_criterion() -> None:
    table = [{"id": k, "threshold": k / 5, "jaccard": 0.5 - abs(k - 2) / 10} for k in range(5)]
    text = plot_criterion(Choice(table, table[2], criterion="jaccard"), "t")
    assert "chosen: 0.4 with 0.500" in text and ">chosen<" in text
    assert plot_criterion(Choice(table[:1], criterion="jaccard"), "t") == ""
    assert plot_criterion(Choice(), "t") == ""


def test_sizes_of_nothing_make_no_histogram() -> None:
    assert plot_sizes({"segments": np.array([])}, "voxels", "h") == ""
    assert "segments: 3" in plot_sizes({"segments": np.array([1, 5, 9000])}, "voxels", "h")


def test_snapshots_show_raw_under_the_output_and_broken_files_show_nothing(tmp_path: Path) -> None:
    path = tmp_path / "iteration_00000010.npz"
    arrays = {name: np.zeros((3, 8, 9), np.float32) for name in ("target", "weight", "prediction")}
    np.savez(path, raw=np.random.default_rng(0).random((1, 18, 19)), offset=np.array([5, 5]), **arrays)
    pictures = draw_snapshot(
        path, read_task_config({"type": "affinities", "neighborhood": [[0, 1, 0], [0, 0, 1], [1, 0, 0]]})
    )
    assert [p.title for p in pictures] == ["raw", "target", "weight", "prediction"]
    assert {(p.width, p.height) for p in pictures} == {(9, 8)}
    path.write_bytes(path.read_bytes()[:100])
    assert draw_snapshot(path, None) == []


@pytest.mark.parametrize(
    ("task", "channels", "titles"),
    [
        ({"type": "affinities", "neighborhood": [[1, 0, 0], [0, 1, 0]], "lsds": True}, 12, 2),
        ({"type": "affinities", "neighborhood": [[1, 0], [0, 1]]}, 2, 1),
        ({"type": "distance", "channels": ["a", "b"], **DISTANCES}, 2, 2),
        ({"type": "hot_distance", "channels": ["a", "b"], **DISTANCES}, 4, 3),
        ({"type": "inner_distance", "channels": ["a"], **DISTANCES}, 1, 1),
        ({"type": "one_hot", "classes": ["a", "b", "c"]}, 3, 1),
        (
            {
                "type": "pretrained",
                "sub_task_config": {"type": "one_hot", "classes": ["a", "b"]},
                "weights": "w.pt",
            },
            2,
            1,
        ),
        ({"type": "dummy", "embedding_dims": 1, "detection_threshold": 0.5}, 1, 1),
    ],
)
def test_every_task_has_its_pictures(task: dict[str, object], channels: int, titles: int) -> None:
    values = np.random.default_rng(0).uniform(-1, 1, (channels, 6, 7))
    pictures = draw_channels(values, read_task_config(task), "prediction", (1, 2), (8.0, 4.0), "here")
    assert len(pictures) == titles
    assert all(p.alt and p.height == 12 and p.width == 7 for p in pictures)


def test_colors_show_the_shortest_offsets_along_the_axes_of_the_plane() -> None:
    offsets = [[1, 0, 0], [0, -1, 0], [0, 0, 3], [0, 0, 1], [0, 9, 9]]
    assert choose_axis_channels(offsets, (1, 2)) == [3, 1, 0]
    assert choose_axis_channels(offsets, (0, 1)) == [1, 0, 3]
