"""``attacca view`` draws images with contrast and the meshes of selected segments, as a browser shows them."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.percentiles import measure_percentiles
from attacca.config.export import PrecomputedExport
from attacca.export.writers import SegmentationWriter
from attacca.report.results import Results
from viewer_pictures import find_segment, photograph, serve

pytestmark = pytest.mark.slow

RUN, VOLUME = "default", "tissue-test"


def make_export(results: Results, form: str) -> np.ndarray:
    """Export meshes of all segments; return the voxels of the segmentation."""
    image = results.result_image(RUN, VOLUME, "segmentation")
    assert image is not None
    settings = PrecomputedExport.model_validate({"meshes": {"format": form, "reduction": 0}})
    directory = results.layout.export(RUN, VOLUME)
    directory.mkdir()
    SegmentationWriter(image.finest, RUN).write(directory / "precomputed", settings)
    results.layout.manifest(RUN, VOLUME, "export").write_text("{}")
    return image.finest[image.finest.roi]


def test_an_image_of_16_bits_that_uses_few_values_is_drawn_with_contrast(
    fake_results: Any, tmp_path: Path
) -> None:
    shutil.copytree(fake_results.directory, tmp_path / "results")
    results = Results(tmp_path / "results")
    image = results.volume_image(VOLUME, "raw")
    assert image is not None
    eight_bits = image.finest
    dataset = LocalArrayIdentifier(results.layout.volume_container(VOLUME), "dark")
    dark = ZarrArray.create_from_array_identifier(
        dataset, eight_bits.axes, eight_bits.roi, None, eight_bits.voxel_size, np.uint16
    )
    dark[dark.roi] = 1000 + eight_bits[eight_bits.roi].astype(np.uint16)
    record = results.layout.volume_manifest(VOLUME)
    manifest = json.loads(record.read_text())
    manifest["result"]["arrays"]["raw"] = {
        "container": results.layout.volume_container(VOLUME),
        "dataset": "dark",
        "percentiles": measure_percentiles(dark),
    }
    record.write_text(json.dumps(manifest))
    with serve(tmp_path / "results", "membranes", VOLUME) as address:
        panel = photograph(
            address, lambda pixels: float(pixels.std()) > 30, tmp_path / "dark.png", is_plane=True
        )
    assert panel.std() > 30 and 60 < panel.mean() < 220


@pytest.mark.parametrize("form", ["multiresolution", "legacy"])
def test_the_mesh_of_a_selected_segment_is_drawn_in_its_color_at_its_place(
    form: str, fake_results: Any, tmp_path: Path
) -> None:
    shutil.copytree(fake_results.directory, tmp_path / "results")
    ids = make_export(Results(tmp_path / "results"), form)
    values, sizes = np.unique(ids[ids > 0], return_counts=True)
    chosen, other = (int(value) for value in values[np.argsort(-sizes)[:2]])
    with serve(tmp_path / "results", RUN, VOLUME) as address:
        panel = photograph(
            f"{address}&segments={chosen}",
            lambda pixels: find_segment(pixels, chosen).sum() > 1000,
            tmp_path / f"{form}.png",
        )
    assert not find_segment(panel, other).any()
    drawn, voxels = np.argwhere(find_segment(panel, chosen)), np.argwhere((ids == chosen).any(axis=0))
    # The panel's height is the state's 'projectionScale' in the plane of the center; nearer parts are larger.
    pixels_per_voxel = panel.shape[0] / (1.5 * max(ids.shape))
    center, middle = np.array(panel.shape[:2]) / 2, np.array(ids.shape[1:]) / 2
    lower, upper = voxels.min(axis=0), voxels.max(axis=0) + 1
    expected = np.array([lower - middle, upper - middle]) * pixels_per_voxel + center
    assert np.allclose([drawn.min(axis=0), drawn.max(axis=0) + 1], expected, atol=15)
