"""Output of ``attacca check`` for a configuration without problems."""

import h5py
import numpy as np
import pytest
import yaml

from attacca.cli.main import main


def output_of(volume, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    network = {"input_shape": [24, 24, 24], "num_fmaps": 4, "downsample_factors": [[2, 2, 2]]}
    task = {"type": "affinities", "neighborhood": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}
    runs = {
        name: {"task": task, "architecture": network, "volumes": {"train": ["cube"]}}
        for name in ("one", "other")
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"volumes": {"cube": volume}, "runs": runs}))
    assert main(["check"]) == 0
    return capsys.readouterr().out.splitlines()


def test_each_volume_is_listed_with_its_files_shapes_and_the_sources_of_values(tmp_path, capsys, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = np.zeros((40, 48, 56), np.uint8)
        file["labels"] = np.ones((20, 48, 56), np.uint32)
        file["labels"].attrs.update(offset=[100, 0, 0], resolution=[10, 4, 4])
    volume = {
        "raw": {"path": "a.h5", "dataset": "raw"},
        "labels": {"path": "a.h5", "dataset": "labels", "unlabelled": 0},
        "voxel_size": [10, 4, 4],
    }
    lines = output_of(volume, tmp_path, capsys, monkeypatch)
    assert lines[:5] == [
        "cube: train in one, other",
        "  voxel size 10 x 4 x 4 nanometer (configuration)",
        "  region 0 to 400, 0 to 192, 0 to 224 nanometer, 40 x 48 x 56 voxels",
        "  raw: a.h5:raw",
        "  labels: a.h5:labels, 0 is unlabelled",
    ]
    rows = [line.split() for line in lines]
    assert [
        "raw",
        *["40", "x", "48", "x", "56"],
        "uint8",
        "zyx",
        "0,",
        "0,",
        "0",
        "default",
        "100",
        "%",
    ] in rows
    assert [
        "labels",
        *["20", "x", "48", "x", "56"],
        "uint32",
        "zyx",
        "100,",
        "0,",
        "0",
        "file",
        "50",
        "%",
    ] in rows


def test_synthetic_tissue_is_listed_too(tmp_path, capsys, monkeypatch):
    volume = {"synthetic": {"shape": [32, 32, 32], "seed": 7}, "voxel_size": [8, 8, 8]}
    lines = output_of(volume, tmp_path, capsys, monkeypatch)
    assert "  synthetic: neurites, seed 7" in lines
    assert any(line.split()[:6] == ["raw", "32", "x", "32", "x", "32"] for line in lines)


def test_names_with_brackets_are_printed_as_they_are(tmp_path, capsys, monkeypatch):
    names = ["[bold]", "[/]", ":smile:"]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = np.zeros((32, 32, 32), np.uint8)
        file["labels"] = np.ones((32, 32, 32), np.uint32)
    classes = [{"name": name, "path": "a.h5", "dataset": "labels"} for name in names]
    volume = {
        "raw": {"path": "a.h5", "dataset": "raw"},
        "labels": {"classes": classes},
        "voxel_size": [8] * 3,
    }
    rows = [line.split() for line in output_of(volume, tmp_path, capsys, monkeypatch)]
    for name in names:
        assert any(row[:2] == [name, "32"] for row in rows)


def test_a_defect_is_one_line_that_says_how_to_report_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("attacca.cli.check.load_configuration", lambda path: 1 // 0)
    assert main(["check"]) == 70
    assert "unexpected ZeroDivisionError" in capsys.readouterr().err
    monkeypatch.setenv("ATTACCA_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main(["check"])


def test_a_warning_names_a_file_as_the_table_does(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = np.zeros((40, 48, 56), np.uint8)
        file["raw"].attrs["resolution"] = [10, 4, 4]
        file["labels"] = np.ones((40, 48, 56), np.uint32)
    sources = {name: {"path": "a.h5", "dataset": name} for name in ("raw", "labels")}
    run = {
        "task": {"type": "affinities", "neighborhood": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]},
        "architecture": {"input_shape": [24, 24, 24], "num_fmaps": 4, "downsample_factors": [[2, 2, 2]]},
        "volumes": {"train": ["cube"]},
    }
    values = {"volumes": {"cube": {**sources, "voxel_size": [10, 5, 5]}}, "runs": {"one": run}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    assert main(["check"]) == 0
    output = capsys.readouterr()
    assert "  raw: a.h5:raw" in output.out.splitlines()
    warnings = [line for line in output.err.splitlines() if "has the voxel size" in line]
    assert len(warnings) == 1
    assert "a.h5" in warnings[0] and str(tmp_path) not in warnings[0]


def test_a_negative_value_without_annotation_is_shown_as_in_the_configuration(tmp_path, capsys, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = np.zeros((40, 48, 56), np.uint8)
        file["labels"] = np.ones((40, 48, 56), np.int32)
    labels = {"path": "a.h5", "dataset": "labels", "unlabelled": -1}
    volume = {"raw": {"path": "a.h5", "dataset": "raw"}, "labels": labels, "voxel_size": [10, 4, 4]}
    assert "  labels: a.h5:labels, -1 is unlabelled" in output_of(volume, tmp_path, capsys, monkeypatch)
