import gunpowder as gp
import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.arrays import NumpyArray
from attacca.gp import (
    DaCapoArraySource,
    ElasticAugment,
    GammaAugment,
    IntensityAugment,
    NoiseAugment,
    SectionDefects,
    SectionShift,
    ToUnit,
)
from attacca.gp.gamma_augment import apply_gamma

RAW, LABELS = gp.ArrayKey("AUGMENT_RAW"), gp.ArrayKey("AUGMENT_LABELS")
VOXEL = Coordinate(4, 2, 2)
WHOLE = Roi((0, 0, 0), (96, 96, 96))
CENTER = Roi((32, 32, 32), (32, 32, 32))


def raw_data(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((1, 24, 48, 48)).astype(np.float32)


def label_data() -> np.ndarray:
    # Ids beyond 2^53, which no floating point number can hold.
    return np.random.default_rng(1).integers(2**60, 2**60 + 50, (24, 48, 48)).astype(np.uint64)


def run(*nodes, raw=None, labels=None, roi=CENTER, seed: int | None = 5, keys=(RAW, LABELS)):
    raw = raw_data() if raw is None else raw
    labels = label_data() if labels is None else labels
    sources = (
        DaCapoArraySource(NumpyArray.from_np_array(raw, WHOLE, VOXEL, ["c", "z", "y", "x"]), RAW),
        DaCapoArraySource(NumpyArray.from_np_array(labels, WHOLE, VOXEL, ["z", "y", "x"]), LABELS),
    )
    chain = sources + gp.MergeProvider()
    for node in nodes:
        chain = chain + node
    batch_request = gp.BatchRequest(random_seed=seed)
    for key in keys:
        batch_request[key] = gp.ArraySpec(roi=roi)
    with gp.build(chain):
        batch = chain.request_batch(batch_request)
    return batch[RAW].data, batch[LABELS].data if LABELS in keys else None


UNCHANGED = raw_data()[:, 8:16, 16:32, 16:32]
LABELS_UNCHANGED = label_data()[None, 8:16, 16:32, 16:32]


def test_gamma_changes_the_image_by_its_formula():
    raw, _ = run(GammaAugment(RAW, 2.0, 2.0))
    low, high = UNCHANGED.min(), UNCHANGED.max()
    assert np.allclose(raw, low + (high - low) * ((UNCHANGED - low) / (high - low)) ** 2, atol=1e-6)
    # DaCapo's node returns its input for every gamma.
    assert np.abs(raw - UNCHANGED).max() > 0.1


def test_one_gamma_is_drawn_for_all_arrays_and_another_for_each_seed():
    first, _ = run(GammaAugment([RAW], 0.5, 2.0), seed=1)
    again, _ = run(GammaAugment([RAW], 0.5, 2.0), seed=1)
    other, _ = run(GammaAugment([RAW], 0.5, 2.0), seed=2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_gamma_and_its_inverse_are_equally_likely():
    np.random.seed(0)  # noqa: NPY002
    node = GammaAugment(RAW, 0.5, 2.0)
    drawn = np.array([node.draw() for _ in range(4000)])
    assert drawn.min() >= 0.5 and drawn.max() <= 2
    assert abs(np.mean(drawn < 1) - 0.5) < 0.03
    assert abs(np.median(np.log(drawn))) < 0.05


def test_flat_images_pass_and_integers_are_refused():
    flat = np.full((4, 4), 0.3, dtype=np.float32)
    assert np.array_equal(apply_gamma(flat, 2.0), flat)
    with pytest.raises(Exception, match="floating point"):
        run(GammaAugment(RAW, 0.5, 2), raw=(raw_data() * 255).astype(np.uint8))
    with pytest.raises(ValueError, match="expected two ascending numbers"):
        GammaAugment(RAW, 2.0, 0.5)


@given(st.floats(0.2, 5), st.floats(-3, 3), st.floats(0.01, 4))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_gamma_keeps_black_and_white(gamma, low, extent):
    data = np.linspace(low, low + extent, 50)
    bent = apply_gamma(data, gamma)
    assert np.isclose(bent[0], low) and np.isclose(bent[-1], low + extent)
    assert (np.diff(bent) >= -1e-12).all()


@pytest.mark.parametrize("subsample", [1, 4])
def test_no_displacement_and_no_angle_change_nothing(subsample):
    raw, labels = run(ElasticAugment((8, 8, 8), (0, 0, 0), (0, 0), subsample=subsample))
    assert np.array_equal(raw, UNCHANGED)
    assert np.array_equal(labels, LABELS_UNCHANGED)


@pytest.mark.parametrize("subsample", [1, 4])
def test_a_quarter_turn_turns_the_last_two_axes_and_keeps_large_ids(subsample):
    raw, labels = run(ElasticAugment((8, 8, 8), (0, 0, 0), (np.pi / 2, np.pi / 2), subsample=subsample))
    expected = np.rot90(UNCHANGED, -1, axes=(2, 3)), np.rot90(LABELS_UNCHANGED, -1, axes=(2, 3))
    flipped = np.rot90(UNCHANGED, 1, axes=(2, 3)), np.rot90(LABELS_UNCHANGED, 1, axes=(2, 3))
    right = expected if np.allclose(raw, expected[0], atol=1e-5) else flipped
    assert np.allclose(raw, right[0], atol=1e-5)
    assert np.array_equal(labels, right[1])


def test_images_and_labels_move_together():
    cells = np.random.default_rng(1).integers(0, 7, (4, 8, 8)).astype(np.uint64)
    labels = cells.repeat(6, axis=0).repeat(6, axis=1).repeat(6, axis=2)
    raw = (labels / 7)[None].astype(np.float32)
    nodes = ElasticAugment((6, 6, 6), (3, 3, 3), (0, 0.5))
    moved, moved_labels = run(nodes, raw=raw, labels=labels)
    assert not np.array_equal(moved_labels, labels[None, 8:16, 16:32, 16:32])
    nodes = ElasticAugment((6, 6, 6), (3, 3, 3), (0, 0.5), subsample=4)
    _, subsampled = run(nodes, raw=raw, labels=labels)
    assert subsampled.shape == moved_labels.shape
    # At voxels that are interpolated between equal voxels, the image determines the label.
    near = np.abs(moved * 7 - np.round(moved * 7)) < 1e-3
    assert near.mean() > 0.05
    assert (np.round(moved * 7)[near] == moved_labels[near]).mean() > 0.95


def test_arrays_of_different_voxel_sizes_move_together():
    coarse_key = gp.ArrayKey("AUGMENT_COARSE")
    ramp = np.arange(48, dtype=np.float32)
    fine = np.broadcast_to(ramp[None, :, None, None], (1, 48, 48, 48)).copy()
    coarse = np.broadcast_to((ramp[::2] + 0.5)[None, :, None, None], (1, 24, 24, 24)).copy()
    sources = (
        DaCapoArraySource(
            NumpyArray.from_np_array(fine, WHOLE, Coordinate(2, 2, 2), ["c", "z", "y", "x"]), RAW
        ),
        DaCapoArraySource(
            NumpyArray.from_np_array(coarse, WHOLE, Coordinate(4, 4, 4), ["c", "z", "y", "x"]), coarse_key
        ),
    )
    chain = sources + gp.MergeProvider() + ElasticAugment((12, 12, 12), (4, 4, 4), (0, 1))
    batch_request = gp.BatchRequest(random_seed=11)
    batch_request[RAW] = gp.ArraySpec(roi=CENTER)
    batch_request[coarse_key] = gp.ArraySpec(roi=CENTER)
    with gp.build(chain):
        batch = chain.request_batch(batch_request)
    averaged = batch[RAW].data.reshape(1, 8, 2, 8, 2, 8, 2).mean(axis=(2, 4, 6))
    assert np.abs(averaged - batch[coarse_key].data).max() < 0.2


def test_the_seed_of_a_request_decides_and_that_of_the_node_only_without_it():
    def node(seed):
        return ElasticAugment((8, 8, 8), (2, 2, 2), (0, 1), seed=seed)

    assert np.array_equal(run(node(1), seed=5)[0], run(node(2), seed=5)[0])
    assert not np.array_equal(run(node(1), seed=5)[0], run(node(1), seed=6)[0])
    # DaCapo's node ignores its seed.
    assert np.array_equal(run(node(1), seed=None)[0], run(node(1), seed=None)[0])
    assert not np.array_equal(run(node(1), seed=None)[0], run(node(2), seed=None)[0])


def test_augmentation_with_probability_zero_is_left_out_and_any_rotation_is_possible():
    raw, _ = run(ElasticAugment((8, 8, 8), (9, 9, 9), (1, 1), augmentation_probability=0.0))
    assert np.array_equal(raw, UNCHANGED)
    node = ElasticAugment((8, 8, 8), (0, 0, 0), (0, 0), uniform_3d_rotation=True)
    inner = Roi((40, 40, 40), (16, 16, 16))
    raw, _ = run(node, roi=inner)
    assert not np.allclose(raw, raw_data()[:, 10:14, 20:28, 20:28], atol=1e-2)
    with pytest.raises(ValueError, match="subsample"):
        ElasticAugment((8, 8, 8), (0, 0, 0), (0, 0), subsample=0)


def test_two_dimensional_arrays_are_deformed():
    data = np.random.default_rng(0).random((1, 48, 48)).astype(np.float32)
    source = DaCapoArraySource(
        NumpyArray.from_np_array(data, Roi((0, 0), (96, 96)), Coordinate(2, 2), ["c", "y", "x"]), RAW
    )
    batch_request = gp.BatchRequest(random_seed=5)
    batch_request[RAW] = gp.ArraySpec(roi=Roi((32, 32), (32, 32)))
    chain = source + ElasticAugment((8, 8), (2, 2), (0, 1))
    with gp.build(chain):
        moved = chain.request_batch(batch_request)[RAW].data
    assert moved.shape == (1, 16, 16)
    assert not np.allclose(moved, data[:, 16:32, 16:32])


def test_raw_data_of_any_type_become_numbers_between_0_and_1():
    raw = (raw_data() * 1000).astype(np.uint16)
    unit, _ = run(ToUnit(RAW, 100, 900), raw=raw)
    expected = np.clip((raw[:, 8:16, 16:32, 16:32].astype(np.float32) - 100) / 800, 0, 1)
    assert unit.dtype == np.float32
    assert np.allclose(unit, expected, atol=1e-6)


def test_contrast_and_brightness_are_changed_about_the_mean():
    raw, _ = run(IntensityAugment(RAW, (0.5, 0.5), (0.1, 0.1)))
    mean = UNCHANGED.mean()
    assert np.allclose(raw, np.clip(mean + (UNCHANGED - mean) * 0.5 + 0.1, 0, 1), atol=1e-5)
    raw, _ = run(IntensityAugment(RAW, (0.5, 0.5), (-0.3, 0.3), per_section=True))
    means = (raw - UNCHANGED).mean(axis=(0, 2, 3))
    assert len(np.unique(np.round(means, 3))) > 4


def test_noise_has_the_configured_strength():
    gray = np.full((1, 24, 48, 48), 0.5, dtype=np.float32)
    raw, _ = run(NoiseAugment(RAW, (0.1, 0.1)), raw=gray)
    assert abs(raw.std() - 0.1) < 0.01
    assert np.array_equal(raw, run(NoiseAugment(RAW, (0.1, 0.1)), raw=gray)[0])


def test_missing_and_pale_sections_are_whole_sections_of_the_first_axis():
    raw, _ = run(SectionDefects(RAW, prob_missing=0.5, prob_low_contrast=1.0, contrast_scale=0.1))
    missing = (raw == 0).all(axis=(0, 2, 3))
    assert 0 < missing.sum() < 8
    pale = raw[:, ~missing]
    assert np.allclose(pale.std(axis=(0, 2, 3)), UNCHANGED[:, ~missing].std(axis=(0, 2, 3)) * 0.1, rtol=1e-3)


def test_shifted_sections_move_images_and_labels_by_whole_voxels():
    labels = np.arange(24 * 48 * 48, dtype=np.uint64).reshape(24, 48, 48)
    raw = labels[None].astype(np.float32)
    moved, moved_labels = run(
        SectionShift(prob_slip=0.5, prob_shift=0.5, max_shift=4), raw=raw, labels=labels
    )
    assert np.array_equal(moved, moved_labels)
    offsets = set()
    for section in range(8):
        z, y, x = np.unravel_index(int(moved_labels[0, section, 0, 0]), labels.shape)
        assert z == 8 + section
        offsets.add((y - 16, x - 16))
        assert np.array_equal(moved_labels[0, section], labels[z, y : y + 16, x : x + 16])
        assert abs(y - 16) <= 4 and abs(x - 16) <= 4
    assert len(offsets) > 2
