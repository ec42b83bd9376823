"""Prediction and segmentation whose workers and jobs are killed again and again."""

import random
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

JOB = Path(__file__).with_name("killed_job.py")


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def chunks(directory: Path) -> dict[str, bytes]:
    files = [path for name in ("prediction", "segments") for path in (directory / f"{name}.zarr").rglob("*")]
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in files
        if path.is_file() and ".attacca" not in path.parts
    }


@pytest.mark.slow
def test_a_volume_whose_jobs_are_killed_has_the_same_prediction_and_segmentation(tmp_path, processes):
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    for directory in (calm, wild):
        directory.mkdir()
    subprocess.run([sys.executable, JOB, calm, "1"], check=True, env=processes.environment, timeout=120)
    draws = random.Random(11)
    kills, after = 0, 2
    for _ in range(12):
        job = subprocess.Popen([sys.executable, JOB, wild, "2"], env=processes.environment)
        while job.poll() is None:
            time.sleep(0.02)
            count = len(lines(wild / "predicted")) + len(lines(wild / "segmented"))
            if kills < 4 and count >= after:
                time.sleep(draws.uniform(0, 0.3))
                workers = [process for process in processes.alive() if process.pid != job.pid]
                victims = [*workers, psutil.Process(job.pid)] if job.poll() is None else workers
                if processes.kill_one(victims, draws):
                    kills, after = kills + 1, count + draws.randint(8, 40)
        if job.returncode == 0:
            break
    assert job.returncode == 0 and kills >= 2
    assert len(chunks(calm)) > 100
    assert chunks(wild) == chunks(calm)
    assert not (wild / "repeated").exists()
    end = time.monotonic() + 15
    while processes.alive():
        assert time.monotonic() < end, "processes were left behind"
        time.sleep(0.1)
