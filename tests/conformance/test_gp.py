"""gunpowder nodes: the golden values."""

from collections.abc import Sequence
from typing import Any

import gunpowder as gp
import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import NumpyArray
from attacca.gp import (
    CopyMask,
    DaCapoArraySource,
    DaCapoTargetFilter,
    ElasticAugment,
    GammaAugment,
    Product,
    RejectIfEmpty,
    SampleLocation,
)
from attacca.gp.gamma_augment import apply_gamma
from attacca.predictors import (
    AffinitiesPredictor,
    DistancePredictor,
    HotDistancePredictor,
    InnerDistancePredictor,
    Predictor,
)

RAW, MASK, COPY, PRODUCT, LABELS, TARGET, WEIGHT = (
    gp.ArrayKey(f"GOLDEN_{name}") for name in ("RAW", "MASK", "COPY", "PRODUCT", "LABELS", "TARGET", "WEIGHT")
)


def array(data: np.ndarray, voxel_size: Sequence[int] = (4, 2, 2)) -> NumpyArray:
    dims = len(voxel_size)
    axes = ["c"] * (data.ndim - dims) + ["z", "y", "x"][3 - dims :]
    shape = Coordinate(data.shape[data.ndim - dims :]) * Coordinate(voxel_size)
    return NumpyArray.from_np_array(data, Roi((0,) * dims, shape), Coordinate(voxel_size), axes)


class Watch(gp.BatchFilter):
    """Remembers which region was asked for."""

    def __init__(self, key: gp.ArrayKey) -> None:
        self.key = key
        self.roi: Roi | None = None

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        self.roi = request[self.key].roi.copy()
        return request

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> None:
        pass

    def as_lists(self) -> list[list[int]]:
        assert self.roi is not None
        return [list(self.roi.offset), list(self.roi.shape)]


def ask(chain: Any, rois: dict[gp.ArrayKey, Roi], seed: int | None = 1) -> gp.Batch:
    request = gp.BatchRequest(random_seed=seed)
    for key, roi in rois.items():
        request[key] = gp.ArraySpec(roi=roi)
    with gp.build(gp.Pipeline(chain) if isinstance(chain, gp.BatchProvider) else chain):
        return chain.request_batch(request)


@pytest.mark.golden_case("gp_copymask_product")
def test_copied_masks_and_products(case: Any) -> None:
    raw, mask = array(case.inputs["in_raw"], (1, 1, 1)), array(case.inputs["in_mask"], (1, 1, 1))
    sources = (DaCapoArraySource(raw, RAW), DaCapoArraySource(mask, MASK))
    drop = sources + gp.MergeProvider() + CopyMask(MASK, COPY, drop_channels=True)
    batch = ask(drop, {COPY: raw.roi, MASK: raw.roi})
    case.compare("out_copy_drop", batch[COPY].data)
    case.depart(
        "mask_shape_after_drop_when_both_requested",
        "B17",
        value=list(batch[MASK].data.shape),
        expected=list(case.inputs["in_mask"].shape),
    )
    sources = (DaCapoArraySource(raw, RAW), DaCapoArraySource(mask, MASK))
    keep = sources + gp.MergeProvider() + CopyMask(MASK, COPY)
    case.compare("out_copy_keep", ask(keep, {COPY: raw.roi})[COPY].data)
    sources = (DaCapoArraySource(raw, RAW), DaCapoArraySource(mask, MASK))
    product = ask(sources + gp.MergeProvider() + Product(RAW, MASK, PRODUCT), {PRODUCT: raw.roi})
    case.compare("out_product", product[PRODUCT].data)
    case.compare("product_dtype", str(product[PRODUCT].data.dtype))


