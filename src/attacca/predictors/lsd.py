"""Local shape descriptors: size, center, variance and correlation of an object in a Gaussian window.

A. Sheridan et al., "Local shape descriptors for neuron segmentation", Nature Methods 20 (2023), as the package
``lsds`` defines them, evaluated object by object:

1. Outside its bounding box the mask of an object is 0, so ``compute_local_shape_descriptors`` works in the box, without
   padding.
2. With the kernels ``g``, ``d g`` and ``d**2 g`` along each axis (``d`` the distance from the voxel), all ten
   moments up to order two take 3 + 6 + 10 = 19 one-dimensional passes. They are centered on the voxel, so that large
   terms do not cancel.
3. A pass over ``n`` voxels with zeros outside is a product with a banded n x n matrix (``_create_bands``), computed
   by BLAS.
4. Boxes are divided into tiles of ``_TILE`` voxels, which need the object within the kernel's radius only.

The memory beyond labels and descriptors is that of one tile.
"""

import itertools
from collections.abc import Sequence
from functools import lru_cache

import fastremap
import numba
import numpy as np

from attacca.errors import VolumeError
from attacca.predictors.label_arrays import convert_to_unsigned

_TILE = 48
_PLANES = 8  # number of planes of a tile that are processed together
TRUNCATE = 3.0
"""Half the width of a window, in standard deviations."""
_SMALLEST_VARIANCE = 1e-3  # world units squared, as in lsds


def count_descriptors(dims: int) -> int:
    """Return the number of descriptors: 10 in 3D, 6 in 2D.

    Raises:
        VolumeError: another number of axes.

    >>> count_descriptors(3), count_descriptors(2)
    (10, 6)
    """
    if dims not in (2, 3):
        raise VolumeError(f"local shape descriptors exist in 2D and 3D, not in {dims}D")
    return 10 if dims == 3 else 6


def list_descriptor_names(dims: int) -> list[str]:
    """Return the names of the descriptors, in channel order.

    >>> list_descriptor_names(2)
    ['lsd offset y', 'lsd offset x', 'lsd variance y', 'lsd variance x', 'lsd correlation yx', 'lsd size']
    """
    count_descriptors(dims)
    axes = "zyx"[3 - dims :]
    pairs = ["zy", "zx", "yx"] if dims == 3 else ["yx"]
    names = [("offset", axes), ("variance", axes), ("correlation", pairs)]
    return [f"lsd {kind} {axis}" for kind, suffixes in names for axis in suffixes] + ["lsd size"]


def compute_window_radius(sigma: float, spacing: float) -> int:
    """Return the voxels from the center of a window to its border; ``sigma`` and ``spacing`` in world units.

    >>> compute_window_radius(sigma=80, spacing=4)
    60
    """
    return int(TRUNCATE * (sigma / spacing) + 0.5)


@lru_cache(maxsize=64)
def _compute_kernels(sigma: float, spacing: float) -> np.ndarray:
    """Return window, window times distance, and window times squared distance: (3, 2 radius + 1), float64."""
    radius = compute_window_radius(sigma, spacing)
    steps = np.arange(-radius, radius + 1, dtype=np.float64)
    window = np.exp(-0.5 * (steps * spacing / sigma) ** 2)
    window /= window.sum()
    distance = steps * spacing
    return np.stack([window, window * distance, window * distance**2])


@lru_cache(maxsize=512)
def _create_bands(
    sigma: float, spacing: float, source: int, before: int, target: int, dtype: str
) -> np.ndarray:
    """Return the matrices (3, target, source) from ``source`` voxels to moments at ``target`` voxels.

    The first target voxel is the source voxel ``before``.
    """
    kernels = _compute_kernels(sigma, spacing)
    radius = kernels.shape[1] // 2
    step = np.arange(source)[np.newaxis, :] - (np.arange(target)[:, np.newaxis] + before)
    is_in_window = np.abs(step) <= radius
    matrices = kernels[:, np.where(is_in_window, step + radius, 0)]
    matrices[:, ~is_in_window] = 0
    return np.ascontiguousarray(matrices, dtype=dtype)


@lru_cache(maxsize=4)
def _list_exponents(dims: int) -> list[tuple[int, ...]]:
    """Return the exponents along z, y and x of all moments: size, first moments, second moments, products."""
    unit = np.eye(dims, dtype=int)
    pairs = [(i, j) for i in range(dims) for j in range(i + 1, dims)]
    rows = [np.zeros(dims, dtype=int), *unit, *(2 * unit), *(unit[i] + unit[j] for i, j in pairs)]
    return [(0,) * (3 - dims) + tuple(int(step) for step in row) for row in rows]


