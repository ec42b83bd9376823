"""Local shape descriptors: size, centre, variance and correlation of an object in a Gaussian window.

Sheridan et al., "Local shape descriptors for neuron segmentation", Nature Methods 20 (2023), as the package
``lsds`` defines them, evaluated object by object:

1. Outside its bounding box an object's mask is 0, so ``local_shape_descriptors`` works in the box, without
   padding.
2. With the kernels ``g``, ``d g`` and ``d**2 g`` along each axis (``d`` the distance from the voxel), all ten
   moments up to order two come from 3 + 6 + 10 = 19 one-dimensional passes, and they are centred on the
   voxel, so that nothing large cancels.
3. A pass over ``n`` voxels with zeros outside is a product with a banded n x n matrix (``_bands``): BLAS does
   it.
4. Boxes are cut into tiles of ``_TILE`` voxels, which need no more of the object than the kernel's radius
   around them.

The memory beyond labels and descriptors is that of one tile.
"""

import itertools
from collections.abc import Sequence
from functools import lru_cache

import fastremap
import numba
import numpy as np
from scipy import ndimage

from attacca.errors import VolumeError
from attacca.predictors.label_arrays import unsigned_labels

_TILE = 48
_PLANES = 8  # of a tile, that are finished together
TRUNCATE = 3.0
"""Windows end at this many standard deviations."""
_SMALLEST_VARIANCE = 1e-3  # world units squared, as in lsds


def num_descriptors(dims: int) -> int:
    """Number of descriptors: 10 in 3D, 6 in 2D.

    Raises:
        VolumeError: there are none for other dimensions.
    """
    if dims not in (2, 3):
        raise VolumeError(f"local shape descriptors exist in 2D and 3D, not in {dims}D")
    return 10 if dims == 3 else 6


def descriptor_names(dims: int) -> list[str]:
    """Names of the descriptors, in channel order."""
    num_descriptors(dims)
    axes = "zyx"[3 - dims :]
    pairs = ["zy", "zx", "yx"] if dims == 3 else ["yx"]
    names = [("offset", axes), ("variance", axes), ("correlation", pairs)]
    return [f"lsd {what} {where}" for what, places in names for where in places] + ["lsd size"]


def window_radius(sigma: float, spacing: float) -> int:
    """Voxels from the centre of a window to its end."""
    return int(TRUNCATE * (sigma / spacing) + 0.5)


@lru_cache(maxsize=64)
def _moments(sigma: float, spacing: float) -> np.ndarray:
    """(3, 2 radius + 1): window, window times distance, window times distance squared; float64, world
    units."""
    radius = window_radius(sigma, spacing)
    steps = np.arange(-radius, radius + 1, dtype=np.float64)
    window = np.exp(-0.5 * (steps * spacing / sigma) ** 2)
    window /= window.sum()
    distance = steps * spacing
    return np.stack([window, window * distance, window * distance**2])


@lru_cache(maxsize=512)
def _bands(sigma: float, spacing: float, source: int, before: int, target: int, dtype: str) -> np.ndarray:
    """(3, target, source): matrices that take ``source`` voxels to moments at ``target`` voxels.

    The first target voxel stands at the source voxel ``before``.
    """
    kernels = _moments(sigma, spacing)
    radius = kernels.shape[1] // 2
    step = np.arange(source)[np.newaxis, :] - (np.arange(target)[:, np.newaxis] + before)
    inside = np.abs(step) <= radius
    matrices = kernels[:, np.where(inside, step + radius, 0)]
    matrices[:, ~inside] = 0
    return np.ascontiguousarray(matrices, dtype=dtype)


@lru_cache(maxsize=4)
def _exponents(dims: int) -> list[tuple[int, ...]]:
    """Moments in order: size, first moments, second moments, products; as exponents along z, y and x."""
    unit = np.eye(dims, dtype=int)
    pairs = [(i, j) for i in range(dims) for j in range(i + 1, dims)]
    rows = [np.zeros(dims, dtype=int), *unit, *(2 * unit), *(unit[i] + unit[j] for i, j in pairs)]
    return [(0,) * (3 - dims) + tuple(int(step) for step in row) for row in rows]