@pytest.mark.golden_case("gp_gamma")
def test_gamma_equals_the_golden_one(case: Any) -> None:
    raw = array(case.inputs["in_raw"], (1, 1, 1))

    def augmented(low: float, high: float, source: NumpyArray = raw, seed: int = 1) -> np.ndarray:
        chain = DaCapoArraySource(source, RAW) + GammaAugment([RAW], low, high)
        return ask(chain, {RAW: source.roi}, seed)[RAW].data

    for name in [name for name in case.arrays if name.startswith("out_") and "intended" not in name]:
        low, high = map(float, name.split("_")[1:])

        def changes(reference: np.ndarray, low: float = low, high: float = high) -> None:
            # DaCapo returns its input; ours is bent by some gamma of the interval.
            ours = augmented(low, high)
            assert np.abs(reference - case.inputs["in_raw"]).max() < 1e-5
            assert np.abs(ours - reference).max() > 1e-3
            inner = (reference > reference.min()) & (reference < reference.max())
            unit = (reference - reference.min()) / (reference.max() - reference.min())
            bent = (ours - ours.min()) / (ours.max() - ours.min())
            inner &= (unit > 0.05) & (unit < 0.95)
            gammas = np.log(bent[inner]) / np.log(unit[inner])
            assert np.ptp(gammas) < 0.01
            assert low - 0.01 <= gammas.mean() <= high + 0.01

        case.depart(name, "B6", changes)
    for gamma in (0.5, 2.0):
        case.compare(f"out_intended_gamma{gamma}", augmented(gamma, gamma))
        assert np.allclose(augmented(gamma, gamma), apply_gamma(raw.data, gamma))
    for name in [name for name in case.inline if name.startswith("gamma_stats")]:
        low, high = map(float, name.split("_")[2:])

        def drawn_alike(reference: dict[str, float], low: float = low, high: float = high) -> None:
            np.random.seed(3)  # noqa: NPY002
            node = GammaAugment(RAW, low, high)
            gammas = np.array([node.draw() for _ in range(40_000)])
            # The values before the transform are uniform; a thousand draws determine their median this well.
            straight = [gamma - 1 if gamma >= 1 else 1 - 1 / gamma for gamma in (low, high)]
            spread = 4.5 / np.sqrt(1000)
            medians = [
                middle - 1 if middle >= 1 else 1 - 1 / middle
                for middle in (np.median(gammas), reference["median"])
            ]
            assert abs(medians[0] - medians[1]) < spread * (straight[1] - straight[0]) / 2
            assert abs((gammas < 1).mean() - reference["frac_below_1"]) < spread / 2
            assert abs(gammas.min() - reference["min"]) < 0.04
            assert abs(gammas.max() - reference["max"]) < 0.04

        # Not a value but a distribution, which only a node that augments shows.
        case.depart(name, "B6", drawn_alike)
    flat = array(np.full((1, 6, 8, 8), 0.5, dtype=np.float32), (1, 1, 1))
    case.compare("flat_passthrough", bool(np.array_equal(augmented(0.5, 2, flat), flat.data)))
    whole = array((case.inputs["in_raw"] * 255).astype(np.uint8), (1, 1, 1))
    case.compare_error("uint8_error", lambda: augmented(0.5, 2, whole))
    case.compare_error("bad_range", lambda: GammaAugment([RAW], 2.0, 0.5), ValueError)


@pytest.mark.golden_case("gp_elastic")
def test_elastic_deformation_equals_the_golden_one(case: Any) -> None:
    raw, labels = array(case.inputs["in_raw"]), array(case.inputs["in_labels"])
    roi = Roi(*case.params["request_roi"])

    def deform(
        angle: float = 0.0, sigma: float = 0.0, seed: int | None = 1, **arguments: Any
    ) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
        watch = Watch(RAW)
        sources = (DaCapoArraySource(raw, RAW), DaCapoArraySource(labels, LABELS))
        node = ElasticAugment((8, 8, 8), (sigma,) * 3, (angle, angle), **arguments)
        batch = ask(sources + gp.MergeProvider() + watch + node, {RAW: roi, LABELS: roi}, seed)
        return batch[RAW].data, batch[LABELS].data[0], watch.as_lists()

    same, same_labels = raw[roi], labels[roi]
    for subsample in (1, 4):
        ours, our_labels, _ = deform(subsample=subsample)
        identity = [float(np.abs(ours - same).max()), bool(np.array_equal(our_labels, same_labels))]
        case.compare(f"identity_sub{subsample}", identity)
    for degrees in (90, 180, 30):
        ours, our_labels, upstream = deform(np.deg2rad(degrees))
        case.compare(f"out_raw_rot{degrees}", ours)
        case.compare(f"out_labels_rot{degrees}", our_labels)
        case.compare(f"upstream_roi_rot{degrees}", upstream)
    first, second = deform(sigma=2, seed=1)[0], deform(sigma=2, seed=2)[0]
    case.compare("request_seed_matters", not np.array_equal(first, second))
    case.compare(
        "p0_is_identity", bool(np.array_equal(deform(1.0, 2.0, augmentation_probability=0.0)[0], same))
    )

    def seed_of_the_node(reference: bool) -> None:
        assert reference is True
        chains = []
        for _ in range(2):
            node = ElasticAugment((8, 8, 8), (2, 2, 2), (0, 1), seed=7)
            chains.append(ask(DaCapoArraySource(raw, RAW) + node, {RAW: roi}, None)[RAW].data)
        assert np.array_equal(*chains)

    case.depart("seed_argument_ignored", "B31", seed_of_the_node)
    flat = array(case.inputs["in_raw"][0, 0], (2, 2))
    part = Roi((32, 32), (32, 32))
    node = ElasticAugment((8, 8), (0, 0), (0, 0))
    ours = ask(DaCapoArraySource(flat, RAW) + node, {RAW: part})[RAW].data
    case.compare("identity_2d", float(np.abs(ours[0] - flat[part]).max()))


