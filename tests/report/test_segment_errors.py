"""Errors are ranked by their share of VOI, and have their locations."""

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.arrays import NumpyArray
from attacca.evaluators.contingency import contingency_table
from attacca.evaluators.instance_scores import voi_from_table
from attacca.report.error_atlas import make_error_atlas
from attacca.report.label_overlap import find_mutual_matches, measure_overlap
from attacca.report.segment_errors import find_contact, rank_segment_errors

VOXEL = Coordinate(40, 8, 8)


def volume(labels: np.ndarray, offset: tuple[int, int, int] = (80, 16, 0)) -> NumpyArray:
    roi = Roi(offset, Coordinate(labels.shape) * VOXEL)
    return NumpyArray.from_np_array(labels.astype(np.uint64), roi, VOXEL, ["z", "y", "x"])


def one_split_and_one_merge() -> tuple[np.ndarray, np.ndarray]:
    ground_truth = np.ones((6, 20, 30), np.uint64)
    ground_truth[:, 10:] = 2
    ground_truth[:, 10:, 15:] = 3
    segmentation = np.full_like(ground_truth, 11)
    segmentation[:, :10, 20:] = 12
    segmentation[:, 10:] = 13
    return segmentation, ground_truth


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_shares_of_all_splits_and_merges_add_up_to_voi(seed: int) -> None:
    random = np.random.default_rng(seed)
    ground_truth, segmentation = random.integers(0, 5, (2, 4, 6, 5))
    table = contingency_table(segmentation, ground_truth)
    table = table.select(table.ground_truth != 0)
    voi = voi_from_table(table)
    splits = rank_segment_errors(table, "split", 100)
    assert sum(error.share for error in splits) == pytest.approx(voi.split, abs=1e-12)
    # Predicted background is not a segment that merges objects.
    merges = rank_segment_errors(table.select(table.segment != 0), "merge", 100)
    assert sum(error.share for error in merges) <= voi.merge + 1 / len(table) + 1
    assert [m.share for m in splits] == sorted((m.share for m in splits), reverse=True)


def test_the_object_that_was_split_and_the_segment_that_merges_come_first() -> None:
    segmentation, ground_truth = one_split_and_one_merge()
    table = contingency_table(segmentation, ground_truth)
    split, merge = rank_segment_errors(table, "split", 5), rank_segment_errors(table, "merge", 5)
    assert [(m.whole, m.parts) for m in split] == [(1, (11, 12))]
    assert [(m.whole, m.parts) for m in merge] == [(13, (2, 3))]
    assert split[0].voxels == (6 * 10 * 20, 6 * 10 * 10)


def test_the_place_of_a_problem_is_where_its_two_largest_parts_touch() -> None:
    segmentation, ground_truth = map(volume, one_split_and_one_merge())
    overlap = measure_overlap(segmentation, ground_truth)
    assert overlap is not None and overlap.is_whole
    contact = find_contact(
        rank_segment_errors(overlap.table, "split", 1)[0], overlap, segmentation, ground_truth
    )
    assert contact is not None and contact.is_touching
    place = (contact.center - ground_truth.roi.begin) / VOXEL
    assert place[2] == 19 and place[1] < 10
    contact = find_contact(
        rank_segment_errors(overlap.table, "merge", 1)[0], overlap, segmentation, ground_truth
    )
    assert contact is not None
    place = (contact.center - ground_truth.roi.begin) / VOXEL
    assert place[2] == 14 and place[1] >= 10


def test_parts_that_do_not_touch_are_shown_in_the_smaller_one() -> None:
    ground_truth = np.ones((4, 8, 20), np.uint64)
    segmentation = np.zeros_like(ground_truth)
    segmentation[..., :8] = 5
    segmentation[..., 14:] = 6
    arrays = volume(segmentation), volume(ground_truth)
    overlap = measure_overlap(*arrays)
    assert overlap is not None
    error = rank_segment_errors(overlap.table.select(overlap.table.segment != 0), "split", 1)[0]
    contact = find_contact(error, overlap, *arrays)
    assert contact is not None and not contact.is_touching
    assert ((contact.center - arrays[1].roi.begin) / VOXEL)[2] >= 14


def test_unlabeled_voxels_count_in_no_error() -> None:
    segmentation, ground_truth = one_split_and_one_merge()
    ground_truth[ground_truth == 1] = 99
    overlap = measure_overlap(volume(segmentation), volume(ground_truth), unlabelled=99)
    assert overlap is not None
    assert rank_segment_errors(overlap.table, "split", 5) == []


def test_of_a_large_volume_the_center_is_compared() -> None:
    segmentation, ground_truth = map(volume, one_split_and_one_merge())
    overlap = measure_overlap(segmentation, ground_truth, max_voxels=1000)
    assert overlap is not None and not overlap.is_whole
    assert overlap.table.total <= 1000
    assert ground_truth.roi.contains(overlap.roi)


def test_volumes_on_different_grids_are_not_compared() -> None:
    segmentation, ground_truth = one_split_and_one_merge()
    assert measure_overlap(volume(segmentation, (81, 16, 0)), volume(ground_truth)) is None
    assert measure_overlap(volume(segmentation, (80000, 16, 0)), volume(ground_truth)) is None


def test_matches_are_mutual_and_ties_go_to_the_smaller_id() -> None:
    table = contingency_table(np.array([1, 1, 1, 2, 3, 3]), np.array([7, 7, 8, 8, 9, 10]))
    assert find_mutual_matches(table) == {1: 7, 3: 9}


def test_an_entry_of_the_atlas_has_three_pictures_and_names_its_parts() -> None:
    segmentation, ground_truth = map(volume, one_split_and_one_merge())
    overlap = measure_overlap(segmentation, ground_truth)
    assert overlap is not None
    atlas_entry = make_error_atlas(ground_truth, segmentation, ground_truth, overlap, "split")[0]
    assert [picture.title for picture in atlas_entry.pictures] == ["raw", "ground truth", "segmentation"]
    assert all(picture.source.startswith("data:image/png;base64,") for picture in atlas_entry.pictures)
    assert [name for name, _, _ in atlas_entry.parts] == ["segment 11", "segment 12"]
    assert atlas_entry.plane == "xy plane at z = 160 nm"
    assert atlas_entry.bar.endswith(" nm") and 0 < atlas_entry.bar_width <= 1 / 3
    assert atlas_entry.part_of_total == 1.0
    assert atlas_entry.description == "object 1: 66.7 % in segment 11, the rest in 1 other segment"