@numba.njit(cache=True, nogil=True)
def _describe(moments, wanted, sigma, out):  # type: ignore[no-untyped-def]
    """Descriptors from moments, both (channels, z, y, x), at the voxels ``wanted`` only; z is 1 long in
    2D."""
    dims = sigma.size
    smallest = moments.dtype.type(_SMALLEST_VARIANCE)
    one = moments.dtype.type(1)
    half = moments.dtype.type(0.5)
    zero = moments.dtype.type(0)
    mean = np.empty(dims, dtype=moments.dtype)
    variance = np.empty(dims, dtype=moments.dtype)
    for z in range(wanted.shape[0]):
        for y in range(wanted.shape[1]):
            for x in range(wanted.shape[2]):
                if not wanted[z, y, x]:
                    continue
                size = moments[0, z, y, x]
                unseen = size <= zero
                if unseen:
                    # no voxel of a subsampled object in the window: lsds says a size of 1
                    size = one
                for i in range(dims):
                    mean[i] = moments[1 + i, z, y, x] / size
                    v = moments[1 + dims + i, z, y, x] / size - mean[i] * mean[i]
                    variance[i] = max(v, smallest)
                    offset = mean[i] / sigma[i] * half + half
                    # ... and an offset as far as can be
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


def _tiles(extent: int) -> list[tuple[int, int]]:
    """Cut a length into nearly equal tiles of at most ``_TILE``."""
    number = -(-extent // _TILE)
    edges = [extent * index // number for index in range(number + 1)]
    return list(itertools.pairwise(edges))


def _describe_object(
    mask: np.ndarray,
    inside: np.ndarray,
    sigma: Sequence[float],
    spacing: Sequence[float],
    out: np.ndarray,
    dtype: str,
) -> None:
    """Write the descriptors of the object ``mask`` at the voxels ``inside``, all of its bounding box."""
    spread = np.asarray(sigma, dtype=dtype)
    lift = (np.newaxis,) * (3 - mask.ndim)
    windows = [None] * (3 - mask.ndim) + [(float(s), float(h)) for s, h in zip(sigma, spacing)]
    mask, inside, out = mask[lift], inside[lift], out[(slice(None), *lift)]
    for span in itertools.product(*(_tiles(extent) for extent in mask.shape)):
        tile = tuple(slice(begin, end) for begin, end in span)
        wanted = inside[tile]
        if not wanted.any():
            continue
        source, bands = [], []
        for window, (begin, end), extent in zip(windows, span, mask.shape):
            radius = window_radius(*window) if window else 0
            low, high = max(0, begin - radius), min(extent, end + radius)
            source.append(slice(low, high))
            # an axis that is not there has its own voxel as the window
            size = (high - low, begin - low, end - begin)
            bands.append(_bands(*window, *size, dtype) if window else np.ones((1, 1, 1), dtype=dtype))
        around = mask[tuple(source)].astype(dtype)
        _describe_tile(around, bands, _exponents(3 - len(lift)), wanted, spread, out[(slice(None), *tile)])


def _describe_tile(
    around: np.ndarray,
    bands: Sequence[np.ndarray],
    exponents: Sequence[tuple[int, ...]],
    wanted: np.ndarray,
    sigma: np.ndarray,
    out: np.ndarray,
) -> None:
    """Descriptors of a tile, (z, y, x), from the object around it: the passes along z, then y, then x.

    Only the first pass is held for the whole tile; the others, which have more moments, for a few planes.
    """
    depth, height, width = wanted.shape
    along_z = bands[0].reshape(-1, around.shape[0]) @ around.reshape(around.shape[0], -1)
    along_z = along_z.reshape(-1, depth, *around.shape[1:])
    moments = np.empty((len(exponents), _PLANES, height, width), dtype=around.dtype)
    for first in range(0, depth, _PLANES):
        planes = slice(first, min(depth, first + _PLANES))
        if not wanted[planes].any():
            continue
        number = planes.stop - first
        along_y: dict[tuple[int, int], np.ndarray] = {}
        for index, (of_z, of_y, of_x) in enumerate(exponents):
            if (of_z, of_y) not in along_y:
                rows = np.matmul(bands[1][of_y], along_z[of_z, planes])
                along_y[of_z, of_y] = rows.reshape(-1, around.shape[2])
            np.matmul(
                along_y[of_z, of_y],
                bands[2][of_x].T,
                out=moments[index, :number].reshape(number * height, width),
            )
        _describe(moments[:, :number], wanted[planes], sigma, out[:, planes])


def _describe_coarsely(
    mask: np.ndarray,
    factor: int,
    sigma: Sequence[float],
    spacing: Sequence[float],
    out: np.ndarray,
) -> None:
    """As ``_describe_object``, on every ``factor``-th voxel; ``mask`` is a box of whole cells.

    A voxel's own object need not be in the middle of its window here, so that large moments may cancel: sums are formed
    in float64.
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


def _only(mask: np.ndarray, box: Sequence[slice], within: Sequence[slice]) -> np.ndarray:
    """The voxels of ``mask``, which lies at ``box``, that lie within ``within`` too."""
    inside = np.zeros_like(mask)
    part = tuple(
        slice(max(0, wanted.start - place.start), max(0, wanted.stop - place.start))
        for place, wanted in zip(box, within)
    )
    inside[part] = mask[part]
    return inside


def local_shape_descriptors(
    labels: np.ndarray,
    sigma: Sequence[float],
    voxel_size: Sequence[int],
    downsample: int = 1,
    out: np.ndarray | None = None,
    dtype: str = "float32",
    within: tuple[slice, ...] | None = None,
) -> np.ndarray:
    """Local shape descriptors of all objects.

    Args:
        labels: 2 or 3 spatial axes; 0 is background.
        sigma: standard deviation of the window along each axis, world units.
        voxel_size: world units.
        downsample: use every n-th voxel only, and give its descriptors to the n voxels from it on.
        out: array of the result's shape that is filled instead of a new one; zero where there is background.
        dtype: in which sums are formed: ``"float32"`` is within 1e-5 of ``"float64"``. With ``downsample`` it is
            always float64.
        within: voxels whose descriptors are wanted (spatial slices with begin and end); others may stay as they
            are in ``out``. They count as parts of their objects all the same.

    Returns:
        (10 or 6, *labels.shape), in [0, 1], 0 in the background. Channels in 3D: 0-2 offset to the centre
        of mass (z, y, x; 0.5 is none), 3-5 variances, 6-8 correlations (zy, zx, yx; 0.5 is none), 9 size. In
        2D: 0-1, 2-3, 4, 5.

    Raises:
        VolumeError: not 2D or 3D, or a shape that is no multiple of ``downsample``.
    """
    channels = num_descriptors(labels.ndim)
    if any(size % downsample for size in labels.shape):
        raise VolumeError(
            f"local shape descriptors of every {downsample}th voxel need a shape that is a multiple of "
            f"{downsample}; it is {labels.shape}"
        )
    result = np.zeros((channels, *labels.shape), dtype=np.float32) if out is None else out
    dense, _ = fastremap.renumber(unsigned_labels(labels), preserve_zero=True, in_place=False)
    spacing = [float(size * downsample) for size in voxel_size]
    for label, box in enumerate(ndimage.find_objects(dense), start=1):
        if box is None:
            continue
        if downsample == 1:
            mask = dense[box] == label
            inside = mask if within is None else _only(mask, box, within)
            if inside.any():
                _describe_object(mask, inside, sigma, spacing, result[(slice(None), *box)], dtype)
        else:
            cells = tuple(
                slice(part.start // downsample * downsample, -(-part.stop // downsample) * downsample)
                for part in box
            )
            mask = dense[cells] == label
            if within is not None and not _only(mask, cells, within).any():
                continue
            _describe_coarsely(mask, downsample, sigma, spacing, result[(slice(None), *cells)])
    return result
