"""A job holds a lock while it runs; the lock is released however the job ends, and never delays it."""

import fcntl
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from attacca.errors import ResourceError
from attacca.jobs.job_locks import (
    describe_running_workflow,
    hold_job_lock,
    hold_workflow_lock,
    job_file,
    locked_inodes,
)
from attacca.progress import Progress

STAGE = """
import sys, time
from attacca.progress import Progress
from attacca.jobs.stage_main import stage_main
from attacca.stages.tune import TUNE

def work(arguments):
    Progress("tune first", total=7, done=2, stream=sys.stdout).finish()
    time.sleep(1000)

sys.exit(stage_main(TUNE, work))
"""


def is_locked(path: Path) -> bool:
    return path.exists() and path.stat().st_ino in locked_inodes()


def test_a_job_of_a_stage_is_seen_until_it_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "tune.log"
    command = [sys.executable, "-c", STAGE, "run", "--output", tmp_path / "tuning.json", "--log", log]
    job = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    assert job.stdout is not None and "2/7" in job.stdout.readline()
    assert is_locked(job_file(log))
    job.send_signal(signal.SIGKILL)
    job.wait(timeout=60)
    assert job_file(log).exists() and not is_locked(job_file(log))
    with hold_job_lock(log):
        assert is_locked(job_file(log))
    assert not job_file(log).exists()


def test_the_file_contains_the_progress_of_the_job(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    with hold_job_lock(log):
        progress = Progress("train", total=1000, interval=0, stream=io.StringIO())
        for _ in range(12):
            progress.advance(50)
        values = json.loads(job_file(log).read_text())
    assert (values["done"], values["total"], values["process"]) == (600, 1000, os.getpid())


def test_a_job_runs_although_its_file_is_locked_or_cannot_be_written(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    with open(job_file(log), "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with hold_job_lock(log):
            pass
        assert job_file(log).exists()
    with hold_job_lock(tmp_path / "nowhere" / "train.log"), hold_job_lock(None):
        pass


def test_a_second_workflow_is_refused_with_the_process_of_the_first_until_that_ends(tmp_path: Path) -> None:
    results = tmp_path / "new"
    assert describe_running_workflow(results) == ""
    code = (
        "import sys, time; from pathlib import Path; from attacca.jobs.job_locks import hold_workflow_lock\n"
        "handle = hold_workflow_lock(Path(sys.argv[1])); print('held', flush=True); time.sleep(1000)"
    )
    first = subprocess.Popen([sys.executable, "-c", code, str(results)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None and first.stdout.readline() == "held\n"
    with pytest.raises(ResourceError, match=rf"\(process {first.pid} on .*\).*attacca status"):
        hold_workflow_lock(results)
    first.send_signal(signal.SIGKILL)
    first.wait(timeout=60)
    assert describe_running_workflow(results) == ""
    handle = hold_workflow_lock(results)
    assert handle is not None
    os.close(handle)
