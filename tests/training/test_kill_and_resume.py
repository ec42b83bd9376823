"""A training process that is killed with SIGKILL repeatedly has the same results as one that is not."""

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from attacca.config.evaluation import EvaluationConfig
from attacca.config.segmentation import SegmentationConfig
from attacca.config.training import TrainingConfig
from attacca.training.segmentation_validation import SegmentationValidation

SCRIPT = """
import pickle, sys
from attacca.training import train

train(pickle.load(open(sys.argv[1], "rb")))
"""

# Importing takes seconds; a process that has imported everything starts the ones that train.
STARTER = """
import os, sys
import attacca.training.segmentation_validation, attacca.tasks, attacca.training.loop, torch.utils.tensorboard
import attacca.training.records

# The state between two checkpoints, which is written once a minute, is written after each second step here.
attacca.training.records._RECOVERY_SECONDS = 0

for line in sys.stdin:
    process = os.fork()
    if process == 0:
        import pickle
        attacca.training.loop.train(pickle.load(open(line.strip(), "rb")))
        os._exit(0)
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


def files(directory: Path) -> dict[str, bytes]:
    """All files but those that hold times, and those that a killed process had not finished."""
    found = [path for path in directory.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in found
        if "tensorboard" not in path.parts and path.name != "timing.tsv" and not path.name.startswith(".")
    }


@pytest.fixture(scope="module")
def starter() -> Iterator[subprocess.Popen[str]]:
    """A process that forks a training for each line with the path of a job."""
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdin is not None and process.stdout is not None
    yield process
    process.stdin.close()
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "segmented"), [(1, False), (2, False), (3, True)], ids=["alone", "loader", "segmentations"]
)
def test_killed_at_random_moments_and_started_again_it_ends_with_the_same_bytes(
    job, volume, tmp_path, starter, seed, segmented
):
    settings = {"iterations": 24, "checkpoint": {"interval": 2}, "validation": (volume("other", seed=2),)}
    if segmented:
        # The best checkpoint is chosen by segmentations, which take longer than the steps between them.
        section = {"crops": 2, "criterion": "voi", "segmentation_interval": 4}
        settings["validation_section"] = section
        settings["validate_segmentation"] = SegmentationValidation(
            job().task,
            TrainingConfig(checkpoint={"interval": 2}, validation=section, torch_threads=1),
            EvaluationConfig(),
            SegmentationConfig(chain="mutex_watershed", bias=[0.4, 0.6], threshold=0.5, min_size=0),
            settings["validation"],
        )
    jobs = {}
    for name in ("whole", "killed"):
        # A loader process is killed with its parent in the second round.
        made = job(tmp_path / name, loader_workers=int(name == "killed" and seed == 2), **settings)
        jobs[name] = (made.directory, tmp_path / f"{name}.job")
        jobs[name][1].write_bytes(pickle.dumps(made))

    def start(name: str) -> int:
        print(jobs[name][1], file=starter.stdin, flush=True)
        return int(starter.stdout.readline())

    def status() -> int:
        return int(starter.stdout.readline())

    start("whole")
    while not list(jobs["whole"][0].glob("checkpoints/iteration_*.pt")):
        time.sleep(0.001)
    began = time.monotonic()
    assert status() == 0
    # From the first of twelve checkpoints to the end: starting takes longer than learning here.
    learning = time.monotonic() - began
    random = np.random.default_rng(seed)
    directory = jobs["killed"][0]
    kills = 0
    ended = 0
    while ended != 0 or kills == 0:
        process = start("killed")
        if kills < (12 if seed == 1 else 3):
            before = len(list(directory.glob("checkpoints/iteration_*.pt")))
            waited = time.monotonic()
            # Sometimes at once; sometimes after a checkpoint: in a step, in validation, while a file is
            # written.
            while kills % 3 and len(list(directory.glob("checkpoints/iteration_*.pt"))) <= before:
                time.sleep(0.001)
                if time.monotonic() - waited > 20 or before >= 2:
                    break
            # A sixth of it at most, on a fast machine as on a busy one: several kills before the end.
            time.sleep(float(random.uniform(0, learning / 6)))
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        ended = status()
        assert ended in (0, -signal.SIGKILL)
        kills += ended == -signal.SIGKILL
    assert kills >= 2
    assert files(directory) == files(jobs["whole"][0])
    best = json.loads((directory / "checkpoints" / "best.json").read_text())
    assert best["criterion"] == ("voi" if segmented else "loss")


@pytest.mark.slow
def test_two_processes_that_train_together_learn_as_one_with_twice_the_batch(job, tmp_path):
    from attacca.checkpoint import read_checkpoint

    architecture = {"architecture": job().architecture}
    alone = job(tmp_path / "alone", iterations=3, batch_size=2, device="cpu", **architecture)
    together = job(tmp_path / "together", iterations=3, batch_size=1, device="cpu", **architecture)
    results = {}
    for name, made, command in (
        ("alone", alone, [sys.executable]),
        (
            "together",
            together,
            [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"],
        ),
    ):
        script = tmp_path / "train_script.py"
        script.write_text(
            f"if __name__ == '__main__':\n    {SCRIPT.strip().replace(chr(10), chr(10) + '    ')}\n"
        )
        job_file = tmp_path / f"{name}.job"
        job_file.write_bytes(pickle.dumps(made))
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([*command, str(script), str(job_file)], check=True, env=environment)
        results[name] = read_checkpoint(made.directory / "checkpoints" / "iteration_00000003.pt")
    for name, value in results["alone"]["model"].items():
        # Two means of one sample, averaged, are the mean of two samples where their weights sum up to the
        # same; here nearly so.
        assert np.allclose(value, results["together"]["model"][name], atol=2e-3)
    assert (tmp_path / "together" / "metrics.tsv").read_text().count("\n") == 4
