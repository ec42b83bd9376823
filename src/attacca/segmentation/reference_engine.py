"""The mutex watershed of the package ``mwatershed``, as an engine and as the reference in tests."""

from collections.abc import Sequence

import mwatershed
import numpy as np

from attacca.segmentation.graph import dense_labels
from attacca.segmentation.offsets import Offsets


def reference_mutex_watershed(
    affinities: np.ndarray,
    offsets: Offsets,
    *,
    origin: Sequence[int] = (0, 0, 0),
    mask: np.ndarray | None = None,
    min_evidence: float = 0.0,
) -> np.ndarray:
    """``mutex_watershed`` by ``mwatershed``; ties may fall otherwise.

    An edge with a score of 0 comes last and attracts nothing: that is how edges outside the strides or the mask
    are left out. A plane of such edges in front keeps the segment of voxel 0 from the label of the background.

    Returns:
        uint32 (z, y, x), labels 1, 2, ... by first voxel.
    """
    scale = 255.0 if affinities.dtype == np.uint8 else 1.0
    scores = affinities[: len(offsets)].astype(np.float64) / scale - offsets.biases[:, None, None, None]
    shape = scores.shape[1:]
    for k, vector in enumerate(offsets.vectors):
        used = np.zeros(shape, bool)
        first = [int(-int(o) % s) for o, s in zip(origin, offsets.strides[k])]
        used[tuple(slice(f, None, int(s)) for f, s in zip(first, offsets.strides[k]))] = True
        here, there = [], []
        for step, extent in zip(vector.tolist(), shape):
            low = max(0, -step)
            high = max(low, min(extent, extent - step))
            here.append(slice(low, high))
            there.append(slice(low + step, high + step))
        inside = np.zeros(shape, bool)
        inside[tuple(here)] = True
        if mask is not None:
            inside[tuple(here)] = mask[tuple(here)] & mask[tuple(there)]
        scores[k][~(used & inside) | (np.abs(scores[k]) < min_evidence)] = 0.0
    guarded = np.pad(scores, [(0, 0), (1, 0), (0, 0), (0, 0)])
    labels = mwatershed.agglom(guarded, offsets.vectors.tolist())[1:]
    return dense_labels(labels)[1].astype(np.uint32)
