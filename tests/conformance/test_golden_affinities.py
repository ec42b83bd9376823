"""Affinities, local shape descriptors and their weights, one-hot and dummy targets: the golden values."""

import math
from typing import Any

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from gunpowder import ArraySpec

from attacca.arrays import NumpyArray
from attacca.errors import VolumeError
from attacca.predictors import (
    AffinitiesPredictor,
    DistancePredictor,
    DummyPredictor,
    HotDistancePredictor,
    InnerDistancePredictor,
    OneHotPredictor,
    Predictor,
    balance_weights,
)
from attacca.predictors.affinity_targets import affinities, padding


def volume(data: np.ndarray, voxel_size: list[int]) -> NumpyArray:
    """An array whose axes follow from its number of dimensions and that of the voxel size."""
    dims = len(voxel_size)
    shape = Coordinate(data.shape[data.ndim - dims :]) * Coordinate(voxel_size)
    axes = ["c"] * (data.ndim - dims) + ["z", "y", "x"][3 - dims :]
    return NumpyArray.from_np_array(data, Roi((0,) * dims, shape), voxel_size, axes)


def counts_array(counts: Any) -> np.ndarray:
    """Running counts as the golden arrays hold them: (slabs, classes, 2)."""
    return np.array([[slab[class_id] for class_id in sorted(slab)] for slab in counts], dtype=np.float64)


@pytest.mark.golden_case("affinities_target")
def test_affinities_equal_the_golden_ones(case: Any) -> None:
    for name, neighborhood in case.params["neighborhoods"].items():
        labels = case.inputs[f"in_labels{len(neighborhood[0])}d"]
        voxel_size = [1] * labels.ndim
        for background in (0, 1):
            predictor = AffinitiesPredictor(neighborhood, lsds=False, background_as_object=bool(background))
            target = predictor.create_target(volume(labels, voxel_size))
            case.compare(f"out_{name}_bg{background}", target.data)
    labels = case.inputs["in_labels3d"]
    gt = volume(labels[np.newaxis], [1, 1, 1])
    predictor = AffinitiesPredictor([(1, 0, 0)], lsds=False)
    case.compare("channel_dim_gt", str(predictor.create_target(gt).data.shape))
    case.compare("target_dtype", str(predictor.create_target(gt).dtype))
    for name in [name for name in case.inline if name.startswith("offset_")]:
        _, step, *_, length = name.split("_")
        assert labels.shape[0] == int(length) and int(step) > 0
        target = affinities(labels, [(int(step), 0, 0)])
        if case.reference(name).startswith("ERROR"):
            # an accident of slicing in DaCapo, which gives zeros for still longer offsets

            def partners_outside_are_zero(reference: str, target: np.ndarray = target) -> None:
                assert not target.any()

            case.depart(name, "B4", partners_outside_are_zero)
        else:
            case.compare(name, f"sum {int(target.sum())}")


