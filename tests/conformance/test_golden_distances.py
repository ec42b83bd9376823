"""Distance targets, masks and weights: the golden values."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import NumpyArray
from attacca.errors import VolumeError
from attacca.predictors import DistancePredictor, HotDistancePredictor, InnerDistancePredictor

AXES = ["c", "z", "y", "x"]


def volume(data: np.ndarray, voxel_size: list[int]) -> NumpyArray:
    """An array whose axes follow from its number of dimensions and that of the voxel size."""
    dims = len(voxel_size)
    axes = ["z", "y", "x"][3 - dims :]
    shape = Coordinate(data.shape[data.ndim - dims :]) * Coordinate(voxel_size)
    roi = Roi((0,) * dims, shape)
    return NumpyArray.from_np_array(data, roi, voxel_size, ["c"] * (data.ndim - dims) + axes)


def names(data: np.ndarray) -> list[str]:
    return [f"class{index}" for index in range(len(data))]


def counts_array(counts: Any) -> np.ndarray:
    """Running counts as the golden arrays hold them: (slabs, classes, 2)."""
    return np.array([[slab[class_id] for class_id in sorted(slab)] for slab in counts], dtype=np.float64)


def compare_targets(case: Any) -> None:
    labels, voxel_size = case.inputs["in_labels"], case.params["voxel_size"]
    scale = case.params["scale_factor"]
    predictor = DistancePredictor(names(labels), scale, mask_distances=True)
    case.compare("out_raw", predictor.process(labels, Coordinate(voxel_size)))
    case.compare("out_tanh", predictor.process(labels, Coordinate(voxel_size), "tanh", scale))
    target = predictor.create_target(volume(labels, voxel_size))
    assert target.dtype == np.float32
    case.compare("out_target", target.data)


@pytest.mark.golden_case("distance_iso_binary")
def test_distances_on_an_isotropic_grid(case: Any) -> None:
    compare_targets(case)


@pytest.mark.golden_case("distance_aniso_binary")
def test_distances_on_an_anisotropic_grid(case: Any) -> None:
    compare_targets(case)


@pytest.mark.golden_case("distance_multichannel")
def test_distances_of_several_channels_with_an_empty_and_a_full_one(case: Any) -> None:
    compare_targets(case)


@pytest.mark.golden_case("distance_touching_instances")
def test_touching_instances_are_both_inside(case: Any) -> None:
    compare_targets(case)


@pytest.mark.golden_case("distance_no_background")
def test_distances_without_background(case: Any) -> None:
    compare_targets(case)


@pytest.mark.golden_case("distance_large_uint64_ids")
def test_ids_near_the_end_of_uint64_stay_apart(case: Any) -> None:
    compare_targets(case)


@pytest.mark.golden_case("distance_2d")
def test_distances_in_two_dimensions(case: Any) -> None:
    compare_targets(case)


@pytest.mark.golden_case("distance_single_voxel_and_plane")
def test_distances_of_a_single_voxel_and_of_a_plane(case: Any) -> None:
    compare_targets(case)


@pytest.mark.golden_case("distance_empty_full_numbers")
def test_distances_without_a_boundary(case: Any) -> None:
    for index in range(len(case.params)):
        config = case.params[f"cfg{index}"]
        predictor = DistancePredictor(["a"], config["scale"], mask_distances=True)
        for name, value in (("empty", 0), ("full", 1)):
            labels = np.full((1, *config["shape"]), value, dtype=np.uint8)
            raw = predictor.process(labels, Coordinate(config["voxel_size"]))
            tanh = predictor.process(labels, Coordinate(config["voxel_size"]), "tanh", config["scale"])
            assert np.ptp(raw) == 0
            case.compare(f"out_{name}_raw_{index}", np.unique(raw))
            case.compare(f"out_{name}_tanh_{index}", np.unique(tanh))


@pytest.mark.golden_case("distance_no_channel_dim")
def test_labels_without_a_channel_axis_get_one(case: Any) -> None:
    voxel_size = case.params["voxel_size"]
    for dims in (3, 2):
        labels = case.inputs[f"in_labels{dims}d"]
        predictor = DistancePredictor(["a"], case.params["scale_factor"], mask_distances=True)
        target = predictor.create_target(volume(labels, voxel_size[-dims:] if dims == 3 else voxel_size[1:]))
        case.compare(f"out_target{dims}d", target.data)


@pytest.mark.golden_case("distance_bool_labels")
def test_bool_labels_are_fine_everywhere(case: Any) -> None:
    labels, voxel_size = case.inputs["in_labels"], case.params["voxel_size"]
    scale = case.params["scale_factor"]
    gt = volume(labels, voxel_size)
    case.compare("out_tanh", DistancePredictor(["a"], scale, True).create_target(gt).data)
    case.compare("out_hot", HotDistancePredictor(["a"], scale, True).create_target(gt).data)

    def inner_is_the_positive_part(reference: str) -> None:
        assert reference.startswith("ERROR")
        inner = InnerDistancePredictor(["a"], scale).create_target(gt).data
        np.testing.assert_allclose(inner, np.maximum(case.reference("out_tanh"), 0), atol=2e-6)

    case.depart("out_inner", "B14", inner_is_the_positive_part)


@pytest.mark.golden_case("distance_mask")
def test_distances_that_something_outside_could_change_are_masked(case: Any) -> None:
    for key in [key.removeprefix("cfg_") for key in case.params if key.startswith("cfg_")]:
        config = case.params[f"cfg_{key}"]
        voxel_size, scale = Coordinate(config["voxel_size"]), config["scale_factor"]
        labels, distances = case.inputs[f"in_labels_{key}"], case.inputs[f"in_distances_{key}"]
        plain = DistancePredictor(names(labels), scale, mask_distances=True)
        hot = HotDistancePredictor(names(labels), scale, mask_distances=True)
        np.testing.assert_allclose(plain.process(labels, voxel_size, "tanh", scale), distances, atol=2e-6)
        assert (plain.epsilon, plain.threshold) == (case.params["epsilon"], case.params["threshold"])
        for kind in ("mask", "maskhole"):
            mask = case.inputs[f"in_{kind}_{key}"]
            kept = plain.create_distance_mask(distances, mask, voxel_size, "tanh", scale)
            assert kept.dtype == mask.dtype
            case.compare(f"out_distance_{kind}_{key}", kept)
            kept = hot.create_distance_mask(distances, mask, voxel_size, "tanh", scale)
            case.compare(f"out_hot_{kind}_{key}", kept)


@pytest.mark.golden_case("distance_weights")
def test_distance_weights_over_three_calls(case: Any) -> None:
    voxel_size = case.params["voxel_size"]
    volumes = [volume(case.inputs[f"in_gt{call}"], voxel_size) for call in range(3)]
    mask = volume(case.inputs["in_mask"], voxel_size)
    for masked in (1, 0):
        for clip, (low, high) in enumerate(case.params["clips"]):
            channels = names(volumes[0].data)
            predictor = DistancePredictor(channels, case.params["scale_factor"], bool(masked), low, high)
            counts = None
            for call, gt in enumerate(volumes):
                target = predictor.create_target(gt)
                weight, counts = predictor.create_weight(gt, target, mask, counts)
                case.compare(f"out_w_mask{masked}_clip{clip}_call{call}", weight.data)
                case.compare(f"out_counts_mask{masked}_clip{clip}_call{call}", counts_array(counts))

    def instances_weigh_as_their_foreground(reference: str) -> None:
        assert reference.startswith("ERROR")
        predictor = DistancePredictor(channels, case.params["scale_factor"], mask_distances=False)
        data = volumes[0].data
        instances = volume(
            data.astype(np.int32) * np.arange(1, data[0].size + 1).reshape(data[0].shape), voxel_size
        )
        ours, _ = predictor.create_weight(instances, predictor.create_target(instances), mask)
        binary, _ = predictor.create_weight(volumes[0], predictor.create_target(volumes[0]), mask)
        np.testing.assert_array_equal(ours.data, binary.data)

    case.depart("multi_label_gt_error", "B13", instances_weigh_as_their_foreground)


@pytest.mark.golden_case("distance_weights_2d")
def test_distance_weights_in_two_dimensions(case: Any) -> None:
    gt = volume(case.inputs["in_gt"], case.params["voxel_size"])
    mask = volume(case.inputs["in_mask"], case.params["voxel_size"])
    for masked in (1, 0):
        predictor = DistancePredictor(names(gt.data), case.params["scale_factor"], bool(masked))
        weight, counts = predictor.create_weight(gt, predictor.create_target(gt), mask)
        case.compare(f"out_w_mask{masked}", weight.data)
        case.compare(f"out_counts_mask{masked}", counts_array(counts))


def raised(function: Callable[[], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        function()


@pytest.mark.golden_case("inner_distance")
def test_inner_distances_equal_the_golden_ones(case: Any) -> None:
    voxel_size, scale = case.params["voxel_size"], case.params["scale_factor"]
    binary, instances = case.inputs["in_binary"], case.inputs["in_instances"]
    predictor = InnerDistancePredictor(names(binary), scale)
    gt = volume(binary, voxel_size)
    target = predictor.create_target(gt)
    case.compare("out_binary", target.data)
    case.compare("out_binary_raw", predictor.process(binary, Coordinate(voxel_size)))
    weight, counts = predictor.create_weight(gt, target, volume(case.inputs["in_mask"], voxel_size))
    case.compare("out_weight", weight.data)
    case.compare("out_counts", counts_array(counts))
    single = InnerDistancePredictor(["a"], scale)

    def ids_do_not_multiply(reference: np.ndarray) -> None:
        ours = single.create_target(volume(instances, voxel_size)).data
        signed = DistancePredictor(["a"], scale, True).create_target(volume(instances, voxel_size)).data
        np.testing.assert_array_equal(ours, np.maximum(signed, 0))
        np.testing.assert_allclose(ours * instances, reference, rtol=1e-5, atol=1e-5)

    case.depart("out_instances", "B12", ids_do_not_multiply)

    def region_has_context(reference: str) -> None:
        assert reference.startswith("ERROR")
        grown = predictor.gt_roi(Roi((0, 0, 0), Coordinate(voxel_size) * 10), Coordinate(voxel_size))
        for begin, end, size in zip(grown.begin, grown.end, voxel_size):
            assert -begin >= 4 * scale and end - 10 * size >= 4 * scale
            assert begin % size == 0 and end % size == 0

    case.depart("gt_region_for_roi", "B2", region_has_context)
    case.depart(
        "padding",
        "ROI growth",
        lambda reference: np.testing.assert_array_equal(
            predictor.padding(Coordinate(voxel_size)), [-(-4 * scale // size) * size for size in voxel_size]
        ),
    )

    def no_channel_axis_is_fine(reference: str) -> None:
        assert reference.startswith("ERROR")
        ours = single.create_target(volume(instances[0], voxel_size)).data
        np.testing.assert_array_equal(ours, single.create_target(volume(instances, voxel_size)).data)

    case.depart("no_channel", "B14", no_channel_axis_is_fine)
    with pytest.raises(VolumeError):
        single.create_target(volume(binary, voxel_size))


@pytest.mark.golden_case("hot_distance")
def test_hot_distances_equal_the_golden_ones(case: Any) -> None:
    voxel_size, scale = case.params["voxel_size"], case.params["scale_factor"]
    mask = volume(case.inputs["in_mask"], voxel_size)
    channels = names(case.inputs["in_gt0"])
    for masked in (1, 0):
        predictor = HotDistancePredictor(channels, scale, bool(masked))
        counts = None
        for call in range(2):
            gt = volume(case.inputs[f"in_gt{call}"], voxel_size)
            target = predictor.create_target(gt)
            weight, counts = predictor.create_weight(gt, target, mask, counts)
            if masked:
                case.compare(f"out_target{call}", target.data)
            case.compare(f"out_w_mask{masked}_call{call}", weight.data)
            case.compare(f"out_counts_mask{masked}_call{call}", counts_array(counts))
    case.compare("embedding_dims", predictor.embedding_dims)
    case.compare("classes", predictor.classes)

    ids = case.inputs["in_ids"]
    ours = HotDistancePredictor(["a"], scale, False).create_target(volume(ids, voxel_size)).data
    distances = np.zeros(ours.shape, dtype=bool)
    distances[1:] = True
    case.compare("out_ids", ours, where=distances)

    def first_half_is_foreground(reference: np.ndarray) -> None:
        np.testing.assert_array_equal(ours[0], ids[0] > 0)
        np.testing.assert_array_equal(ours[0], reference[0] > 0)

    case.depart("out_ids", "B13", first_half_is_foreground, where=~distances)
