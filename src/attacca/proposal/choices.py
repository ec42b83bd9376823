"""Choices with their reasons, and the quantities on which rules depend."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from attacca.proposal.examination import VolumeFacts

Kind = Literal["dense instances", "sparse instances", "objects", "boundaries", "classes"]
"""Kinds of labels: ids that fill the volume; ids in background; one value for all objects; one value for thin
boundaries, or for all that they enclose; one value per class."""


@dataclass(frozen=True)
class Choice:
    """A value of the configuration with its reason, which becomes a comment."""

    value: Any
    reason: str


@dataclass(frozen=True)
class Machine:
    """Resources for which sizes and iterations are chosen.

    Attributes:
        cores: cores of the machine.
        gpus: number of GPUs.
        minutes: desired time of the training.
    """

    cores: int
    gpus: int = 0
    minutes: float = 10.0


@dataclass(frozen=True)
class Scale:
    """Sizes that decide the network.

    Attributes:
        voxel_size: edge lengths of a voxel, in world units.
        width: median local width of the objects, in world units.
        diameter: median diameter of the objects, in world units.
        fewest_voxels: voxels of a small object: the 5th percentile.
    """

    voxel_size: tuple[int, ...]
    width: float
    diameter: float
    fewest_voxels: int

    @classmethod
    def measure(cls, labeled: Sequence[VolumeFacts]) -> "Scale":
        """Return the medians over all volumes."""
        voxel_size = labeled[0].voxel_size
        labels = [item.labels for item in labeled if item.labels is not None and item.labels.ids]
        widths = sorted(item.width for item in labels) or [0.0]
        diameters = sorted(value for item in labels for value in item.diameters) or [0.0]
        small = diameters[int(0.05 * len(diameters))]
        dims = len(voxel_size)
        size = math.pi / 6 * small**3 if dims == 3 else math.pi / 4 * small**2
        voxels = round(size / math.prod(voxel_size))
        return cls(voxel_size, widths[len(widths) // 2], diameters[len(diameters) // 2], voxels)

    @property
    def dims(self) -> int:
        """Number of spatial axes."""
        return len(self.voxel_size)

    @property
    def finest(self) -> int:
        """Shortest edge of a voxel."""
        return min(self.voxel_size)

    @property
    def ratios(self) -> list[float]:
        """Edge of a voxel along each axis, relative to the shortest."""
        return [size / self.finest for size in self.voxel_size]

    @property
    def width_in_voxels(self) -> float:
        """Width of the objects in voxels of the finest axis."""
        return self.width / self.finest

    def steps(self, distance: float, axis: int) -> int:
        """Return a distance in whole voxels along an axis."""
        return round(distance / self.voxel_size[axis])


def strip_reasons(value: Any) -> Any:
    """Return settings without their reasons.

    >>> strip_reasons({"task": {"type": Choice("one_hot", "classes")}})
    {'task': {'type': 'one_hot'}}
    """
    if isinstance(value, Choice):
        return strip_reasons(value.value)
    if isinstance(value, dict):
        return {key: strip_reasons(item) for key, item in value.items()}
    return [strip_reasons(item) for item in value] if isinstance(value, list) else value
