"""The workflow below a directory with a name that a shell, a pattern or a URL would change, and in a moved project."""

import os
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import yaml

from attacca.cli.main import main
from attacca.config.volumes import ArraySource, VolumeConfig
from attacca.report.results import Results
from attacca.report.results_server import ResultsServer
from attacca.report.viewer import make_viewer_state
from attacca.volumes import compute_content_fingerprint
from tiny_configuration import tiny_configuration

ODD = 'my data\'s $HOME R&D [1-8] *%41 $(touch EXECUTED) `touch EXECUTED` \u00fc;x # "q" \\b ~ <a b> !'


def write_project(directory: Path) -> None:
    """Write a configuration whose first volume is read from files with odd names beside it."""
    directory.mkdir()
    names = directory / "{run} [a]"
    names.mkdir()
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 255, (32, 32, 32), dtype=np.uint8)
    labels = np.repeat(
        np.repeat(np.repeat(np.arange(1, 65, dtype=np.uint16).reshape(4, 4, 4), 8, 0), 8, 1), 8, 2
    )
    tifffile.imwrite(names / "raw's %d $x.tif", raw, photometric="minisblack")
    with h5py.File(names / "labels&.h5", "w") as file:
        file["a b"] = labels
    values = tiny_configuration()
    values["volumes"]["taught"] = {
        "raw": {"path": f"{names.name}/raw's %d $x.tif"},
        "labels": {"path": f"{names.name}/labels&.h5", "dataset": "a b"},
        "voxel_size": [8, 8, 8],
    }
    (directory / "config.yaml").write_text(yaml.safe_dump(values))


@pytest.fixture(scope="module")
def finished(checkout_of: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, str]:
    """A project below an odd directory, after its first run."""
    checkout = checkout_of("odd")
    checkout.directory = tmp_path_factory.mktemp("projects") / ODD
    write_project(checkout.directory)
    checkout.configuration = checkout.directory / "config.yaml"
    done = checkout.snakemake()
    return checkout, checkout.directory, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_workflow_ends_with_its_summary_below_an_odd_directory(finished: tuple[Any, Path, str]) -> None:
    _, directory, output = finished
    assert (directory / "results/report.html").is_file() and "No such file" not in output
    assert str(directory / "results/report.html") in output
    assert not list(directory.parent.rglob("EXECUTED"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_commands_and_the_viewer_find_results_below_an_odd_directory(
    finished: tuple[Any, Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, directory, _ = finished
    assert main(["check", str(directory / "config.yaml")]) == 0
    assert main(["status", str(directory / "results")]) == 0
    assert "stale" not in capsys.readouterr().out
    results = Results(directory / "results")
    assert len(make_viewer_state(results, "tiny", "tested")["layers"]) >= 4
    server = ResultsServer(results, lambda query: "", port=0)
    try:
        assert server.find_file("/results/volumes/taught.zarr/raw/zarr.json") is not None
    finally:
        server.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("options", ["-a", "-r"])
def test_a_copied_project_has_nothing_to_do_until_its_inputs_change(
    options: str, finished: tuple[Any, Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    original, directory, _ = finished
    copy = original.__class__(tmp_path / "copy", original.warm)
    subprocess.run(["cp", options, directory, copy.directory], check=True)
    if options == "-r":
        # The order in which files are copied, and the resolution of their times, differ between file systems.
        draws = random.Random(4)
        for path in sorted(copy.directory.rglob("*")):
            time = copy.directory.stat().st_mtime_ns + draws.randrange(10**10)
            os.utime(path, ns=(time, time))
    # The copy does not read its original.
    hidden = directory.with_name("hidden")
    directory.rename(hidden)
    try:
        dry_run = copy.snakemake("-n")
        assert "Nothing to be done" in dry_run.stdout + dry_run.stderr
        assert main(["status", str(copy.results)]) == 0
        assert "stale" not in capsys.readouterr().out
        raw = copy.directory / "{run} [a]/raw's %d $x.tif"
        voxels = tifffile.imread(raw)
        voxels[0, 0, 0] ^= 1
        tifffile.imwrite(raw, voxels, photometric="minisblack")
        changed = copy.snakemake("-n")
        rules = set(re.findall(r"rule (\w+):", changed.stdout + changed.stderr))
        assert {"volume_plan", "train", "predict_plan", "report"} <= rules
    finally:
        hidden.rename(directory)


def test_the_identity_of_a_volume_is_that_of_its_content(tmp_path: Path) -> None:
    for name, content in (("a", b"1234"), ("b", b"1234"), ("c", b"1235")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "raw.h5").write_bytes(content)
    shutil.copystat("/", tmp_path / "b" / "raw.h5")

    def identify(name: str) -> str:
        source = ArraySource(path=tmp_path / name / "raw.h5")
        return compute_content_fingerprint(VolumeConfig(raw=source, voxel_size=[8, 8, 8]))

    assert identify("a") == identify("b") != identify("c")
