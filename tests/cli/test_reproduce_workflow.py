"""``attacca reproduce`` from end to end: the same digests again, and the first difference with another seed."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiny_configuration import tiny_configuration
from warm_python import WarmPython

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

REPOSITORY = Path(__file__).resolve().parents[2]
STAGES = (
    "volume",
    "targets",
    "train",
    "predict",
    "tune",
    "bundle",
    "fragments",
    "graph",
    "agglomerate",
    "relabel",
    "evaluate",
    "objects",
)


def configuration(seed: int) -> dict[str, Any]:
    return tiny_configuration(tested=False, seed=seed)


Python = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def python(warm_python: Callable[[], WarmPython]) -> Python:
    """``python(directory, module, *arguments)``: run a module."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(warm_python().python), "-m", *arguments]
        return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)

    return run


@pytest.fixture(scope="module")
def finished(python: Python, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("first")
    (directory / "config.yaml").write_text(yaml.safe_dump(configuration(seed=5)))
    done = python(
        directory,
        "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--configfile", "config.yaml", "--cores", "2",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    return directory


def compared(output: str) -> dict[str, set[str]]:
    """Return the verdicts on each stage's digests from the output of ``attacca reproduce``."""
    found: dict[str, set[str]] = {}
    for stage, verdict in re.findall(r"^(\w+) +\S+ +(equal|differ) *$", output, flags=re.MULTILINE):
        found.setdefault(stage, set()).add(verdict)
    return found


def test_the_same_configuration_gives_the_same_digests_and_another_seed_differs_from_training_on(
    python, finished
):
    again = finished / "again"
    command = ["attacca.cli.main", "reproduce", "results", "--into", str(again), "--cores", "2"]
    done = python(finished, *command)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    assert compared(done.stdout) == {stage: {"equal"} for stage in STAGES}
    assert f"all digests of {finished / 'results'} and {again} are equal" in done.stdout

    done = python(finished, *command)
    assert done.returncode == 2, done.stdout[-3000:] + done.stderr[-5000:]
    assert "nothing would be computed" in done.stderr

    (finished / "changed.yaml").write_text(yaml.safe_dump(configuration(seed=6)))
    command[4] = str(finished / "changed")
    done = python(finished, *command, "--configfile", "changed.yaml")
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-5000:]
    found = compared(done.stdout)
    assert found["volume"] == found["targets"] == {"equal"}
    assert found["train"] == found["predict"] == {"differ"}
    assert re.search(r"the first difference is in train of tiny:\n(.*\n)*?.*seed was 5 and is 6", done.stdout)
