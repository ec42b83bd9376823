"""Rows of pictures: the planes of a volume, side by side."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from PIL import Image as Picture

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.config.tasks import read_task_config
from attacca.report.results import Image
from attacca.report.slice_rows import Row, VolumeImages, make_slice_rows

VOXEL = Coordinate(10, 2, 2)
DISTANCE = read_task_config(
    {
        "type": "distance",
        "channels": ["mitochondria"],
        "class_ids": [3],
        "clip_distance": 50.0,
        "tol_distance": 4.0,
    }
)
ONE_HOT = read_task_config({"type": "one_hot", "classes": ["rest", "membrane", "mitochondria"]})


def image(path: Path, name: str, values: np.ndarray) -> Image:
    """Two scales of an array, with channels first where it has four axes."""
    scales = []
    for level, step in enumerate((1, 2)):
        coarse = values[..., ::step, ::step]
        channels = ["c"] if coarse.ndim == 4 else []
        array = ZarrArray.create_from_array_identifier(
            LocalArrayIdentifier(path / f"{name}.zarr", f"s{level}"),
            [*channels, "z", "y", "x"],
            Roi((0, 0, 0), Coordinate(coarse.shape[-3:]) * Coordinate(10, 2 * step, 2 * step)),
            coarse.shape[0] if channels else None,
            Coordinate(10, 2 * step, 2 * step),
            coarse.dtype,
        )
        array[array.roi] = coarse
        scales.append(array)
    return Image(tuple(scales))


def whole(rows: list[Row]) -> dict[str, np.ndarray]:
    """The pictures of the row that shows the whole plane, by title."""
    row = next(row for row in rows if row.title.startswith("whole"))
    found = {}
    for tile in row.tiles:
        data = re.sub("^data:image/png;base64,", "", tile.picture.source)
        found[tile.picture.title] = np.asarray(Picture.open(io.BytesIO(base64.b64decode(data))))
    return found


@pytest.fixture
def ground_truth() -> np.ndarray:
    """A wide volume of two sections: a bar of class 3 in class 1."""
    labels = np.ones((2, 1200, 1200), dtype=np.uint8)
    labels[:, 300:600] = 3
    return labels


def test_the_whole_plane_shows_segmentation_and_ground_truth_over_the_image(tmp_path, ground_truth):
    found = np.zeros((1, *ground_truth.shape), np.uint8)
    found[:, :, 300:750] = 1
    raw = image(tmp_path, "raw", ground_truth * 50)
    images = VolumeImages(
        raw, image(tmp_path, "labels", ground_truth), None, None, image(tmp_path, "found", found)
    )
    pictures = whole(make_slice_rows(images, DISTANCE, None))
    assert list(pictures) == ["raw", "segmentation", "ground truth"]
    # Background is transparent, so that the image is seen below.
    assert (pictures["ground truth"][..., 3] > 0).mean() == pytest.approx(1 / 4, abs=0.01)
    assert (pictures["segmentation"][..., 3] > 0).mean() == pytest.approx(3 / 8, abs=0.01)


def test_classes_that_fill_the_plane_leave_nothing_transparent(tmp_path, ground_truth):
    raw = image(tmp_path, "raw", ground_truth * 50)
    classes = image(tmp_path, "found", ground_truth - 1)
    pictures = whole(make_slice_rows(VolumeImages(raw, None, None, None, classes), ONE_HOT, None))
    assert list(pictures) == ["raw", "segmentation"]
    assert pictures["segmentation"].shape[-1] == 3
    assert len(np.unique(pictures["segmentation"].reshape(-1, 3), axis=0)) == 2
