"""A checkout run as users run it: snakemake on a small configuration."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from warm_python import WarmPython

ROOT = Path(__file__).parents[2]

SMALL = """
results: results
volumes:
  taught: {synthetic: {shape: [40, 40, 40], seed: 1}, voxel_size: [12, 12, 12]}
  chosen: {synthetic: {shape: [32, 32, 32], seed: 2}, voxel_size: [12, 12, 12]}
  tested: {synthetic: {shape: [40, 36, 33], seed: 3}, voxel_size: [12, 12, 12]}
runs:
  small:
    task:
      type: affinities
      neighborhood: [[1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 0], [0, 3, 0], [0, 0, 3]]
    architecture: {input_shape: [24, 24, 24], channels: [4, 8], downsample_factors: [[2, 2, 2]]}
    training: {iterations: 6, checkpoint: {interval: 3}, torch_threads: 1}
    volumes: {train: [taught], validate: [chosen], test: [tested]}
    segmentation:
      chain: mutex_watershed
      bias: [0.3, 0.5]
      checks: {max_segment_share: null, max_seam_excess: null}
execution: {threads: 1}
"""

SHARDS = "{default: 2, volume: 1, targets: 1, agglomerate: 2, evaluate: 2, objects: 2}"
# Prediction in 125 blocks, segmentation in 27; batches are made without a process of their own, which takes seconds
# to start.
BLOCKS = (
    SMALL.replace("iterations: 6", "loader_workers: 0, iterations: 6")
    .replace("channels: [4, 8]", "channels: [8, 16]")
    .replace("shape: [32, 32, 32]", "shape: [24, 24, 24]")
    .replace("    segmentation:\n", "    prediction: {block_size: [8, 8, 8]}\n    segmentation:\n")
    .replace("      bias:", "      block_size: [16, 16, 16]\n      bias:")
    .replace("{threads: 1", "{threads: 1, agglomeration_blocks: 2, shards: " + SHARDS)
)


class Checkout:
    """Runs snakemake on a configuration in a directory of its own.

    Args:
        directory: an empty directory, or that of a copied checkout.
        warm: the interpreter of Snakemake and its jobs; by default that of the tests.
    """

    def __init__(self, directory: Path, warm: WarmPython | None = None) -> None:
        self.directory = directory
        self.configuration = directory / "config.yaml"
        self.warm = warm

    def write(self, text: str = SMALL) -> None:
        self.configuration.write_text(textwrap.dedent(text))

    def change(self, old: str, new: str) -> None:
        text = self.configuration.read_text()
        assert old in text, f"{old!r} is not in the configuration"
        self.configuration.write_text(text.replace(old, new))

    def command(self, *arguments: str) -> list[str]:
        """The command line of snakemake."""
        return [
            str(self.warm.python if self.warm else sys.executable),
            "-m",
            "snakemake",
            "--snakefile",
            str(ROOT / "Snakefile"),
            "--configfile",
            str(self.configuration),
            "--cores",
            "2",
            *arguments,
        ]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of snakemake."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        environment.pop("PYTHONPATH", None)
        return environment

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        result = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=900,
        )
        if check:
            assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-6000:]
        return result

    def make(self, *parts: str) -> None:
        """Have snakemake make one file of the results."""
        self.snakemake("--", str(self.results.joinpath(*parts)))

    def copy(self, directory: Path, warm: WarmPython | None = None) -> "Checkout":
        """The checkout with all it has computed, elsewhere."""
        shutil.copytree(self.directory, directory)
        return Checkout(directory, warm)

    @property
    def results(self) -> Path:
        return self.directory / "results"

    def chunks(self, *parts: str) -> dict[str, bytes]:
        """Bytes of all chunks of an array."""
        array = self.results.joinpath(*parts)
        files = (file for file in array.rglob("*") if file.is_file() and not file.name.startswith("."))
        return {
            str(file.relative_to(array)): file.read_bytes() for file in files if ".attacca" not in file.parts
        }


@pytest.fixture(scope="session")
def checkout_of(tmp_path_factory, warm_python):
    """``checkout_of(name, text)``: a checkout whose jobs are forks of a warm interpreter; ``real=True`` starts each."""

    def make(name: str, text: str = SMALL, real: bool = False) -> Checkout:
        checkout = Checkout(tmp_path_factory.mktemp(name), None if real else warm_python())
        checkout.write(text)
        return checkout

    return make


@pytest.fixture(scope="session")
def finished(checkout_of, warm_python):
    """The small workflow, run once for all tests that look at it; tests that change it put things back.

    Its first run starts each job as users do.
    """
    checkout = checkout_of("finished", real=True)
    checkout.first = checkout.snakemake()
    checkout.warm = warm_python()
    return checkout


@pytest.fixture(scope="session")
def in_blocks(checkout_of):
    """``in_blocks(name)``: a workflow whose stages have many blocks."""
    return lambda name: checkout_of(name, BLOCKS)


@pytest.fixture(scope="session")
def trained(build_once, warm_python):
    """The same, whose next stage is the prediction of the tested volume; for tests that copy it."""

    def build(directory: Path) -> None:
        checkout = Checkout(directory, warm_python())
        checkout.write(BLOCKS)
        checkout.snakemake(
            "--", *(str(checkout.results / name) for name in ("small/tuning.json", "volumes/tested.json"))
        )

    return Checkout(build_once("trained", build), warm_python())


@pytest.fixture(scope="session")
def segmented(trained, build_once, warm_python):
    """The same, predicted and segmented by one undisturbed run."""

    def build(directory: Path) -> None:
        trained.copy(directory / "checkout", warm_python()).make("small", "tested", "segmentation.json")

    return Checkout(build_once("segmented", build) / "checkout", warm_python())
