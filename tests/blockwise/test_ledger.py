"""The record of finished blocks."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from attacca.blockwise import Ledger, durability, read_files
from attacca.errors import MissingInputError, ResourceError


def record(ledger: Ledger, *blocks: int, shard: tuple[int, int] = (0, 1)) -> None:
    with ledger.shard_writer(*shard) as writer:
        writer.record(*blocks)


def record_in_killed_process(ledger: Ledger, block: int) -> None:
    """Record a block in another process, which is killed before it closes the writer."""
    process = os.fork()
    if not process:
        try:
            with ledger.shard_writer() as writer:
                writer.record(block)
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL


def file_of(directory: Path, shard: int = 0, shards: int = 1) -> Path:
    return directory / ".attacca" / "ledger" / f"shard-{shard:05d}-of-{shards:05d}.txt"


def test_nothing_is_done_at_first(tmp_path):
    ledger = Ledger(tmp_path, {"bias": 0.5}, 10)
    assert not ledger.done().any()
    assert ledger.missing().tolist() == list(range(10))
    assert ledger.void_reason == ""
    assert not ledger.complete


def test_recorded_blocks_are_done_for_every_later_reader(tmp_path):
    record(Ledger(tmp_path, {"bias": 0.5}, 6), 4, 1)
    ledger = Ledger(tmp_path, {"bias": 0.5}, 6)
    assert ledger.done().tolist() == [False, True, False, False, True, False]
    assert ledger.missing(range(1, 5)).tolist() == [2, 3]
    record(ledger, 0, 2, 3, 5)
    assert ledger.complete


def test_the_union_of_all_shards_counts_whatever_their_number(tmp_path):
    first = Ledger(tmp_path, {"a": 1}, 12)
    for index, blocks in enumerate([(0, 1, 2), (3,), (7, 6), ()]):
        record(first, *blocks, shard=(index, 4))
    record(first, 11, 3, shard=(6, 7))
    assert np.flatnonzero(first.done()).tolist() == [0, 1, 2, 3, 6, 7, 11]
    assert first.summary().shards == ((0, 4, 3), (1, 4, 1), (2, 4, 2), (3, 4, 0), (6, 7, 2))


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_torn_last_line_does_not_count_and_is_mended(tmp_path, kept):
    ledger = Ledger(tmp_path, {"a": 1}, 2000)
    record(ledger, 7, 1234)
    path = file_of(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: -5 + kept])
    assert np.flatnonzero(ledger.done()).tolist() == [7]
    record(ledger, 56)
    assert np.flatnonzero(ledger.done()).tolist() == [7, 56]


def test_a_damaged_header_is_ignored_and_replaced(tmp_path):
    ledger = Ledger(tmp_path, {"a": 1}, 20)
    record(ledger, 7)
    path = file_of(tmp_path)
    path.write_bytes(path.read_bytes()[:20])
    assert not ledger.done().any()
    record(ledger, 3)
    assert np.flatnonzero(ledger.done()).tolist() == [3]


def test_foreign_bytes_do_not_count(tmp_path):
    ledger = Ledger(tmp_path, {"a": 1}, 20)
    record(ledger, 7)
    with open(file_of(tmp_path), "ab") as file:
        file.write(b"\x00\x00\x00\n12\nx3\n-4\n99\n")
    assert np.flatnonzero(ledger.done()).tolist() == [7, 12]


def test_another_key_voids_the_ledger_and_logs_the_difference(tmp_path):
    old = {"parameters": {"bias": 0.5, "sigma": 1}, "inputs": {"prediction": "a" * 64}, "version": 1}
    new = {
        "parameters": {"bias": 0.25, "sigma": 1},
        "inputs": {"prediction": "b" * 64},
        "version": 1,
        "more": 2,
    }
    record(Ledger(tmp_path, old, 10), 1, 2, 3)
    ledger = Ledger(tmp_path, new, 10)
    assert not ledger.done().any()
    assert ledger.void_reason == (
        "inputs.prediction was aaaaaaaaaaaa and is bbbbbbbbbbbb now; more was not set and is 2 now; "
        "parameters.bias was 0.5 and is 0.25 now"
    )
    assert ledger.summary().stale == 3


def test_another_number_of_blocks_voids_the_ledger(tmp_path):
    record(Ledger(tmp_path, "k" * 64, 10), 1, 2, 3)
    ledger = Ledger(tmp_path, "k" * 64, 12)
    assert not ledger.done().any()
    assert ledger.void_reason == "the grid had 10 blocks and has 12 now"


def test_going_back_to_old_parameters_does_not_bring_back_overwritten_blocks(tmp_path):
    first, second = Ledger(tmp_path, {"bias": 1}, 10), Ledger(tmp_path, {"bias": 2}, 10)
    record(first, *range(10))
    # Under the second key another number of shards overwrites some blocks.
    record(second, 0, 1, shard=(0, 2))
    assert not first.done().any()
    assert "bias was 2 and is 1 now" in first.void_reason


def test_why_blocks_were_void_is_known_while_they_are_computed_again(tmp_path):
    record(Ledger(tmp_path, {"bias": 1}, 3), 0, 1, 2)
    ledger = Ledger(tmp_path, {"bias": 2}, 3)
    record(ledger, 0)
    assert ledger.void_reason == "bias was 1 and is 2 now"
    record(ledger, 1, 2)
    assert ledger.void_reason == ""


def test_a_deleted_array_takes_its_ledger_with_it(tmp_path):
    array = tmp_path / "array"
    array.mkdir()
    ledger = Ledger(array, {"a": 1}, 3)
    record(ledger, 0, 1, 2)
    for path in sorted(array.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert not ledger.done().any()


def test_an_array_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(MissingInputError, match="does not exist, so its blocks"):
        Ledger(tmp_path / "nothing", {"a": 1}, 3).prepare()


def test_two_jobs_cannot_write_one_shard(tmp_path):
    ledger = Ledger(tmp_path, {"a": 1}, 3)
    with ledger.shard_writer(0, 2):
        with pytest.raises(
            ResourceError,
            match=r"another job that is still running \(process \d+ on .*\) computes shard 1 of 2",
        ):
            record(Ledger(tmp_path, {"a": 1}, 3), 1, shard=(0, 2))
        record(ledger, 2, shard=(1, 2))
    record(ledger, 1, shard=(0, 2))


@pytest.mark.parametrize("shard", [None, (1, 2)])
def test_a_job_names_the_writers_that_it_waits_for_and_continues_when_they_end(tmp_path, caplog, shard):
    program = (
        "import sys; from attacca.blockwise import Ledger\n"
        "with Ledger(sys.argv[1], {'a': 1}, 3).shard_writer(1, 2) as writer:\n"
        "    print('writes', flush=True); sys.stdin.read(); writer.record(1)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "writes\n"
        ledger = Ledger(tmp_path, {"a": 1}, 3)
        ledger.wait_for_writers((0, 2))
        assert not caplog.records
        threading.Timer(0.5, other.stdin.close).start()
        ledger.wait_for_writers(shard)
        assert ledger.done()[1]
    assert f"process {other.pid} on " in caplog.text and "shard 2 of 2" in caplog.text


def test_a_killed_writer_leaves_no_lock(tmp_path):
    ledger = Ledger(tmp_path, {"a": 1}, 3)
    record_in_killed_process(ledger, 1)
    record(ledger, 2)
    assert np.flatnonzero(ledger.done()).tolist() == [1, 2]


def test_after_a_power_cut_only_flushed_records_count(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path, {"a": 1}, 5)
    record(ledger, 1)
    record_in_killed_process(ledger, 2)
    assert np.flatnonzero(ledger.done()).tolist() == [1, 2]
    # The machine was started again.
    monkeypatch.setattr(durability, "_read_boot_id", lambda: "another")
    assert np.flatnonzero(ledger.done()).tolist() == [1]
    record(ledger, 3)
    monkeypatch.setattr(durability, "_read_boot_id", lambda: "a third")
    assert np.flatnonzero(ledger.done()).tolist() == [1, 3]


def test_a_long_job_flushes_its_blocks_to_the_disk_while_it_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(durability, "_INTERVAL", -1.0)
    ledger = Ledger(tmp_path, {"a": 1}, 5)
    note = durability.get_note_path(file_of(tmp_path))
    with ledger.shard_writer() as writer:
        writer.record(1)
        end = time.monotonic() + 60
        while json.loads(note.read_text())["bytes"] < file_of(tmp_path).stat().st_size:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_the_header_names_what_the_key_is_made_of(tmp_path):
    record(Ledger(tmp_path, {"bias": 0.5}, 3), 1)
    header = json.loads(file_of(tmp_path).read_text().splitlines()[0])
    assert header["parts"] == {"bias": 0.5}
    assert header["blocks"] == 3
    (found,) = read_files(tmp_path / ".attacca" / "ledger")
    assert found.key == Ledger(tmp_path, {"bias": 0.5}, 3).key
    assert found.blocks.tolist() == [1]


def test_a_full_disk_is_reported_and_costs_no_recorded_block(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path, {"a": 1}, 3)
    write = os.write

    def full(handle: int, data: bytes) -> int:
        if data == b"2\n":
            raise OSError(28, "No space left on device")
        return write(handle, data)

    with ledger.shard_writer() as writer:
        writer.record(1)
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(ResourceError, match=r"No space left on device.*Earlier records are kept"):
            writer.record(2)
    assert np.flatnonzero(ledger.done()).tolist() == [1]


def test_a_million_blocks_are_recorded_and_read_in_seconds(tmp_path):
    ledger = Ledger(tmp_path, {"a": 1}, 1_000_000)
    start = time.process_time()
    for shard in range(4):
        with ledger.shard_writer(shard, 4) as writer:
            blocks = range(shard * 250_000, (shard + 1) * 250_000)
            for begin in range(0, len(blocks), 1000):
                writer.record(*blocks[begin : begin + 1000])
    assert ledger.complete
    assert len(ledger.missing(range(500_000))) == 0
    assert time.process_time() - start < 10
