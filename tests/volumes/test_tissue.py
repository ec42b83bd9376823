"""Synthetic tissue: documented properties of its voxels and labels."""

from itertools import product
from pathlib import Path

import cc3d
import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from scipy.ndimage import distance_transform_edt, gaussian_filter

from attacca.config.load import load_configuration
from attacca.config.volumes import VolumeConfig
from attacca.errors import VolumeError
from attacca.volumes.tissue import geometry as tissue_geometry
from attacca.volumes.tissue.tissue import Tissue, tissue_block, tissue_labels


def configured(shape, seed=0, voxel_size=None, unit="nanometer", offset=None, **settings):
    return VolumeConfig.model_validate(
        {"synthetic": {"shape": shape, "seed": seed, **settings}, "unit": unit}
        | ({"voxel_size": voxel_size} if voxel_size else {})
        | ({"offset": offset} if offset else {})
    )


def in_blocks(config, size):
    """Return the tissue, joined from blocks that are generated in an arbitrary order."""
    tissue = Tissue(config)
    shape = config.synthetic.shape
    starts = list(product(*(range(0, n, s) for n, s in zip(shape, size))))
    result = {}
    for start in starts[::-1]:
        end = [min(a + s, n) for a, s, n in zip(start, size, shape)]
        begin = tissue.roi.begin + Coordinate(start) * tissue.voxel_size
        roi = Roi(begin, (Coordinate(end) - Coordinate(start)) * tissue.voxel_size)
        for name, voxels in tissue.block(roi).items():
            whole = result.setdefault(name, np.zeros(shape, voxels.dtype))
            whole[tuple(slice(a, b) for a, b in zip(start, end))] = voxels
    return result


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (configured([48, 40, 36], 3), (17, 40, 9)),
        (configured([8, 90, 100], 4, [400, 40, 40], "angstrom", [800, 40, 0]), (3, 50, 64)),
        (configured([150, 170], 5), (64, 33)),
    ],
    ids=["isotropic", "anisotropic with offset", "flat"],
)
def test_any_cut_into_blocks_gives_the_same_bytes(config, size):
    whole = tissue_block(config, Tissue(config).roi)
    blocks = in_blocks(config, size)
    assert set(whole) == {"raw", "labels", "organelles", "mitochondria"}
    for name in whole:
        assert whole[name].shape == tuple(config.synthetic.shape)
        assert np.array_equal(whole[name], blocks[name]), name


def test_blocks_agree_where_the_volume_has_several_bricks(monkeypatch):
    monkeypatch.setattr(tissue_geometry, "BRICK", 4.0)
    config = configured([70, 70, 70], 6)
    assert tuple(Tissue(config).bricks) == (1, 1, 1)
    config = configured([70, 70, 70], 6, neurite_diameter=80.0)
    assert tuple(Tissue(config).bricks) == (2, 2, 2)
    whole = Tissue(config).block(Tissue(config).roi)
    blocks = in_blocks(config, (32, 70, 21))
    assert all(np.array_equal(whole[name], blocks[name]) for name in whole)
    labels = whole["labels"]
    assert cc3d.connected_components(labels, connectivity=26).max() == len(np.unique(labels))


@pytest.fixture(scope="module")
def cube():
    """The volume on which the embedded default is tested."""
    config = load_configuration(Path(__file__).parents[2] / "config.yaml").volumes["tissue-test"]
    assert min(config.synthetic.shape) >= 128
    return Tissue(config).block(Tissue(config).roi)


def test_the_cube_is_full_of_more_than_a_hundred_connected_touching_neurites(cube):
    labels = cube["labels"]
    ids, sizes = np.unique(labels, return_counts=True)
    assert len(ids) >= 100 and ids.min() > 0 and labels.dtype == np.uint32
    assert cc3d.connected_components(labels, connectivity=26).max() == len(ids)
    # Every neurite touches others: dense tissue.
    touching = set()
    for axis in range(3):
        low, high = np.delete(labels, -1, axis), np.delete(labels, 0, axis)
        pairs = np.stack([low[low != high], high[low != high]])
        touching |= set(pairs.ravel().tolist())
    assert touching == set(ids.tolist())
    # Calibers vary, and thin neurites are thick enough for a small network.
    depth = np.array([d.max() for d in depths(labels, ids)])
    assert np.percentile(depth, 5) >= 3 and depth.max() / np.median(depth) > 1.5
    assert np.percentile(sizes, 95) / np.percentile(sizes, 5) > 10


