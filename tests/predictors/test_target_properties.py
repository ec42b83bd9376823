"""Properties of the targets of all predictors, for any labels."""

from collections.abc import Callable

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.arrays import NumpyArray
from attacca.predictors import (
    AffinitiesPredictor,
    DistancePredictor,
    DummyPredictor,
    HotDistancePredictor,
    InnerDistancePredictor,
    OneHotPredictor,
    Predictor,
)

QUICK = settings(max_examples=12, deadline=None, derandomize=True)
NEAR_THE_END = 2**63

MAKERS: dict[str, Callable[[int, Coordinate], Predictor]] = {
    "distance": lambda dims, size: DistancePredictor(["a"], max(size) * 0.7, True),
    "inner distance": lambda dims, size: InnerDistancePredictor(["a"], max(size) * 0.7),
    "hot distance": lambda dims, size: HotDistancePredictor(["a"], max(size) * 0.7, True),
    "one hot": lambda dims, size: OneHotPredictor(["background", "a", "b", "c"]),
    "dummy": lambda dims, size: DummyPredictor(2),
    "affinities": lambda dims, size: AffinitiesPredictor(
        [(0, 1, 0)[-dims:], (0, -3, 2)[-dims:], (2, 0, 4)[-dims:]], lsds=False
    ),
    "classes by their ids": lambda dims, size: DistancePredictor(
        ["a", "b"], max(size) * 0.7, True, class_ids=[2, 3]
    ),
    "background as an object": lambda dims, size: AffinitiesPredictor(
        [(1, 0, 0)[-dims:] if dims == 3 else (1, 0), (0, -3, 2)[-dims:]],
        lsds=False,
        background_as_object=True,
    ),
    "eroded affinities": lambda dims, size: AffinitiesPredictor(
        [(0, 1, 0)[-dims:], (0, 0, -2)[-dims:]], lsds=False, grow_boundary_iterations=1
    ),
    "descriptors": lambda dims, size: AffinitiesPredictor([(0, 0, -1)[-dims:]], lsds=True, num_voxels=1),
    "coarse descriptors": lambda dims, size: AffinitiesPredictor(
        [(0, 0, 1)[-dims:]], lsds=True, num_voxels=1, downsample_lsds=2
    ),
}

# Here a label is the number of a class, and other numbers are other classes.
CLASSES = ("one hot", "classes by their ids")


def cells(rng: np.random.Generator, shape: tuple[int, ...], ids: np.ndarray) -> np.ndarray:
    """Labels in cells around random points, some of them background."""
    grid = np.meshgrid(*map(np.arange, shape), indexing="ij", sparse=True)
    best, nearest = np.full(shape, np.inf), np.zeros(shape, dtype=int)
    for index, point in enumerate(rng.uniform(0, 1, (len(ids), len(shape))) * shape):
        distance = sum((axis - at) ** 2 for axis, at in zip(grid, point))
        nearest[distance < best] = index
        best = np.minimum(best, distance)
    return ids[nearest]


def volume(data: np.ndarray, voxel_size: Coordinate, offset: tuple[int, ...]) -> NumpyArray:
    dims = len(voxel_size)
    roi = Roi(offset, Coordinate(data.shape[data.ndim - dims :]) * voxel_size)
    axes = ["c"] * (data.ndim - dims) + ["z", "y", "x"][3 - dims :]
    return NumpyArray.from_np_array(data, roi, voxel_size, axes)


