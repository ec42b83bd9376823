"""Mutex watershed by the package ``mwatershed``, as an engine and as the reference in tests."""

from collections.abc import Sequence

import mwatershed
import numpy as np

from attacca.segmentation.dense_labels import index_labels
from attacca.segmentation.offsets import Offsets


def reference_mutex_watershed(
    affinities: np.ndarray,
    offsets: Offsets,
    *,
    origin: Sequence[int] = (0, 0, 0),
    mask: np.ndarray | None = None,
    min_evidence: float = 0.0,
) -> np.ndarray:
    """Segment one block by ``mwatershed``; edges of equal evidence may be taken in another order.

    ``mwatershed`` takes an edge with a score of 0 last, and it attracts nothing: edges outside the strides or
    the mask get this score. A plane of such edges in front keeps the segment of voxel 0 from the label of the
    background.

    Args:
        affinities: as for ``mutex_watershed``, as are all other arguments.
        offsets: edges, biases and strides of the channels.
        origin: global coordinate, in voxels, of the first voxel.
        mask: bool (z, y, x).
        min_evidence: edges with less evidence are ignored.

    Returns:
        uint32 (z, y, x), labels 1, 2, ... by first voxel.

    >>> affinities = np.array([0.9, 0.8, 0.4, 0.8, 0.9, 0.0]).reshape(1, 1, 1, 6)
    >>> reference_mutex_watershed(affinities, Offsets.create([[0, 0, 1]])).ravel()
    array([1, 1, 1, 2, 2, 2], dtype=uint32)
    """
    scale = 255.0 if affinities.dtype == np.uint8 else 1.0
    scores = affinities[: len(offsets)].astype(np.float64) / scale - offsets.biases[:, None, None, None]
    shape = scores.shape[1:]
    for k, vector in enumerate(offsets.vectors):
        on_grid = np.zeros(shape, bool)
        first = [int(-int(o) % s) for o, s in zip(origin, offsets.strides[k])]
        on_grid[tuple(slice(f, None, int(s)) for f, s in zip(first, offsets.strides[k]))] = True
        here, beyond = [], []
        for step, extent in zip(vector.tolist(), shape):
            low = max(0, -step)
            high = max(low, min(extent, extent - step))
            here.append(slice(low, high))
            beyond.append(slice(low + step, high + step))
        is_edge = np.zeros(shape, bool)
        is_edge[tuple(here)] = True
        if mask is not None:
            is_edge[tuple(here)] = mask[tuple(here)] & mask[tuple(beyond)]
        scores[k][~(on_grid & is_edge) | (np.abs(scores[k]) < min_evidence)] = 0.0
    padded = np.pad(scores, [(0, 0), (1, 0), (0, 0), (0, 0)])
    labels = mwatershed.agglom(padded, offsets.vectors.tolist())[1:]
    return index_labels(labels)[1].astype(np.uint32)
