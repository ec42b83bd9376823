"""A workflow whose predictor, loss, network, post-processor, evaluator and reader are extensions."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
import zarr

from dask_cluster import count_transitions
from extension_files import write_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def extended(checkout_of):
    """The workflow of the examples, with two worker processes per job, and a process that prepares batches."""
    checkout = checkout_of("extended")
    values = write_project(checkout.directory, threads=2)
    values["runs"]["tiny"]["training"]["loader_workers"] = 1
    values["runs"]["tiny"]["prediction"] = {"block_size": [16, 16, 16]}
    values["volumes"]["tested"]["chunk"] = [16, 16, 16]
    checkout.write(yaml.safe_dump(values, sort_keys=False))
    checkout.snakemake()
    return checkout


def apply(directory: Path, out: str, *options: str, python: Path) -> subprocess.CompletedProcess:
    command = [
        python,
        "-m",
        "attacca.cli.main",
        "apply",
        "model.zip",
        "--raw",
        "tissue.zarr",
        "--out",
        out,
        *options,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)


def test_each_part_of_the_workflow_is_the_extension(extended):
    results = extended.results
    raw = zarr.open_array(results / "volumes" / "tested.zarr" / "raw" / "s0", mode="r")
    assert np.array_equal(raw[:], np.load(extended.directory / "tested.npy"))
    scores = json.loads((results / "tiny" / "chosen" / "scores.json").read_text())["scores"]
    assert [score["name"] for score in scores] == ["agreement"]
    tuning = json.loads((results / "tiny" / "tuning.json").read_text())["result"]
    assert tuning["criterion"] == "agreement"
    assert [row["threshold"] for row in tuning["table"]] == [0.3, 0.5]
    best = max(tuning["table"], key=lambda row: row["agreement"])
    assert tuning["chosen"]["threshold"] == best["threshold"]
    assert scores[0]["value"] == pytest.approx(best["agreement"])
    container = results / "tiny" / "tested.zarr"
    prediction = zarr.open_array(container / "prediction" / "s0", mode="r")
    segmentation = zarr.open_array(container / "labels" / "segmentation" / "s0", mode="r")
    scale = dict(prediction.attrs).get("value_scale", 1 / 255)
    expected = prediction[0].astype(np.float32) * np.float32(scale) > tuning["chosen"]["threshold"]
    assert segmentation.shape == (32, 32, 32)
    assert np.array_equal(segmentation[:], expected)
    assert "agreement" in (results / "report.html").read_text()


def test_workers_of_a_dask_cluster_use_the_extensions_of_the_configuration(extended, tmp_path, scheduler):
    checkout = extended.copy(tmp_path / "copy")
    shutil.rmtree(checkout.results / "tiny" / "tested")
    shutil.rmtree(checkout.results / "tiny" / "tested.zarr")
    address = scheduler("--nthreads", "1")
    checkout.change("execution:\n", f"execution:\n  scheduler_address: {address}\n")
    before = count_transitions(address)
    checkout.make("tiny", "tested", "segmentation.json")
    # Eight blocks of the prediction and one or more of the classes went there, each in several steps.
    assert count_transitions(address) >= before + 9
    for array in ("prediction", "labels/segmentation"):
        chunks = checkout.chunks("tiny", "tested.zarr", *array.split("/"), "s0")
        assert chunks and chunks == extended.chunks("tiny", "tested.zarr", *array.split("/"), "s0")


def test_an_edited_evaluator_computes_scores_again_and_nothing_else(extended, tmp_path, warm_python):
    checkout = extended.copy(tmp_path / "copy", warm_python())
    path = checkout.directory / "above.py"
    path.write_text(path.read_text() + "\n# edited\n")
    output = checkout.snakemake("--dry-run", "--quiet", "rules").stdout
    jobs = {
        line.split()[0] for line in output.splitlines() if line.split()[-1:] and line.split()[-1].isdigit()
    }
    assert {"tune", "classes_plan", "bundle"} <= jobs
    assert not {"train", "predict_plan", "volume_plan", "targets_plan"} & jobs


def test_a_model_names_the_files_that_it_needs_and_runs_with_them_alone(extended, tmp_path, warm_python):
    shutil.copy(extended.results / "tiny" / "model.zip", tmp_path)
    shutil.copytree(extended.results / "volumes" / "tested.zarr" / "raw", tmp_path / "tissue.zarr")
    python = warm_python().python
    refused = apply(tmp_path, "out", "--only-configuration", python=python)
    assert refused.returncode == 2 or refused.returncode == 1
    for name in ("interior.py", "absolute.py", "pair.py", "above.py", "agreement.py"):
        assert name in refused.stderr
    files = [
        extended.directory / name
        for name in ("interior.py", "absolute.py", "pair.py", "above.py", "agreement.py")
    ]
    options = [option for file in files for option in ("--extension", str(file))]
    done = apply(tmp_path, "out", "--cores", "2", *options, python=python)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    arrays = [
        zarr.open_array(path / "labels" / "segmentation" / "s0", mode="r")[:]
        for path in (tmp_path / "out" / "applied" / "tissue.zarr", extended.results / "tiny" / "tested.zarr")
    ]
    assert np.array_equal(*arrays)
