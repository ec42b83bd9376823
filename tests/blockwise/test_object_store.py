"""Arrays in an object store: a real S3 server on the loopback interface."""

from pathlib import Path

import numpy as np
import pytest
from funlib.geometry import Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.storage import remote_file_system
from attacca.blockwise import BlockGrid, Ledger, run_blocks, segment_blockwise

pytestmark = pytest.mark.slow


def make(bucket: str) -> ZarrArray:
    return ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(f"{bucket}/v.zarr", "s0"),
        ["z", "y", "x"],
        Roi((40, 0, -8), (5 * 40, 9 * 4, 7 * 4)),
        None,
        (40, 4, 4),
        np.uint16,
        write_size=(80, 16, 16),
    )


class WriteIndex:
    """Writes each block's number."""

    def __init__(self, array: ZarrArray, seen: list[int] | None = None) -> None:
        self.array = array
        self.seen = seen if seen is not None else []

    def __call__(self, block):
        self.seen.append(block.index)
        self.array[block.write_roi] = block.index + 1


def test_blocks_of_an_array_in_an_object_store_are_recorded_beside_it_and_tied_to_it(bucket, tmp_path):
    array = make(bucket)
    grid = BlockGrid.for_array(array)
    ledger = Ledger(array.directory, {"a": 1}, len(grid), state_directory=tmp_path / "ledger")
    assert not ledger.done().any()
    function = WriteIndex(array)
    run_blocks(function, grid, ledger=ledger, shard=(0, 2))
    run_blocks(function, grid, ledger=ledger, shard=(1, 2))
    assert ledger.complete and sorted(function.seen) == list(range(len(grid)))
    stored = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(f"{bucket}/v.zarr", "s0"))
    assert all((stored[block.write_roi] == block.index + 1).all() for block in grid)

    # The array is deleted: its records must not outlive it.
    files, _ = remote_file_system(bucket)
    files.rm(f"{bucket}/v.zarr", recursive=True)
    assert not ledger.done().any()
    assert "was deleted or replaced" in ledger.void_reason
    again = WriteIndex(make(bucket))
    assert not ledger.done().any()
    run_blocks(again, grid, ledger=ledger)
    assert sorted(again.seen) == list(range(len(grid)))
    assert ledger.complete

    # Another array took its place, with a token of its own.
    other = Ledger(array.directory, {"a": 1}, len(grid), state_directory=tmp_path / "other")
    other.prepare()
    assert not ledger.done().any()


def test_a_volume_in_an_object_store_is_segmented_into_it(bucket, tmp_path):
    array = make(bucket)
    values = np.zeros(array.data.shape, dtype=np.uint16)
    values[:, 1:8, 2] = 1
    values[2, :, 5] = 1
    array[array.roi] = values
    (tmp_path / "f.py").write_text(
        "import cc3d\n"
        "def segment_function(array, block):\n"
        "    return cc3d.connected_components(array[block.read_roi], connectivity=6)\n"
    )
    write = Roi(array.roi.begin, (80, 16, 16))
    target = LocalArrayIdentifier(f"{bucket}/v.zarr", "segments/s0")
    assert segment_blockwise(
        Path(tmp_path / "f.py"),
        (40, 8, 8),
        array.roi,
        write.grow((40, 8, 8), (40, 8, 8)),
        write,
        1,
        input_array_identifier=LocalArrayIdentifier(f"{bucket}/v.zarr", "s0"),
        output_array_identifier=target,
        tmpdir=tmp_path / "scratch",
    )
    result = ZarrArray.open_from_array_identifier(target).data[:]
    assert len(np.unique(result)) == 3
    assert ((result > 0) == (values > 0)).all()
    assert len(np.unique(result[:, 1:8, 2])) == len(np.unique(result[2, :, 5])) == 1
