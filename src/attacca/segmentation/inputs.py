"""Input arrays of the segmentation: affinities and mask of one box, as kernels take them."""

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array
from attacca.errors import VolumeError
from attacca.segmentation.box import Box
from attacca.segmentation.frame import Frame


def find_chunk_size(array: Array) -> Coordinate:
    """Return the world size of a chunk that is read alone, or of the whole array if it has no chunks.

    >>> from funlib.geometry import Roi
    >>> from attacca.arrays import NumpyArray
    >>> array = NumpyArray.from_np_array(np.zeros((4, 5)), Roi((0, 0), (8, 10)), Coordinate(2, 2), ["y", "x"])
    >>> find_chunk_size(array)
    (8, 10)
    """
    return Coordinate(getattr(array, "inner_chunk_size", array.roi.shape))


def read_affinities(array: Array, frame: Frame, box: Box, num_channels: int) -> np.ndarray:
    """Read the affinities of a box as uint8, 255 for an affinity of 1, whatever dtype the array has.

    Args:
        array: prediction with a channel axis, or without one for a single channel.
        frame: the volume in whose voxels ``box`` counts.
        box: voxels to read.
        num_channels: number of channels to read; further channels are ignored.

    Returns:
        uint8 (channels, z, y, x).

    Raises:
        VolumeError: the array has fewer channels.

    >>> from funlib.geometry import Roi
    >>> from attacca.arrays import NumpyArray
    >>> values = np.array([[[[0.0, 0.2, 1.0]]]], np.float32)
    >>> array = NumpyArray.from_np_array(
    ...     values, Roi((0, 0, 0), (1, 1, 3)), Coordinate(1, 1, 1), ["c", "z", "y", "x"])
    >>> frame = Frame(array.roi, array.voxel_size)
    >>> read_affinities(array, frame, frame.box, 1)
    array([[[[  0,  51, 255]]]], dtype=uint8)
    """
    found = array.num_channels or 1
    if found < num_channels:
        raise VolumeError(
            f"{array}: found {found} channels, expected {num_channels}, one for each offset; "
            "use a prediction of a task with this neighborhood"
        )
    roi = frame.to_roi(box)
    is_quantized = (
        array.dtype == np.uint8 and abs(array.value_scale * 255 - 1) < 1e-6 and array.value_offset == 0
    )
    values = array[roi] if is_quantized else array.read_values(roi)
    values = values[:num_channels] if array.num_channels else values[None]
    return quantize(values).reshape(num_channels, *box.shape)


def quantize(affinities: np.ndarray) -> np.ndarray:
    """Return affinities as contiguous uint8, 255 for 1; uint8 affinities are returned as they are.

    >>> quantize(np.array([0.0, 0.5, 1.5]))
    array([  0, 128, 255], dtype=uint8)
    """
    if affinities.dtype != np.uint8:
        affinities = np.round(np.clip(affinities, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(affinities)


def read_mask(mask: Array | None, frame: Frame, box: Box) -> np.ndarray | None:
    """Read the mask of a box; voxels outside the mask's own ROI are False.

    Returns:
        bool (z, y, x), or None without a mask.

    >>> from funlib.geometry import Roi
    >>> from attacca.arrays import NumpyArray
    >>> values = np.array([[0, 2]], np.uint8)
    >>> array = NumpyArray.from_np_array(values, Roi((0, 0), (1, 2)), Coordinate(1, 1), ["y", "x"])
    >>> frame = Frame(array.roi, array.voxel_size)
    >>> read_mask(array, frame, frame.box)
    array([[[False,  True]]])
    """
    if mask is None:
        return None
    values = mask.read(frame.to_roi(box), 0)
    if mask.num_channels:
        values = values.max(axis=0)
    return np.ascontiguousarray(values.reshape(box.shape) > 0)


def convert_mask(mask: np.ndarray | None) -> np.ndarray:
    """Return a mask as uint8 (z, y, x); one voxel stands for no mask, so that kernels have one type.

    >>> convert_mask(None).shape
    (1, 1, 1)
    """
    if mask is None:
        return np.ones((1, 1, 1), np.uint8)
    return np.ascontiguousarray(mask, dtype=np.uint8)
