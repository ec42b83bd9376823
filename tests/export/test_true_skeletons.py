"""Run lengths along skeletons of labeled volumes."""

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import NumpyArray
from attacca.evaluators.run_lengths import score_run_lengths
from attacca.export.true_skeletons import measure_run_lengths

VOXEL = Coordinate(16, 8, 8)


def place(ids: np.ndarray, offset=(160, 80, 80)) -> NumpyArray:
    return NumpyArray.from_np_array(ids, Roi(offset, Coordinate(ids.shape) * VOXEL), VOXEL, ["z", "y", "x"])


@pytest.fixture
def tubes() -> np.ndarray:
    """Two tubes of 7 x 9 x 90 voxels along x, with the ids 5 and 6."""
    ids = np.zeros((20, 40, 100), np.uint64)
    ids[6:13, 5:14, 5:95] = 5
    ids[6:13, 20:29, 5:95] = 6
    return ids


def score(segments: np.ndarray, ids: np.ndarray, **more) -> tuple[float, float]:
    scores = score_run_lengths(measure_run_lengths(place(segments), place(ids), **more))
    return scores.erl, scores.nerl


def test_a_perfect_segmentation_has_runs_of_the_length_of_the_objects(tubes):
    erl, nerl = score(tubes * np.uint64(7), tubes)
    assert nerl == pytest.approx(1)
    assert erl == pytest.approx(90 * 8, rel=0.15)


def test_a_split_in_the_middle_halves_the_runs(tubes):
    segments = tubes.copy()
    segments[..., 50:][tubes[..., 50:] > 0] += 10
    assert score(segments, tubes)[1] == pytest.approx(0.5, abs=0.03)


def test_a_merge_leaves_nothing(tubes):
    assert score((tubes > 0).astype(np.uint64), tubes) == (0, 0)


def test_objects_without_annotation_and_masked_voxels_do_not_count(tubes):
    # Object 6 is merged with nothing: it is not annotated.
    assert score((tubes > 0).astype(np.uint64), tubes, unlabelled=6)[1] == pytest.approx(1)
    mask = np.ones(tubes.shape, np.uint8)
    mask[:, 17:] = 0
    assert score((tubes > 0).astype(np.uint64), tubes, mask=place(mask))[1] == pytest.approx(1)


def test_only_the_region_of_the_segmentation_counts(tubes):
    part = NumpyArray.from_np_array(
        tubes[..., :50], Roi((160, 80, 80), Coordinate(20, 40, 50) * VOXEL), VOXEL, ["z", "y", "x"]
    )
    table = measure_run_lengths(part, place(tubes))
    # The tubes begin at voxel 5 and are cut at voxel 50.
    assert table.nodes.tolist() == [45, 45]
    whole = measure_run_lengths(place(tubes), place(tubes))
    assert (table.pieces < 0.6 * whole.pieces).all()
    assert score_run_lengths(table).nerl == pytest.approx(1)