def reference_region(predictor: Predictor, growth: int) -> Predictor:
    """The predictor with DaCapo's context: ``growth`` on each side, snapped inward."""

    def gt_region_for_roi(spec: Any) -> Any:
        spec = spec.copy()
        grown = spec.roi.grow(Coordinate((growth,) * 3), Coordinate((growth,) * 3))
        spec.roi = grown.snap_to_grid(spec.voxel_size, mode="shrink")
        return spec

    predictor.gt_region_for_roi = gt_region_for_roi  # type: ignore[method-assign]
    return predictor


@pytest.mark.golden_case("gp_target_filter")
def test_targets_in_the_pipeline(case: Any) -> None:
    roi = Roi(*case.params["roi"])
    gt, instances = array(case.inputs["in_gt"]), array(case.inputs["in_instances"])

    def make(
        predictor: Predictor, keys: str, labels: NumpyArray, mask: bool = True, fill: Any = None
    ) -> tuple[gp.Batch, list[list[int]]]:
        watch = Watch(LABELS)
        ones = array(np.ones(labels.data.shape, dtype=np.uint8))
        sources = (DaCapoArraySource(labels, LABELS, fill), DaCapoArraySource(ones, MASK, fill and 0))
        node = DaCapoTargetFilter(
            predictor,
            LABELS,
            TARGET if "T" in keys else None,
            WEIGHT if "W" in keys else None,
            MASK if mask else None,
        )
        requested = {key: roi for key, letter in ((TARGET, "T"), (WEIGHT, "W")) if letter in keys}
        return ask(sources + gp.MergeProvider() + watch + node, requested), watch.as_lists()

    scale = 10
    distances = {
        "distance_mask": (DistancePredictor, {"mask_distances": True}, scale),
        "distance_nomask": (DistancePredictor, {"mask_distances": False}, 0),
        "hot_mask": (HotDistancePredictor, {"mask_distances": True}, scale),
    }
    for name, (kind, arguments, growth) in distances.items():
        batch, region = make(kind(["a"], scale, **arguments), "W", gt)
        case.compare(f"out_{name}_W_W", batch[WEIGHT].data)
        case.compare(f"{name}_W_gt_request", region)
        alike, region = make(reference_region(kind(["a"], scale, **arguments), growth), "TW", gt)
        batch, own_region = make(kind(["a"], scale, **arguments), "TW", gt, fill="edge")

        def region_is_larger(reference: list[list[int]], ours: list[list[int]] = own_region) -> None:
            grown = Roi(*case.params["roi"]).grow(Coordinate((4 * scale,) * 3), Coordinate((4 * scale,) * 3))
            assert Roi(*ours) == grown.snap_to_grid(Coordinate(4, 2, 2), mode="grow")

        assert case.reference(f"{name}_TW_gt_request") == region
        case.depart(f"{name}_TW_gt_request", "ROI growth", region_is_larger)
        # With DaCapo's context the node gives DaCapo's values; with its own, those of the whole volume.
        case.compare(f"out_{name}_TW_W", alike[WEIGHT].data)
        case.compare(f"out_{name}_TW_T", alike[TARGET].data)
        whole = kind(["a"], scale, **arguments).create_target(gt)
        assert np.allclose(batch[TARGET].data, whole[roi], atol=1e-3)
    inner = InnerDistancePredictor(["a"], scale)
    batch, region = make(inner, "W", gt)
    case.compare("out_inner_W_W", batch[WEIGHT].data)
    case.compare("inner_W_gt_request", region)

    def inner_works(reference: str) -> None:
        batch, _ = make(InnerDistancePredictor(["a"], scale), "TW", gt, fill="edge")
        whole = InnerDistancePredictor(["a"], scale).create_target(gt)
        assert np.allclose(batch[TARGET].data, whole[roi], atol=1e-3)

    case.depart("inner_TW_error", "B2", inner_works)
    nearest = [Coordinate(step) for step in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    affinities = {
        "affs_nearest": AffinitiesPredictor(nearest, lsds=False),
        "affs_negative": AffinitiesPredictor([-step for step in nearest], lsds=False),
        "affs_lsd": AffinitiesPredictor(nearest, lsds=True, num_voxels=2),
    }
    for name, predictor in affinities.items():
        batch, region = make(predictor, "W", instances)
        case.compare(f"out_{name}_W_W", batch[WEIGHT].data)
        case.compare(f"{name}_W_gt_request", region)
        batch, region = make(predictor, "TW", instances)
        if name != "affs_negative":
            case.compare(f"out_{name}_TW_T", batch[TARGET].data)
            case.compare(f"out_{name}_TW_W", batch[WEIGHT].data)
            case.compare(f"{name}_TW_gt_request", region)
            continue

        def negative_offsets_work(reference: str, ours: np.ndarray = batch[TARGET].data) -> None:
            whole = affinities["affs_negative"].create_target(instances)
            assert np.array_equal(ours, whole[roi])

        case.depart("affs_negative_TW_error", "B4", negative_offsets_work)
    for name in [name for name in case.inline if name.endswith("_T_nomask_error")]:
        kind = name.removesuffix("_T_nomask_error")
        labels = instances if kind.startswith("affs") else gt
        if kind in distances:
            node_class, arguments, _ = distances[kind]
            predictor = node_class(["a"], scale, **arguments)
        else:
            predictor = affinities.get(kind, inner)

        def works_without_mask(
            reference: str, predictor: Predictor = predictor, labels: NumpyArray = labels
        ) -> None:
            without, _ = make(predictor, "TW", labels, mask=False, fill="edge")
            with_ones, _ = make(predictor, "TW", labels, mask=True, fill="edge")
            assert np.array_equal(without[TARGET].data, with_ones[TARGET].data)
            assert without[WEIGHT].data.max() > 0

        case.depart(name, "B31", works_without_mask)


class Count(gp.BatchFilter):
    """Counts the batches that pass."""

    number = 0

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> None:
        self.number += 1


@pytest.mark.golden_case("gp_reject_if_empty")
def test_empty_batches_are_rejected(case: Any) -> None:
    window = Roi((0, 0, 0), (4, 4, 4))
    labels = np.zeros((40, 40, 40), dtype=np.uint8)
    labels[16:28, 14:26, 14:26] = 1
    tries = Count()

    def batches(node: RejectIfEmpty, number: int, data: np.ndarray = labels) -> list[np.ndarray]:
        source = DaCapoArraySource(array(data, (1, 1, 1)), LABELS)
        location = SampleLocation([Roi((0, 0, 0), data.shape)], window, Coordinate(1, 1, 1))
        chain = source + location + tries + node
        found = []
        with gp.build(chain):
            for seed in range(number):
                request = gp.BatchRequest(random_seed=seed)
                request[LABELS] = gp.ArraySpec(roi=window)
                found.append(chain.request_batch(request)[LABELS].data)
        return found

    alone = np.mean([batch.any() for batch in batches(RejectIfEmpty(LABELS, 0.0), 80)])
    for p in (0.0, 0.5, 1.0):
        name = f"stochastic_nonempty_fraction_p{p:g}"
        share = np.mean([batch.any() for batch in batches(RejectIfEmpty(LABELS, p), 20 if p == 1 else 80)])

        def share_as_described(reference: float, share: float = float(share), p: float = p) -> None:
            assert abs(share - (p + (1 - p) * alone)) < 0.15
            # Of a volume of its own, which is as empty: the node's share is within chance of the same.
            assert abs(reference - share) < 0.2

        case.depart(name, "B10", share_as_described)
    case.note("_stochastic", case.reference("_stochastic"))
    sevens = np.full((20, 20, 20), 7, dtype=np.uint8)

    def background_is_honoured(reference: bool) -> None:
        assert reference is False
        with pytest.raises(Exception, match="of volume sevens held nothing but background"):
            batches(RejectIfEmpty(LABELS, 1.0, background=7, max_tries=30, name="sevens"), 1, sevens)

    case.depart("background7_volume_of_7_rejected", "B10", background_is_honoured)
    tries.number = 0
    seeded = batches(RejectIfEmpty(LABELS, 1.0), 5)
    case.depart(
        "seeded_p1_returns_label_max", "B10", value=max(int(batch.max()) for batch in seeded), expected=1
    )

    def draws_anew_instead_of_waiting(reference: float) -> None:
        # The reference asks for one and the same batch until its time is up.
        assert reference > 1
        assert 5 <= tries.number < 5 * 100

    case.depart("seeded_p1_seconds", "B10", draws_anew_instead_of_waiting)
