"""Objects are measured block by block: the same table as of the whole volume, with bounded memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.arrays import NumpyArray
from attacca.blockwise import BlockGrid, run_blocks
from attacca.segmentation.object_blocks import ObjectBlocks, load_object_table
from attacca.segmentation.object_rows import ObjectRows
from attacca.segmentation.object_table import ObjectTable, measure_objects, merge_object_tables

SIZE = (40, 8, 4)


def volume(labels: np.ndarray) -> NumpyArray:
    size, axes = Coordinate(SIZE[-labels.ndim :]), ["z", "y", "x"][-labels.ndim :]
    roi = Roi(Coordinate(80 for _ in size), Coordinate(labels.shape) * size)
    return NumpyArray.from_np_array(labels, roi, size, axes)


def measure_one(labels: np.ndarray, value: int) -> dict[str, Any]:
    """An object by the definition of each quantity, without blocks."""
    size = np.array(SIZE[-labels.ndim :])
    own = labels == value
    voxels = np.argwhere(own)
    surface = 0.0
    for axis in range(labels.ndim):
        pairs = np.diff(np.where(own, 1, 0), axis=axis) != 0
        surface += int(pairs.sum()) * np.prod(np.delete(size, axis))
    lower, upper = voxels.min(axis=0), voxels.max(axis=0) + 1
    return {
        "voxels": len(voxels),
        "size": len(voxels) * np.prod(size) * 1e-3**labels.ndim,
        "surface": surface * 1e-3 ** (labels.ndim - 1),
        "center": (voxels.mean(axis=0) + 0.5) * size + 80,
        "extent": np.stack([lower, upper], axis=1) * size[:, None] + 80,
        "touches": bool((lower == 0).any() or (upper == labels.shape).any()),
    }


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.integers(0, 10_000),
    st.sampled_from([(2, 5, 4), (4, 3, 5), (6, 7)]),
    st.integers(1, 5),
    st.integers(1, 6),
)
def test_tables_of_blocks_give_what_the_definitions_give(
    tmp_path_factory: Any, seed: int, shape: tuple[int, ...], edge: int, max_rows: int
) -> None:
    random = np.random.default_rng(seed)
    ids = np.array([0, 3, 7, 2**40, 2**63 + 5, 2**64 - 1], np.uint64)
    labels = ids[random.integers(0, len(ids), shape)]
    array, directory = volume(labels), tmp_path_factory.mktemp("tables")
    block = Coordinate(edge for _ in shape) * array.voxel_size
    grid = BlockGrid(array.roi, block, array.voxel_size)
    run_blocks(ObjectBlocks(array, str(directory)), grid)
    tables = list(merge_object_tables(lambda index: load_object_table(directory, index), len(grid), max_rows))
    assert all(len(table) <= max_rows for table in tables)
    writer = ObjectRows.of_array(array)
    rows = [row for table in tables for row in writer.make(table)]
    assert [row[0] for row in rows] == [int(value) for value in np.unique(labels) if value]
    dims = len(shape)
    for row in rows:
        expected = measure_one(labels, row[0])
        assert len(row) == len(writer.columns)
        assert row[1] == expected["voxels"]
        assert row[2:4] == pytest.approx([expected["size"], expected["surface"]], rel=1e-5)
        assert row[4 : 4 + dims] == pytest.approx(list(expected["center"]), abs=0.005)
        assert row[4 + dims : -1] == expected["extent"].ravel().tolist()
        assert bool(row[-1]) == expected["touches"]


def test_at_most_one_table_of_a_block_and_the_chosen_rows_are_in_memory() -> None:
    loaded: list[int] = []

    def load(index: int) -> ObjectTable:
        loaded.append(index)
        labels = np.arange(1, 101, dtype=np.uint64).reshape(1, 10, 10) + np.uint64(50 * index)
        return measure_objects(labels, (index, 0, 0), (1, 10, 10))

    tables = list(merge_object_tables(load, 3, max_rows=64))
    assert [len(table) for table in tables] == [64, 64, 64, 8]
    assert sum(int(table.voxels.sum()) for table in tables) == 300
    assert np.concatenate([table.ids for table in tables]).tolist() == list(range(1, 201))
    assert len(loaded) == 3 * 4


def test_a_volume_without_objects_has_an_empty_table(tmp_path: Path) -> None:
    empty = measure_objects(np.zeros((2, 2, 2), np.uint64), (0, 0, 0), (2, 2, 2))
    assert list(merge_object_tables(lambda index: empty, 2)) == []
