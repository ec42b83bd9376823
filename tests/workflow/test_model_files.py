"""Model files through the workflow: the same segmentation anywhere, in one command; nothing of the training is needed."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from attacca.config.model_description import read_model_description
from attacca.manifest import read_manifest
from attacca.provenance.content_digest import digest_content
from model_files import DISTANCES, make_model_file
from warm_python import WarmPython

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

Attacca = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def attacca(warm_python: Callable[[], WarmPython]) -> Attacca:
    """``attacca(directory, *arguments)``: run the command in a directory."""

    def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(warm_python().python), "-m", "attacca.cli.main", *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True)

    return run


@pytest.fixture(scope="module")
def taught(segmented, warm_python, tmp_path_factory):
    """The segmented workflow with its model file."""
    checkout = segmented.copy(tmp_path_factory.mktemp("taught") / "project", warm_python())
    checkout.make("small", "model.json")
    return checkout


@pytest.fixture(scope="module")
def alone(taught, tmp_path_factory) -> Path:
    """A directory with nothing but a model file and a volume."""
    directory = tmp_path_factory.mktemp("alone")
    shutil.copy(taught.results / "small" / "model.zip", directory)
    shutil.copytree(taught.results / "volumes" / "tested.zarr" / "raw", directory / "tissue.zarr")
    return directory


@pytest.fixture(scope="module")
def applied(alone: Path, attacca: Attacca) -> Path:
    """The same after one command."""
    done = attacca(alone, "apply", "model.zip", "--raw", "tissue.zarr", "--out", "out", "--cores", "2")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    return alone / "out"


def test_one_command_gives_the_prediction_and_the_segmentation_of_the_training_run(taught, applied) -> None:
    for image in ("prediction", "labels/fragments", "labels/segmentation"):
        first = digest_content(str(taught.results / "small" / "tested.zarr" / image / "s0"))
        second = digest_content(str(applied / "applied" / "tissue.zarr" / image / "s0"))
        assert first.files > 1
        assert first.to_json() == second.to_json(), image


def test_the_model_file_has_the_digests_of_the_training_and_of_its_manifest(taught) -> None:
    description, digest = read_model_description(taught.results / "small" / "model.zip")
    training = read_manifest(taught.results / "small" / "training.json").result
    assert description.weights_digest == training["checkpoint_digest"]
    assert read_manifest(taught.results / "small" / "model.json").result["model_digest"] == digest
    assert description.chosen == read_manifest(taught.results / "small" / "tuning.json").result["chosen"]
    assert str(taught.directory) not in json.dumps(description.model_dump(mode="json"))


def test_an_application_has_a_report_and_provenance_and_no_training(applied: Path) -> None:
    assert (applied / "report.html").is_file()
    provenance = json.loads((applied / "applied" / "provenance.json").read_text())
    _, digest = read_model_description(applied / "model.zip")
    run = provenance["configuration"]["runs"]["applied"]
    assert run["model"]["digest"] == digest
    assert "training" not in run
    assert provenance["outputs"]["unpack"]["applied"]["checkpoint digest"]
    assert not list(applied.glob("*/targets"))


def test_the_same_command_computes_nothing_again_also_after_a_move(
    applied: Path, attacca: Attacca, tmp_path: Path
) -> None:
    shutil.copytree(applied.parent, tmp_path / "moved", copy_function=shutil.copy2)
    moved = tmp_path / "moved"
    (moved / "renamed").mkdir()
    (moved / "model.zip").rename(moved / "renamed" / "other.zip")
    before = (moved / "out" / "applied" / "tissue" / "segmentation.json").stat().st_mtime_ns
    command = ("apply", "renamed/other.zip", "--raw", "tissue.zarr", "--out", "out", "--cores", "2")
    done = attacca(moved, *command)
    assert done.returncode == 0, done.stderr[-5000:]
    assert "Nothing to be done" in done.stdout + done.stderr
    assert (moved / "out" / "applied" / "tissue" / "segmentation.json").stat().st_mtime_ns == before


def test_another_model_recomputes_the_prediction(applied: Path, attacca: Attacca, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(applied.parent, other, copy_function=shutil.copy2)
    values = yaml.safe_load((other / "out" / "config.yaml").read_text())
    description, _ = read_model_description(applied / "model.zip")
    make_model_file(
        other / "other.zip",
        task=description.task,
        architecture=description.architecture,
        voxel_size=description.voxel_size,
    )
    done = attacca(
        other, "apply", "other.zip", "--raw", "tissue.zarr", "--out", "out", "--only-configuration"
    )
    assert done.returncode == 0, done.stderr
    status = attacca(other, "status", "out", "--json")
    states = {item["stage"]: item["state"] for item in json.loads(status.stdout)}
    assert (states["unpack"], states["volume"]) == ("stale", "done")
    assert values["runs"]["applied"]["model"] == "model.zip"


def test_labels_are_scored_and_a_voxelwise_model_keeps_its_threshold(
    taught, attacca: Attacca, tmp_path: Path
) -> None:
    make_model_file(
        tmp_path / "model.zip", DISTANCES, voxel_size=[12, 12, 12], chosen={"id": 1, "threshold": 0.01}
    )
    volume = taught.results / "volumes" / "tested.zarr"
    shutil.copytree(volume / "raw", tmp_path / "raw.zarr")
    shutil.copytree(volume / "labels" / "ground_truth", tmp_path / "labels.zarr")
    done = attacca(
        tmp_path,
        *(
            "apply",
            "model.zip",
            "--raw",
            "raw.zarr",
            "--labels",
            "labels.zarr",
            "--out",
            "out",
            "--cores",
            "2",
        ),
        *("--set", "execution.threads=1"),
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    assert read_manifest(tmp_path / "out/applied/tuning.json").result["chosen"]["threshold"] == 0.01
    assert (tmp_path / "out/applied/raw/scores.json").is_file()


def test_a_training_starts_from_the_weights_of_a_model(taught, tmp_path: Path, warm_python) -> None:
    checkout = taught.copy(tmp_path / "project", warm_python())
    shutil.copy(taught.results / "small" / "model.zip", checkout.directory)
    values = yaml.safe_load(checkout.configuration.read_text())
    first = values["runs"]["small"]
    values["runs"] = {
        "further": {
            "model": "model.zip",
            "training": {**first["training"], "iterations": 3},
            "volumes": {"train": ["taught"], "validate": ["chosen"]},
        }
    }
    checkout.configuration.write_text(yaml.safe_dump(values))
    checkout.make("further", "training.json")
    report = json.loads((checkout.results / "further/training/initial_weights.json").read_text())
    assert "missing" not in report["summary"]
    manifest = (checkout.results / "further/training.json").read_text()
    assert str(checkout.directory) not in manifest
    _, digest = read_model_description(checkout.directory / "model.zip")
    assert read_manifest(checkout.results / "further/training.json").parameters["task"]["weights"] == digest
