"""A checkout run as users run it: snakemake on a small configuration."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SMALL = """
results: results
volumes:
  learnt: {synthetic: {shape: [40, 40, 40], seed: 1}, voxel_size: [12, 12, 12]}
  chosen: {synthetic: {shape: [32, 32, 32], seed: 2}, voxel_size: [12, 12, 12]}
  tested: {synthetic: {shape: [40, 36, 33], seed: 3}, voxel_size: [12, 12, 12]}
runs:
  small:
    task:
      type: affinities
      neighborhood: [[1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 0], [0, 3, 0], [0, 0, 3]]
    architecture: {input_shape: [24, 24, 24], channels: [4, 8], downsample_factors: [[2, 2, 2]]}
    training: {iterations: 6, checkpoint: {interval: 3}, torch_threads: 1}
    volumes: {train: [learnt], validate: [chosen], test: [tested]}
    segmentation:
      chain: mutex_watershed
      bias: [0.3, 0.5]
      checks: {max_segment_share: null, max_seam_excess: null}
execution: {threads: 1}
"""


class Checkout:
    """Runs snakemake on a configuration in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.configuration = directory / "config.yaml"

    def write(self, text: str = SMALL) -> None:
        self.configuration.write_text(textwrap.dedent(text))

    def change(self, old: str, new: str) -> None:
        text = self.configuration.read_text()
        assert old in text, f"{old!r} is not in the configuration"
        self.configuration.write_text(text.replace(old, new))

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        command = [
            sys.executable,
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
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        environment.pop("PYTHONPATH", None)
        result = subprocess.run(
            command, cwd=self.directory, env=environment, capture_output=True, text=True, timeout=900
        )
        if check:
            assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-6000:]
        return result

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
def checkout_of(tmp_path_factory):
    def make(name: str, text: str = SMALL) -> Checkout:
        checkout = Checkout(tmp_path_factory.mktemp(name))
        checkout.write(text)
        return checkout

    return make


@pytest.fixture(scope="session")
def finished(checkout_of):
    """The small workflow, run once for all tests that look at it; tests that change it put things back."""
    checkout = checkout_of("finished")
    checkout.first = checkout.snakemake()
    return checkout