@st.composite
def label_volumes(draw: st.DrawFn, name: str) -> tuple[NumpyArray, np.random.Generator]:
    """Labels that the predictor takes: 2D or 3D, anisotropic or not, empty, full, or with large ids.

    Volumes are larger than the context on both sides.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dims = draw(st.sampled_from([2, 3]))
    voxel_size = Coordinate(draw(st.sampled_from([(4, 4, 4), (12, 4, 4), (3, 2, 5)]))[-dims:])
    predictor = MAKERS[name](dims, voxel_size)
    margins = zip(*predictor.context(voxel_size), predictor.grid(voxel_size) / voxel_size, voxel_size)
    extra = draw(st.tuples(*[st.integers(1, 4)] * dims))
    shape = tuple(
        factor * (-(-(below // size + above // size) // factor) + 4 + more)
        for (below, above, factor, size), more in zip(margins, extra)
    )
    step = predictor.grid(voxel_size) if predictor.grid(voxel_size) != voxel_size else Coordinate((1,) * dims)
    offset = tuple(draw(st.integers(-5, 5)) * unit for unit in step)
    if name in CLASSES:
        ids = np.array([0, 1, 2, 3, 7], dtype=np.uint8)
    else:
        dtype, first = draw(st.sampled_from([(np.uint64, NEAR_THE_END), (np.int32, 300), (np.uint8, 1)]))
        ids = np.array([0, *(first + step for step in range(4))], dtype=dtype)
    content = draw(st.sampled_from(["cells", "cells", "cells", "empty", "full"]))
    chosen = {"cells": ids[rng.integers(0, len(ids), 14)], "empty": ids[:1], "full": ids[1:2]}[content]
    return volume(cells(rng, shape, chosen), voxel_size, offset), rng


@pytest.mark.parametrize("name", MAKERS)
def test_a_crop_with_its_context_has_the_target_of_the_whole(name: str) -> None:
    @QUICK
    @given(label_volumes(name))
    def check(drawn: tuple[NumpyArray, np.random.Generator]) -> None:
        gt, rng = drawn
        predictor = MAKERS[name](gt.dims, gt.voxel_size)
        whole = predictor.create_target(gt)
        # a crop somewhere in the region whose context the volume holds
        below, above = predictor.context(gt.voxel_size)
        cell = predictor.grid(gt.voxel_size)
        low = gt.roi.begin + Coordinate(-(-b // s) * s + s for b, s in zip(below, cell))
        high = gt.roi.end - Coordinate(-(-a // s) * s + s for a, s in zip(above, cell))
        room = (high - low) / gt.voxel_size
        assert all(size >= 1 for size in room), "the volume is too small for this predictor"
        first = Coordinate(int(rng.integers(0, size)) for size in room)
        shape = Coordinate(int(rng.integers(1, size - f + 1)) for f, size in zip(first, room))
        crop = Roi(low + first * gt.voxel_size, shape * gt.voxel_size)
        region = predictor.gt_roi(crop, gt.voxel_size)
        if predictor.grid(gt.voxel_size) == gt.voxel_size:
            assert gt.roi.contains(region)
        part = NumpyArray.from_np_array(gt.read(region, 0), region, gt.voxel_size, gt.axes)
        np.testing.assert_allclose(predictor.create_target(part)[crop], whole[crop], atol=1e-3)

    check()


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in CLASSES])
def test_other_ids_for_the_same_objects_change_nothing(name: str) -> None:
    @QUICK
    @given(label_volumes(name))
    def check(drawn: tuple[NumpyArray, np.random.Generator]) -> None:
        gt, _ = drawn
        predictor = MAKERS[name](gt.dims, gt.voxel_size)
        found, dense = np.unique(gt.data, return_inverse=True)
        other = np.array(
            [0 if old == 0 else NEAR_THE_END + 1000 - i for i, old in enumerate(found)], np.uint64
        )
        renamed = volume(other[dense].reshape(gt.data.shape), gt.voxel_size, tuple(gt.roi.begin))
        np.testing.assert_array_equal(predictor.create_target(gt).data, predictor.create_target(renamed).data)
        ours, _ = predictor.create_weight(gt, predictor.create_target(gt), None)
        theirs, _ = predictor.create_weight(renamed, predictor.create_target(renamed), None)
        np.testing.assert_array_equal(ours.data, theirs.data)

    check()


@pytest.mark.parametrize("name", MAKERS)
def test_targets_and_weights_are_finite_and_within_the_value_range(name: str) -> None:
    @QUICK
    @given(label_volumes(name))
    def check(drawn: tuple[NumpyArray, np.random.Generator]) -> None:
        gt, _ = drawn
        predictor = MAKERS[name](gt.dims, gt.voxel_size)
        target = predictor.create_target(gt)
        weight, _ = predictor.create_weight(gt, target, None)
        low, high = predictor.value_range
        assert target.data.shape == weight.data.shape
        assert target.num_channels == predictor.num_channels == len(predictor.channel_names)
        assert (target.data >= low).all() and (target.data <= high).all()
        assert np.isfinite(weight.data).all() and (weight.data >= 0).all()
        assert len(set(predictor.channel_names)) == predictor.num_channels

    check()


@pytest.mark.parametrize("name", MAKERS)
def test_a_channel_axis_makes_no_difference(name: str) -> None:
    rng = np.random.default_rng(5)
    voxel_size = Coordinate((8, 4, 4))
    labels = cells(rng, (12, 14, 16), np.array([0, 1, 2, 3, 0, 1]))
    predictor = MAKERS[name](3, voxel_size)
    mask = (rng.random(labels.shape) < 0.8).astype(np.uint8)
    without, with_axis = (volume(data, voxel_size, (0, 0, 0)) for data in (labels, labels[np.newaxis]))
    targets = [predictor.create_target(gt).data for gt in (without, with_axis)]
    np.testing.assert_array_equal(*targets)
    masks = [volume(data, voxel_size, (0, 0, 0)) for data in (mask, mask[np.newaxis])]
    weights = [
        predictor.create_weight(gt, predictor.create_target(gt), of_gt)[0].data
        for gt, of_gt in zip((without, with_axis), masks)
    ]
    np.testing.assert_array_equal(*weights)


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "dummy"])
def test_the_target_is_ignored_where_the_mask_is_0(name: str) -> None:
    rng = np.random.default_rng(6)
    voxel_size = Coordinate((8, 4, 4))
    gt = volume(cells(rng, (12, 14, 16), np.array([0, 1, 2, 3, 0, 1])), voxel_size, (0, 0, 0))
    predictor = MAKERS[name](3, voxel_size)
    mask = (rng.random(gt.data.shape) < 0.7).astype(np.uint8)
    weight, _ = predictor.create_weight(gt, predictor.create_target(gt), volume(mask, voxel_size, (0, 0, 0)))
    assert not weight.data[:, mask == 0].any()
    nothing = volume(np.zeros_like(mask), voxel_size, (0, 0, 0))
    weight, _ = predictor.create_weight(gt, predictor.create_target(gt), nothing)
    assert not weight.data.any()