@numba.njit(cache=True, nogil=True)
def _describe(moments, selected, sigma, out):  # type: ignore[no-untyped-def]
    """Write descriptors from moments, both (channels, z, y, x), at the voxels ``selected``; z has length 1 in 2D."""
    dims = sigma.size
    smallest = moments.dtype.type(_SMALLEST_VARIANCE)
    one = moments.dtype.type(1)
    half = moments.dtype.type(0.5)
    zero = moments.dtype.type(0)
    mean = np.empty(dims, dtype=moments.dtype)
    variance = np.empty(dims, dtype=moments.dtype)
    for z in range(selected.shape[0]):
        for y in range(selected.shape[1]):
            for x in range(selected.shape[2]):
                if not selected[z, y, x]:
                    continue
                size = moments[0, z, y, x]
                unseen = size <= zero
                if unseen:
                    # The window contains no voxel of a subsampled object: lsds gives size 1
                    size = one
                for i in range(dims):
                    mean[i] = moments[1 + i, z, y, x] / size
                    v = moments[1 + dims + i, z, y, x] / size - mean[i] * mean[i]
                    variance[i] = max(v, smallest)
                    offset = mean[i] / sigma[i] * half + half
                    # ... and the minimum as the offset.
                    out[i, z, y, x] = zero if unseen else min(max(offset, zero), one)
                    out[dims + i, z, y, x] = min(variance[i] / (sigma[i] * sigma[i]), one)
                channel = 2 * dims
                for i in range(dims):
                    for j in range(i + 1, dims):
                        covariance = moments[channel + 1, z, y, x] / size - mean[i] * mean[j]
                        r = covariance / np.sqrt(variance[i] * variance[j]) * half + half
                        out[channel, z, y, x] = min(max(r, zero), one)
                        channel += 1
                out[channel, z, y, x] = min(size, one)


