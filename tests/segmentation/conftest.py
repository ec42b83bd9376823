"""Small affinities with the noise of real ones, and comparisons of partitions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

NEIGHBORHOOD = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (3, 0, 0), (0, 3, 0), (0, 0, 3))
LONG_NEIGHBORHOOD = (*NEIGHBORHOOD, (9, 0, 0), (0, 9, 0), (0, 0, 9))


def noisy_affinities(shape: tuple[int, ...], seed: int, offsets: Any = NEIGHBORHOOD) -> np.ndarray:
    """Return uint8 affinities of random cells, blurred, with correlated noise: many ties and weak edges."""
    rng = np.random.default_rng(seed)
    points = rng.random((max(2, int(np.prod(shape)) // 250), len(shape))) * shape
    voxels = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1).reshape(-1, len(shape))
    cells = np.argmin(((voxels[:, None] - points[None]) ** 2).sum(-1), axis=1).reshape(shape)
    result = np.zeros((len(offsets), *shape), np.uint8)
    for k, offset in enumerate(offsets):
        moved = np.roll(cells, [-o for o in offset], axis=tuple(range(len(shape))))
        same = ndimage.gaussian_filter((moved == cells).astype(np.float32), 0.7)
        noise = ndimage.gaussian_filter(rng.standard_normal(shape).astype(np.float32), 1.0)
        result[k] = np.round(255 / (1 + np.exp(-(9 * (same - 0.75) + 4 * noise))))
    return result


def neurite_affinities(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Return uint8 affinities of long parallel cells, blurred, with noise of two scales like a network's."""
    rng = np.random.default_rng(seed)
    marks = np.zeros(shape, bool)
    marks[tuple(rng.integers(0, n, int(np.prod(shape)) // 20_000) for n in shape)] = True
    nearest = ndimage.distance_transform_edt(
        ~marks, sampling=(1, 1, 0.3), return_distances=False, return_indices=True
    )
    cells = np.ravel_multi_index(tuple(nearest), shape)
    result = np.empty((len(LONG_NEIGHBORHOOD), *shape), np.uint8)
    for k, offset in enumerate(LONG_NEIGHBORHOOD):
        same = np.roll(cells, [-o for o in offset], (0, 1, 2)) == cells
        logit = 9 * (ndimage.gaussian_filter(same.astype(np.float32), 1.0) - 0.6)
        for sigma in (1.5, 5):
            noise = ndimage.gaussian_filter(rng.standard_normal(shape).astype(np.float32), sigma)
            logit += 1.5 * noise / noise.std()
        result[k] = np.round(255 / (1 + np.exp(-logit)))
    return result


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two segmentations are equal up to the names of labels; 0 must be 0 in both."""
    pairs = np.unique(np.stack([a.ravel().astype(np.int64), b.ravel().astype(np.int64)]), axis=1)
    distinct = len(np.unique(a)) == pairs.shape[1] == len(np.unique(b))
    return distinct and bool(((pairs[0] == 0) == (pairs[1] == 0)).all())


@pytest.fixture(name="noisy", scope="session")
def _noisy() -> Callable[..., np.ndarray]:
    return noisy_affinities


@pytest.fixture(name="same_partition")
def _same_partition() -> Callable[[np.ndarray, np.ndarray], bool]:
    return same_partition


@pytest.fixture(name="neurites", scope="session")
def _neurites() -> Callable[..., np.ndarray]:
    return neurite_affinities
