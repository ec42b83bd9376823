"""The stage ``export`` in the whole workflow."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import yaml

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from tiny_configuration import tiny_configuration
from viewer_pictures import find_segment, photograph, serve
from warm_python import WarmPython

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
FORMATS: dict[str, Any] = {"tiff": True, "hdf5": True, "precomputed": {"meshes": {"largest": 2}}}


class Project:
    """A directory with the tiny configuration."""

    def __init__(self, directory: Path, python: Path) -> None:
        self.directory, self.python = directory, python
        self.results = directory / "results" / "tiny" / "tested"

    def run(self, formats: dict[str, Any], *more: str) -> str:
        values = tiny_configuration(iterations=2, export=formats)
        (self.directory / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
        command = [str(self.python), "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        command += ["--configfile", "config.yaml", "--cores", "2", *more]
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done.stdout + done.stderr

    def segmentation(self) -> np.ndarray:
        container = str(self.directory / "results" / "tiny" / "tested.zarr")
        array = ZarrArray.open_from_array_identifier(
            LocalArrayIdentifier(container, "labels/segmentation/s0")
        )
        return array[array.roi]


@pytest.fixture(scope="module")
def project(warm_python: Callable[[], WarmPython], tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("export"), warm_python().python)
    project.run(FORMATS)
    return project


def test_each_format_holds_the_segmentation_and_the_manifest_lists_it(project):
    ids, export = project.segmentation(), project.results / "export"
    assert np.array_equal(tifffile.imread(export / "segmentation.tif"), ids)
    with h5py.File(export / "segmentation.h5") as file:
        assert np.array_equal(file["volumes/labels/neuron_ids"][:], ids)
    manifest = json.loads((project.results / "export.json").read_text())
    assert manifest["result"]["files"] == [
        "export/precomputed",
        "export/segmentation.tif",
        "export/segmentation.h5",
    ]
    count = manifest["result"]["formats"]["precomputed"]["meshes"]
    assert count == min(2, len(np.unique(ids[ids > 0])))
    assert len(list((export / "precomputed" / "mesh").glob("*.index"))) == count


def test_a_deleted_product_is_written_again_and_the_others_are_kept(project):
    assert "Nothing to be done" in project.run(FORMATS)
    kept = project.results / "export" / "segmentation.h5"
    before, time = (project.results / "export" / "segmentation.tif").read_bytes(), kept.stat().st_mtime_ns
    (project.results / "export" / "segmentation.tif").unlink()
    shutil.rmtree(project.results / "export" / "precomputed")
    project.run(FORMATS)
    assert (project.results / "export" / "segmentation.tif").read_bytes() == before
    assert (project.results / "export" / "precomputed" / "info").exists()
    assert kept.stat().st_mtime_ns == time


def test_a_format_that_is_not_configured_anymore_is_deleted(project):
    project.run({"hdf5": True})
    products = {path.name for path in (project.results / "export").iterdir() if not path.name.startswith(".")}
    assert products == {"segmentation.h5"}
    project.run(FORMATS)


def test_the_view_of_a_finished_run_draws_the_mesh_of_a_segment(project, tmp_path):
    ids, counts = np.unique(project.segmentation(), return_counts=True)
    largest = int(ids[ids > 0][np.argmax(counts[ids > 0])])
    assert (project.results / "export" / "precomputed" / "mesh" / f"{largest}.index").is_file()
    with serve(project.directory / "results", "tiny", "tested") as address:
        panel = photograph(
            f"{address}&segments={largest}",
            lambda pixels: find_segment(pixels, largest).sum() > 1000,
            tmp_path / "view.png",
        )
    assert find_segment(panel, largest).sum() > 1000
