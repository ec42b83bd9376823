"""Locks and jobs that a killed Snakemake leaves."""

import os
import socket
import subprocess
import sys
import time

import psutil
import pytest

from attacca.errors import ConfigurationError
from attacca.jobs import snakemake_process
from attacca.jobs.snakemake_process import PROCESS_VARIABLE, release_stale_lock

HERE = socket.gethostname()


@pytest.fixture(autouse=True)
def release():
    """Release the locks of a test at its end."""
    yield
    for handle in snakemake_process._held:
        os.close(handle)
    snakemake_process._held.clear()


@pytest.fixture
def left_behind(tmp_path):
    """Lock files as Snakemake writes them, for results and for something else."""
    locks = tmp_path / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (locks / "0.input.lock").write_text(f"data/raw.h5\n{tmp_path}/results/volumes/a.json\n")
    (locks / "0.output.lock").write_text(f"{tmp_path}/results/volumes/a.json\n")
    (locks / "1.output.lock").write_text("/elsewhere/results/volumes/a.json\n")
    return locks


def names(locks):
    return sorted(path.name for path in locks.iterdir())


def test_locks_of_a_killed_workflow_are_removed_and_those_of_others_are_kept(tmp_path, left_behind):
    release_stale_lock(tmp_path / "results", HERE, tmp_path / ".snakemake")
    assert names(left_behind) == ["1.output.lock"]


def test_a_working_directory_without_write_permission_gives_one_message(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigurationError, match=r"no file can be created in .*\.snakemake .*--directory"):
        release_stale_lock(tmp_path / "results", "", snakemake=file / ".snakemake")


def test_locks_of_a_workflow_that_runs_are_kept(tmp_path, left_behind):
    before = names(left_behind)
    held = left_behind.rename(tmp_path / "aside")
    release_stale_lock(tmp_path / "results", HERE, tmp_path / ".snakemake")
    held.rename(left_behind)
    release_stale_lock(tmp_path / "results", HERE, tmp_path / ".snakemake")
    assert names(left_behind) == before


@pytest.mark.parametrize("host", ["", "another-machine"])
def test_locks_that_another_machine_may_hold_are_kept(tmp_path, left_behind, host):
    before = names(left_behind)
    release_stale_lock(tmp_path / "results", host, tmp_path / ".snakemake")
    assert names(left_behind) == before


# As Snakemake starts a job: through a shell, from a process whose number the job finds in its environment.
PARENT = f"""
import os, subprocess, sys
os.environ["{PROCESS_VARIABLE}"] = str(os.getpid())
subprocess.run(["bash", "-c", 'set -eu; "$0" -c "$1"; true', sys.executable, sys.argv[1]])
"""
JOB = """
import os, sys, time
from attacca.jobs.snakemake_process import end_with_snakemake
{before}
end_with_snakemake()
print(os.getpid(), flush=True)
time.sleep(1000)
"""


def ended(pid: int, within: float = 60.0) -> bool:
    end = time.monotonic() + within
    try:
        process = psutil.Process(pid)
        while process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > end:
                process.kill()
                return False
            time.sleep(0.05)
    except psutil.NoSuchProcess:
        pass
    return True


def test_a_job_ends_with_the_snakemake_that_started_it():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, JOB.format(before="")], stdout=subprocess.PIPE, text=True
    )
    job = int(parent.stdout.readline())
    assert psutil.pid_exists(job)
    parent.kill()
    parent.wait()
    assert ended(job)


def test_a_job_whose_snakemake_was_killed_before_it_looked_ends_at_once():
    waits = "print(os.getpid(), flush=True)\nsys.stdin.read()"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, JOB.format(before=waits)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    job = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdin.close()
    assert ended(job)


def test_a_stage_started_by_hand_continues():
    program = JOB.format(before="").replace("time.sleep(1000)", "time.sleep(1)")
    environment = {key: value for key, value in os.environ.items() if key != PROCESS_VARIABLE}
    unrelated = subprocess.Popen(["sleep", "60"])
    for number in ("", str(unrelated.pid)):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**environment, PROCESS_VARIABLE: number} if number else environment,
            timeout=60,
        )
        assert done.returncode == 0
    unrelated.kill()
    unrelated.wait()
