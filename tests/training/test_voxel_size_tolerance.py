"""Volumes with similar voxel sizes in one training."""

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.architectures.intensity import Intensity
from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.config.tasks import read_task_config
from attacca.config.training import TrainingConfig
from attacca.errors import ConfigurationError
from attacca.training.job import TrainingVolume
from attacca.training.pipeline import SamplePipeline, SampleSpec

SHAPE = (6, 12, 12)


def write(tmp_path, name, voxel_size, offset=(0, 0, 0)):
    voxel_size = Coordinate(voxel_size)
    values = np.random.default_rng(1).integers(0, 255, SHAPE).astype(np.uint8)
    identifiers = []
    for key, data in (("raw", values), ("labels", (values > 128).astype(np.uint8))):
        identifiers.append(LocalArrayIdentifier(tmp_path / f"{name}.zarr", key))
        roi = Roi(Coordinate(offset) * voxel_size, Coordinate(SHAPE) * voxel_size)
        array = ZarrArray.create_from_array_identifier(
            identifiers[-1], ["z", "y", "x"], roi, None, voxel_size, data.dtype, write_size=roi.shape
        )
        array[roi] = data
    return TrainingVolume(name, *identifiers)


def open_pipeline(volumes, **training):
    plain = {"intensity": None, "gamma": None, "simple": None}
    return SamplePipeline(
        SampleSpec(
            volumes=volumes,
            task=read_task_config({"type": "one_hot", "classes": ["background", "object"], "kernel_size": 1}),
            training=TrainingConfig(augmentation=plain, **training),
            input_shape=SHAPE,
            output_shape=SHAPE,
            intensity=Intensity(0, 255),
            seed=3,
        )
    )


def test_volumes_within_the_tolerance_give_samples_of_their_own_voxels(tmp_path):
    one, other = write(tmp_path, "one", (50, 4, 4)), write(tmp_path, "other", (45, 4, 4), offset=(3, 5, 7))
    pipeline = open_pipeline((one, other), voxel_size_tolerance=0.1)
    # Both volumes hold the same voxels, so every sample is the whole volume.
    samples = [pipeline.create_sample(seed) for seed in range(8)]
    for sample in samples[1:]:
        assert np.array_equal(sample["raw"], samples[0]["raw"])
        assert np.array_equal(sample["target"], samples[0]["target"])
        assert (sample["weight"] > 0).all()
    pipeline.close()


def test_other_volumes_are_refused_with_the_name_of_the_tolerance(tmp_path):
    volumes = (write(tmp_path, "one", (50, 4, 4)), write(tmp_path, "other", (40, 4, 4)))
    with pytest.raises(ConfigurationError, match="voxel_size_tolerance"):
        open_pipeline(volumes, voxel_size_tolerance=0.1)
