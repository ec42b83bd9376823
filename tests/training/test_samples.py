import dataclasses

import numpy as np
import pytest
from funlib.geometry import Coordinate

from attacca.architectures.intensity import Intensity
from attacca.config.tasks import AffinitiesTaskConfig, DistanceTaskConfig, OneHotTaskConfig
from attacca.config.training import AugmentationConfig, TrainingConfig
from attacca.errors import ConfigurationError, MissingInputError, TrainingError
from attacca.tasks import create_task
from attacca.training.augmentations import find_exchangeable_axes
from attacca.training.cached_array import CachedArray
from attacca.training.class_counts import convert_to_plain_counts
from attacca.training.job import TrainingJob, check_targets
from attacca.training.pipeline import (
    SamplePipeline,
    SampleSpec,
    find_sample_rois,
)
from attacca.training.volume_data import VolumeData

NEIGHBORHOOD = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -3]]
PLAIN = AugmentationConfig(simple=None, gamma=None, intensity=None)
ALL = AugmentationConfig(
    elastic={"probability": 1.0, "spacing": 8}, noise={}, sections={"missing": 0.1, "slip": 0.2, "shift": 0.2}
)


@pytest.fixture
def pipeline(volume):
    def make(volumes=None, shape=(16, 16, 16), output=None, task=None, seed=3, counts=None, **training):
        training = {"augmentation": PLAIN, **training}
        spec = SampleSpec(
            volumes=tuple(volumes or [volume()]),
            task=task or AffinitiesTaskConfig(neighborhood=NEIGHBORHOOD),
            training=TrainingConfig(**training),
            input_shape=shape,
            output_shape=output or shape,
            intensity=Intensity(0, 255),
            seed=seed,
            class_counts=counts,
        )
        return SamplePipeline(spec)

    return make


def equal(a, b) -> bool:
    return all(np.array_equal(a[name], b[name]) for name in ("raw", "target", "weight"))


def found_at(data: VolumeData, sample: np.ndarray) -> tuple[slice, ...]:
    """Locate a sample without augmentation in its volume."""
    raw = data.read_raw(data.raw.roi)[0].astype(np.float32) / 255 * 2 - 1
    windows = np.lib.stride_tricks.sliding_window_view(raw, sample.shape[1:])
    corners = np.argwhere(np.abs(windows[..., 0, 0, 0] - sample[0, 0, 0, 0]) < 1e-6)
    corner = next(c for c in corners if np.allclose(windows[tuple(c)], sample[0], atol=1e-6))
    return tuple(slice(begin, begin + size) for begin, size in zip(corner, sample.shape[1:]))


def test_a_batch_depends_on_its_iteration_alone(pipeline):
    counts = pipeline().estimate_class_counts(2)
    first = pipeline(augmentation=ALL, counts=counts, batch_size=2)
    second = pipeline(augmentation=ALL, counts=counts, batch_size=2)
    forward = [first.create_batch(i) for i in range(4)]
    backward = [second.create_batch(i) for i in (3, 2, 1, 0)][::-1]
    assert all(equal(a, b) for a, b in zip(forward, backward))
    assert not equal(forward[0], forward[1])
    assert not np.array_equal(forward[0]["raw"][0], forward[0]["raw"][1])
    assert forward[0]["raw"].shape == (2, 1, 16, 16, 16)
    assert forward[0]["target"].shape == forward[0]["weight"].shape == (2, 4, 16, 16, 16)


def test_processes_that_train_together_share_a_batch(pipeline):
    counts = pipeline().estimate_class_counts(2)
    whole = pipeline(counts=counts, batch_size=2).create_batch(5)
    single = pipeline(counts=counts, batch_size=1)
    for rank in range(2):
        assert np.array_equal(single.create_batch(5, rank, 2)["raw"][0], whole["raw"][rank])


def test_targets_are_those_of_the_whole_volume(pipeline, volume):
    source = volume()
    data = VolumeData(source)
    sample = pipeline().create_sample(5)
    window = found_at(data, sample["raw"])
    predictor = create_task(AffinitiesTaskConfig(neighborhood=NEIGHBORHOOD)).predictor
    whole = predictor.create_target(data.labels).data
    known = sample["weight"] > 0
    assert np.array_equal(sample["target"][known], whole[(slice(None), *window)][known])
    # Affinities to voxels outside the volume, and they alone, weigh nothing.
    assert known.mean() > 0.85


def test_unlabeled_voxels_and_affinities_to_them_weigh_nothing(pipeline, volume):
    source = volume("partly", seed=4)
    data = VolumeData(source)
    label = int(np.bincount(data.labels.data.ravel()).argmax())
    sparse = dataclasses.replace(source, unlabelled=label)
    made, complete = pipeline([sparse]), pipeline([source])
    lost = 0
    for seed in range(6):
        sample, same = made.create_sample(seed), complete.create_sample(seed)
        assert np.array_equal(sample["raw"], same["raw"])
        lost += np.count_nonzero((sample["weight"] == 0) & (same["weight"] > 0))
    assert lost > 100
    mask = VolumeData(sparse).read_mask(data.raw.roi)
    assert np.array_equal(mask[0] == 0, data.labels.data == label)


