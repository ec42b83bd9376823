"""Edges between nearest neighbors of one block, as kernels take them."""

from typing import NamedTuple

import numpy as np

from attacca.segmentation.inputs import convert_mask
from attacca.segmentation.offsets import Offsets


class NearestEdges(NamedTuple):
    """Nearest-neighbor affinities of one block.

    Attributes:
        affinities: uint8 (channels, z, y, x), those of all channels.
        channels: int64 (n,), the channels of nearest-neighbor offsets.
        vectors: int64 (channels, 3), offset of each channel.
        mask: uint8 (z, y, x), or one voxel for no mask.

    >>> offsets = Offsets.create([[0, 0, 9], [0, 0, 1]])
    >>> NearestEdges.create(np.zeros((2, 1, 1, 10), np.uint8), offsets).channels
    array([1])
    """

    affinities: np.ndarray
    channels: np.ndarray
    vectors: np.ndarray
    mask: np.ndarray

    @classmethod
    def create(
        cls, affinities: np.ndarray, offsets: Offsets, mask: np.ndarray | None = None
    ) -> "NearestEdges":
        """Select the nearest-neighbor channels; an optional mask is bool (z, y, x)."""
        channels = np.flatnonzero(offsets.is_nearest)
        return cls(np.ascontiguousarray(affinities), channels, offsets.vectors, convert_mask(mask))
