import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from attacca.architectures.intensity import Intensity
from attacca.config.tasks import AffinitiesTaskConfig
from attacca.config.training import TrainingConfig
from attacca.errors import TrainingError
from attacca.training.loader import BatchLoader
from attacca.training.pipeline import SampleSpec


@pytest.fixture
def spec(volume):
    def make(**changes) -> SampleSpec:
        settings = {
            "volumes": (volume(),),
            "task": AffinitiesTaskConfig(neighborhood=[[1, 0, 0], [0, 1, 0]]),
            "training": TrainingConfig(),
            "input_shape": (8, 8, 8),
            "output_shape": (8, 8, 8),
            "intensity": Intensity(0, 255),
            "seed": 3,
            "class_counts": ([{0: (10, 100), 1: (90, 100)}] * 2, None),
        }
        return SampleSpec(**{**settings, **changes})

    return make


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition, seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def same(a, b) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in ("raw", "target", "weight"))


@pytest.mark.slow
def test_batches_do_not_depend_on_workers_nor_on_a_worker_that_was_killed(spec):
    with BatchLoader(spec(), 2, 9, workers=0) as loader:
        expected = list(loader)
    assert len(expected) == 7
    with BatchLoader(spec(), 2, 9, workers=2, prefetch=2) as loader:
        found = [next(loader)]
        victim = loader._workers[1].process
        os.kill(victim.pid, signal.SIGKILL)
        found.extend(loader)
        processes = [worker.process for worker in loader._workers]
        assert victim not in processes
        with pytest.raises(StopIteration):
            next(loader)
    assert all(same(a, b) for a, b in zip(expected, found, strict=True))
    assert all(process.poll() is not None for process in processes)
    # A batch can be kept and changed after its loader was closed.
    assert found[0]["raw"].shape == (1, 1, 8, 8, 8)
    found[0]["raw"][:] = 2
    assert found[0]["raw"].sum() == 2 * 8**3


def test_a_worker_that_dies_again_and_again_is_reported(spec, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        BatchLoader(spec(), 0, 4, workers=1) as loader,
        pytest.raises(TrainingError, match=r"died 3 times at iteration 0 \(exit code 1\)"),
    ):
        next(loader)


@pytest.mark.slow
def test_the_cause_of_a_failed_batch_is_reported(spec):
    impossible = TrainingConfig(min_masked=1.0)
    sparse = spec(training=impossible, input_shape=(80, 80, 80), output_shape=(80, 80, 80))
    with (
        BatchLoader(sparse, 0, 1, workers=1) as loader,
        pytest.raises(TrainingError, match="500 random samples in a row of volume cells"),
    ):
        next(loader)


@pytest.mark.slow
def test_workers_end_with_a_parent_that_is_killed(spec, tmp_path):
    import pickle

    (tmp_path / "spec").write_bytes(pickle.dumps(spec()))
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(
            """
            import pickle, sys, time
            from attacca.training.loader import BatchLoader

            loader = BatchLoader(pickle.load(open(sys.argv[1], "rb")), 0, 100, workers=1)
            next(loader)
            print(*(worker.process.pid for worker in loader._workers), flush=True)
            time.sleep(600)
            """
        )
    )
    parent = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "spec")], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    workers = [int(number) for number in parent.stdout.readline().split()]
    assert len(workers) == 1 and all(alive(worker) for worker in workers)
    parent.kill()
    parent.wait()
    assert wait_until(lambda: not any(alive(worker) for worker in workers))
