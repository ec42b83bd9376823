"""A script of twenty lines from arrays to scores; docs/python.md shows it."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import attacca

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


@pytest.fixture
def cube() -> tuple[np.ndarray, np.ndarray]:
    """Image (uint8) and labels (uint64) of 24 x 32 x 32 voxels: cells with dark borders."""
    random = np.random.default_rng(0)
    shape = (24, 32, 32)
    seeds = np.zeros(shape, np.uint64)
    seeds[tuple(random.integers(0, shape, (9, 3)).T)] = np.arange(1, 10)
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    labels = seeds[tuple(nearest)]
    border = ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
    return np.where(border, 40, 200).astype(np.uint8), labels


def run_script(image, labels, directory, training):
    import attacca

    voxel_size = attacca.Coordinate(8, 8, 8)
    roi = attacca.Roi((0, 0, 0), attacca.Coordinate(labels.shape) * voxel_size)
    raw = attacca.NumpyArray.from_np_array(image, roi, voxel_size, ["z", "y", "x"])
    ground_truth = attacca.NumpyArray.from_np_array(labels, roi, voxel_size, ["z", "y", "x"])

    task = attacca.AffinitiesTaskConfig(
        neighborhood=[[1, 0, 0], [0, 1, 0], [0, 0, 1], [3, 0, 0], [0, 3, 0], [0, 0, 3]]
    )
    checkpoint = attacca.train(
        [attacca.LabeledVolume("cube", raw, ground_truth)],
        directory / "training",
        task,
        architecture=attacca.UNetConfig(
            input_shape=(16, 16, 16), channels=(6, 12), downsample_factors=[(2, 2, 2)]
        ),
        training=training,
    )
    prediction = attacca.predict_volume(checkpoint, raw, directory / "prediction.zarr")
    segmentation = attacca.segment_volume(prediction, directory / "segmentation.zarr", task)
    scores = attacca.evaluate(segmentation, ground_truth, task)
    print({name: scores.value(name) for name in ("voi_split", "voi_merge")})

    return prediction, segmentation, scores


def test_a_script_trains_predicts_segments_and_scores(cube, tmp_path, capsys):
    image, labels = cube
    training = attacca.TrainingConfig(
        iterations=15, loader_workers=0, ema_decay=0.9, optimizer={"learning_rate": 0.02, "warm_up": 5}
    )
    prediction, segmentation, scores = run_script(image, labels, tmp_path, training)
    assert prediction.shape[0] == 6 and prediction.roi == segmentation.roi
    affinities = prediction.read_values(prediction.roi)
    same = labels[1:] == labels[:-1]
    assert affinities[0, :-1][same].mean() > affinities[0, :-1][~same].mean() + 0.1
    assert scores.value("voi") == pytest.approx(scores.value("voi_split") + scores.value("voi_merge"))
    merged = attacca.evaluate(
        attacca.NumpyArray.from_np_array(
            np.ones_like(labels), segmentation.roi, segmentation.voxel_size, ["z", "y", "x"]
        ),
        attacca.NumpyArray.from_np_array(labels, segmentation.roi, segmentation.voxel_size, ["z", "y", "x"]),
        attacca.AffinitiesTaskConfig(neighborhood=[[1, 0, 0]]),
    )
    assert scores.value("voi") < merged.value("voi")
    assert "voi_merge" in capsys.readouterr().out


def test_training_resumes_in_its_directory(cube, tmp_path):
    roi = attacca.Roi((0, 0, 0), attacca.Coordinate(cube[0].shape) * 8)
    volume = attacca.LabeledVolume(
        "cube", *(attacca.NumpyArray.from_np_array(data, roi, (8, 8, 8), ["z", "y", "x"]) for data in cube)
    )

    def train(iterations: int) -> Path:
        return attacca.train(
            [volume],
            tmp_path,
            attacca.AffinitiesTaskConfig(neighborhood=[[1, 0, 0]]),
            architecture=attacca.UNetConfig(
                input_shape=(16, 16, 16), channels=(2, 4), downsample_factors=[(2, 2, 2)]
            ),
            training=attacca.TrainingConfig(
                iterations=iterations, loader_workers=0, checkpoint={"interval": 2, "keep_last": 3}
            ),
        )

    assert train(4).name == "iteration_00000004.pt"
    rows = (tmp_path / "metrics.tsv").read_text().splitlines()
    written = (tmp_path / "checkpoints" / "iteration_00000002.pt").stat().st_mtime_ns
    assert train(4).name == "iteration_00000004.pt"
    assert (tmp_path / "checkpoints" / "iteration_00000002.pt").stat().st_mtime_ns == written
    assert (tmp_path / "metrics.tsv").read_text().splitlines() == rows


def test_the_page_shows_the_script_that_is_tested():
    source = Path(__file__).read_text()
    body = source[source.index("    import attacca\n") : source.index("\n\n    return prediction")]
    script = re.sub(r"^    ", "", body, flags=re.MULTILINE).strip()
    (printed,) = re.findall(r"```python\n(import attacca\n.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert printed.strip() == script
