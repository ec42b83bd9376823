"""Tables that are read a piece at a time."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.blockwise import row_tables
from attacca.blockwise.row_tables import MergedRows, StoredRows, load_array, save_tables
from attacca.errors import MissingInputError, VolumeError

PAIR = np.dtype([("first", "<u8"), ("second", "<u8"), ("value", "<i4")])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(
        st.sets(st.tuples(st.integers(0, 4), st.sampled_from([0, 1, 2, 2**64 - 1])), max_size=12),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 4),
)
def test_merged_tables_have_all_rows_in_order(keys: list[set[tuple[int, int]]], piece: int) -> None:
    taken: set[tuple[int, int]] = set()
    tables, expected = [], []
    for number, pairs in enumerate(keys):
        rows = [(*pair, number) for pair in sorted(pairs - taken)]
        taken |= pairs
        expected += rows
        tables.append(np.array(rows, PAIR))
    merged = MergedRows(tables, ("first", "second"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_tables, "PIECE", piece)
        # A table is read several times.
        for _ in range(2):
            assert [row for rows in merged.read() for row in rows.tolist()] == sorted(expected)
    assert len(merged) == len(expected)


def test_a_stored_table_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_tables, "PIECE", 4)
    table = np.array([(i, 2 * i, -i) for i in range(10)], PAIR)
    save_tables(tmp_path / "tables.npz", {"table": table, "square": np.eye(3), "none": table[:0]})
    rows = StoredRows.open(tmp_path / "tables.npz", "table")
    pieces = list(rows.read())
    assert [len(piece) for piece in pieces] == [4, 4, 2]
    assert np.concatenate(pieces).tolist() == table.tolist()
    assert load_array(tmp_path / "tables.npz", "square").tolist() == np.eye(3).tolist()
    assert list(StoredRows.open(tmp_path / "tables.npz", "none").read()) == []
    with np.load(tmp_path / "tables.npz") as stored:
        assert stored["table"].tolist() == table.tolist()


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tables.npz"
    save_tables(path, {"table": np.arange(100)})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(VolumeError, match=r"tables\.npz: .* is damaged"):
        list(StoredRows.open(path, "table").read())
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(VolumeError, match=r"tables\.npz: .* is damaged"):
        StoredRows.open(path, "table")
    path.unlink()
    with pytest.raises(MissingInputError, match=r"tables\.npz: .* is missing"):
        StoredRows.open(path, "table")
