"""Computing blocks in worker processes that fail, hang, die and are killed."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.blockwise import Ledger

JOB = Path(__file__).with_name("block_functions.py")
sys.path.insert(0, str(JOB.parent))
import block_functions  # noqa: E402

sys.path.pop(0)


def expected() -> np.ndarray:
    roi = block_functions.ROI
    y, x = (np.arange(b, e, 2) for b, e in zip(roi.begin, roi.end))
    return (y[:, None] * 1000 + x) % 65521


def stored(directory: Path) -> ZarrArray:
    return ZarrArray.open_from_array_identifier(LocalArrayIdentifier(directory, "a"))


def ledger(directory: Path) -> Ledger:
    array = stored(directory)
    return Ledger(array.directory, block_functions.KEY, len(block_functions.grid_of(array)))


def computed(directory: Path) -> list[int]:
    path = directory / "computed"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def chunks(directory: Path) -> dict[str, bytes]:
    files = (path for path in (directory / "a").rglob("*") if path.is_file() and ".attacca" not in path.parts)
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_blocks_are_computed_by_several_processes_as_by_one(tmp_path, processes):
    for workers in ("1", "3"):
        job = processes.start(JOB, "well", tmp_path / workers, workers)
        assert job.communicate(timeout=120) == ("", "")
        assert job.returncode == 0
        assert sorted(computed(tmp_path / workers)) == list(range(len(computed(tmp_path / workers))))
    assert np.array_equal(stored(tmp_path / "3").data[:], expected())
    assert chunks(tmp_path / "1") == chunks(tmp_path / "3")
    assert processes.none_left()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "timeout", "message"),
    [
        ("raises", "0", "ValueError: no membrane here"),
        ("hangs", "2", "took longer than the time limit of 2 s"),
        ("hangs-in-c", "2", "took longer than the time limit of 2 s"),
        ("dies", "0", "ended by signal 9"),
    ],
)
def test_a_block_that_misbehaves_is_named_and_all_others_are_done(
    tmp_path, processes, kind, timeout, message
):
    job = processes.start(JOB, kind, tmp_path, "2", timeout)
    _, errors = job.communicate(timeout=120)
    assert job.returncode == 1
    assert "block 5, " in errors
    assert message in errors
    assert ledger(tmp_path).missing().tolist() == [5]
    others = [index for index in range(len(ledger(tmp_path).done())) if index != 5]
    assert sorted(computed(tmp_path)) == others
    assert not (tmp_path / "repeated").exists()
    assert processes.none_left()
    again = processes.start(JOB, "well", tmp_path, "2")
    again.communicate(timeout=120)
    assert again.returncode == 0
    assert sorted(computed(tmp_path)) == sorted([*others, 5])
    assert np.array_equal(stored(tmp_path).data[:], expected())


@pytest.mark.slow
def test_a_block_that_eats_the_memory_is_ended_before_the_machine_suffers(tmp_path, processes):
    # SLURM's variable is how a job learns of a limit; each of the two workers may use half of it.
    processes.environment["SLURM_MEM_PER_NODE"] = "1500"
    job = processes.start(JOB, "eats-memory", tmp_path, "2")
    most = 0
    while job.poll() is None:
        for process in processes.alive():
            try:
                most = max(most, process.memory_info().rss)
            except psutil.Error:
                continue
        time.sleep(0.05)
    _, errors = job.communicate()
    assert job.returncode == 1
    assert "block 5, " in errors and "it used more memory than its worker has" in errors
    assert most < 3 << 30
    assert ledger(tmp_path).missing().tolist() == [5]
    assert processes.none_left()


@pytest.mark.slow
def test_when_every_block_kills_its_process_the_job_ends_soon(tmp_path, processes):
    job = processes.start(JOB, "all-dies", tmp_path, "2")
    _, errors = job.communicate(timeout=180)
    assert job.returncode == 1
    assert "no other succeeded, so that the rest was not tried" in errors
    assert processes.none_left()


@pytest.mark.slow
def test_ctrl_c_ends_the_job_and_its_processes_and_keeps_finished_blocks(tmp_path, processes, wait_until):
    job = processes.start(JOB, "slow", tmp_path, "2", start_new_session=True)
    wait_until(lambda: len(computed(tmp_path)) > 4)
    os.killpg(job.pid, signal.SIGINT)
    job.communicate(timeout=60)
    assert job.returncode == 130
    assert processes.none_left()
    assert 0 < ledger(tmp_path).done().sum() < len(ledger(tmp_path).done())


@pytest.mark.slow
def test_processes_end_when_the_job_is_killed(tmp_path, processes, wait_until):
    job = processes.start(JOB, "all-hangs-in-c", tmp_path, "3", "300")
    wait_until(lambda: len(processes.alive()) >= 4)
    time.sleep(3)
    job.kill()
    job.communicate(timeout=60)
    assert processes.none_left(within=5)


@pytest.mark.slow
def test_whatever_is_killed_the_array_ends_up_the_same_and_no_finished_block_is_computed_again(
    tmp_path, processes
):
    whole = tmp_path / "undisturbed"
    assert processes.start(JOB, "well", whole, "1").wait(timeout=120) == 0
    directory = tmp_path / "disturbed"
    draws = random.Random(5)
    kills, after = 0, 1
    for _ in range(30):
        job = processes.start(JOB, "slow", directory, "2")
        while job.poll() is None:
            time.sleep(0.02)
            if kills < 8 and len(computed(directory)) >= after:
                time.sleep(draws.uniform(0, 0.2))
                victims = [process for process in processes.alive() if process.pid != job.pid]
                if processes.kill_one([*victims, psutil.Process(job.pid)], draws):
                    kills, after = kills + 1, len(computed(directory)) + draws.randint(1, 3)
        job.communicate()
        if job.returncode == 0:
            break
        assert processes.none_left()
    assert job.returncode == 0
    assert kills >= 5
    assert chunks(directory) == chunks(whole)
    assert not (directory / "repeated").exists()
    assert processes.none_left()
