"""Gaussian smoothing of affinities, with the same values in every block."""

import numpy as np
from scipy import ndimage

from attacca.segmentation.box import Triple, triple
from attacca.segmentation.frame import Frame

_TRUNCATE = 4.0


def compute_smoothing_context(frame: Frame, sigma: float) -> Triple:
    """Return the voxels that smoothed affinities depend on, on each side.

    Args:
        frame: the volume.
        sigma: standard deviation, in voxels of the finest axis.

    >>> from funlib.geometry import Coordinate, Roi
    >>> compute_smoothing_context(Frame(Roi((0, 0, 0), (400, 80, 80)), Coordinate((40, 8, 8))), 1.0)
    (1, 4, 4)
    """
    return triple([int(np.ceil(_TRUNCATE * sigma / ratio)) for ratio in frame.anisotropy])


def smooth_affinities(affinities: np.ndarray, frame: Frame, sigma: float) -> np.ndarray:
    """Smooth affinities by a Gaussian, in their own dtype.

    Args:
        affinities: (channels, z, y, x), with their context.
        frame: the volume.
        sigma: standard deviation, in voxels of the finest axis.

    >>> from funlib.geometry import Coordinate, Roi
    >>> frame = Frame(Roi((0, 0, 0), (1, 1, 5)), Coordinate((1, 1, 1)))
    >>> smooth_affinities(np.array([[[[0, 0, 200, 0, 0]]]], np.uint8), frame, 1.0).ravel().tolist()
    [11, 48, 80, 48, 11]
    """
    if not sigma:
        return affinities
    sigmas = [0.0] + [sigma / ratio for ratio in frame.anisotropy]
    if frame.dims == 2:
        sigmas[1] = 0.0
    smooth = ndimage.gaussian_filter(
        affinities.astype(np.float32), sigmas, mode="nearest", truncate=_TRUNCATE
    )
    return np.round(smooth).astype(affinities.dtype) if affinities.dtype == np.uint8 else smooth
