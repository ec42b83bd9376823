"""Two arrays side by side: where both are defined, and which of their voxels count."""

from collections.abc import Sequence
from dataclasses import dataclass

import edt
import fastremap
import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array, LocalArrayIdentifier, ZarrArray
from attacca.blockwise.grid import BlockGrid
from attacca.errors import VolumeError

BLOCK_VOXELS = 1 << 23
"""Voxels of a block at most, where no block size is given: 203 x 203 x 203."""

# Measured: 23 bytes a voxel for borders and components, and two volumes of 8 bytes a voxel.
BYTES_PER_VOXEL = 40
"""Memory that the comparison of a block needs."""


@dataclass(frozen=True)
class GroundTruthRules:
    """What is done to the truth before it is compared.

    Attributes:
        unlabelled: voxels with this value do not count, in any score; None where all were labelled.
        border: voxels up to this distance from a voxel with another label do not count, world units.
        components: parts of an object that do not touch (by face, edge or corner) in the compared region
            become objects of their own, as a crop cuts one neurite into several.
    """

    unlabelled: int | None = None
    border: int = 0
    components: bool = False

    def describe(self, unit: str = "nanometer") -> str:
        """The rules in words; empty where nothing is done."""
        parts = []
        if self.unlabelled is not None:
            parts.append(f"voxels with truth {self.unlabelled} are unlabelled and left out")
        if self.border:
            parts.append(f"voxels up to {self.border} {unit} from another true label left out")
        if self.components:
            parts.append("true objects split into connected components (faces, edges, corners)")
        return ", ".join(parts)

    def context(self, voxel_size: Coordinate) -> Coordinate:
        """World units of truth that are needed around a block."""
        return Coordinate(-(-self.border // size) * size for size in voxel_size)

    def counted(self, ground_truth: np.ndarray, voxel_size: Sequence[int]) -> np.ndarray | None:
        """Which voxels count.

        Args:
            truth: ids, spatial axes only, with ``context`` around the voxels of interest.
            voxel_size: world units.

        Returns:
            bool, shape of ``truth``; None where all of them count.
        """
        counted = None if self.unlabelled is None else ground_truth != self.unlabelled
        if self.border:
            near = near_other_label(ground_truth, voxel_size, self.border)
            counted = ~near if counted is None else counted & ~near
        return counted


def near_other_label(labels: np.ndarray, voxel_size: Sequence[int], distance: float) -> np.ndarray:
    """Where a voxel of another label (0 is one too) lies within ``distance``, centre to centre; bool."""
    dense, _ = fastremap.renumber(np.ascontiguousarray(labels), preserve_zero=False)
    nearest = edt.edt(
        dense, anisotropy=tuple(float(size) for size in voxel_size), black_border=False, parallel=1
    )
    return np.asarray(nearest) <= np.float32(distance) * np.float32(1 + 1e-6)


def open_array(array: LocalArrayIdentifier | Array) -> Array:
    """The array itself, or opened for reading where only its place is given."""
    return array if isinstance(array, Array) else ZarrArray.open_from_array_identifier(array)


def common_roi(segmentation: Array, ground_truth: Array) -> Roi:
    """Where both arrays are defined.

    Raises:
        VolumeError: voxel sizes differ, voxels do not lie on one grid, or the arrays have no voxel in common.
    """
    if tuple(segmentation.voxel_size) != tuple(ground_truth.voxel_size):
        raise VolumeError(
            f"{segmentation}: found the voxel size {tuple(segmentation.voxel_size)}, the truth {ground_truth} has "
            f"{tuple(ground_truth.voxel_size)}; a segmentation is compared with a truth of its own voxel size"
        )
    if any((segmentation.roi.begin - ground_truth.roi.begin) % ground_truth.voxel_size):
        raise VolumeError(
            f"{segmentation} begins at {tuple(segmentation.roi.begin)}, the truth {ground_truth} at "
            f"{tuple(ground_truth.roi.begin)}: with voxels of {tuple(ground_truth.voxel_size)} they do not lie on one grid"
        )
    roi = segmentation.roi.intersect(ground_truth.roi)
    if roi.empty:
        raise VolumeError(
            f"{segmentation} covers {segmentation.roi}, the truth {ground_truth} covers {ground_truth.roi}: they have "
            "no voxel in common"
        )
    return roi


def check_ids(array: Array) -> None:
    """Refuse an array that does not hold one id a voxel.

    Raises:
        VolumeError: there are several channels, or other numbers than integers.
    """
    if array.num_channels not in (None, 1):
        raise VolumeError(f"{array}: found {array.num_channels} channels, expected one array of ids")
    if np.dtype(array.dtype).kind not in "biu":
        raise VolumeError(f"{array}: found {np.dtype(array.dtype)}, expected ids, which are whole numbers")


def without_channel(array: np.ndarray, dims: int, name: object) -> np.ndarray:
    """Drop a channel axis of size 1.

    Raises:
        VolumeError: there are several channels.
    """
    if array.ndim == dims:
        return array
    if array.shape[0] != 1:
        raise VolumeError(f"{name}: found {array.shape[0]} channels, expected one array of ids")
    return array[0]


def comparison_grid(
    segmentation: Array,
    ground_truth: Array,
    block_size: Sequence[int] | None = None,
    context: Sequence[int] | int = 0,
) -> BlockGrid:
    """Blocks over the region where both arrays are defined.

    Args:
        segmentation, truth: the two arrays.
        block_size: world units; about ``BLOCK_VOXELS`` in whole chunks of the segmentation by default.
        context: world units of truth read around each block.

    Raises:
        VolumeError: the two cannot be compared.
    """
    roi, voxel_size = common_roi(segmentation, ground_truth), ground_truth.voxel_size
    if block_size is None:
        edge = int(BLOCK_VOXELS ** (1 / ground_truth.dims))
        chunks = getattr(segmentation, "chunk_size", None)
        chunk = tuple(chunks / voxel_size) if chunks is not None else (1,) * ground_truth.dims
        sides = Coordinate(max(1, edge // c) * c if c <= edge else edge for c in chunk)
        block_size = sides * voxel_size
    return BlockGrid(roi, block_size, voxel_size, context, origin=segmentation.roi.begin)
