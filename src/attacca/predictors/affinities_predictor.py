"""Predictor of affinities, with local shape descriptors as an auxiliary task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import fastremap
import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array
from attacca.arrays.types import EmbeddingArray
from attacca.errors import ConfigurationError
from attacca.predictors.affinity_targets import affinities, compute_partner_masks, erode_labels, padding
from attacca.predictors.class_balance import BalancedPart, ClassCounts
from attacca.predictors.label_arrays import convert_to_unsigned, drop_channel_axis
from attacca.predictors.lsd import (
    compute_local_shape_descriptors,
    compute_window_radius,
    count_descriptors,
    list_descriptor_names,
)
from attacca.predictors.predictor import (
    Predictor,
    create_array_like,
    create_model_with_head,
    read_labels,
    read_mask,
)

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture
    from attacca.model import Model

AffinityCounts = tuple[list[ClassCounts], list[ClassCounts] | None]


@dataclass(frozen=True)
class LsdExtractor:
    """Local shape descriptors with the window for one voxel size."""

    sigma: Coordinate
    """Standard deviation of the window along each axis, in world units."""
    downsample: int = 1
    """Compute descriptors on each n-th voxel only."""

    def get_descriptors(
        self,
        segmentation: np.ndarray,
        voxel_size: Coordinate,
        out: np.ndarray | None = None,
        within: tuple[slice, ...] | None = None,
    ) -> np.ndarray:
        """Return the descriptors of all objects; see ``attacca.predictors.lsd.compute_local_shape_descriptors``."""
        return compute_local_shape_descriptors(
            segmentation, self.sigma, voxel_size, self.downsample, out, within=within
        )


class AffinitiesPredictor(Predictor):
    """Affinities of each voxel to the partners at a neighborhood of offsets, and local shape descriptors.

    An affinity is 1 if voxel and partner belong to the same object (see ``attacca.predictors.affinity_targets``). The
    descriptors are an auxiliary task that improves affinities (see ``attacca.predictors.lsd``). Channels are first the
    affinities, in the order of ``neighborhood``, then the descriptors.

    Arguments and defaults are DaCapo's. The task configuration has other defaults for three of them: ``lsds: false``,
    ``num_lsd_voxels: 10`` (``num_voxels`` here) and ``mask_partners: true``, which suit training from sparse ground
    truth on one machine.

    Args:
        neighborhood: offsets in voxels.
        lsds: predict local shape descriptors after the affinities.
        num_voxels: standard deviation of the descriptors' window, in voxels of the coarsest axis.
        downsample_lsds: compute descriptors on each n-th voxel only.
        grow_boundary_iterations: number of voxels by which objects are eroded first.
        affs_weight_clipmin, affs_weight_clipmax: bounds of the fractions of affinities 0 and 1 when these are
            balanced.
        lsd_weight_clipmin, lsd_weight_clipmax: bounds of the fractions of foreground and background when descriptors
            are balanced.
        background_as_object: treat label 0 as an object.
        mask_partners: set the weight of an affinity to 0 if the partner is masked out, unlabeled or outside the
            volume. By default, as in DaCapo, only the voxel itself is tested.

    Raises:
        ConfigurationError: the offsets have different numbers of axes, or descriptors are requested in other than 2D
            or 3D.

    >>> from attacca.arrays import NumpyArray
    >>> labels = np.array([[1, 1, 2], [1, 1, 2]])
    >>> gt = NumpyArray.from_np_array(labels, Roi((0, 0), (8, 12)), Coordinate(4, 4), ["y", "x"])
    >>> predictor = AffinitiesPredictor([(0, 1), (1, 0)], lsds=False)
    >>> predictor.channel_names
    ['affinity(0,1)', 'affinity(1,0)']
    >>> target = predictor.create_target(gt)
    >>> target.data[0]
    array([[1., 0., 0.],
           [1., 0., 0.]], dtype=float32)
    >>> weight, counts = predictor.create_weight(gt, target, None)
    >>> weight.data[0]
    array([[1.75 , 0.875, 0.875],
           [1.75 , 0.875, 0.875]], dtype=float32)
    """

    def __init__(
        self,
        neighborhood: Sequence[Coordinate],
        lsds: bool = True,
        num_voxels: int = 20,
        downsample_lsds: int = 1,
        grow_boundary_iterations: int = 0,
        affs_weight_clipmin: float = 0.05,
        affs_weight_clipmax: float = 0.95,
        lsd_weight_clipmin: float = 0.05,
        lsd_weight_clipmax: float = 0.95,
        background_as_object: bool = False,
        mask_partners: bool = False,
    ) -> None:
        self.neighborhood = [Coordinate(offset) for offset in neighborhood]
        if not self.neighborhood or any(offset.dims != self.dims for offset in self.neighborhood):
            raise ConfigurationError(
                f"found neighborhood {[list(o) for o in neighborhood]}, expected offsets with the same number of axes"
            )
        if lsds and self.dims not in (2, 3):
            raise ConfigurationError(f"local shape descriptors exist in 2D and 3D, not in {self.dims}D")
        self.lsds = lsds
        self.num_voxels = num_voxels
        self.downsample_lsds = downsample_lsds
        self.grow_boundary_iterations = grow_boundary_iterations
        self.affs_weight_clipmin = affs_weight_clipmin
        self.affs_weight_clipmax = affs_weight_clipmax
        self.lsd_weight_clipmin = lsd_weight_clipmin
        self.lsd_weight_clipmax = lsd_weight_clipmax
        self.background_as_object = background_as_object
        self.mask_partners = mask_partners

    @property
    def dims(self) -> int:
        """Number of spatial axes."""
        return int(self.neighborhood[0].dims)

    @property
    def num_lsds(self) -> int:
        """Number of local shape descriptors: 10 in 3D, 6 in 2D, 0 without them."""
        return count_descriptors(self.dims) if self.lsds else 0

    @property
    def output_array_type(self) -> EmbeddingArray:
        return EmbeddingArray(self.num_channels)

    @property
    def channel_names(self) -> list[str]:
        names = [f"affinity({','.join(str(step) for step in offset)})" for offset in self.neighborhood]
        return names + (list_descriptor_names(self.dims) if self.lsds else [])

    @property
    def value_range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def target_is_binary(self) -> bool:
        return not self.lsds

    def sigma(self, voxel_size: Coordinate) -> Coordinate:
        """Return the standard deviation of the descriptors' window in world units, equal along all axes."""
        return Coordinate((max(voxel_size) * self.num_voxels,) * self.dims)

    def lsd_pad(self, voxel_size: Coordinate) -> Coordinate:
        """Return the distance from the center of the descriptors' window to its border, in world units."""
        return self.sigma(voxel_size) * 3

    def extractor(self, voxel_size: Coordinate) -> LsdExtractor:
        """Return the local shape descriptors for a voxel size."""
        return LsdExtractor(self.sigma(voxel_size), self.downsample_lsds)

    def create_model(self, architecture: Architecture) -> Model:
        """Return a model with logits in training mode; sigmoids in evaluation mode, also of descriptors."""
        return create_model_with_head(architecture, self.num_channels, activation="sigmoid")

    def context(self, voxel_size: Coordinate) -> tuple[Coordinate, Coordinate]:
        below, above = padding(self.neighborhood, voxel_size)
        if self.lsds:
            window = self.lsd_pad(voxel_size)
            if self.downsample_lsds > 1:
                # A window of whole coarse voxels may be slightly larger.
                spacing = voxel_size * self.downsample_lsds
                radii = [compute_window_radius(s, h) * h for s, h in zip(self.sigma(voxel_size), spacing)]
                window = Coordinate(max(pad, radius) for pad, radius in zip(window, radii))
            below = Coordinate(max(pair) for pair in zip(below, window))
            above = Coordinate(max(pair) for pair in zip(above, window))
        eroded = voxel_size * self.grow_boundary_iterations
        return below + eroded, above + eroded

    def grid(self, voxel_size: Coordinate) -> Coordinate:
        # The n-th voxels must not depend on the region, so regions consist of whole cells.
        return voxel_size * (self.downsample_lsds if self.lsds else 1)

    def _read_labels(self, gt: Array) -> np.ndarray:
        labels = convert_to_unsigned(drop_channel_axis(read_labels(gt), gt.dims))
        return erode_labels(labels, self.grow_boundary_iterations)

    def create_target(self, gt: Array) -> Array:
        return self._create_target(gt, None)

    def weight_context(self, voxel_size: Coordinate) -> tuple[Coordinate, Coordinate]:
        """Return the reach of the partners, in world units; the window of descriptors does not affect weights."""
        below, above = padding(self.neighborhood, voxel_size)
        eroded = voxel_size * self.grow_boundary_iterations
        return below + eroded, above + eroded

    def create_target_within(self, gt: Array, roi: Roi) -> Array:
        """Return the target; descriptors, which are expensive, are computed inside ``roi`` only."""
        offset = (roi.begin - gt.roi.begin) / gt.voxel_size
        shape = roi.shape / gt.voxel_size
        return self._create_target(gt, tuple(slice(o, o + s) for o, s in zip(offset, shape)))

    def _create_target(self, gt: Array, within: tuple[slice, ...] | None) -> Array:
        labels = self._read_labels(gt)
        number = len(self.neighborhood)
        target = np.zeros((self.num_channels, *labels.shape), dtype=np.float32)
        affinities(labels, self.neighborhood, self.background_as_object, out=target[:number])
        if self.lsds:
            objects = _shift_background(labels) if self.background_as_object else labels
            descriptors = target[number:]
            self.extractor(gt.voxel_size).get_descriptors(objects, gt.voxel_size, descriptors, within)
        return create_array_like(gt, target)

    def balanced_parts(self, gt: Array, target: Array, mask: Array | None) -> Iterator[BalancedPart]:
        number = len(self.neighborhood)
        data = target[target.roi]
        masked = read_mask(mask)
        if masked is not None:
            masked = drop_channel_axis(masked, gt.dims)
        everywhere = np.ones(data.shape[1:], dtype=np.uint8) if masked is None else masked
        bounds = (self.affs_weight_clipmin, self.affs_weight_clipmax)
        for channel, offset in enumerate(self.neighborhood):
            both = compute_partner_masks(everywhere, [offset])[0] if self.mask_partners else masked
            labels = data[channel].astype(np.uint8)
            yield BalancedPart(slice(channel, channel + 1), labels, both, 2, *bounds)
        if self.lsds:
            foreground = (self._read_labels(gt) > 0).view(np.uint8)
            bounds = (self.lsd_weight_clipmin, self.lsd_weight_clipmax)
            yield BalancedPart(slice(number, None), foreground, masked, 2, *bounds)

    def pack_counts(self, counts: list[ClassCounts]) -> AffinityCounts:
        """Return the counts of the affinities, and those of the descriptors or None."""
        number = len(self.neighborhood)
        return counts[:number], counts[number:] or None

    def unpack_counts(self, packed: AffinityCounts) -> list[ClassCounts]:
        return [*packed[0], *(packed[1] or [])]


def _shift_background(labels: np.ndarray) -> np.ndarray:
    """Return labels with other ids, in which the background is an object like all others."""
    if labels.size == 0 or labels.max() < np.iinfo(labels.dtype).max:
        return labels + labels.dtype.type(1)
    # The largest id would become 0. A volume has fewer than 2**63 ids, so renumbering makes room.
    dense, _ = fastremap.renumber(labels, preserve_zero=False, in_place=False)
    return dense
