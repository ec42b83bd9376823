"""The parameters of the watershed post-processor."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from funlib.geometry import Coordinate

from attacca.post_processors.post_processor_parameters import PostProcessorParameters

DEFAULT_CONTEXT = Coordinate((32, 32, 32))


@dataclass(frozen=True)
class WatershedPostProcessorParameters(PostProcessorParameters):
    """How the watershed post-processor segments affinities.

    Attributes:
        offsets: offsets of the affinities, in voxels; None uses those of the post-processor.
        bias: an affinity above it attracts; one value, or one for each offset.
        sigma: affinities are smoothed by a Gaussian of this many voxels of the finest axis first.
        threshold: fragments are joined while the mean affinity of their contact is above it; None keeps
            fragments, joined across the faces of blocks only.
        min_size: segments of fewer voxels are merged into the neighbor that they cling to most.
        context: world units read around each block; shortened to the volume's number of axes.
        strides: long-range edges start at voxels whose coordinates are multiples of this alone; None uses
            all.
    """

    offsets: tuple[Coordinate, ...] | None = None
    bias: float | tuple[float, ...] = 0.5
    sigma: float = 0.0
    threshold: float | None = None
    min_size: int = 0
    context: Coordinate = DEFAULT_CONTEXT
    strides: int | tuple[int, ...] | tuple[tuple[int, ...], ...] | None = None

    def __post_init__(self) -> None:
        # Lists are welcome; parameters are keys of tables of scores.
        for name in ("offsets", "bias", "strides"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))
        if self.offsets is not None:
            object.__setattr__(self, "offsets", tuple(Coordinate(offset) for offset in self.offsets))
        object.__setattr__(self, "context", Coordinate(self.context))


def _frozen(value: Any) -> Any:
    if isinstance(value, (list, tuple, np.ndarray)) and not isinstance(value, Coordinate):
        return tuple(_frozen(item) for item in value)
    return value
