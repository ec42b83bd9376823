"""Samples at objects where labels are sparse, and at uniform positions elsewhere."""

from dataclasses import replace

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.architectures.intensity import Intensity
from attacca.arrays import LocalArrayIdentifier, NumpyArray, ZarrArray
from attacca.config.tasks import read_task_config
from attacca.config.training import TrainingConfig
from attacca.training.job import TrainingVolume
from attacca.training.object_points import find_object_points, locate_objects
from attacca.training.pipeline import SamplePipeline, SampleSpec

VOXEL = Coordinate((10, 10, 10))
WINDOW = Coordinate((8, 8, 8))
PLAIN = {"intensity": None, "gamma": None, "simple": None}


def write(tmp_path, labels, unlabelled=None):
    roi = Roi((0, 0, 0), Coordinate(labels.shape) * VOXEL)
    identifiers = {}
    for name, data in (("raw", np.zeros(labels.shape, np.uint8)), ("labels", labels)):
        identifiers[name] = LocalArrayIdentifier(tmp_path / "volume.zarr", name)
        array = ZarrArray.create_from_array_identifier(
            identifiers[name], ["z", "y", "x"], roi, None, VOXEL, data.dtype, write_size=roi.shape
        )
        array[roi] = data
    return TrainingVolume("cube", identifiers["raw"], identifiers["labels"], unlabelled=unlabelled)


def draw_targets(volume, training, count=40, **changes):
    spec = SampleSpec(
        volumes=(volume,),
        task=read_task_config({"type": "one_hot", "classes": ["background", "object"], "kernel_size": 1}),
        training=training,
        input_shape=tuple(WINDOW),
        output_shape=tuple(WINDOW),
        intensity=Intensity(0, 255),
        seed=3,
        class_counts=[{0: (1, 2), 1: (1, 2)}],
        object_points=find_object_points((volume,), training, WINDOW),
    )
    pipeline = SamplePipeline(replace(spec, **changes))
    samples = [pipeline.create_sample(seed) for seed in range(count)]
    pipeline.close()
    return samples


def sparse_labels():
    labels = np.zeros((64, 64, 64), np.uint8)
    labels[30:36, 30:36, 30:36] = 1
    labels[60:64, 0:3, 60:64] = 1
    return labels


def share_with_objects(samples):
    return np.mean([sample["target"][1].any() for sample in samples])


def test_most_samples_of_sparse_labels_contain_an_object(tmp_path):
    volume = write(tmp_path, sparse_labels())
    uniform = draw_targets(volume, TrainingConfig(object_samples=0.0, augmentation=PLAIN))
    automatic = draw_targets(volume, TrainingConfig(augmentation=PLAIN))
    every = draw_targets(volume, TrainingConfig(object_samples=1.0, augmentation=PLAIN))
    assert share_with_objects(uniform) < 0.2
    assert 0.5 < share_with_objects(automatic) < 1
    assert share_with_objects(every) == 1


def test_samples_at_objects_stay_inside_the_labels(tmp_path):
    volume = write(tmp_path, sparse_labels())
    for sample in draw_targets(volume, TrainingConfig(object_samples=1.0, augmentation=PLAIN)):
        assert (sample["weight"] > 0).all()


def test_samples_of_dense_labels_are_those_of_uniform_positions(tmp_path):
    labels = np.zeros((32, 32, 32), np.uint8)
    labels[::3] = 1
    volume = write(tmp_path, labels)
    automatic = draw_targets(volume, TrainingConfig(augmentation=PLAIN), count=10)
    uniform = draw_targets(volume, TrainingConfig(object_samples=0.0, augmentation=PLAIN), count=10)
    for one, other in zip(automatic, uniform, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_sample_depends_on_its_seed_alone(tmp_path):
    volume = write(tmp_path, sparse_labels())
    training = TrainingConfig(augmentation=PLAIN)
    first, second = draw_targets(volume, training, 6), draw_targets(volume, training, 6)
    assert all(np.array_equal(a["target"], b["target"]) for a, b in zip(first, second, strict=True))


def test_voxels_without_annotation_are_not_objects(tmp_path):
    labels = np.full((64, 64, 64), 255, np.uint8)
    labels[40:44, 40:44, 40:44] = 1
    labels[0:4, 0:4, 0:4] = 0
    volume = write(tmp_path, labels, unlabelled=255)
    samples = draw_targets(volume, TrainingConfig(object_samples=1.0, augmentation=PLAIN))
    assert all((sample["weight"] > 0).any() for sample in samples)
    # Without it, most samples have nothing to learn from.
    samples = draw_targets(volume, TrainingConfig(object_samples=0.0, augmentation=PLAIN))
    assert np.mean([(sample["weight"] > 0).any() for sample in samples]) < 0.3


def test_points_are_voxels_of_objects_inside_the_mask():
    labels = np.random.default_rng(1).integers(0, 2, (20, 21, 22)).astype(np.uint8)
    keep = np.zeros(labels.shape, np.uint8)
    keep[5:9] = 1
    roi = Roi((100, 0, 0), Coordinate(labels.shape) * VOXEL)
    arrays = [NumpyArray.from_np_array(data, roi, VOXEL, ["z", "y", "x"]) for data in (labels, keep)]
    points, empty = locate_objects(*arrays, roi, WINDOW)
    voxels = ((points - np.array(roi.begin)) / 10).astype(int)
    assert len(voxels) and all(labels[tuple(v)] and keep[tuple(v)] for v in voxels)
    assert len({tuple(v) for v in voxels}) == len(voxels)
    # Sections 5 to 8 lie in the first two of three layers of boxes.
    assert empty == pytest.approx(1 / 3)


def test_a_volume_without_an_object_is_sampled_at_uniform_positions(tmp_path):
    volume = write(tmp_path, np.zeros((16, 16, 16), np.uint8))
    assert find_object_points((volume,), TrainingConfig(), WINDOW) == ()
    assert len(draw_targets(volume, TrainingConfig(augmentation=PLAIN), count=2)) == 2


def test_the_message_names_the_share_and_the_setting(tmp_path):
    (found,) = find_object_points((write(tmp_path, sparse_labels()),), TrainingConfig(), WINDOW)
    assert found.empty_share > 0.9
    assert str(found).startswith("cube: 9") and "training.object_samples" in str(found)
