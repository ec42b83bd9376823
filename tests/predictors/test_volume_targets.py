"""Targets and weights of volumes by blocks: those of the volume in one piece."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from scipy import ndimage

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.errors import ConfigurationError, VolumeError
from attacca.predictors import (
    AffinitiesPredictor,
    DistancePredictor,
    DummyPredictor,
    HotDistancePredictor,
    InnerDistancePredictor,
    OneHotPredictor,
    Predictor,
)
from attacca.predictors.volume_targets import (
    CountBlocks,
    TargetBlocks,
    create_target_array,
    create_weight_array,
    pack_running_counts,
    read_ground_truth,
    sum_counts,
)

VOXEL_SIZE = Coordinate((10, 5, 5))
OFFSET = Coordinate((20, 3, -15))
SHAPE = (16, 22, 24)
PREDICTORS: dict[str, Predictor] = {
    "distance": DistancePredictor(["a"], 10, True),
    "distances without mask": DistancePredictor(["a"], 10, False),
    "inner distance": InnerDistancePredictor(["a"], 10),
    "hot distance": HotDistancePredictor(["a"], 10, True),
    "classes by id": HotDistancePredictor(["two", "three"], 10, False, class_ids=[2, 3]),
    "one hot": OneHotPredictor(["background", "a", "b"]),
    "balanced one hot": OneHotPredictor(["background", "a", "b"], balance_classes=True),
    "affinities": AffinitiesPredictor([(1, 0, 0), (0, -4, 0), (0, 0, 7)], lsds=False, mask_partners=True),
    "affinities as in DaCapo": AffinitiesPredictor([(1, 0, 0), (0, 0, 1)], lsds=False),
    "descriptors": AffinitiesPredictor([(1, 0, 0)], lsds=True, num_voxels=1, mask_partners=True),
    "eroded": AffinitiesPredictor([(0, 1, 0)], lsds=False, grow_boundary_iterations=1),
    "dummy": DummyPredictor(2),
}


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> LocalArrayIdentifier:
    """Objects 1 to 4 and background; 9 is unlabelled."""
    rng = np.random.default_rng(3)
    values = ndimage.gaussian_filter(rng.normal(size=(5, *SHAPE)), (0, 2, 2, 2)).argmax(0).astype(np.uint64)
    values[:, 15:, 18:] = 9
    return store(tmp_path_factory.mktemp("labels"), "labels", values)


def store(directory: Path, name: str, values: np.ndarray) -> LocalArrayIdentifier:
    identifier = LocalArrayIdentifier(directory / "volume.zarr", name)
    roi = Roi(OFFSET, Coordinate(values.shape) * VOXEL_SIZE)
    array = ZarrArray.create_from_array_identifier(
        identifier, ["z", "y", "x"], roi, None, VOXEL_SIZE, values.dtype
    )
    array[roi] = values
    return identifier


def blocks(roi: Roi, shape: tuple[int, ...]) -> list[SimpleNamespace]:
    """Blocks that cover a region, in an order that is not that of their numbers."""
    size = Coordinate(shape) * VOXEL_SIZE
    counts = [-(-whole // part) for whole, part in zip(roi.shape, size)]
    found = [Roi(roi.begin + Coordinate(index) * size, size).intersect(roi) for index in np.ndindex(*counts)]
    return [SimpleNamespace(write_roi=write_roi) for write_roi in found[::-1]]


@pytest.mark.parametrize("name", PREDICTORS)
def test_blocks_give_the_target_and_weight_of_the_whole(
    name: str, labels: LocalArrayIdentifier, tmp_path: Path
) -> None:
    predictor = PREDICTORS[name]
    rng = np.random.default_rng(4)
    mask = store(tmp_path, "mask", (rng.random(SHAPE) < 0.9).astype(np.uint8))
    array = ZarrArray.open_from_array_identifier(labels)
    mask_array = ZarrArray.open_from_array_identifier(mask)
    write_size = Coordinate((7, 9, 8)) * VOXEL_SIZE
    target = LocalArrayIdentifier(tmp_path / "targets.zarr", "target")
    weight = LocalArrayIdentifier(tmp_path / "targets.zarr", "weight")
    create_target_array(predictor, target, array, write_size=write_size, dtype="float32")
    create_weight_array(predictor, weight, array, write_size=write_size)

    count = pickle.loads(pickle.dumps(CountBlocks(predictor, labels, mask, 9)))
    count.open()
    counts = sum_counts(count(block) for block in blocks(array.roi, (7, 9, 8)))
    assert counts == sum_counts([count(SimpleNamespace(write_roi=array.roi))])
    write = pickle.loads(pickle.dumps(TargetBlocks(predictor, labels, mask, 9, counts, target, weight)))
    write.open()
    for block in blocks(array.roi, (7, 9, 8)):
        write(block)

    gt, valid = read_ground_truth(array, mask_array, array.roi, 9, 0)
    assert not (gt.data == 9).any()
    whole = predictor.create_target(gt)
    whole_weight, whole_counts = predictor.create_weight(gt, whole, valid)
    stored = ZarrArray.open_from_array_identifier(target)[array.roi]
    np.testing.assert_allclose(stored, whole.data, atol=1e-3)
    stored_weight = ZarrArray.open_from_array_identifier(weight)[array.roi]
    if name in ("distance", "hot distance"):
        # a context that ends 1e-3 from certainty may decide otherwise for single voxels
        assert np.mean(~np.isclose(stored_weight, whole_weight.data, atol=1e-5)) < 1e-3
    else:
        np.testing.assert_array_equal(stored_weight, whole_weight.data)
        assert pack_running_counts(predictor, counts) == whole_counts or not counts[0][0]


@pytest.mark.parametrize("name", ["affinities", "one hot", "distance", "inner distance", "descriptors"])
def test_targets_in_a_byte_are_exact_where_they_are_binary_and_near_elsewhere(
    name: str, labels: LocalArrayIdentifier, tmp_path: Path
) -> None:
    predictor = PREDICTORS[name]
    array = ZarrArray.open_from_array_identifier(labels)
    target = LocalArrayIdentifier(tmp_path / "targets.zarr", "target")
    weight = LocalArrayIdentifier(tmp_path / "targets.zarr", "weight")
    made = create_target_array(predictor, target, array)
    assert made.dtype == np.uint8 and made.num_channels == predictor.num_channels
    create_weight_array(predictor, weight, array)
    whole = SimpleNamespace(write_roi=array.roi)
    counts = CountBlocks(predictor, labels, None, None)(whole)
    TargetBlocks(predictor, labels, None, None, counts, target, weight)(whole)
    values = ZarrArray.open_from_array_identifier(target).read_values(array.roi)
    expected = predictor.create_target(array).data
    low, high = predictor.value_range
    tolerance = 0 if predictor.target_is_binary else (high - low) / 510 + 1e-3
    assert np.abs(values - expected).max() <= tolerance


def test_beyond_the_volume_masks_are_0_and_the_predictor_determines_labels(
    labels: LocalArrayIdentifier,
) -> None:
    array = ZarrArray.open_from_array_identifier(labels)
    roi = array.roi.grow(VOXEL_SIZE * 2, VOXEL_SIZE)
    gt, mask = read_ground_truth(array, None, roi, None, "edge")
    assert gt.roi == mask.roi == roi
    interior = mask.data[0, 2:-1, 2:-1, 2:-1]
    assert interior.all() and mask.data.sum() == interior.size
    assert (gt.data[0] == gt.data[2]).all()
    gt, _ = read_ground_truth(array, None, roi, None, 0)
    assert not gt.data[0].any()
    nowhere, mask = read_ground_truth(array, None, roi + Coordinate((10000, 0, 0)), None, 0)
    assert not nowhere.data.any() and not mask.data.any()


def test_counts_that_do_not_fit_and_unknown_dtypes_are_refused(
    labels: LocalArrayIdentifier, tmp_path: Path
) -> None:
    with pytest.raises(VolumeError, match="different predictors"):
        sum_counts([[([1, 2], 3.0)], [([1, 2, 3], 6.0)]])
    with pytest.raises(VolumeError, match="no blocks"):
        sum_counts([])
    array = ZarrArray.open_from_array_identifier(labels)
    with pytest.raises(ConfigurationError, match="int3"):
        create_target_array(
            PREDICTORS["distance"], LocalArrayIdentifier(tmp_path / "t.zarr", "t"), array, dtype="int3"
        )


def test_values_of_no_class_are_refused_if_they_are_checked(tmp_path: Path) -> None:
    values = np.zeros(SHAPE, np.uint8)
    values[0, :3] = [[2], [5], [7]]
    stored = store(tmp_path, "classes", values)
    block = SimpleNamespace(write_roi=ZarrArray.open_from_array_identifier(stored).roi)
    predictor = OneHotPredictor(["background", "a"])

    def count(check: bool, unlabelled: int | None = None, mask: LocalArrayIdentifier | None = None) -> Any:
        return CountBlocks(predictor, stored, mask, unlabelled, check=check)(block)

    assert count(check=False)
    with pytest.raises(
        VolumeError, match="hold 2, 5, 7, which are not classes: the task's classes are 0 background, 1 a"
    ):
        count(check=True)
    with pytest.raises(VolumeError, match="hold 2, 7, which"):
        count(check=True, unlabelled=5)
    assert count(check=True, mask=store(tmp_path, "mask", (values < 2).astype(np.uint8)))
