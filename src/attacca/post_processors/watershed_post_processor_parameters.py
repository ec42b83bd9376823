"""Parameters of the watershed post-processor."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from funlib.geometry import Coordinate

from attacca.post_processors.post_processor_parameters import PostProcessorParameters

DEFAULT_CONTEXT = Coordinate((32, 32, 32))


@dataclass(frozen=True)
class WatershedPostProcessorParameters(PostProcessorParameters):
    """Parameters of the segmentation of affinities by mutex watershed.

    Parameters are hashable, so that they can be keys of tables of scores; lists become tuples.

    Attributes:
        offsets: offsets of the affinities, in voxels; None uses those of the post-processor.
        bias: an affinity above it attracts; one number, two (nearest-neighbor and long-range offsets), or one
            for each offset.
        sigma: standard deviation of a Gaussian that smooths the affinities first, in voxels of the finest
            axis.
        threshold: fragments are joined while the mean affinity of their contact is above it; None keeps
            fragments, and joins them across the faces of blocks only.
        min_size: segments of fewer voxels are merged into the neighbor with the highest mean affinity.
        context: world units to read around each block; truncated to the volume's number of axes.
        strides: long-range edges start only at voxels whose coordinates are multiples of this number; one
            number, one for each axis, or one list for each offset. None uses all edges.

    >>> WatershedPostProcessorParameters(bias=[0.2, 0.8]) == WatershedPostProcessorParameters(bias=(0.2, 0.8))
    True
    """

    offsets: tuple[Coordinate, ...] | None = None
    bias: float | tuple[float, ...] = 0.5
    sigma: float = 0.0
    threshold: float | None = None
    min_size: int = 0
    context: Coordinate = DEFAULT_CONTEXT
    strides: int | tuple[int, ...] | tuple[tuple[int, ...], ...] | None = None

    def __post_init__(self) -> None:
        for name in ("offsets", "bias", "strides"):
            object.__setattr__(self, name, _to_tuples(getattr(self, name)))
        if self.offsets is not None:
            object.__setattr__(self, "offsets", tuple(Coordinate(offset) for offset in self.offsets))
        object.__setattr__(self, "context", Coordinate(self.context))


def _to_tuples(value: Any) -> Any:
    if isinstance(value, list | tuple | np.ndarray) and not isinstance(value, Coordinate):
        items: Iterable[Any] = value
        return tuple(_to_tuples(item) for item in items)
    return value
