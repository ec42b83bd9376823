"""Computing blocks in one process."""

import errno
import logging

import pytest
from funlib.geometry import Roi

from attacca.blockwise import BlockGrid, Ledger, check_memory, run_blocks
from attacca.blockwise import memory as memory_module
from attacca.errors import BlocksFailedError, MissingInputError, ResourceError, VolumeError
from attacca.progress import Progress

GRID = BlockGrid(Roi((0, 0), (40, 30)), (10, 10), (1, 1))


class Recorder:
    """Notes which blocks it was given, and fails at some."""

    def __init__(self, failures: dict[int, list[Exception]] | None = None) -> None:
        self.failures = failures or {}
        self.seen: list[int] = []
        self.calls: list[str] = []

    def open(self) -> None:
        self.calls.append("open")

    def close(self) -> None:
        self.calls.append("close")

    def __call__(self, block):
        self.seen.append(block.index)
        if self.failures.get(block.index):
            raise self.failures[block.index].pop(0)
        return block.index * 10


def test_all_blocks_of_a_grid_are_computed_once():
    recorder = Recorder()
    report = run_blocks(recorder, GRID)
    assert recorder.seen == list(range(12))
    assert recorder.calls == ["open", "close"]
    assert report.computed == list(range(12))
    assert report.results[3] == 30
    assert report.attempts == 12


def test_only_missing_blocks_are_computed(tmp_path):
    ledger = Ledger(tmp_path, {"a": 1}, 12)
    with ledger.shard_writer() as writer:
        writer.record(0, 5, 11)
    recorder = Recorder()
    report = run_blocks(recorder, GRID, ledger=ledger)
    assert sorted(recorder.seen) == [1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert report.skipped == 3
    assert ledger.complete
    again = Recorder()
    assert run_blocks(again, GRID, ledger=ledger).skipped == 12
    assert again.seen == again.calls == []


def test_shards_compute_their_own_blocks_and_the_union_is_complete(tmp_path):
    ledger = Ledger(tmp_path, {"a": 1}, 12)
    for index in range(5):
        recorder = Recorder()
        run_blocks(recorder, GRID, ledger=ledger, shard=(index, 5))
        assert recorder.seen == list(GRID.shard(index, 5))
    assert ledger.complete


def test_a_block_that_fails_once_is_tried_again(tmp_path):
    ledger = Ledger(tmp_path, {"a": 1}, 12)
    recorder = Recorder({4: [ValueError("once")]})
    report = run_blocks(recorder, GRID, ledger=ledger)
    assert recorder.seen.count(4) == 2
    assert report.attempts == 13
    assert ledger.complete


def test_a_block_that_always_fails_is_reported_with_its_roi_and_the_others_continue(tmp_path, caplog):
    ledger = Ledger(tmp_path, {"a": 1}, 12)
    recorder = Recorder({4: [ValueError("no membrane")] * 9})
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(BlocksFailedError, match="no membrane") as caught,
    ):
        run_blocks(recorder, GRID, ledger=ledger, retries=2)
    assert recorder.seen.count(4) == 3
    assert ledger.missing().tolist() == [4]
    assert str(caught.value).startswith(
        "1 block failed, tried 3 times:\n  block 4, [10:20, 10:20] (10, 10): ValueError"
    )
    assert "Traceback" in caplog.text and "no membrane" in caplog.text


def volume_error_with_a_cause():
    error = VolumeError("cannot be read")
    error.__cause__ = OSError("stale file handle")
    return error


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        pytest.param(VolumeError("negative label"), 1, id="the data's fault"),
        pytest.param(volume_error_with_a_cause(), 3, id="perhaps the file system's"),
        pytest.param(MissingInputError("no such file"), 3, id="a file that may turn up"),
        pytest.param(ResourceError("no memory"), 3, id="memory that may become free"),
    ],
)
def test_only_temporary_errors_are_tried_again(error, attempts, caplog):
    recorder = Recorder({4: [error] * 9})
    with pytest.raises(BlocksFailedError, match="1 block failed") as caught:
        run_blocks(recorder, GRID, retries=2)
    assert recorder.seen.count(4) == attempts and len(recorder.seen) == 11 + attempts
    assert f"tried {'once' if attempts == 1 else '3 times'}:" in str(caught.value)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * (attempts - 1) + ["ERROR"]


