"""Checks without ground truth: good segmentations pass, typical failures are refused."""

import numpy as np
import pytest

from attacca.config.segmentation import CheckThresholds
from attacca.errors import SegmentationCheckError
from attacca.segmentation.block_graph import count_block_graph
from attacca.segmentation.box import Box
from attacca.segmentation.checks import (
    SeamCount,
    check_prediction,
    check_seams,
    check_sizes,
    count_seams,
    count_values,
)
from attacca.segmentation.graph_tables import join_tables
from attacca.segmentation.look_up_table import LookUpTable
from attacca.segmentation.offsets import Offsets

THRESHOLDS = CheckThresholds()


def random_cells(shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = rng.random((40, 3)) * shape
    voxels = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1).reshape(-1, 3)
    return (
        (np.argmin(((voxels[:, None] - points[None]) ** 2).sum(-1), axis=1) + 1)
        .reshape(shape)
        .astype(np.uint64)
    )


def test_segments_cut_at_block_faces_are_refused_and_others_pass() -> None:
    cells = random_cells((24, 24, 24), 0)
    assert check_seams([count_seams(cells, (0, 0, 0), (8, 8, 8))], THRESHOLDS) < 1.5
    cut = cells + np.uint64(100) * (np.arange(24) // 8).astype(np.uint64)
    with pytest.raises(SegmentationCheckError, match=r"segments end on the faces of blocks \d+\.\d+ times"):
        check_seams([count_seams(cut, (0, 0, 0), (8, 8, 8))], THRESHOLDS)
    assert check_seams([count_seams(cut, (0, 0, 0), (8, 8, 8))], CheckThresholds(max_seam_excess=None)) > 2


def test_counts_of_blocks_with_one_more_voxel_add_up_to_the_whole() -> None:
    cells = random_cells((10, 12, 14), 1)
    total = SeamCount.empty()
    for z in (0, 5):
        part = count_seams(cells[z : z + 6], (z, 0, 0), (5, 4, 7))
        inner = count_seams(cells[z + 5 : z + 6], (z + 5, 0, 0), (5, 4, 7))
        total = total + SeamCount(part.ends - inner.ends, part.pairs - inner.pairs)
    whole = count_seams(cells, (0, 0, 0), (5, 4, 7))
    assert np.array_equal(total.ends, whole.ends) and np.array_equal(total.pairs, whole.pairs)


def test_a_dominating_segment_and_an_empty_segmentation_are_refused() -> None:
    cells = random_cells((8, 8, 8), 2)
    offsets = Offsets.create([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    graph = join_tables(
        *count_block_graph(cells, np.zeros((3, 8, 8, 8), np.uint8), offsets, Box((0, 0, 0), (8, 8, 8)))
    )
    fine = check_sizes(LookUpTable(graph.ids, graph.ids).count_voxels(graph.sizes), 512, THRESHOLDS)
    assert fine["segmented_share"] == 1 and fine["largest_share"] < 0.2
    with pytest.raises(SegmentationCheckError, match="one segment has 100 %"):
        check_sizes(
            LookUpTable(graph.ids, np.ones_like(graph.ids)).count_voxels(graph.sizes), 512, THRESHOLDS
        )
    # A single fragment.
    merged = np.ones_like(cells)
    region = Box((0, 0, 0), (8, 8, 8))
    single = join_tables(*count_block_graph(merged, np.full((3, 8, 8, 8), 255, np.uint8), offsets, region))
    with pytest.raises(SegmentationCheckError, match="one segment has 100 %"):
        check_sizes(LookUpTable(single.ids, single.ids).count_voxels(single.sizes), 512, THRESHOLDS)
    with pytest.raises(SegmentationCheckError, match="0 % of the voxels belong to a segment"):
        check_sizes(
            LookUpTable(graph.ids, np.zeros_like(graph.ids)).count_voxels(graph.sizes), 512, THRESHOLDS
        )


@pytest.mark.parametrize(("value", "word"), [(0, "empty"), (255, "saturated"), (77, "constant")])
def test_constant_predictions_are_refused(value: int, word: str) -> None:
    constant = count_values(np.full((3, 20, 20, 20), value, np.uint8))
    with pytest.raises(SegmentationCheckError, match=word):
        check_prediction(constant, THRESHOLDS)
    mixed = constant + count_values(np.random.default_rng(0).integers(0, 256, 3000).astype(np.uint8))
    check_prediction(mixed, THRESHOLDS)
    check_prediction(constant, CheckThresholds(max_saturated_share=None))
