import gunpowder as gp
import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import NumpyArray
from attacca.gp import DaCapoArraySource, DaCapoTargetFilter, TargetFilter
from attacca.predictors import AffinitiesPredictor, DistancePredictor, InnerDistancePredictor

LABELS, MASK, TARGET, WEIGHT = (
    gp.ArrayKey(f"TARGET_TEST_{name}") for name in ("GT", "MASK", "TARGET", "WEIGHT")
)
VOXEL = Coordinate(4, 2, 2)
PART = Roi((32, 32, 32), (32, 24, 28))


def labels() -> NumpyArray:
    coarse = np.random.default_rng(0).integers(0, 5, (6, 12, 12)).astype(np.uint32)
    data = coarse.repeat(4, axis=0).repeat(4, axis=1).repeat(4, axis=2)
    return NumpyArray.from_np_array(data, Roi((0, 0, 0), (96, 96, 96)), VOXEL, ["z", "y", "x"])


def request(node: DaCapoTargetFilter, *keys: gp.ArrayKey, mask: np.ndarray | None = None) -> gp.Batch:
    gt = labels()
    ones = np.ones(gt.data.shape, np.uint8) if mask is None else mask
    sources = (
        DaCapoArraySource(gt, LABELS, "edge"),
        DaCapoArraySource(NumpyArray.from_np_array(ones, gt.roi, VOXEL, ["z", "y", "x"]), MASK, 0),
    )
    chain = sources + gp.MergeProvider() + node
    batch_request = gp.BatchRequest(random_seed=1)
    for key in keys:
        batch_request[key] = gp.ArraySpec(roi=PART)
    with gp.build(chain):
        batch = chain.request_batch(batch_request.copy())
        assert batch_request[keys[0]].roi == PART
        return batch


@pytest.mark.parametrize(
    "predictor",
    [
        AffinitiesPredictor([(1, 0, 0), (0, -3, 2)], lsds=False),
        AffinitiesPredictor([(1, 0, 0)], lsds=True, num_voxels=2),
        AffinitiesPredictor([(1, 0, 0)], lsds=True, num_voxels=2, downsample_lsds=2),
        DistancePredictor(["a"], 4, mask_distances=True),
        InnerDistancePredictor(["a"], 4),
    ],
    ids=["affinities", "lsds", "coarse_lsds", "distance", "inner_distance"],
)
def test_a_part_of_a_target_is_that_of_the_whole(predictor):
    batch = request(DaCapoTargetFilter(predictor, LABELS, TARGET, WEIGHT, MASK), TARGET, WEIGHT)
    whole = predictor.create_target(labels())
    assert np.allclose(batch[TARGET].data, whole[PART], atol=1e-3)
    assert batch[WEIGHT].data.shape == batch[TARGET].data.shape


def test_weights_follow_the_mask_and_need_none():
    predictor = AffinitiesPredictor([(0, 0, 1)], lsds=False)
    mask = np.ones((24, 48, 48), np.uint8)
    mask[:, :, :24] = 0
    batch = request(DaCapoTargetFilter(predictor, LABELS, TARGET, WEIGHT, MASK), WEIGHT, mask=mask)
    assert (batch[WEIGHT].data[..., :8] == 0).all() and (batch[WEIGHT].data[..., 8:] > 0).all()
    batch = request(DaCapoTargetFilter(predictor, LABELS, TARGET, WEIGHT), TARGET, WEIGHT)
    assert (batch[WEIGHT].data > 0).all()


def test_counts_that_are_given_do_not_move_and_others_do():
    predictor = AffinitiesPredictor([(0, 0, 1)], lsds=False)
    counts = ([{0: (500_000, 1_000_000.0), 1: (500_000, 1_000_000.0)}], None)
    node = DaCapoTargetFilter(predictor, LABELS, TARGET, WEIGHT, MASK, class_counts=counts)
    weights = request(node, WEIGHT)[WEIGHT].data
    assert node.moving_class_counts is None
    assert counts == ([{0: (500_000, 1_000_000.0), 1: (500_000, 1_000_000.0)}], None)
    assert np.allclose(weights, 1.0, atol=0.1)
    node = DaCapoTargetFilter(predictor, LABELS, TARGET, WEIGHT, MASK)
    request(node, WEIGHT)
    once = node.moving_class_counts[0][0][1]
    request(node, WEIGHT)
    assert node.moving_class_counts[0][0][1][0] == 2 * once[0]


def test_weights_from_given_counts_do_not_depend_on_the_context_of_targets():
    counts = {0: (50_000_000, 100_000_000.0), 1: (50_000_000, 100_000_000.0)}
    mask = np.random.default_rng(0).integers(0, 2, (24, 48, 48)).astype(np.uint8)
    found = []
    for lsds in (False, True):
        predictor = AffinitiesPredictor([(0, 0, -3)], lsds=lsds, num_voxels=2, mask_partners=True)
        fixed = ([counts], [counts] if lsds else None)
        node = DaCapoTargetFilter(predictor, LABELS, TARGET, WEIGHT, MASK, class_counts=fixed)
        found.append(request(node, TARGET, WEIGHT, mask=mask)[WEIGHT].data[:1])
    assert ((found[0] > 0) == (found[1] > 0)).all() and 0.1 < (found[0] > 0).mean() < 0.4
    assert np.allclose(*found, rtol=1e-2)


def test_a_node_that_makes_nothing_is_refused():
    with pytest.raises(ValueError, match="neither target_key nor weights_key"):
        TargetFilter(AffinitiesPredictor([(0, 0, 1)], lsds=False), LABELS)
