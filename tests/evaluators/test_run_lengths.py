"""Expected run length, compared with sums over the edges of each skeleton."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.evaluators.run_lengths import MERGED_NODES, join_run_lengths, measure_runs, score_run_lengths

Skeleton = tuple[np.ndarray, np.ndarray]


def make_line(count: int, step: float = 8.0) -> Skeleton:
    vertices = np.zeros((count, 3))
    vertices[:, 0] = np.arange(count) * step
    return vertices, np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)


def score(*objects: list[int]) -> tuple[float, float]:
    """Return both scores of lines whose nodes are in the given segments."""
    tables = [measure_runs(i, *make_line(len(ids)), np.array(ids)) for i, ids in enumerate(objects, 1)]
    scores = score_run_lengths(join_run_lengths(tables))
    return scores.erl, scores.nerl


def test_a_perfect_segmentation_has_the_largest_run_length():
    # Lengths of 32 and 64 nm: their mean, weighted by length.
    assert score([7] * 5, [9] * 9) == (pytest.approx((32**2 + 64**2) / 96), pytest.approx(1.0))


def test_a_split_ends_a_run_and_the_edge_across_it_is_in_no_run():
    # Runs of 16 and 8 nm of a line of 32 nm.
    assert score([7, 7, 7, 8, 8]) == (
        pytest.approx((16**2 + 8**2) / 32),
        pytest.approx((16**2 + 8**2) / 32**2),
    )


def test_runs_of_a_merged_segment_have_no_length():
    assert score([7] * 5, [7] * 5) == (0, 0)
    # Fewer nodes than MERGED_NODES may lie beyond a boundary by a voxel.
    assert score([7] * 9, [7] * (MERGED_NODES - 1) + [8] * 7)[1] > 0.7


def test_background_has_no_runs_and_is_not_a_merge():
    assert score([0] * 5, [0] * 5) == (0, 0)
    assert score([0, 0, 7, 7, 7]) == (pytest.approx(16**2 / 32), pytest.approx(0.25))


def test_pieces_of_one_object_are_measured_by_themselves():
    vertices, edges = make_line(8)
    edges = np.delete(edges, 3, axis=0)
    table = measure_runs(1, vertices, edges, np.array([5] * 4 + [6] * 4))
    assert table.pieces.tolist() == [24, 24]
    assert score_run_lengths(table).nerl == 1


def test_scores_without_skeletons_are_undefined():
    scores = score_run_lengths(join_run_lengths([]))
    assert np.isnan(scores.erl)
    assert np.isnan(scores.nerl)


def brute_force(objects: list[list[int]]) -> tuple[float, float]:
    merged = {
        segment
        for segment in {item for ids in objects for item in ids}
        if sum(ids.count(segment) >= MERGED_NODES for ids in objects) > 1
    }
    squares = total = largest = 0.0
    for ids in objects:
        runs: dict[int, float] = {}
        for one, other in pairwise(ids):
            if one == other and one != 0 and one not in merged:
                runs[one] = runs.get(one, 0.0) + 8.0
        length = 8.0 * (len(ids) - 1)
        squares, total, largest = (
            squares + sum(run**2 for run in runs.values()),
            total + length,
            largest + length**2,
        )
    return squares / total, squares / largest


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=2, max_size=12), min_size=1, max_size=4))
def test_scores_equal_sums_over_edges(objects):
    assert score(*objects) == (pytest.approx(brute_force(objects)[0]), pytest.approx(brute_force(objects)[1]))


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=2, max_size=12), min_size=2, max_size=4))
def test_scores_do_not_depend_on_names_of_segments_or_the_order_of_objects(objects):
    renamed = [[0 if item == 0 else 2**40 - item for item in ids] for ids in reversed(objects)]
    assert score(*renamed) == pytest.approx(score(*objects))
