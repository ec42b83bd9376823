"""Checkpoints may be deleted when everything is computed; a new prediction trains again."""

import shutil
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_a_prediction_whose_checkpoints_were_deleted_trains_again_and_gives_the_same_checkpoint(
    trained, tmp_path
):
    checkout = trained.copy(tmp_path / "checkout", trained.warm)
    checkpoints = checkout.results / "small" / "training" / "checkpoints"
    manifest = checkout.results / "small" / "training.json"
    before = {path.name: path.read_bytes() for path in checkpoints.iterdir()}, manifest.read_text()
    shutil.rmtree(checkpoints)
    status = [sys.executable, "-m", "attacca.cli.main", "status", "results"]
    output = subprocess.run(
        status, cwd=checkout.directory, env=checkout.environment, capture_output=True, text=True, check=True
    ).stdout
    assert "small/training/checkpoints/*.pt" in output

    done = checkout.snakemake("--", str(checkout.results / "small" / "tested" / "prediction.json"))
    assert "rule train:" in done.stderr
    assert ({path.name: path.read_bytes() for path in checkpoints.iterdir()}, manifest.read_text()) == before
    assert (checkout.results / "small" / "tested" / "prediction.json").exists()
