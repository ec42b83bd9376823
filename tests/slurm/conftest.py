"""A real SLURM of two nodes on this machine, for the time of the tests."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("cluster.sh")
PROGRAMS = ("sbatch", "slurmctld", "slurmd", "munged")


@dataclass
class Job:
    """A job as ``squeue`` shows it."""

    number: str
    state: str
    comment: str
    node: str


@dataclass
class Slurm:
    """The running cluster.

    Args:
        base: directory of its configuration, logs and state.
        environment: variables that ``cluster.sh`` needs.
    """

    base: Path
    environment: dict[str, str] = field(default_factory=dict)

    def script(self, *arguments: str) -> str:
        """Run ``cluster.sh`` and return its output."""
        done = subprocess.run(
            [str(SCRIPT), *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == 0, (
            f"cluster.sh {' '.join(arguments)}: {done.stdout}{done.stderr}{self.logs()}"
        )
        return done.stdout

    def jobs(self, states: str = "all") -> list[Job]:
        """Jobs of the cluster in the given states, old ones too."""
        command = ["squeue", "-h", "-t", states, "-o", "%i|%T|%k|%N"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        return [Job(*line.split("|")) for line in lines]

    def wait_for(self, what: str, condition: Callable[[], object], seconds: float = 300) -> object:
        """Wait until ``condition`` returns something true, and return that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.2)
        pytest.fail(f"no {what} within {seconds:g} s: jobs {self.jobs()}\n{self.logs()}")

    def restart_node(self, node: int) -> None:
        """Let a killed node come back, and wait until it takes jobs."""
        self.script("start-node", str(node))

    def logs(self) -> str:
        """The ends of the daemons' logs."""
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-8:])
            for path in sorted(self.base.glob("*.log"))
        )


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    """A SLURM cluster of two nodes, which is removed completely when the tests of a file end.

    A machine has one: another worker of pytest-xdist waits until it is removed.
    """
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(
            "needs root and a SLURM installation (apt-get install --no-install-recommends "
            f"slurmctld slurmd slurm-client munge); missing: {', '.join(missing) or 'root'}"
        )
    with open("/tmp/attacca-slurm.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _end_abandoned_cluster()
        if Path("/etc/slurm/slurm.conf").exists():
            pytest.skip("/etc/slurm/slurm.conf belongs to another SLURM, which is left alone")
        yield from _run_cluster()


def _run_cluster() -> Iterator[Slurm]:
    # Sockets' paths are short: a directory below pytest's own would be too long.
    base = Path(f"/tmp/attacca-slurm-{os.getpid()}")
    port = 17000 + os.getpid() % 1000 * 10
    cluster = Slurm(base, {"SLURM_TEST_BASE": str(base), "SLURM_TEST_PORT": str(port)})
    try:
        cluster.script("up")
        yield cluster
    finally:
        cluster.script("down")
        leftovers = cluster.script("leftovers")
        shutil.rmtree(base, ignore_errors=True)
    assert not leftovers, f"processes of the cluster were left running:\n{leftovers}"


def _end_abandoned_cluster() -> None:
    """End the cluster of an earlier test process that was killed before it could do so."""
    link = Path("/etc/slurm/slurm.conf")
    target = os.readlink(link) if link.is_symlink() else ""
    match = re.fullmatch(r"(/tmp/attacca-slurm-(\d+))/slurm.conf", target)
    if match and not Path("/proc", match[2]).exists():
        Slurm(Path(match[1]), {"SLURM_TEST_BASE": match[1]}).script("down")
        shutil.rmtree(match[1], ignore_errors=True)


@dataclass
class Run:
    """A running ``snakemake``; ``output`` is all that it prints."""

    process: subprocess.Popen[bytes]
    output: Path

    def finish(self, seconds: float) -> str:
        """Wait for the end and return the output; the exit code is in ``process.returncode``."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait(60)
            pytest.fail(f"snakemake did not end within {seconds:g} s:\n{self.text()[-6000:]}")
        return self.text()

    def text(self) -> str:
        """Return the output until now."""
        return self.output.read_text(errors="replace")


@pytest.fixture
def on_slurm(slurm: Slurm) -> Iterator[Callable[..., Run]]:
    """Starts ``snakemake`` with the profile for SLURM in a directory, and ends remaining processes after the test."""
    started: list[Run] = []

    def start(directory: Path, *arguments: str) -> Run:
        started.append(start_snakemake(directory, *PROFILE, *arguments))
        return started[-1]

    yield start
    for run in started:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()
    subprocess.run(["scancel", "--me"], capture_output=True)


def start_snakemake(directory: Path, *arguments: str) -> Run:
    """Start ``snakemake`` in a directory with the interpreter of the tests."""
    output = directory / "snakemake-output.txt"
    with output.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("asking_often.py")), *arguments],
            cwd=directory,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
    return Run(process, output)


PROFILE = [
    "--workflow-profile",
    str(REPOSITORY / "profiles" / "slurm"),
    "--max-threads",
    "1",
    # The cluster is this machine: files are seen at once, and jobs are short.
    "--latency-wait",
    "5",
    "--slurm-init-seconds-before-status-checks",
    "1",
]
