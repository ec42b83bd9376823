"""Local shape descriptors: comparison with their definition in float64, and error messages."""

import numpy as np
import pytest
from scipy import ndimage

from attacca.errors import VolumeError
from attacca.predictors.lsd import compute_local_shape_descriptors, count_descriptors, list_descriptor_names


def defined(labels: np.ndarray, sigma: float, voxel_size: tuple[int, ...], factor: int = 1) -> np.ndarray:
    """The descriptors by their definition, object by object over the whole volume, in float64.

    Moments are computed about the object's own center, to avoid cancellation.
    """
    dims = labels.ndim
    spacing = [size * factor for size in voxel_size]
    pairs = [(i, j) for i in range(dims) for j in range(i + 1, dims)]
    result = np.zeros((count_descriptors(dims), *labels.shape))

    def window(values: np.ndarray) -> np.ndarray:
        for axis, step in enumerate(spacing):
            values = ndimage.gaussian_filter1d(values, sigma / step, axis, mode="constant", truncate=3.0)
        return values

    for label in np.unique(labels[labels > 0]):
        object_mask = labels == label
        mask = object_mask[(slice(None, None, factor),) * dims].astype(np.float64)
        grid = np.stack(
            np.meshgrid(*(np.arange(n) * step for n, step in zip(mask.shape, spacing)), indexing="ij")
        ).astype(np.float64)
        if mask.any():
            grid -= grid[:, mask > 0].mean(axis=1).reshape(-1, *(1,) * dims)
        size = window(mask)
        size[size == 0] = 1
        mean = np.stack([window(g * mask) for g in grid]) / size
        variance = [np.maximum(window(g * g * mask) / size - m * m, 1e-3) for g, m in zip(grid, mean)]
        covariance = {(i, j): window(grid[i] * grid[j] * mask) / size - mean[i] * mean[j] for i, j in pairs}
        correlation = [covariance[i, j] / np.sqrt(variance[i] * variance[j]) for i, j in pairs]
        channels = [(m - g) / sigma / 2 + 0.5 for m, g in zip(mean, grid)]
        channels += [v / sigma**2 for v in variance] + [r / 2 + 0.5 for r in correlation] + [size]
        for channel, values in zip(result, channels):
            for axis in range(dims):
                values = np.repeat(values, factor, axis=axis)
            channel[object_mask] = np.clip(values, 0, 1)[object_mask]
    return result


def cells(seed: int, shape: tuple[int, ...], number: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 1, (number, len(shape))) * shape
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    distance = ((grid[..., np.newaxis, :] - points) ** 2).sum(-1)
    labels = distance.argmin(-1) + 1
    labels[ndimage.gaussian_filter(rng.normal(size=shape), 2) > 0.05] = 0
    return labels


@pytest.mark.parametrize(
    ("shape", "voxel_size", "sigma"),
    [
        ((36, 40, 44), (8, 8, 8), 40.0),
        ((14, 40, 36), (40, 4, 4), 40.0),
        ((70, 20, 12), (4, 4, 4), 9.0),
        ((50, 60), (6, 2), 18.0),
    ],
)
def test_descriptors_are_within_1e_5_of_their_definition(
    shape: tuple[int, ...], voxel_size: tuple[int, ...], sigma: float
) -> None:
    labels = cells(1, shape, 7)
    ours = compute_local_shape_descriptors(labels, (sigma,) * len(shape), voxel_size)
    assert np.abs(ours - defined(labels, sigma, voxel_size)).max() < 1e-5


