"""Channel axes of label arrays, which are stored with and without one."""

import numpy as np

from attacca.errors import VolumeError


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


def drop_channel_axis(labels: np.ndarray, dims: int, name: object = "labels") -> np.ndarray:
    """Return a view of labels with one channel that has spatial axes only.

    Args:
        labels: with or without a channel axis in front.
        dims: number of spatial axes.
        name: description of the array in the error message.

    Raises:
        VolumeError: there are several channels.

    >>> drop_channel_axis(np.zeros((1, 4, 5)), 2).shape
    (4, 5)
    """
    labels = add_channel_axis(labels, dims)
    if labels.shape[0] != 1:
        raise VolumeError(f"{name}: found {labels.shape[0]} channels, expected one array of ids")
    return labels[0]
