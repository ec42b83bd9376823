"""Errors of users: each is reported by one message, without a traceback, with an exit code other than 0."""

import os
import subprocess

import h5py
import numpy as np
import pytest
import zarr
from PIL import Image

from attacca.cli.main import main
from attacca.jobs.job_locks import hold_workflow_lock

CONFIG = """
results: results
volumes:
  cube:
    raw: {{ path: {raw} }}
    labels: {{ {labels} }}
    voxel_size: [10, 10, 10]
    unit: nanometer
    {more}
runs:
  first:
    task: {{type: affinities, neighborhood: {neighborhood} }}
    architecture: {{input_shape: [24, 24, 24], channels: [4, 8], downsample_factors: [[2, 2, 2]]}}
    training: {{iterations: 2, checkpoint: {{interval: 2}}, torch_threads: 1}}
    volumes: {{train: [cube]}}
execution: {{threads: 1}}
"""
NEAREST = "[[1, 0, 0], [0, 1, 0], [0, 0, 1]]"


@pytest.fixture
def project(tmp_path):
    """A stack of 12 sections with labels, and a way to write a configuration for it."""
    raw = tmp_path / "raw"
    raw.mkdir()
    generator = np.random.default_rng(0)
    for z in range(32):
        Image.fromarray(generator.integers(0, 255, (32, 32), dtype=np.uint8)).save(raw / f"{z:03d}.png")
    labels = np.zeros((32, 32, 32), np.uint32)
    labels[:, :16], labels[:, 16:] = 1, 2
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        file["labels"] = labels
        file["probabilities"] = labels.astype(np.float32) / 3
        file["empty"] = np.zeros_like(labels)
        file["plane"] = labels[0]
        far = file.create_dataset("far", data=labels)
        far.attrs["offset"] = [5000, 0, 0]
        far.attrs["resolution"] = [10, 10, 10]
    zarr.save_array(str(tmp_path / "other.zarr"), np.zeros((8, 8, 8, 3, 2), np.uint8))

    def write(labels="path: labels.h5, dataset: labels", raw="raw", neighborhood=NEAREST, more=""):
        path = tmp_path / "config.yaml"
        path.write_text(CONFIG.format(labels=labels, raw=raw, neighborhood=neighborhood, more=more))
        return path

    return write


def refused(capsys, path):
    """Return the message of ``attacca check``; the workflow makes the same checks before any job."""
    code = main(["check", str(path)])
    message = capsys.readouterr().err
    assert code not in (0, None)
    assert "Traceback" not in message
    return message


def test_a_good_project_passes(capsys, project):
    assert main(["check", str(project())]) == 0
    assert "no problems" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"raw": "rav"}, ["volumes.cube", "rav", "raw"], id="missing file"),
        pytest.param({"labels": "path: lables.h5, dataset: labels"}, ["lables.h5", "labels.h5"], id="missing labels"),
        pytest.param({"labels": "path: labels.h5, dataset: label"}, ["labels.h5", "label", "probabilities"], id="unknown data set"),
        pytest.param({"labels": "path: labels.h5, dataset: probabilities"}, ["float32", "whole"], id="float labels"),
        pytest.param({"labels": "path: labels.h5, dataset: plane"}, ["axes"], id="labels with another number of axes"),
        pytest.param({"labels": "path: labels.h5, dataset: far"}, ["overlap"], id="labels beside the image"),
        pytest.param({"more": "roi: {offset: [0, 0, 9000], shape: [100, 100, 100]}"}, ["roi"], id="region outside"),
        pytest.param({"neighborhood": "[[1, 0], [0, 1]]"}, ["neighborhood", "3D"], id="neighborhood of another dimension"),
        pytest.param({"neighborhood": "[[3, 0, 0], [0, 3, 0]]"}, ["nearest-neighbor"], id="neighborhood without neighbors"),
        pytest.param({"raw": "other.zarr"}, ["other.zarr", "axes"], id="image with five axes"),
        pytest.param({"raw": "labels.h5"}, ["labels.h5", "5 data sets", "name one"], id="several data sets and none named"),
    ],
)  # fmt: skip
def test_a_problem_is_reported_before_anything_is_computed(capsys, project, changes, expected):
    message = refused(capsys, project(**changes))
    for part in expected:
        assert part in message, message


def test_all_problems_of_a_volume_are_reported_at_once_with_the_lines_of_its_keys(capsys, project):
    path = project(raw="rav", labels="path: labels.h5, dataset: label", more="mask: { path: mask.tif }")
    message = refused(capsys, path)
    lines = path.read_text().splitlines()
    for key, found in (("raw.path", "'rav'"), ("labels.dataset", "'label'"), ("mask.path", "'mask.tif'")):
        number = next(n for n, line in enumerate(lines, 1) if key.partition(".")[0] + ":" in line)
        assert f"volumes.cube.{key} (line {number})\n  found:    {found}\n  problem:" in message
    assert "3 problems" in message and "expected: /" not in message


