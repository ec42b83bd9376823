"""Data of the segmentation benchmarks: synthetic affinities, or those of a trained network."""

from pathlib import Path

import numpy as np

OFFSETS = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (3, 0, 0), (0, 3, 0), (0, 0, 3), (9, 0, 0), (0, 9, 0), (0, 0, 9)]


def synthetic(shape: tuple[int, int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 affinities with correlated noise, and the labels (cells of random points, stretched along x)."""
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    marks = np.zeros(shape, bool)
    marks[tuple(rng.integers(0, n, int(np.prod(shape)) // 20_000) for n in shape)] = True
    nearest = ndimage.distance_transform_edt(
        ~marks, sampling=(1, 1, 0.3), return_distances=False, return_indices=True
    )
    labels = (np.ravel_multi_index(tuple(nearest), shape) + 1).astype(np.uint64)
    result = np.empty((len(OFFSETS), *shape), np.uint8)
    for k, offset in enumerate(OFFSETS):
        same = np.roll(labels, [-o for o in offset], (0, 1, 2)) == labels
        logit = 9 * (ndimage.gaussian_filter(same.astype(np.float32), 1.0) - 0.6)
        for sigma in (1.5, 5):
            noise = ndimage.gaussian_filter(rng.standard_normal(shape).astype(np.float32), sigma)
            logit += 1.5 * noise / noise.std()
        result[k] = np.round(255 / (1 + np.exp(-logit)))
    return result, labels


def predicted(results: Path, volume: str, run: str = "affinities") -> tuple[np.ndarray, np.ndarray]:
    """Return the uint8 affinities that a workflow predicted for a volume, and the volume's labels.

    Args:
        results: the workflow's directory of results, such as ``results/fib25``.
        volume: name of the volume.
        run: run whose network predicted.
    """
    # deferred: volara's environment has no Attacca
    from attacca.arrays import LocalArrayIdentifier, ZarrArray
    from attacca.layout import VOLUME_IMAGES

    def read(container: Path) -> np.ndarray:
        array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(container, "s0"))
        return np.asarray(array[array.roi])

    affinities = read(results / run / f"{volume}.zarr" / "prediction")[: len(OFFSETS)]
    return np.ascontiguousarray(affinities), read(
        results / "volumes" / f"{volume}.zarr" / VOLUME_IMAGES["labels"]
    )