@pytest.mark.golden_case("affinities_lsds")
def test_local_shape_descriptors(case: Any) -> None:
    for key in [key.removeprefix("cfg_") for key in case.params]:
        config = case.params[f"cfg_{key}"]
        voxel_size = config["voxel_size"]
        predictor = AffinitiesPredictor(
            config["neighborhood"],
            lsds=True,
            num_voxels=config["num_voxels"],
            downsample_lsds=config["downsample"],
            background_as_object=config["background_as_object"],
        )
        number = len(config["neighborhood"])
        assert list(predictor.sigma(Coordinate(voxel_size))) == config["sigma"]
        target = predictor.create_target(volume(case.inputs[f"in_labels_{key}"], voxel_size)).data
        reference, exact = case.reference(f"out_target_{key}"), case.reference(f"out_f64_{key}")
        stable = case.reference(f"out_stable_{key}")
        everywhere = np.concatenate([np.ones(target[:number].shape, dtype=bool), stable])
        case.compare(f"out_target_{key}", target, where=everywhere)
        # elsewhere the reference is rounding noise of float32; the evaluation in float64 counts
        corrected = np.concatenate([reference[:number], exact])
        np.testing.assert_allclose(target, corrected, atol=1e-5)
        noise = ~everywhere & ~np.isclose(target, reference, rtol=1e-3, atol=1e-3)
        case.note(f"out_target_{key}", np.where(noise, reference, target))
        case.compare(f"out_f64_{key}", target[number:])
        axes = tuple(range(1, exact.ndim))
        case.note(f"out_f64maxdiff_{key}", np.abs(reference[number:] - exact).max(axis=axes, initial=0))
        case.note(f"unstable_fraction_{key}", [float(np.mean(~channel)) for channel in stable])
        case.note(f"out_stable_{key}", stable)

    def window_belongs_to_the_voxel_size(reference: list[int]) -> None:
        first = AffinitiesPredictor([(1, 0, 0)], lsds=True, num_voxels=1)
        sizes = [Coordinate((8, 8, 8)), Coordinate((40, 4, 4))]
        assert [first.extractor(size).sigma for size in sizes] == [first.sigma(size) for size in sizes]
        assert first.sigma(sizes[0]) != first.sigma(sizes[1])

    case.depart("extractor_sigma_is_cached_from_first_call", "B15", window_belongs_to_the_voxel_size)
    predictor = AffinitiesPredictor([(1, 0, 0)], lsds=True, num_voxels=1, downsample_lsds=2)
    odd = volume(np.ones((9, 10, 10), dtype=np.uint8), [4, 4, 4])
    case.compare_error("odd_shape_downsample2", lambda: predictor.create_target(odd), VolumeError)


@pytest.mark.golden_case("affinities_weights")
def test_affinity_weights_over_three_calls(case: Any) -> None:
    voxel_size, neighborhood = case.params["voxel_size"], case.params["neighborhood"]
    number = len(neighborhood)
    mask = volume(case.inputs["in_mask"], voxel_size)
    volumes = [volume(case.inputs[f"in_gt{call}"], voxel_size) for call in range(3)]
    for lsds in (0, 1):
        for clip, (low, high) in enumerate(case.params["clips"]):
            predictor = AffinitiesPredictor(
                neighborhood,
                lsds=bool(lsds),
                num_voxels=case.params["num_voxels"],
                affs_weight_clipmin=low,
                affs_weight_clipmax=high,
                lsd_weight_clipmin=low,
                lsd_weight_clipmax=high,
            )
            counts: Any = None
            for call, gt in enumerate(volumes[: 3 if clip == 0 else 1]):
                target = predictor.create_target(gt)
                weight, counts = predictor.create_weight(gt, target, mask, counts)
                key = f"lsd{lsds}_clip{clip}_call{call}"
                case.compare(f"weight_shape_{key}", list(weight.data.shape))
                case.compare(f"out_w_{key}", weight.data[: number + lsds])
                case.compare(f"out_counts_{key}", counts_array(counts[0]))
                if lsds:
                    same = bool((weight.data[number:] == weight.data[number]).all())
                    case.compare(f"lsd_channels_identical_{key}", same)
                    case.compare(f"out_lsdcounts_{key}", counts_array(counts[1]))
                else:
                    assert counts[1] is None

    # the first three offsets, without descriptors; mask without and with a channel axis
    reference = case.reference("out_grow0_m3")
    nearest = neighborhood[: len(reference)]
    gt = volumes[0]
    masks = {"m3": mask, "m4": volume(case.inputs["in_mask"][np.newaxis], voxel_size)}
    plain = AffinitiesPredictor(nearest, lsds=False)
    grown = AffinitiesPredictor(nearest, lsds=False, grow_boundary_iterations=3)
    data = gt.data
    for _ in range(3):
        data = brute_erosion(data)
    eroded = volume(data, voxel_size)
    for name, of_name in masks.items():
        weight, _ = plain.create_weight(gt, plain.create_target(gt), of_name)
        case.compare(f"out_grow0_{name}", weight.data)
        target = grown.create_target(gt)
        np.testing.assert_array_equal(target.data, affinities(data, nearest))
        ours, _ = grown.create_weight(gt, target, of_name)
        expected, _ = plain.create_weight(eroded, plain.create_target(eroded), of_name)
        case.depart(f"out_grow3_{name}", "B11", value=ours.data, expected=expected.data)


