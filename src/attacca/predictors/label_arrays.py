"""Conversion of label arrays to the form that the kernels expect: unsigned integers, one channel axis."""

import numpy as np

from attacca.errors import VolumeError


def convert_to_unsigned(labels: np.ndarray) -> np.ndarray:
    """Return labels with the same values in an unsigned integer dtype, without a copy if possible.

    Args:
        labels: any shape; bool, any integer dtype, or floats with integral values.

    Raises:
        VolumeError: a label is negative or not an integer.

    >>> convert_to_unsigned(np.array([0, 7], dtype=np.int32)).dtype
    dtype('uint32')
    """
    kind = labels.dtype.kind
    if kind == "b":
        return labels.view(np.uint8)
    if kind == "u":
        return labels
    if kind == "i":
        if labels.size and labels.min() < 0:
            raise VolumeError(f"labels must not be negative; the smallest is {labels.min()}")
        return labels.view(np.dtype(f"u{labels.dtype.itemsize}"))
    if kind == "f":
        if labels.size and not (labels.min() >= 0 and np.array_equal(labels, np.floor(labels))):
            raise VolumeError("labels must be whole numbers, 0 or larger; they are floats with other values")
        return labels.astype(np.uint64)
    raise VolumeError(f"labels must be integers; their dtype is {labels.dtype}")


def add_channel_axis(labels: np.ndarray, dims: int) -> np.ndarray:
    """Return a view with one channel axis before the ``dims`` spatial axes.

    Raises:
        VolumeError: there is more than one axis besides the spatial ones.

    >>> add_channel_axis(np.zeros((4, 5)), 2).shape, add_channel_axis(np.zeros((3, 4, 5)), 2).shape
    ((1, 4, 5), (3, 4, 5))
    """
    if labels.ndim == dims:
        return labels[np.newaxis]
    if labels.ndim == dims + 1:
        return labels
    raise VolumeError(
        f"found labels of shape {labels.shape}, expected {dims} spatial axes and at most one channel axis"
    )


def drop_channel_axis(labels: np.ndarray, dims: int) -> np.ndarray:
    """Return a view of labels with one channel that has spatial axes only.

    Raises:
        VolumeError: there are several channels.

    >>> drop_channel_axis(np.zeros((1, 4, 5)), 2).shape
    (4, 5)
    """
    labels = add_channel_axis(labels, dims)
    if labels.shape[0] != 1:
        raise VolumeError(f"instance labels have one channel; these have {labels.shape[0]}: {labels.shape}")
    return labels[0]


def create_label_mask(
    labels: np.ndarray, unlabelled: int | None, mask: np.ndarray | None = None
) -> np.ndarray:
    """Return the mask of annotated voxels.

    Args:
        labels: any shape and dtype.
        unlabelled: value of voxels without annotation; None if all voxels are annotated.
        mask: non-zero where labels are valid, of a shape that broadcasts to that of ``labels``; None if they are
            valid everywhere.

    Returns:
        uint8, shape of ``labels``: 0 for voxels that are unlabeled or masked out, otherwise 1.

    >>> create_label_mask(np.array([0, 5, 9]), unlabelled=9)
    array([1, 1, 0], dtype=uint8)
    """
    if unlabelled is None:
        valid = np.ones(labels.shape, dtype=bool)
    else:
        valid = labels != labels.dtype.type(unlabelled)
    if mask is not None:
        valid &= mask != 0
    return valid.view(np.uint8)