def test_missing_data_name_the_variable_that_holds_their_path(capsys, project, monkeypatch):
    monkeypatch.delenv("EM_DATA", raising=False)
    path = project(raw='"${EM_DATA:-elsewhere}/raw"')
    assert "the environment variable EM_DATA is not set and its default 'elsewhere' is used" in refused(
        capsys, path
    )
    monkeypatch.setenv("EM_DATA", str(path.parent))
    assert main(["check", str(path)]) == 0


def test_a_probably_unintended_value_is_reported_as_a_warning(capsys, project, tmp_path):
    (tmp_path / "raw" / "031.png").rename(tmp_path / "raw" / "032.png")
    assert main(["check", str(project())]) == 0
    assert "warning: volumes.cube:" in (message := capsys.readouterr().err) and "31 is missing" in message


def test_an_unreadable_hdf5_file_is_named(capsys, project, tmp_path):
    (tmp_path / "broken.h5").write_bytes(b"this is not HDF5" * 100)
    message = refused(capsys, project(labels="path: broken.h5, dataset: labels"))
    assert "broken.h5" in message


def test_a_broken_section_is_named(capsys, project, tmp_path):
    Image.fromarray(np.zeros((20, 32), np.uint8)).save(tmp_path / "raw" / "005.png")
    message = refused(capsys, project())
    assert "005.png" in message
    assert "32" in message


def test_a_network_that_does_not_fit_its_input_names_sizes_that_do(capsys, project):
    path = project()
    path.write_text(path.read_text().replace("input_shape: [24, 24, 24]", "input_shape: [25, 24, 24]"))
    message = refused(capsys, path)
    assert "runs.first.architecture.input_shape" in message
    assert "24" in message and "26" in message


def test_a_flat_input_that_leaves_nothing_for_the_last_convolution_is_reported(capsys, project):
    path = project()
    flat = (
        path.read_text()
        .replace(f"{{type: affinities, neighborhood: {NEAREST} }}", "{type: one_hot, classes: [a, b, c]}")
        .replace("input_shape: [24, 24, 24]", "input_shape: [1, 24, 24]")
        .replace("[[2, 2, 2]]", "[[1, 2, 2]], kernel_sizes: [[1, 3, 3], [1, 3, 3]]")
    )
    path.write_text(flat.replace("classes: [a, b, c]", "classes: [a, b, c], kernel_size: 3"))
    message = refused(capsys, path)
    assert "leaves [1, 24, 24]" in message and "kernel_size: 1" in message
    # Without a configured size, the last convolution is as flat as the input.
    for text in (flat, flat.replace("classes: [a, b, c]", "classes: [a, b, c], kernel_size: 1")):
        path.write_text(text)
        assert main(["check", str(path)]) == 0


def test_a_training_volume_without_labels_is_refused(capsys, project):
    path = project()
    path.write_text(
        "".join(line for line in path.read_text().splitlines(keepends=True) if "labels:" not in line)
    )
    assert "which has no labels" in refused(capsys, path)


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ("evaluation: {criterion: vio}", "runs.first.evaluation.criterion"),
        ("segmentation: {criterion: vio}", "runs.first.segmentation.criterion"),
    ],
)
def test_an_unknown_criterion_is_reported_before_days_of_training(capsys, project, section, place):
    path = project()
    path.write_text(path.read_text().replace("    volumes: {train", f"    {section}\n    volumes: {{train"))
    message = refused(capsys, path)
    assert place in message and "'vio'" in message and "adapted_rand_error" in message


@pytest.mark.parametrize("name", ["vio", "loss"])
def test_only_a_known_criterion_chooses_checkpoints(capsys, project, name):
    path = project()
    validation = f"validation: {{criterion: {name}, segmentation_interval: 2}}"
    path.write_text(path.read_text().replace("torch_threads: 1}", f"torch_threads: 1, {validation}}}"))
    if name == "loss":
        assert main(["check", str(path)]) == 0
    else:
        message = refused(capsys, path)
        assert "runs.first.training.validation.criterion" in message and "loss or one of voi" in message