def test_a_mask_takes_voxels_out(pipeline, volume, tmp_path, store):
    source = volume("masked", seed=5)
    mask = np.zeros((32, 40, 40), np.uint8)
    mask[:, :, 20:] = 1
    masked = dataclasses.replace(
        source, mask=store(tmp_path / "mask.zarr", "mask", mask, (0, 0, 0), (8, 8, 8))
    )
    sample = pipeline(
        [masked], shape=(16, 16, 40), task=AffinitiesTaskConfig(neighborhood=[[0, 0, 1]])
    ).create_sample(2)
    assert (sample["weight"][..., :20] == 0).all()
    assert (sample["weight"][..., 20:39] > 0).all()


def test_samples_stay_in_the_region_and_follow_the_weights(pipeline, volume):
    near = volume("near", seed=6, offset=(0, 0, 0))
    far = volume("far", seed=7, offset=(0, 0, 8000))
    regions = {"near": {"roi": {"offset": (0, 0, 0), "shape": (256, 128, 128)}, "weight": 3.0}}
    made = pipeline([near, far], sampling=regions)
    corner = VolumeData(near).raw.data[:32, :16, :16].astype(np.float32) / 255 * 2 - 1
    counted = 0
    for seed in range(60):
        raw = made.create_sample(seed)["raw"][0]
        counted += any(np.allclose(raw, corner[z : z + 16], atol=1e-6) for z in range(17))
    assert 30 < counted < 58
    with pytest.raises(ConfigurationError, match=r"sampling.near.roi.*nothing in common"):
        pipeline([near], sampling={"near": {"roi": {"offset": (0, 0, 9000), "shape": (80, 80, 80)}}})


def test_samples_are_placed_by_points(pipeline, volume, tmp_path):
    source = volume()
    points = tmp_path / "points.tsv"
    points.write_text("# z y x\n4\t4\t4\n\n")
    made = pipeline([source], sampling={"cells": {"points": points}})
    raw = VolumeData(source).raw
    voxel = float(raw.data[0, 0, 0]) / 255 * 2 - 1
    for seed in range(5):
        assert np.isclose(made.create_sample(seed)["raw"], voxel, atol=1e-6).any()
        # The voxel of the point is the volume's first: all before it is outside, where nothing is known.
        assert (made.create_sample(seed)["weight"] == 0).any()
    points.write_text("4 4\n")
    with pytest.raises(ConfigurationError, match="line 1: found '4 4', expected 3 numbers"):
        pipeline([source], sampling={"cells": {"points": points}})
    points.write_text("90000, 4, 4\n")
    with pytest.raises(ConfigurationError, match="world units, not voxels"):
        pipeline([source], sampling={"cells": {"points": points}})
    with pytest.raises(MissingInputError, match="does not exist"):
        pipeline([source], sampling={"cells": {"points": tmp_path / "none"}})


def test_samples_with_too_little_in_them_are_replaced_or_the_volume_is_named(pipeline, volume):
    source = volume("sparse", seed=8)
    label = int(np.bincount(VolumeData(source).labels.data.ravel()).argmax())
    mostly = dataclasses.replace(source, unlabelled=label)
    made = pipeline([mostly], min_masked=0.9, shape=(8, 8, 8))
    for seed in range(5):
        assert (made.create_sample(seed)["weight"] > 0).mean() > 0.5
    with pytest.raises(TrainingError, match="in a row of volume sparse had less than 100%"):
        pipeline([mostly], min_masked=1.0, shape=(32, 40, 40)).create_sample(0)


def test_stored_targets_are_read_where_augmentation_allows_it(pipeline, volume, tmp_path, store):
    source = volume()
    data = VolumeData(source)
    task = AffinitiesTaskConfig(neighborhood=NEIGHBORHOOD)
    predictor = create_task(task).predictor
    target = predictor.create_target(data.labels)
    weight, _ = predictor.create_weight(data.labels, target, None)
    path = tmp_path / "targets.zarr"
    stored = dataclasses.replace(
        source,
        target=store(path, "target", target.data, (0, 0, 0), (8, 8, 8)),
        weight=store(path, "weight", weight.data, (0, 0, 0), (8, 8, 8)),
    )
    sample = pipeline([stored], targets="from_target_stage").create_sample(4)
    window = (slice(None), *found_at(data, sample["raw"]))
    assert np.array_equal(sample["target"], target.data[window])
    assert np.array_equal(sample["weight"], weight.data[window])
    with pytest.raises(ConfigurationError, match="no stored targets"):
        pipeline([source], targets="from_target_stage")


