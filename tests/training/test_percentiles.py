"""Black and white from the percentiles of each volume: brightness and contrast of a volume do not matter."""

import dataclasses

import numpy as np
import pytest

from attacca.api import predict_volume
from attacca.architectures.intensity import Percentiles
from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.percentiles import measure_percentiles
from attacca.config.prediction import PredictionConfig
from attacca.config.tasks import AffinitiesTaskConfig
from attacca.config.training import AugmentationConfig, TrainingConfig
from attacca.errors import VolumeError
from attacca.prediction import load_model
from attacca.training import train
from attacca.training.pipeline import SamplePipeline, SampleSpec

RULE = {"percentiles": [1, 99]}


@pytest.fixture
def brighter(volume, store, tmp_path):
    """A copy of the volume in 16 bits, with another contrast and brightness."""
    original = volume()
    raw = ZarrArray.open_from_array_identifier(original.raw)
    data = raw[raw.roi].astype(np.uint16) * 100 + 5000
    path = tmp_path / "brighter.zarr"
    identifier = store(path, "raw", data, tuple(raw.roi.begin), tuple(raw.voxel_size))
    return dataclasses.replace(original, name="brighter", raw=identifier)


def sample(volume):
    spec = SampleSpec(
        volumes=(volume,),
        task=AffinitiesTaskConfig(neighborhood=[[1, 0, 0]]),
        training=TrainingConfig(augmentation=AugmentationConfig(simple=None, gamma=None, intensity=None)),
        input_shape=(16, 16, 16),
        output_shape=(16, 16, 16),
        intensity=Percentiles(1, 99),
        seed=3,
    )
    pipeline = SamplePipeline(spec)
    try:
        return pipeline.create_batch(0)["raw"]
    finally:
        pipeline.close()


def test_samples_of_a_brighter_volume_are_equal(volume, brighter):
    original = sample(volume())
    assert (original.min(), original.max()) == (-1, 1)
    assert np.allclose(original, sample(brighter), atol=1e-5)


def test_percentiles_of_the_import_replace_a_measurement(volume, monkeypatch):
    measured = measure_percentiles(ZarrArray.open_from_array_identifier(volume().raw))
    expected = sample(volume())
    monkeypatch.setattr("attacca.training.job.measure_percentiles", None)
    assert np.array_equal(expected, sample(dataclasses.replace(volume(), percentiles=measured)))


def test_a_training_whose_images_become_all_white_does_not_start(job, brighter):
    made = job(iterations=2, intensity=[0, 1], volumes=(brighter,))
    with pytest.raises(VolumeError, match="brighter: all voxels become white"):
        train(made)
    assert not list(made.directory.rglob("*.pt"))


def test_a_checkpoint_keeps_the_rule_and_predicts_a_brighter_volume_alike(job, volume, brighter, tmp_path):
    made = job(iterations=2, intensity=RULE, validation=(brighter,))
    path = made.directory / "checkpoints" / train(made)["best"]["file"]
    _, meta = load_model(path)
    assert meta.intensity == {"low_percentile": 1.0, "high_percentile": 99.0}
    predictions = []
    for name, block in (("first", (16, 24, 40)), ("second", (40, 16, 24)), ("brighter", (16, 24, 40))):
        raw = brighter.raw if name == "brighter" else volume().raw
        array = predict_volume(
            path,
            raw,
            LocalArrayIdentifier(tmp_path / f"{name}.zarr", "s0"),
            prediction=PredictionConfig(block_size=block),
        )
        predictions.append(array[array.roi].astype(int))
    first, second, other = predictions
    assert np.array_equal(first, second)
    assert np.abs(first - other).max() <= 1
    constant = ZarrArray.open_from_array_identifier(brighter.raw, mode="a")
    constant[constant.roi] = 300
    with pytest.raises(VolumeError, match="percentiles 1 and 99 of the image are both 300"):
        predict_volume(path, brighter.raw, LocalArrayIdentifier(tmp_path / "none.zarr", "s0"))