@pytest.mark.parametrize("command", ["check", "plan"])
@pytest.mark.parametrize(
    ("section", "place", "expected"),
    [
        pytest.param("prediction: {block_size: [1, 1, 1]}", "prediction.block_size", "[2, 2, 2]", id="smaller than the period"),
        pytest.param("prediction: {block_size: [17, 16, 16]}", "prediction.block_size", "use [16, 16, 16]", id="no multiple"),
        pytest.param("prediction: {tile_size: [8, 8, 8], block_size: [12, 8, 8]}", "prediction.block_size", "[8, 8, 8]", id="no multiple of the tile"),
    ],
)  # fmt: skip
def test_blocks_that_stages_after_the_training_would_refuse_are_reported_before_it(
    capsys, project, command, section, place, expected
):
    path = project()
    path.write_text(
        path.read_text().replace("    volumes: {train: [cube]}", f"    {section}\n    volumes: {{train: [cube], test: [other]}}")
        .replace("runs:", "  other: {synthetic: {shape: [48, 48, 48]}, voxel_size: [10, 10, 10]}\nruns:")
    )  # fmt: skip
    assert main([command, str(path)]) == 2
    message = capsys.readouterr().err
    assert f"runs.first.{place} (line " in message and expected in message


@pytest.mark.parametrize(
    "section",
    [
        "prediction: {block_size: [16, 16, 32]}",
        "segmentation: {block_size: [50, 50, 50]}",
        # Blocks of the segmentation need not consist of blocks of the prediction.
        "prediction: {block_size: [16, 16, 16]}\n    segmentation: {block_size: [24, 17, 16]}",
    ],
)
def test_blocks_that_fit_pass(capsys, project, section):
    path = project()
    path.write_text(path.read_text().replace("    volumes: {train", f"    {section}\n    volumes: {{train"))
    assert main(["check", str(path)]) == 0


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("labels.h5", "is a file"),
        ("labels.h5/results", "labels.h5, which is a file"),
        ("nowhere", "a broken link"),
        ("/proc/results", "no file can be created in /proc"),
    ],
)
@pytest.mark.parametrize("key", ["results", "storage"])
def test_a_path_that_cannot_be_written_is_reported_before_any_job(
    capsys, project, tmp_path, monkeypatch, key, place, expected
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nowhere").symlink_to("gone")
    path = project()
    text = path.read_text().replace("results: results\n", "")
    path.write_text(f"{key}: {place}\n{text}")
    message = refused(capsys, path)
    assert f"{key} (line 1)" in message and expected in message


def test_a_check_for_problems_leaves_no_files(project, tmp_path):
    path = project()
    before = sorted(tmp_path.iterdir())
    assert main(["check", str(path)]) == 0
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_snakemake_reports_an_invalid_results_path_without_a_traceback(project, checkout_of):
    checkout = checkout_of("no-place")
    checkout.configuration = project()
    checkout.change("results: results", "results: labels.h5/results")
    result = checkout.snakemake(check=False)
    assert result.returncode == 2
    assert "labels.h5, which is a file" in result.stderr
    assert "Traceback" not in result.stderr and "Error" not in result.stderr


@pytest.mark.slow
def test_labels_without_an_annotated_voxel_stop_the_workflow_with_a_message(project, checkout_of):
    path = project(labels="path: labels.h5, dataset: empty")
    checkout = checkout_of("empty-labels")
    checkout.configuration = path
    result = checkout.snakemake(check=False)
    assert result.returncode != 0
    assert "label" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_snakemake_reports_problems_without_a_traceback(project, checkout_of):
    checkout = checkout_of("problem")
    checkout.configuration = project(raw="rav")
    result = checkout.snakemake(check=False)
    assert result.returncode == 2
    assert "1 problem; nothing was started" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_a_full_disk_stops_with_a_message_and_the_same_command_continues(project, checkout_of, tmp_path):
    small = tmp_path / "small-disk"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        checkout = checkout_of("full-disk")
        checkout.configuration = project()
        checkout.change("results: results", f"results: {small}/results")
        checkout.change("[24, 24, 24], channels: [4, 8]", "[24, 24, 24], channels: [32, 64]")
        result = checkout.snakemake(check=False)
        assert result.returncode != 0
        assert "no space left" in result.stderr
        assert "run the same command again" in result.stderr
        assert "Traceback" not in result.stderr
        subprocess.run(["mount", "-o", "remount,size=200m", str(small)], check=True)
        checkout.snakemake()
        assert (small / "results" / "report.html").exists()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


@pytest.mark.slow
def test_a_workflow_does_not_start_where_another_one_writes_and_a_dry_run_does(finished, tmp_path):
    command = [*finished.command("--forcerun", "report"), "--directory", str(tmp_path)]

    def start(*options):
        return subprocess.run(
            [*command, *options], capture_output=True, text=True, env=finished.environment, timeout=300
        )

    handle = hold_workflow_lock(finished.results)
    try:
        refused = start()
        assert start("--dry-run").returncode == 0
    finally:
        os.close(handle)
    assert refused.returncode == 1
    assert f"another workflow writes into {finished.results} (process {os.getpid()} on" in refused.stderr
    assert "Traceback" not in refused.stderr and "MissingOutputException" not in refused.stderr
    # The refused workflow leaves no lock of its own.
    assert not list((tmp_path / ".snakemake" / "locks").glob("*"))
    assert start().returncode == 0