def _split_extent(extent: int) -> list[tuple[int, int]]:
    """Divide a length into nearly equal tiles of at most ``_TILE``."""
    number = -(-extent // _TILE)
    edges = [extent * index // number for index in range(number + 1)]
    return list(itertools.pairwise(edges))


def _describe_object(
    mask: np.ndarray,
    selected: np.ndarray,
    sigma: Sequence[float],
    spacing: Sequence[float],
    out: np.ndarray,
    dtype: str,
) -> None:
    """Write the descriptors of the object ``mask`` at the voxels ``selected``; arrays cover its bounding box."""
    spread = np.asarray(sigma, dtype=dtype)
    lift = (np.newaxis,) * (3 - mask.ndim)
    windows = [None] * (3 - mask.ndim) + [(float(s), float(h)) for s, h in zip(sigma, spacing)]
    mask, selected, out = mask[lift], selected[lift], out[(slice(None), *lift)]
    for span in itertools.product(*(_split_extent(extent) for extent in mask.shape)):
        tile = tuple(slice(begin, end) for begin, end in span)
        selected_in_tile = selected[tile]
        if not selected_in_tile.any():
            continue
        source, bands = [], []
        for window, (begin, end), extent in zip(windows, span, mask.shape):
            radius = compute_window_radius(*window) if window else 0
            low, high = max(0, begin - radius), min(extent, end + radius)
            source.append(slice(low, high))
            # The window along the z axis that 2D lacks is the voxel itself.
            size = (high - low, begin - low, end - begin)
            bands.append(_create_bands(*window, *size, dtype) if window else np.ones((1, 1, 1), dtype=dtype))
        around = mask[tuple(source)].astype(dtype)
        _describe_tile(
            around, bands, _list_exponents(3 - len(lift)), selected_in_tile, spread, out[(slice(None), *tile)]
        )


def _describe_tile(
    around: np.ndarray,
    bands: Sequence[np.ndarray],
    exponents: Sequence[tuple[int, ...]],
    selected: np.ndarray,
    sigma: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write the descriptors of a tile, (z, y, x), from the object around it, by passes along z, then y, then x.

    Only the first pass is kept for the whole tile; the others, which have more moments, for a few planes at a time.
    """
    depth, height, width = selected.shape
    along_z = bands[0].reshape(-1, around.shape[0]) @ around.reshape(around.shape[0], -1)
    along_z = along_z.reshape(-1, depth, *around.shape[1:])
    moments = np.empty((len(exponents), _PLANES, height, width), dtype=around.dtype)
    for first in range(0, depth, _PLANES):
        planes = slice(first, min(depth, first + _PLANES))
        if not selected[planes].any():
            continue
        number = planes.stop - first
        along_y: dict[tuple[int, int], np.ndarray] = {}
        for index, (z_power, y_power, x_power) in enumerate(exponents):
            if (z_power, y_power) not in along_y:
                rows = np.matmul(bands[1][y_power], along_z[z_power, planes])
                along_y[z_power, y_power] = rows.reshape(-1, around.shape[2])
            np.matmul(
                along_y[z_power, y_power],
                bands[2][x_power].T,
                out=moments[index, :number].reshape(number * height, width),
            )
        _describe(moments[:, :number], selected[planes], sigma, out[:, planes])


def _describe_coarsely(
    mask: np.ndarray,
    factor: int,
    sigma: Sequence[float],
    spacing: Sequence[float],
    out: np.ndarray,
) -> None:
    """Write the descriptors of an object computed on each ``factor``-th voxel; ``mask`` is a box of whole cells.

    The object need not be in the middle of a voxel's window here, so large moments may cancel: sums are float64.
    """
    every = (slice(None, None, factor),) * mask.ndim
    cells = mask
    for axis in range(mask.ndim):
        cells = np.maximum.reduceat(cells, np.arange(0, mask.shape[axis], factor), axis=axis)
    coarse = np.zeros((len(out), *cells.shape), dtype=np.float32)
    _describe_object(mask[every], cells, sigma, spacing, coarse, "float64")
    for channel, descriptor in zip(out, coarse):
        for axis in range(mask.ndim):
            descriptor = np.repeat(descriptor, factor, axis=axis)
        np.copyto(channel, descriptor, where=mask)


def _crop_mask(mask: np.ndarray, box: Sequence[slice], within: Sequence[slice]) -> np.ndarray:
    """Return ``mask``, whose voxels are at ``box``, with False outside ``within``."""
    cropped = np.zeros_like(mask)
    part = tuple(
        slice(max(0, limits.start - own.start), max(0, limits.stop - own.start))
        for own, limits in zip(box, within)
    )
    cropped[part] = mask[part]
    return cropped


def compute_local_shape_descriptors(
    labels: np.ndarray,
    sigma: Sequence[float],
    voxel_size: Sequence[int],
    downsample: int = 1,
    out: np.ndarray | None = None,
    dtype: str = "float32",
    within: tuple[slice, ...] | None = None,
) -> np.ndarray:
    """Return the local shape descriptors of all objects.

    Args:
        labels: (*spatial), 2D or 3D, any integer dtype; 0 is background.
        sigma: standard deviation of the window along each axis, in world units.
        voxel_size: world units per voxel, one per axis.
        downsample: compute descriptors on each n-th voxel, and assign them to the n voxels from there.
        out: array to fill instead of a new one, of the result's shape, with zeros in the background.
        dtype: of the sums: ``"float32"`` is within 1e-5 of ``"float64"``. Sums with ``downsample`` are always
            float64.
        within: spatial slices of the voxels for which descriptors are computed; others may keep their values in
            ``out``, but are parts of their objects nevertheless.

    Returns:
        float32, (10 or 6, *labels.shape), in [0, 1], 0 in the background. Channels in 3D: 0-2 offset to the center
        of mass (z, y, x; 0.5 for none), 3-5 variances, 6-8 correlations (zy, zx, yx; 0.5 for none), 9 size. In 2D:
        0-1, 2-3, 4, 5.

    Raises:
        VolumeError: labels are not 2D or 3D, or their shape is not a multiple of ``downsample``.

    >>> labels = np.array([[1, 1, 1, 0, 0]])
    >>> descriptors = compute_local_shape_descriptors(labels, (8.0, 8.0), (4, 4))
    >>> descriptors.shape
    (6, 1, 5)
    >>> descriptors[1].round(2)
    array([[0.71, 0.5 , 0.29, 0.  , 0.  ]], dtype=float32)
    """
    channels = count_descriptors(labels.ndim)
    if any(size % downsample for size in labels.shape):
        raise VolumeError(
            f"found labels of shape {labels.shape}, expected a multiple of downsample={downsample} along each axis"
        )
    result = np.zeros((channels, *labels.shape), dtype=np.float32) if out is None else out
    dense, _ = fastremap.renumber(convert_to_unsigned(labels), preserve_zero=True, in_place=False)
    spacing = [float(size * downsample) for size in voxel_size]
    # deferred: scipy.ndimage takes 0.2 s to import
    from scipy import ndimage

    for label, box in enumerate(ndimage.find_objects(dense), start=1):
        if box is None:
            continue
        if downsample == 1:
            mask = dense[box] == label
            selected = mask if within is None else _crop_mask(mask, box, within)
            if selected.any():
                _describe_object(mask, selected, sigma, spacing, result[(slice(None), *box)], dtype)
        else:
            cells = tuple(
                slice(part.start // downsample * downsample, -(-part.stop // downsample) * downsample)
                for part in box
            )
            mask = dense[cells] == label
            if within is not None and not _crop_mask(mask, cells, within).any():
                continue
            _describe_coarsely(mask, downsample, sigma, spacing, result[(slice(None), *cells)])
    return result
