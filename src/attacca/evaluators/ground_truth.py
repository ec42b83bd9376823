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
        border_in_sections: measure ``border`` as in the scripts of CREMI: within sections, to the nearest pixel that has a
            neighbor (left, right, above, below) with another label.

    Examples:
        >>> GroundTruthRules(border=8).describe("nanometer")
        'voxels up to 8 nanometer from another true label excluded'
    """

    unlabelled: int | None = None
    border: int = 0
    components: bool = False
    border_in_sections: bool = False

    @classmethod
    def from_config(cls, evaluation: EvaluationConfig, unlabelled: int | None) -> "GroundTruthRules":
        """Read the rules for instances from a configuration.

        Args:
            evaluation: the ``evaluation:`` section.
            unlabelled: label value of voxels without annotation in the volume.
        """
        return cls(
            unlabelled, evaluation.border, evaluation.connected_components, evaluation.border_in == "sections"
        )

    def describe(self, unit: str = "nanometer") -> str:
        """Return the rules in words; an empty text without any rule."""
        parts = []
        if self.unlabelled is not None:
            parts.append(f"voxels with ground truth {self.unlabelled} are unlabelled and excluded")
        if self.border:
            near = (
                "a boundary of true labels in the section"
                if self.border_in_sections
                else "another true label"
            )
            parts.append(f"voxels up to {self.border} {unit} from {near} excluded")
        if self.components:
            parts.append("true objects split into connected components (faces, edges, corners)")
        return ", ".join(parts)

    def context(self, voxel_size: Coordinate) -> Coordinate:
        """Return the context of ground truth that a block needs, in world units."""
        context = [-(-self.border // size) * size for size in voxel_size]
        if self.border and self.border_in_sections:
            # A pixel at a boundary is known by its neighbors.
            context = [0] * (len(context) - 2) + [c + s for c, s in zip(context[-2:], voxel_size[-2:])]
        return Coordinate(context)

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
            find = find_section_borders if self.border_in_sections else find_label_borders
            near = find(ground_truth, voxel_size, self.border)
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


def find_section_borders(labels: np.ndarray, voxel_size: Sequence[int], distance: float) -> np.ndarray:
    """Return a mask of voxels at most ``distance`` from a boundary pixel of their section, as in the scripts of CREMI.

    A boundary pixel has a neighbor with another label: left, right, above or below. The scripts are
    ``cremi.evaluation.border_mask`` of https://github.com/cremi/cremi_python.

    Args:
        labels: ids, integer, 2 or 3 axes; 0 is a label like any other.
        voxel_size: world units.
        distance: world units.

    Returns:
        bool, shape of ``labels``.

    Examples:
        >>> find_section_borders(np.array([[1, 1, 1, 2, 2]]), (8, 8), 8).astype(int)
        array([[0, 1, 1, 1, 1]])
    """
    is_inner = np.ones(labels.shape, bool)
    for axis in (-2, -1):
        differs = np.diff(labels, axis=axis) != 0 if labels.dtype != bool else np.diff(labels, axis=axis)
        lower, upper = [slice(None)] * labels.ndim, [slice(None)] * labels.ndim
        lower[axis], upper[axis] = slice(None, -1), slice(1, None)
        is_inner[tuple(lower)] &= ~differs
        is_inner[tuple(upper)] &= ~differs
    anisotropy = tuple(float(size) for size in voxel_size[-2:])
    nearest = np.empty(labels.shape, np.float32)
    for section in np.ndindex(labels.shape[:-2]):
        nearest[section] = edt.edt(is_inner[section], anisotropy=anisotropy, black_border=False, parallel=1)
    return nearest <= np.float32(distance) * np.float32(1 + 1e-6)