def depths(labels, ids):
    import edt

    distances = edt.edt(labels, parallel=1)
    order = np.argsort(labels.ravel(), kind="stable")
    bounds = np.searchsorted(labels.ravel()[order], ids)
    return np.split(distances.ravel()[order], bounds[1:])


def test_membranes_and_mitochondria_are_dark_and_mitochondria_lie_inside_neurites(cube):
    raw, organelles = cube["raw"].astype(float), cube["organelles"]
    means = [raw[organelles == kind].mean() for kind in range(3)]
    assert means[0] > max(means[1:]) + 25
    shares = [(organelles == kind).mean() for kind in range(3)]
    assert 0.1 < shares[1] < 0.35 and 0.02 < shares[2] < 0.2
    ids = cube["mitochondria"]
    assert len(np.unique(ids)) > 10 and np.array_equal(ids > 0, organelles == 2)
    pairs = np.unique(np.stack([ids[ids > 0], cube["labels"][ids > 0]]), axis=1)
    assert len(np.unique(pairs[0])) == pairs.shape[1]


def variation(segmentation, ground_truth):
    """Variation of information in bits."""

    def entropy(ids):
        p = np.unique(ids, return_counts=True)[1] / ids.size
        return -(p * np.log2(p)).sum()

    joint = entropy(segmentation.astype(np.uint64) * np.uint64(2**32) + ground_truth)
    return 2 * joint - entropy(segmentation) - entropy(ground_truth)


@pytest.mark.slow
def test_no_threshold_on_the_smoothed_image_separates_the_neurites(cube):
    ground_truth = cube["labels"].astype(np.uint64)
    best = np.inf
    for sigma in (0.6, 1.2):
        smooth = gaussian_filter(cube["raw"].astype(np.float32), sigma)
        for percentile in (60, 70, 75, 80, 85):
            bright = smooth > np.percentile(smooth, percentile)
            segments = cc3d.connected_components(bright, connectivity=6)
            # The more favorable interpretation: dark voxels belong to the nearest segment.
            nearest = distance_transform_edt(~bright, return_distances=False, return_indices=True)
            grown = segments[tuple(nearest)]
            best = min(best, variation(grown, ground_truth), variation(segments, ground_truth))
    assert best >= 2.0


def test_seeds_differ_and_a_seed_stays_what_it_is():
    first, again, other = (
        tissue_block(configured([30, 30, 30], seed), Roi((0, 0, 0), (240, 240, 240))) for seed in (1, 1, 2)
    )
    assert np.array_equal(first["raw"], again["raw"])
    assert (first["raw"] != other["raw"]).mean() > 0.9


def test_labels_follow_the_configuration():
    roi = Roi((0, 0, 0), (320, 320, 320))
    block = tissue_block(configured([40, 40, 40]), roi)
    expected = {
        "neurites": block["labels"],
        "mitochondria": block["mitochondria"],
        "classes": block["organelles"],
        "channels": np.stack([block["organelles"] == 1, block["mitochondria"]]),
    }
    for kind, labels in expected.items():
        assert np.array_equal(tissue_labels(configured([40, 40, 40], labels=kind), block), labels)


def test_noise_can_be_left_out():
    roi = Roi((0, 0, 0), (240, 240, 240))
    clean = tissue_block(configured([30, 30, 30], noise=0), roi)["raw"].astype(float)
    noisy = tissue_block(configured([30, 30, 30], noise=2), roi)["raw"].astype(float)
    assert np.abs(clean - noisy).mean() > 5
    assert np.abs(np.diff(clean)).mean() < np.abs(np.diff(noisy)).mean()


def test_a_roi_outside_the_tissue_is_refused():
    with pytest.raises(VolumeError, match="not inside"):
        tissue_block(configured([30, 30, 30]), Roi((0, 0, 0), (248, 8, 8)))
    with pytest.raises(VolumeError, match="not synthetic"):
        Tissue(VolumeConfig.model_validate({"raw": {"path": "a.h5"}}))
