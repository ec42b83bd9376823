"""Tables that are added up on disk against tables in memory."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.arrays import NumpyArray
from attacca.blockwise import BlockGrid, row_tables
from attacca.errors import VolumeError
from attacca.evaluators import (
    ContingencyTable,
    GroundTruthRules,
    InstanceConvention,
    InstanceEvaluator,
    contingency,
    merge_tables,
    stored_tables,
)
from attacca.evaluators.contingency import Overlaps
from attacca.evaluators.stored_tables import StoredTable, merge_stored_tables, sum_tables
from attacca.evaluators.table_blocks import BlockResult, BlockTables, locate_block_file

ROWS = st.lists(
    st.tuples(st.sampled_from([0, 1, 2, 7, 2**64 - 1]), st.integers(0, 5), st.integers(1, 900)), max_size=12
)
CONVENTIONS = [
    InstanceConvention(),
    InstanceConvention(ignore_background=False),
    *(InstanceConvention(unlabelled=kind) for kind in ("ignored", "voxels", "cremi")),
]


def table_of(rows: list[tuple[int, int, int]]) -> ContingencyTable:
    columns = list(zip(*rows)) or [(), (), ()]
    types = (np.uint64, np.uint64, np.int64)
    return ContingencyTable.from_rows(*(np.array(column, kind) for column, kind in zip(columns, types)))


def read(table: Overlaps) -> ContingencyTable:
    pieces = list(table.pieces())
    total = merge_tables(pieces)
    assert sum(map(len, pieces)) == len(total), "no pair is in two pieces"
    return total


@pytest.fixture(scope="module", autouse=True)
def _small_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contingency, "PIECE_ROWS", 3)
        patch.setattr(stored_tables, "RUN_ROWS", 5)
        patch.setattr(stored_tables, "FAN_IN", 2)
        patch.setattr(row_tables, "PIECE", 2)
        patch.setattr("os.fsync", lambda file: None)
        yield


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(ROWS, max_size=9), st.randoms(use_true_random=False))
def test_a_sum_on_disk_is_that_in_memory_in_any_order(blocks, random):
    tables = [table_of(rows) for rows in blocks]
    expected = merge_tables(tables)
    random.shuffle(tables)
    with TemporaryDirectory() as name:
        directory = Path(name)
        total = sum_tables(tables, directory / "sum.npz")
        assert read(total) == expected
        assert isinstance(total, StoredTable) or len(expected) <= 5
        stored = [StoredTable.write(directory / f"{i}.npz", [table]) for i, table in enumerate(tables)]
        if stored:
            merged = merge_stored_tables(stored, directory / "merged.npz")
            assert read(merged) == read(StoredTable.open(merged.path)) == expected
            assert len(merged) == len(expected)
            assert [len(piece) for piece in merged.pieces()] == [len(piece) for piece in expected.pieces()]
        assert not list(directory.glob("*.runs"))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(ROWS, st.sampled_from(CONVENTIONS))
def test_scores_of_a_stored_table_equal_those_in_memory_to_the_last_bit(rows, convention):
    table = table_of(rows)
    evaluator = InstanceEvaluator(convention.ignore_background, convention.unlabelled, (0.3, 0.5, 0.75))
    with TemporaryDirectory() as name:
        stored = evaluator.scores(StoredTable.write(Path(name, "table.npz"), [table]))
    expected = evaluator.scores(table)
    assert stored == expected
    assert (stored.findings, stored.coverage) == (expected.findings, expected.coverage)
    # Sums of other pieces are rounded otherwise.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contingency, "PIECE_ROWS", 1 << 20)
        whole = evaluator.scores(table)
    for criterion in whole.criteria:
        assert whole.value(criterion) == pytest.approx(expected.value(criterion), rel=1e-12, nan_ok=True)


def as_array(data: np.ndarray) -> NumpyArray:
    return NumpyArray.from_np_array(data, Roi((0, 0), data.shape), Coordinate(1, 1), ["y", "x"])


@pytest.mark.parametrize("components", [False, True])
@pytest.mark.parametrize("regions", [False, True])
def test_shards_change_no_score_and_leave_no_files(tmp_path, components, regions):
    random = np.random.default_rng(1)
    labels = as_array(np.kron(random.integers(0, 9, (8, 8)), np.ones((4, 4), int)).astype(np.uint64))
    segments = as_array(np.kron(random.integers(0, 30, (16, 16)), np.ones((2, 2), int)).astype(np.uint64))
    evaluator = InstanceEvaluator(rules=GroundTruthRules(components=components), regions=regions)
    expected = evaluator.evaluate_blockwise(segments, labels, tmp_path / "whole", block_size=(8, 8))
    directory = tmp_path / "shards"
    directory.mkdir()
    for shards in (3, 20):
        for number in range(shards):
            evaluator.compare_shard(
                segments, labels, directory, (number, shards), block_size=(8, 8), key="key"
            )
        files = set(directory.rglob("*.npz"))
        scores = evaluator.evaluate_blockwise(segments, labels, directory, block_size=(8, 8), key="key")
        assert scores == expected
        assert scores.regions == expected.regions
        assert set(directory.rglob("*.npz")) == files


def test_sums_of_shards_are_used_and_damaged_ones_refused(tmp_path):
    grid = BlockGrid(Roi((0,), (4,)), Coordinate(1), Coordinate(1))
    tables = BlockTables(grid, tmp_path, key="key")
    for index in range(4):
        rows = [(id, 1, 10 + index) for id in range(1 + 5 * index, 7 + 5 * index)]
        BlockResult(table_of(rows)).save(locate_block_file(tmp_path, index))
    for shard in range(2):
        tables.sum_shard((shard, 2))
    expected = tables.collect()
    locate_block_file(tmp_path, 0).unlink()
    with tables.open_sum() as table:
        assert read(table) == expected
    path = next((tmp_path / "sums").rglob("0-2.npz"))
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    with pytest.raises(VolumeError, match=r"0-2\.npz: .* is damaged"), tables.open_sum() as table:
        read(table)


def test_sums_of_other_settings_are_deleted(tmp_path):
    grid = BlockGrid(Roi((0,), (1,)), Coordinate(1), Coordinate(1))
    BlockResult(table_of([(1, 1, 4)])).save(locate_block_file(tmp_path, 0))
    for key in ("old", "new"):
        BlockTables(grid, tmp_path, key=key).sum_shard((0, 1))
    assert [path.parent.name for path in (tmp_path / "sums").rglob("*.npz")] == ["new"]