def test_stored_targets_are_refused_with_augmentations_that_change_them():
    affinities = AffinitiesTaskConfig(neighborhood=NEIGHBORHOOD)
    distance = DistanceTaskConfig(channels=["a"], clip_distance=1, tol_distance=1)
    mirrored = TrainingConfig(targets="from_target_stage")
    with pytest.raises(ConfigurationError, match="affinities have a direction"):
        check_targets(affinities, mirrored)
    check_targets(distance, mirrored)
    elastic = TrainingConfig(targets="from_target_stage", augmentation={"elastic": {}})
    with pytest.raises(ConfigurationError, match=r"augmentation\.elastic"):
        check_targets(distance, elastic)
    shifted = TrainingConfig(targets="from_target_stage", augmentation={"sections": {}})
    with pytest.raises(ConfigurationError, match=r"sections\.slip"):
        check_targets(distance, shifted)
    check_targets(affinities, TrainingConfig(augmentation={"elastic": {}}))


def test_volumes_that_do_not_fit_each_other_are_refused_by_name(pipeline, volume):
    fine = volume("fine", seed=9, voxel_size=(4, 4, 4))
    with pytest.raises(ConfigurationError, match="volumes cells and fine have voxels of"):
        pipeline([volume(), fine])
    mixed = dataclasses.replace(volume(), labels=fine.labels)
    with pytest.raises(ConfigurationError, match=r"labels has voxels of \(4, 4, 4\)"):
        pipeline([mixed])
    far = dataclasses.replace(volume(), labels=volume("away", seed=10, offset=(8000, 0, 0)).labels)
    with pytest.raises(ConfigurationError, match="do not overlap"):
        pipeline([far])


@pytest.mark.parametrize("task", ["distance", "one_hot", "affinities"])
def test_planes_are_sampled_too(pipeline, volume, task):
    plane = volume("plane", seed=11, shape=(60, 60))
    tasks = {
        "distance": DistanceTaskConfig(channels=["a"], clip_distance=1, tol_distance=1, scale_factor=16),
        "one_hot": OneHotTaskConfig(classes=[str(i) for i in range(8)]),
        "affinities": AffinitiesTaskConfig(neighborhood=[[1, 0], [0, 1]]),
    }
    everything = AugmentationConfig(elastic={"probability": 1.0, "spacing": 8}, noise={})
    made = pipeline([plane], shape=(24, 24), output=(20, 20), task=tasks[task], augmentation=everything)
    sample = made.create_sample(0)
    assert sample["raw"].shape == (1, 24, 24)
    assert sample["target"].shape[1:] == (20, 20)
    assert np.isfinite(sample["target"]).all() and (sample["weight"] >= 0).all() and sample["weight"].any()


def test_only_axes_of_equal_voxel_size_are_exchanged(pipeline):
    assert find_exchangeable_axes(Coordinate(4, 4, 4)) == [0, 1, 2]
    assert find_exchangeable_axes(Coordinate(40, 4, 4)) == [1, 2]
    with pytest.raises(ConfigurationError, match="axes"):
        pipeline(augmentation={"simple": {"transpose": (0, 5)}})


def test_outputs_lie_in_the_middle_of_inputs():
    window, whole = find_sample_rois((20, 24), (12, 24), Coordinate(5, 2))
    assert window.begin == Coordinate(0, 0) and window.shape == Coordinate(60, 48)
    assert whole.begin == Coordinate(-20, 0) and whole.shape == Coordinate(100, 48)
    with pytest.raises(ConfigurationError, match="both sides"):
        find_sample_rois((20, 24), (11, 24), Coordinate(5, 2))


def test_large_arrays_are_read_by_blocks_that_stay_for_a_while(volume):
    source = VolumeData(volume())
    array = source.labels
    cached = CachedArray(array, capacity=3 * 8**3 * 4, block=Coordinate(8, 8, 8))
    random = np.random.default_rng(0)
    for _ in range(20):
        begin = Coordinate(random.integers(-4, 30, 3))
        roi = array.roi.copy()
        roi = type(roi)(begin * 8, Coordinate(random.integers(1, 12, 3)) * 8)
        assert np.array_equal(cached.read(roi, "reflect"), array.read(roi, "reflect"))
        assert np.array_equal(cached.read(roi, 3), array.read(roi, 3))
    assert cached._used <= 3 * 8**3 * 4


def test_class_counts_survive_json_and_numpy():
    counts = ([{0: (np.int64(3), 4.0), 1: (1, 4.0)}], None)
    assert convert_to_plain_counts(counts) == ([{0: (3, 4.0), 1: (1, 4.0)}], None)
    assert convert_to_plain_counts([{"0": [3, 4.0]}]) == [{0: [3, 4.0]}]
    assert type(convert_to_plain_counts(counts)[0][0][0][0]) is int


def test_a_job_reports_its_missing_inputs(volume, tmp_path, job):
    with pytest.raises(ConfigurationError, match="found no training volumes"):
        job(volumes=())
    with pytest.raises(ConfigurationError, match="found 'other', expected a training volume"):
        job(sampling={"other": {}})
    section = {"criterion": "voi", "segmentation_interval": 3}
    with pytest.raises(ConfigurationError, match="no segmentation is computed"):
        job(validation_section=section)
    with pytest.raises(ConfigurationError, match="no validation volumes"):
        job(validation_section=section, validate_segmentation=lambda model, iteration: {"voi": 1.0})
    assert isinstance(job(), TrainingJob)
