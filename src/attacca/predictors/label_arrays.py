"""Ground truth as the kernels take it: unsigned labels with a channel axis, whatever was handed in."""

import numpy as np

from attacca.errors import VolumeError


def unsigned_labels(labels: np.ndarray) -> np.ndarray:
    """Labels with the same values in an unsigned integer dtype, without a copy where that can be.

    Args:
        labels: any shape; bool, any integer dtype, or floats that hold whole numbers.

    Raises:
        VolumeError: a label is negative or no whole number.
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


def with_channels(labels: np.ndarray, dims: int) -> np.ndarray:
    """A view with one channel axis before the ``dims`` spatial axes.

    Raises:
        VolumeError: there is more than one axis beside the spatial ones.
    """
    if labels.ndim == dims:
        return labels[np.newaxis]
    if labels.ndim == dims + 1:
        return labels
    raise VolumeError(f"labels of shape {labels.shape} have neither {dims} axes nor one more for channels")


def without_channels(labels: np.ndarray, dims: int) -> np.ndarray:
    """A view without the channel axis, where there is one with a single channel.

    Raises:
        VolumeError: there are several channels.
    """
    labels = with_channels(labels, dims)
    if labels.shape[0] != 1:
        raise VolumeError(f"instance labels have one channel; these have {labels.shape[0]}: {labels.shape}")
    return labels[0]


def labelled_mask(labels: np.ndarray, unlabelled: int | None, mask: np.ndarray | None = None) -> np.ndarray:
    """Where there is something to learn: 1 unless a voxel holds the value ``unlabelled`` or is masked out.

    Args:
        labels: any shape.
        unlabelled: the value of voxels that nobody has labelled; None if all are labelled.
        mask: non-zero where voxels count, of a shape that broadcasts to that of ``labels``; None for
            everywhere.

    Returns:
        uint8, 0 or 1, of the shape of ``labels``. Voxels outside the volume are the reader's: it fills with
        0.
    """
    valid = (
        np.ones(labels.shape, dtype=bool) if unlabelled is None else labels != labels.dtype.type(unlabelled)
    )
    if mask is not None:
        valid &= mask != 0
    return valid.view(np.uint8)
