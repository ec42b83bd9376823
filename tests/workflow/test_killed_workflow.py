"""A workflow whose workers, jobs and Snakemake itself are killed at random moments, and started again."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

TARGET = ("small", "tested", "segmentation.json")


class Run:
    """Starts snakemake repeatedly, and checks the records of its jobs."""

    def __init__(self, checkout, processes) -> None:
        self.checkout = checkout
        self.processes = processes
        self.records: dict[Path, bytes] = {}
        self.lost: list[Path] = []

    def start(self) -> subprocess.Popen:
        target = str(self.checkout.results.joinpath(*TARGET))
        with open(self.checkout.directory / "output.txt", "ab") as output:
            return self.processes.start(
                *self.checkout.command("--", target)[1:],
                cwd=self.checkout.directory,
                env={**self.checkout.environment, **self.processes.mark},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def recorded(self) -> int:
        """Return the blocks in the ledgers; blocks that were there before must still be there."""
        run = self.checkout.results / "small"
        for path in [
            *run.glob("tested.zarr/**/s0/.attacca/ledger/*.txt"),
            *run.glob("tested/graph/.attacca/ledger/*.txt"),
        ]:
            data = path.read_bytes()
            whole = data[: data.rfind(b"\n") + 1]
            if not whole.startswith(self.records.get(path, b"")):
                self.lost.append(path)
            self.records[path] = whole
        return sum(whole.count(b"\n") - 1 for whole in self.records.values() if whole)

    def blocks(self) -> dict[str, list[int]]:
        """The recorded blocks of each stage."""
        self.recorded()
        found: dict[str, list[int]] = {}
        for path, lines in self.records.items():
            found.setdefault(str(path.parent), []).extend(map(int, lines.split(b"\n")[1:-1]))
        return found


def victims(snakemake: subprocess.Popen, kind: str) -> list[psutil.Process]:
    """The processes of a kind below a running Snakemake: ``snakemake`` itself, ``job`` or ``worker``."""
    try:
        this = psutil.Process(snakemake.pid)
        if kind == "snakemake":
            return [this]
        below = this.children(recursive=True)
        jobs = [process for process in below if "-m attacca.stages." in " ".join(process.cmdline()[1:3])]
        if kind == "job":
            return jobs
        return [
            child
            for job in jobs
            for child in job.children()
            if "attacca.blockwise.worker" in " ".join(child.cmdline())
        ]
    except psutil.Error:
        return []


def files(checkout) -> dict[str, bytes]:
    """Return all outputs of stages after training for the volume ``tested``; they do not depend on the shards."""
    run = checkout.results / "small"
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in [*(run / "tested").rglob("*"), *(run / "tested.zarr").rglob("*")]
        # What a killed process had not finished writing stays beside, under a name of its own.
        if path.is_file()
        and ".attacca" not in path.parts
        and path.suffix != ".partial"
        and ".shard-" not in path.name
    }


def test_whatever_is_killed_the_same_command_ends_with_the_same_bytes_and_computes_no_finished_block_again(
    trained, segmented, tmp_path, processes
):
    draws = random.Random(5)
    wild = trained.copy(tmp_path / "wild")
    wild.change("{threads: 1, agg", "{threads: {predict: 2, default: 1}, agg")
    wild.change("shards: {", "shards: {predict: 1, ")
    run = Run(wild, processes)
    calm = Run(segmented, processes).blocks()
    predicted = len(calm[str(segmented.results / "small/tested.zarr/prediction/s0/.attacca/ledger")])
    total = sum(map(len, calm.values()))
    # Workers are there while the network predicts; the others fall at any time.
    planned = [(draws.randrange(predicted // 2), "worker") for _ in range(2)]
    planned += [
        (draws.randrange(total), kind) for kind in ("job", "job", "snakemake", "snakemake", "snakemake")
    ]
    planned.sort()
    killed: list[str] = []
    for _ in range(20):
        snakemake = run.start()
        while snakemake.poll() is None:
            time.sleep(0.01)
            if (
                planned
                and run.recorded() >= planned[0][0]
                and processes.kill_one(victims(snakemake, planned[0][1]), draws)
            ):
                killed.append(planned.pop(0)[1])
        assert processes.none_left(60), processes.alive()
        if snakemake.returncode == 0:
            break
    output = (wild.directory / "output.txt").read_text()
    assert snakemake.returncode == 0, output[-5000:]
    assert killed.count("snakemake") == 3 and len(killed) >= 5, killed
    assert run.blocks().keys() == {
        name.replace(str(segmented.directory), str(wild.directory)) for name in calm
    }
    for name, blocks in run.blocks().items():
        assert sorted(blocks) == list(range(len(blocks))), name
    assert not run.lost
    assert total == sum(map(len, run.blocks().values())) > 200
    assert files(wild) == files(segmented)


def test_ctrl_c_ends_the_workflow_and_all_its_processes_and_keeps_finished_results(
    trained, tmp_path, processes
):
    interrupted = trained.copy(tmp_path / "interrupted")
    interrupted.change("{threads: 1", "{threads: {predict: 2, default: 1}")
    run = Run(interrupted, processes)
    snakemake = run.start()
    while run.recorded() < 5:
        assert snakemake.poll() is None
        time.sleep(0.01)
    # A terminal sends the signal to all processes of the group.
    os.killpg(snakemake.pid, signal.SIGINT)
    assert snakemake.wait(timeout=120) != 0
    assert processes.none_left(60)
    assert not run.lost and run.recorded() >= 5
    assert not list((interrupted.directory / ".snakemake" / "locks").glob("*"))
    assert "Traceback" not in (interrupted.directory / "output.txt").read_text()
