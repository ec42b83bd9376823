"""Errors in plain words: pieces count, differences of boundaries do not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.evaluators.contingency import ContingencyTable, contingency_table
from attacca.evaluators.findings import Findings, describe_findings


def table_of(rows: list[tuple[int, int, int]]) -> ContingencyTable:
    segments, objects, counts = (np.array(column) for column in zip(*rows))
    return ContingencyTable.from_rows(segments, objects, counts)


def describe(rows: list[tuple[int, int, int]]) -> str:
    findings = describe_findings(table_of(rows))
    assert findings is not None
    return f"{findings.verdict}: {findings.details}"


def test_slivers_along_boundaries_are_not_errors() -> None:
    rows = [(1, 1, 10_000), (2, 2, 10_000), (1, 2, 150), (2, 1, 150), (0, 1, 200), (3, 1, 90)]
    assert describe(rows) == "All 2 objects are whole: no real split, no real merge"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(1, 1, 5000), (2, 1, 5000), (3, 2, 800)], "1 of 2 objects is whole: 1 object is split"),
        (
            [(1, 1, 5000), (1, 2, 5000), (3, 3, 800)],
            "1 of 3 objects is whole: 2 objects are merged with others",
        ),
        ([(0, 1, 5100), (1, 1, 4900), (3, 2, 800)], "1 of 2 objects is whole: 1 object is missing"),
        ([(1, 1, 5000), (0, 2, 500)], "1 of 2 objects is whole: 1 object is missing"),
        (
            [(1, 1, 50_000), (1, 2, 1000), (3, 3, 800)],
            "2 of 3 objects are whole: 1 object is merged with another",
        ),
        ([(1, 1, 7)], "1 object is whole: no real split, no real merge"),
        ([(0, 1, 7)], "0 of 1 object are whole: 1 object is missing"),
    ],
)
def test_each_kind_of_error_is_named(rows: list[tuple[int, int, int]], expected: str) -> None:
    assert describe(rows) == expected


def test_background_of_the_ground_truth_is_not_an_object() -> None:
    assert describe_findings(table_of([(1, 0, 100)])) is None
    assert describe([(1, 0, 100_000), (1, 1, 500)]).startswith("1 object is whole")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_whole_objects_are_those_without_any_error(seed: int) -> None:
    random = np.random.default_rng(seed)
    ground_truth, segmentation = random.integers(0, 4, (2, 3, 5, 4))
    findings = describe_findings(contingency_table(segmentation, ground_truth))
    assert findings is not None
    whole = 0
    for value in np.unique(ground_truth[ground_truth > 0]):
        is_inside = ground_truth == value

        def is_piece(segment: int, other: int) -> bool:
            size = int((ground_truth == other).sum())
            part = int(((segmentation == segment) & (ground_truth == other)).sum())
            is_missing = int(((segmentation == 0) & (ground_truth == other)).sum()) > size / 2
            smallest = min(max(0.05 * size, 2 * size ** (2 / 3)), size / 2)
            return part >= smallest * (1 - 1e-9) and not is_missing

        def count_pieces(segment: int) -> list[int]:
            return [
                int(((segmentation == segment) & (ground_truth == other)).sum())
                for other in np.unique(ground_truth[ground_truth > 0])
                if is_piece(segment, other)
            ]

        pieces = [
            int(segment)
            for segment in np.unique(segmentation[is_inside])
            if segment and is_piece(segment, value)
        ]
        whole += len(pieces) == 1 and (
            int(((segmentation == pieces[0]) & is_inside).sum()) >= 0.95 * sum(count_pieces(pieces[0]))
        )
    assert findings.errors.whole == whole
    assert 0 <= findings.boundary_bits <= findings.bits + 1e-9


def test_bits_of_real_errors_and_of_boundaries_add_up() -> None:
    findings = describe_findings(table_of([(1, 1, 5000), (2, 1, 5000), (3, 1, 10)]))
    assert findings is not None
    assert findings.bits - findings.boundary_bits == pytest.approx(1.0)


def test_tips_at_the_border_of_a_crop_are_neither_objects_nor_merges() -> None:
    rows = [(1, 1, 40_000), (2, 2, 30_000), (1, 3, 80), (2, 4, 14), (0, 5, 9)]
    findings = describe_findings(table_of(rows))
    assert findings is not None
    assert findings.verdict == "All 2 objects are whole"
    assert findings.errors.small == 3
    assert findings.errors.small_share == pytest.approx(103 / 70_103)
    assert "3 objects of fewer than 125 voxels" in findings.rule


def test_in_a_volume_of_small_objects_each_counts() -> None:
    rows = [(1, 1, 40_000), *((1, number, 80) for number in range(2, 8))]
    findings = describe_findings(table_of(rows))
    assert findings is not None
    assert findings.errors.small == 0
    assert findings.verdict == "1 of 7 objects is whole"
    assert findings.details == "6 objects are merged with others"


@pytest.mark.parametrize(("voxels", "split"), [(199, 0), (200, 1)])
def test_two_layers_on_a_small_object_are_a_difference_of_boundaries(voxels: int, split: int) -> None:
    """A cube of 1000 voxels has sides of 100."""
    findings = describe_findings(table_of([(1, 1, 1000 - voxels), (2, 1, voxels), (2, 2, 9000)]))
    assert findings is not None
    assert findings.errors.split == split


def test_the_size_of_whole_objects_is_named() -> None:
    findings = describe_findings(table_of([(1, 1, 3000), (2, 2, 4000), (3, 2, 3000)]))
    assert findings is not None
    assert findings.extent == "The whole objects hold 30 % of the objects' voxels."


@pytest.mark.parametrize("values", [None, {}, {"objects": {"whole": 1}, "boundary_bits": 0, "bits": 0}])
def test_findings_of_another_version_are_none(values: object) -> None:
    assert Findings.from_json(values) is None
