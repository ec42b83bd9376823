"""Rules by which ground truth is prepared for a comparison."""

from collections.abc import Sequence
from dataclasses import dataclass

import edt
import fastremap
import numpy as np
from funlib.geometry import Coordinate

from attacca.config.evaluation import EvaluationConfig


@dataclass(frozen=True)
class GroundTruthRules:
    """Rules by which ground truth is prepared before it is compared.

    Attributes:
        unlabelled: label value of voxels without annotation, which count in no score; None if all voxels are
            annotated.
        border: voxels up to this distance from a voxel with another label do not count, in world units.
        components: split each object into its connected components (by faces, edges or corners) within the
            compared region, because a crop cuts one neurite into several.

    Examples:
        >>> GroundTruthRules(border=8).describe("nanometer")
        'voxels up to 8 nanometer from another true label excluded'
    """

    unlabelled: int | None = None
    border: int = 0
    components: bool = False

    @classmethod
    def from_config(cls, evaluation: EvaluationConfig, unlabelled: int | None) -> "GroundTruthRules":
        """Read the rules for instances from a configuration.

        Args:
            evaluation: the ``evaluation:`` section.
            unlabelled: label value of voxels without annotation in the volume.
        """
        return cls(unlabelled, evaluation.border, evaluation.connected_components)

    def describe(self, unit: str = "nanometer") -> str:
        """Return the rules in words; an empty text without any rule."""
        parts = []
        if self.unlabelled is not None:
            parts.append(f"voxels with ground truth {self.unlabelled} are unlabelled and excluded")
        if self.border:
            parts.append(f"voxels up to {self.border} {unit} from another true label excluded")
        if self.components:
            parts.append("true objects split into connected components (faces, edges, corners)")
        return ", ".join(parts)

    def context(self, voxel_size: Coordinate) -> Coordinate:
        """Return the context of ground truth that a block needs, in world units."""
        return Coordinate(-(-self.border // size) * size for size in voxel_size)

    def find_counted(self, ground_truth: np.ndarray, voxel_size: Sequence[int]) -> np.ndarray | None:
        """Return a mask of the voxels that count.

        Args:
            ground_truth: ids, spatial axes only, with ``context`` around the voxels of interest.
            voxel_size: world units.

        Returns:
            bool, shape of ``ground_truth``; None if all voxels count.
        """
        counted = None if self.unlabelled is None else ground_truth != self.unlabelled
        if self.border:
            near = find_label_borders(ground_truth, voxel_size, self.border)
            counted = ~near if counted is None else counted & ~near
        return counted


def find_label_borders(labels: np.ndarray, voxel_size: Sequence[int], distance: float) -> np.ndarray:
    """Return a mask of voxels whose center is at most ``distance`` from that of a voxel with another label.

    Args:
        labels: ids, integer; 0 is a label like any other.
        voxel_size: world units.
        distance: world units.

    Returns:
        bool, shape of ``labels``.

    Examples:
        >>> find_label_borders(np.array([[1, 1, 1, 2, 2]]), (8, 8), 8).astype(int)
        array([[0, 0, 1, 1, 0]])
    """
    dense, _ = fastremap.renumber(np.ascontiguousarray(labels), preserve_zero=False)
    nearest = edt.edt(
        dense, anisotropy=tuple(float(size) for size in voxel_size), black_border=False, parallel=1
    )
    return np.asarray(nearest) <= np.float32(distance) * np.float32(1 + 1e-6)