def brute_erosion(labels: np.ndarray) -> np.ndarray:
    """Objects without the voxels that have a face neighbor with another label, voxel by voxel."""
    eroded = labels.copy()
    for index in np.ndindex(labels.shape):
        for axis in range(labels.ndim):
            for step in (-1, 1):
                neighbor = list(index)
                neighbor[axis] += step
                if 0 <= neighbor[axis] < labels.shape[axis] and labels[tuple(neighbor)] != labels[index]:
                    eroded[index] = 0
    return eroded


@pytest.mark.golden_case("one_hot")
def test_one_hot_targets_equal_the_golden_ones(case: Any) -> None:
    predictor = OneHotPredictor(case.params["classes"])
    labels, flat = case.inputs["in_labels"], case.inputs["in_labels2d"]
    case.compare("out_process", predictor.process(labels))
    case.compare("out_process2d", predictor.process(flat))
    gt = volume(labels, [1, 1, 1])
    target = predictor.create_target(gt)
    case.compare("out_target", target.data)
    case.compare("out_target_nochannel", predictor.create_target(volume(labels[0], [1, 1, 1])).data)
    assert np.array_equal(predictor.create_target(volume(flat, [1, 1])).data, predictor.process(flat))
    ones = volume(np.ones_like(labels), [1, 1, 1])
    case.compare("out_weight", predictor.create_weight(gt, target, ones)[0].data)


@pytest.mark.golden_case("dummy_predictor")
def test_dummy_predictor_targets_equal_the_golden_ones(case: Any) -> None:
    predictor = DummyPredictor(case.params["embedding_dims"])
    labels = case.inputs["in_labels"]
    gt = volume(labels, [1, 1, 1])
    target = predictor.create_target(gt)
    weight, counts = predictor.create_weight(gt, target, None)
    assert counts is None
    case.compare("dtype", str(target.dtype))
    # head keeps the channel axis of the labels beside that of the target; labels may or may not have one
    for name, ours in (("out_target", target.data), ("out_weight", weight.data)):

        def no_second_channel_axis(reference: np.ndarray, ours: np.ndarray = ours) -> None:
            np.testing.assert_array_equal(ours, reference.squeeze(1))

        case.depart(name, "B14", no_second_channel_axis)


@pytest.mark.golden_case("balance_weights")
def test_balanced_weights_equal_the_golden_ones(case: Any) -> None:
    lab, m1, m2, mf = (case.inputs[f"in_{name}"] for name in ("lab", "m1", "m2", "mf"))
    channel = (1, -1, -1, -1)

    def compare(name: str, *arguments: Any, **options: Any) -> None:
        weights, counts = balance_weights(*arguments, **options)
        case.compare(f"out_{name}", weights)
        case.compare(f"out_counts_{name}", counts_array(counts))

    compare("noslab", lab, 2)
    compare("chan", lab, 2, slab=channel)
    compare("masks", lab, 2, [m1, m2], slab=channel)
    compare("floatmask", lab, 2, [mf], slab=channel)
    compare("tiles", lab, 2, [m1], slab=(1, 4, 3, -1))
    compare("noclip", lab, 2, [m1], slab=channel, clipmin=None, clipmax=None)
    compare("clip", lab, 2, [m1], slab=channel, clipmin=0.3, clipmax=0.6)
    lab4 = case.inputs["in_lab4"]
    compare("five_classes_missing", lab4, 5)
    compare("all_masked", lab4 > 0, 2, [np.zeros(lab4.shape, dtype=np.uint8)])
    compare("bool", lab > 0, 2)
    counts = None
    for call in range(4):
        labels = case.inputs[f"in_seq{call}"]
        weights, counts = balance_weights(labels, 2, slab=channel, moving_counts=counts)
        case.compare(f"out_seq{call}", weights)
        case.compare(f"out_counts_seq{call}", counts_array(counts))
    compare("doc_example", case.inputs["in_doc"], 3)
    case.compare_error("too_many_error", lambda: balance_weights(lab4, 3), VolumeError)
    negative = -lab4.astype(np.int32)
    case.compare_error("negative_error", lambda: balance_weights(negative, 5), VolumeError)

    def bool_labels_are_fine(reference: str) -> None:
        assert reference.startswith("ERROR")
        ours, _ = balance_weights(lab > 0, 2)
        np.testing.assert_array_equal(ours, balance_weights(lab, 2)[0])

    case.depart("bool_error__seed", "B14", bool_labels_are_fine)


