"""Nuclei in background, from files to scores, with the configuration that ``attacca init`` writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from attacca.cli.main import main
from proposed_data import write_kind

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


def test_most_nuclei_are_found_and_the_background_stays_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = write_kind(tmp_path, "sparse nuclei")
    assert main(["init", data, "--minutes", "1"]) == 0
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    result = subprocess.run(
        [*map(str, command), "--configfile", "config.yaml"], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-3000:]
    (path,) = Path("results").glob("sparse-instances/*-test/scores.json")
    content = json.loads(path.read_text())
    scores = {row["name"]: row["value"] for row in content["scores"]}
    assert scores["f1_iou50"] >= 0.7
    assert "warnings" not in content