def test_descriptors_of_thin_and_distant_pieces_are_within_1e_5_of_their_definition() -> None:
    labels = np.zeros((24, 48, 48), dtype=np.uint64)
    labels[4, 4, 2:46] = 2**63  # a line
    labels[10] = 7  # a plane
    labels[14:22, 30:40, 30:40] = 9
    labels[18, 35, 2:30] = 9  # a block with a tail
    labels[15, 5, 5] = labels[15, 20, 20] = labels[23, 5, 40] = 11  # scattered voxels
    labels[20, 10:14, 20] = labels[21, 14:18, 21] = 12  # steps
    ours = compute_local_shape_descriptors(labels, (32.0,) * 3, (4, 4, 4))
    expected = defined(labels, 32.0, (4, 4, 4))
    assert np.abs(ours - expected).max() < 1e-5


def test_descriptors_of_every_second_voxel() -> None:
    labels = cells(2, (24, 28, 20), 40)
    ours = compute_local_shape_descriptors(labels, (12.0,) * 3, (4, 4, 4), downsample=2)
    expected = defined(labels, 12.0, (4, 4, 4), factor=2)
    seen = np.ones(labels.shape, dtype=bool)
    for label in np.unique(labels[labels > 0]):
        mask = (labels == label)[::2, ::2, ::2].astype(np.float64)
        near = ndimage.gaussian_filter(mask, 12 / 8, mode="constant", truncate=3.0) > 0
        unseen = ~near.repeat(2, 0).repeat(2, 1).repeat(2, 2) & (labels == label)
        seen &= ~unseen
    assert np.abs(ours - expected)[:, seen].max() < 1e-5


def test_background_has_no_descriptors_and_one_object_is_centered() -> None:
    assert not compute_local_shape_descriptors(np.zeros((8, 8, 8), np.uint8), (8.0,) * 3, (4, 4, 4)).any()
    everything = compute_local_shape_descriptors(np.ones((25, 25, 25), np.uint8), (8.0,) * 3, (4, 4, 4))
    center = everything[:, 12, 12, 12]
    np.testing.assert_allclose(center[[0, 1, 2, 6, 7, 8]], 0.5, atol=1e-6)
    np.testing.assert_allclose(center[9], 1.0, atol=1e-6)


def test_descriptors_have_names() -> None:
    assert len(list_descriptor_names(3)) == count_descriptors(3) == 10
    assert list_descriptor_names(2) == [
        "lsd offset y",
        "lsd offset x",
        "lsd variance y",
        "lsd variance x",
        "lsd correlation yx",
        "lsd size",
    ]


def test_a_shape_that_is_not_a_multiple_and_other_dimensions_are_refused() -> None:
    with pytest.raises(VolumeError, match="multiple of downsample=2"):
        compute_local_shape_descriptors(np.ones((9, 10, 10), np.uint8), (8.0,) * 3, (4, 4, 4), downsample=2)
    with pytest.raises(VolumeError, match="2D and 3D"):
        compute_local_shape_descriptors(np.ones(9, np.uint8), (8.0,), (4,))


@pytest.mark.parametrize("voxel_size", [(4, 4, 4), (50, 46, 46), (40, 4, 4)])
def test_descriptors_of_every_other_voxel_of_thin_objects_are_exact(voxel_size):
    # Of a thin object, subsampling leaves single voxels, far from the center of most windows.
    rng = np.random.default_rng(2)
    labels = np.zeros((16, 24, 24), dtype=np.uint16)
    for label in range(1, 9):
        begin, end = rng.uniform(0, 1, (2, 3)) * labels.shape
        for step in np.linspace(0, 1, 100):
            labels[tuple(np.minimum((begin + step * (end - begin)).astype(int), [15, 23, 23]))] = label
    sigma = [3.0 * max(voxel_size)] * 3
    plain = compute_local_shape_descriptors(labels, sigma, voxel_size, 2)
    exact = defined(labels, sigma[0], voxel_size, 2)
    seen = np.zeros_like(labels, dtype=bool)
    for label in range(1, 9):
        # Windows without any voxel of the object have descriptors by convention.
        seen |= (labels == label) & (exact[-1] < 1)
    assert seen.sum() > 20
    assert np.abs(plain - exact)[:, seen].max() < 1e-5