def predictor_of(name: str) -> Predictor:
    """The predictor that a row of the table names: ``distance_sf10.0_mask1``, ``affs_long_lsd1_nv2``."""
    kind, *settings = name.split("_")
    if kind == "affs":
        neighborhoods = {
            "nearest": [(1, 0, 0), (0, 1, 0), (0, 0, 1)],
            "negative": [(-1, 0, 0), (0, -1, 0), (0, 0, -1)],
            "long": [(1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 0, 0), (0, 9, 0), (0, 0, 9), (2, -3, 4)],
        }
        shape, lsds, num_voxels = settings
        return AffinitiesPredictor(
            neighborhoods[shape], lsds=lsds == "lsd1", num_voxels=int(num_voxels.removeprefix("nv"))
        )
    scale = float(settings[0].removeprefix("sf"))
    if kind == "inner":
        return InnerDistancePredictor(["a"], scale)
    of_kind = {"distance": DistancePredictor, "hot": HotDistancePredictor}[kind]
    return of_kind(["a"], scale, settings[1] == "mask1")


@pytest.mark.golden_case("regions_and_padding")
def test_regions_and_padding(case: Any) -> None:
    for index, row in enumerate(case.reference("table")):
        for key in ("predictor", "voxel_size", "roi_offset", "roi_shape"):
            case.note(("table", index, key), row[key])
        voxel_size, roi = Coordinate(row["voxel_size"]), Roi(row["roi_offset"], row["roi_shape"])
        predictor = predictor_of(row["predictor"])
        spec = ArraySpec(roi=roi, voxel_size=voxel_size)
        region = predictor.gt_region_for_roi(spec).roi
        assert spec.roi == roi
        ours = [list(region.offset), list(region.shape)]
        grown = list(predictor.padding(voxel_size))
        if not isinstance(predictor, AffinitiesPredictor):
            margin = math.ceil(4 * predictor.scale_factor)
            expected = roi.grow(margin, margin).snap_to_grid(voxel_size, mode="grow")
            row_of_region = "B2" if isinstance(row["gt_roi"], str) else "ROI growth"
            case.depart(
                ("table", index, "gt_roi"),
                row_of_region,
                value=ours,
                expected=[list(expected.offset), list(expected.shape)],
            )
            whole = [-(-margin // size) * size for size in voxel_size]
            case.depart(("table", index, "padding"), "ROI growth", value=grown, expected=whole)
            continue
        case.compare(("table", index, "sigma"), list(predictor.sigma(voxel_size)))
        case.compare(("table", index, "lsd_pad"), list(predictor.lsd_pad(voxel_size)))
        below, above = padding(predictor.neighborhood, voxel_size)
        steps = np.array(predictor.neighborhood) * np.array(voxel_size)
        sides = [np.maximum(0, -steps).max(axis=0).tolist(), np.maximum(0, steps).max(axis=0).tolist()]
        window = list(predictor.lsd_pad(voxel_size)) if predictor.lsds else [0, 0, 0]
        margins = [np.maximum(side, window).tolist() for side in sides]
        expected = roi.grow(*map(Coordinate, margins)).snap_to_grid(voxel_size, mode="grow")
        assert ours == [list(expected.offset), list(expected.shape)]
        if (steps < 0).any():
            case.depart(
                ("table", index, "aff_padding"), "B4", value=[list(below), list(above)], expected=sides
            )
        else:
            case.compare(("table", index, "aff_padding"), [list(below), list(above)])
        if (np.array(sides[0]) > window).any():
            case.depart(("table", index, "gt_roi"), "B4", check=lambda reference: None)
        else:
            case.compare(("table", index, "gt_roi"), ours)
        whole = [-(-max(pair) // size) * size for *pair, size in zip(*margins, voxel_size)]
        case.depart(("table", index, "padding"), "B4", value=grown, expected=whole)