def test_when_every_block_fails_the_rest_is_not_tried():
    class Broken:
        seen = 0

        def __call__(self, block):
            Broken.seen += 1
            raise RuntimeError("always")

    grid = BlockGrid(Roi((0,), (500,)), (1,), (1,))
    with pytest.raises(BlocksFailedError, match="no other succeeded"):
        run_blocks(Broken(), grid, retries=1)
    # Each block once, and a second time until a few have failed for good.
    assert Broken.seen < 520


def test_a_full_disk_ends_the_job_at_once_and_keeps_finished_blocks(tmp_path):
    ledger = Ledger(tmp_path, {"a": 1}, 12)
    wrapped = ResourceError("cannot write")
    wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    recorder = Recorder({6: [wrapped]})
    with pytest.raises(
        ResourceError, match=r"no space left on the disk.*block 6.*6 blocks finished now are kept"
    ):
        run_blocks(recorder, GRID, ledger=ledger)
    assert ledger.missing().tolist() == [6, 7, 8, 9, 10, 11]
    run_blocks(recorder, GRID, ledger=ledger)
    assert ledger.complete


def test_an_interrupt_keeps_finished_blocks(tmp_path):
    ledger = Ledger(tmp_path, {"a": 1}, 12)

    def interrupted(block):
        if block.index == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_blocks(interrupted, GRID, ledger=ledger)
    assert ledger.missing().tolist() == [7, 8, 9, 10, 11]


class Streaming:
    """Yields finished blocks late and out of order."""

    def __init__(self, failing: set[int], breaking: set[int]) -> None:
        self.failing, self.breaking = failing, breaking

    def stream(self, blocks):
        held = None
        for block in blocks:
            if block.index in self.breaking:
                self.breaking.remove(block.index)
                raise RuntimeError("the stream broke")
            if block.index in self.failing:
                self.failing.remove(block.index)
                yield block, ValueError("this one")
            elif held is None:
                held = block
            else:
                yield block, None
                yield held, None
                held = None
        if held is not None:
            yield held, None


def test_a_streaming_function_computes_every_block_whatever_fails(tmp_path):
    ledger = Ledger(tmp_path, {"a": 1}, 12)
    report = run_blocks(Streaming({3, 9}, {6}), GRID, ledger=ledger)
    assert sorted(report.computed) == list(range(12))
    assert ledger.complete


def test_progress_counts_finished_blocks(tmp_path, capsys):
    progress = Progress("test", 12, done=0, interval=0)
    run_blocks(Recorder({2: [ValueError("x")]}), GRID, progress=progress)
    assert progress.done == 12
    assert "test: 12/12 blocks (100 %)" in capsys.readouterr().err


def test_more_memory_than_there_is_is_refused_with_advice():
    gigabyte = 1 << 30
    check_memory(4, gigabyte, available=4 * gigabyte)
    check_memory(4, None, available=0)
    with pytest.raises(
        ResourceError,
        match=r"4 blocks at once need 4 GiB of memory \(1 GiB each\), and 2.5 GiB are free: use 2 threads at most",
    ):
        check_memory(4, gigabyte, available=gigabyte * 5 // 2)
    with pytest.raises(
        ResourceError,
        match=r"a block needs 1 GiB of memory, and 0.5 GiB are free: not even one block fits; "
        r"use smaller blocks \(prediction.block_size\), or a machine or job with more memory",
    ):
        check_memory(1, gigabyte, available=gigabyte // 2, setting="prediction.block_size")


def test_memory_is_checked_before_any_block_is_computed(monkeypatch):
    monkeypatch.setattr(memory_module, "available_memory", lambda: 1000)
    recorder = Recorder()
    with pytest.raises(ResourceError, match="smaller blocks"):
        run_blocks(recorder, GRID, memory_per_block=1001)
    assert recorder.calls == []


def test_the_memory_that_slurm_gave_is_the_limit(monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "512")
    assert memory_module.available_memory() < 512 << 20
    monkeypatch.delenv("SLURM_MEM_PER_NODE")
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "300")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "2")
    assert memory_module.slurm_memory() == 600 << 20
