"""Variation of information of parts of the scored region."""

import itertools

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import NumpyArray
from attacca.evaluators import GroundTruthRules, InstanceEvaluator, voi
from attacca.evaluators.nested_regions import choose_part_size


def in_memory(data, offset=(0, 0, 0), voxel_size=(8, 4, 4)):
    roi = Roi(offset, Coordinate(data.shape) * Coordinate(voxel_size))
    return NumpyArray.from_np_array(data, roi, Coordinate(voxel_size), ["z", "y", "x"])


def volumes(shape=(8, 16, 8), seed=0):
    random = np.random.default_rng(seed)
    labels = np.kron(random.integers(0, 4, [-(-n // 4) for n in shape]), np.ones((4, 4, 4), int))
    labels = labels[tuple(slice(n) for n in shape)].astype(np.uint64)
    segments = np.where(random.random(shape) < 0.7, labels + 1, random.integers(0, 6, shape))
    return segments.astype(np.uint64), labels


def halve(boxes, extents):
    """Halve boxes, pairs of first and last + 1 voxel, along their longest side."""
    axis = int(np.argmax(extents))
    halves = []
    for box in boxes:
        first, last = box[axis]
        middle = (first + last) // 2
        halves += [(*box[:axis], side, *box[axis + 1 :]) for side in ((first, middle), (middle, last))]
    return halves


def test_each_size_is_the_weighted_mean_over_crops(tmp_path):
    segments, labels = volumes()
    evaluator = InstanceEvaluator(rules=GroundTruthRules(unlabelled=3), regions=True)
    scores = evaluator.evaluate_blockwise(
        in_memory(segments), in_memory(labels), tmp_path, block_size=(16, 16, 16)
    )
    boxes, extents = [((0, 8), (0, 16), (0, 8))], [64, 64, 32]
    for size in scores.regions:
        crops = [tuple(slice(first, last) for first, last in box) for box in boxes]
        found, weights = [], []
        for crop in crops:
            counted = int((~np.isin(labels[crop], (0, 3))).sum())
            if counted >= 0.1 * labels[crop].size:
                found.append(voi(segments[crop], labels[crop], ignore_groundtruth=(0, 3)))
                weights.append(counted)
        means = np.average(found, axis=0, weights=weights)
        assert size.parts == len(found)
        assert size.shape == labels[crops[0]].shape
        assert [size.voi_split, size.voi_merge] == pytest.approx(list(means))
        assert size.voi == pytest.approx(means.sum())
        assert size.lowest == pytest.approx(min(one.sum() for one in found))
        assert size.highest == pytest.approx(max(one.sum() for one in found))
        boxes = halve(boxes, extents)
        extents[int(np.argmax(extents))] //= 2
    assert len(scores.regions) == 6


def test_regions_change_no_other_score():
    segments, labels = volumes((9, 70, 37))
    for rules in (GroundTruthRules(), GroundTruthRules(unlabelled=0, border=4, components=True)):
        plain = InstanceEvaluator(rules=rules).evaluate(in_memory(segments), in_memory(labels))
        more = InstanceEvaluator(rules=rules, regions=True).evaluate(in_memory(segments), in_memory(labels))
        assert not plain.regions
        assert more.regions[0].voi == pytest.approx(more.voi)
        assert len(more.regions) > 2
        for name in plain.criteria:
            assert more.value(name) == pytest.approx(plain.value(name), abs=1e-12)


def test_shards_compute_the_parts(tmp_path):
    segments, labels = map(in_memory, volumes((9, 70, 37)))
    evaluator = InstanceEvaluator(regions=True)
    for number in range(2):
        evaluator.compare_shard(segments, labels, tmp_path, (number, 2), key="a")
    files = set(tmp_path.rglob("*.npz"))
    scores = evaluator.evaluate_blockwise(segments, labels, tmp_path, key="a")
    assert set(tmp_path.rglob("*.npz")) == files
    assert scores.regions == evaluator.evaluate(segments, labels).regions


@pytest.mark.parametrize("shape", [(5,), (7, 200), (40, 250, 125), (31, 17, 300), (3000, 3000, 3000)])
def test_parts_cover_the_region_and_have_no_short_sides(shape):
    voxel_size = Coordinate((8, 4, 4)[-len(shape) :])
    size = choose_part_size(Roi((0,) * len(shape), Coordinate(shape) * voxel_size), voxel_size)
    part = size / voxel_size
    assert all(n <= whole and n >= min(16, whole) for n, whole in zip(part, shape))
    assert np.prod(part, dtype=float) <= 1 << 23
    halvings = sum(int(np.ceil(np.log2(whole / n))) for n, whole in zip(part, shape))
    assert halvings >= 6 or all(n < 32 for n in part)


def test_a_region_without_annotations_has_no_sizes():
    segments, labels = volumes()
    scores = InstanceEvaluator(regions=True).evaluate(in_memory(segments), in_memory(labels * 0))
    assert scores.regions == []


def test_parts_without_annotations_do_not_count(tmp_path):
    segments, labels = volumes()
    labels[:, 8:] = 0
    evaluator = InstanceEvaluator(regions=True)
    sizes = evaluator.evaluate_blockwise(
        in_memory(segments), in_memory(labels), tmp_path, block_size=(64, 32, 32)
    ).regions
    assert [size.parts for size in sizes] == [1, 1]
    assert sizes[0].voi == pytest.approx(sizes[1].voi)
    assert not list(itertools.filterfalse(lambda size: size.highest == size.lowest, sizes))
