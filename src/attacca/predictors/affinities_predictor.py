"""Affinities of neighboring voxels, and local shape descriptors as an auxiliary task."""

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
from attacca.predictors.affinity_targets import affinities, erode_labels, padding, partner_masks
from attacca.predictors.class_balance import BalancedPart, ClassCounts
from attacca.predictors.label_arrays import unsigned_labels, without_channels
from attacca.predictors.lsd import (
    descriptor_names,
    local_shape_descriptors,
    num_descriptors,
    window_radius,
)
from attacca.predictors.predictor import Predictor, convolution, labels_of, like, mask_of

if TYPE_CHECKING:
    from attacca.architectures.architecture import Architecture
    from attacca.model import Model

AffinityCounts = tuple[list[ClassCounts], list[ClassCounts] | None]


@dataclass(frozen=True)
class LsdExtractor:
    """Local shape descriptors with a window for one voxel size."""

    sigma: Coordinate
    """Standard deviation of the window along each axis, world units."""
    downsample: int = 1
    """Use every n-th voxel only."""

    def get_descriptors(
        self,
        segmentation: np.ndarray,
        voxel_size: Coordinate,
        out: np.ndarray | None = None,
        within: tuple[slice, ...] | None = None,
    ) -> np.ndarray:
        """See ``attacca.predictors.lsd.local_shape_descriptors``."""
        return local_shape_descriptors(
            segmentation, self.sigma, voxel_size, self.downsample, out, within=within
        )


class AffinitiesPredictor(Predictor):
    """For each offset of a neighborhood, whether a voxel and its partner belong to the same object.

    Args:
        neighborhood: offsets in voxels.
        lsds: predict local shape descriptors too, after the affinities.
        num_voxels: standard deviation of their window, in voxels of the coarsest axis.
        downsample_lsds: compute them on every n-th voxel.
        grow_boundary_iterations: erode each object by this many voxels first.
        affs_weight_clipmin, affs_weight_clipmax: bounds of the fraction that affinities of 0 or 1 are taken
            to have.
        lsd_weight_clipmin, lsd_weight_clipmax: bounds of the fraction that fore- or background is taken to
            have.
        background_as_object: treat label 0 as one more object.
        mask_partners: give weight 0 to an affinity whose partner is masked out, unlabelled or outside;
            otherwise, as in DaCapo, only the voxel itself decides.
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
                f"a neighborhood needs offsets of one number of axes; found {[list(o) for o in neighborhood]}"
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
        return num_descriptors(self.dims) if self.lsds else 0

    @property
    def output_array_type(self) -> EmbeddingArray:
        return EmbeddingArray(self.num_channels)

    @property
    def channel_names(self) -> list[str]:
        names = [f"affinity({','.join(str(step) for step in offset)})" for offset in self.neighborhood]
        return names + (descriptor_names(self.dims) if self.lsds else [])

    @property
    def value_range(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def target_is_binary(self) -> bool:
        return not self.lsds

    def sigma(self, voxel_size: Coordinate) -> Coordinate:
        """Standard deviation of the descriptors' window, world units: the same along every axis."""
        return Coordinate((max(voxel_size) * self.num_voxels,) * self.dims)

    def lsd_pad(self, voxel_size: Coordinate) -> Coordinate:
        """Where the descriptors' window ends, world units from its centre."""
        return self.sigma(voxel_size) * 3

    def extractor(self, voxel_size: Coordinate) -> LsdExtractor:
        """Local shape descriptors for a voxel size."""
        return LsdExtractor(self.sigma(voxel_size), self.downsample_lsds)

    def create_model(self, architecture: Architecture) -> Model:
        """Logits when training; sigmoids in evaluation mode, of affinities and descriptors."""
        import torch

        from attacca.model import Model

        head = convolution(architecture, self.num_channels)
        return Model(architecture, head, eval_activation=torch.nn.Sigmoid())

    def context(self, voxel_size: Coordinate) -> tuple[Coordinate, Coordinate]:
        below, above = padding(self.neighborhood, voxel_size)
        if self.lsds:
            window = self.lsd_pad(voxel_size)
            if self.downsample_lsds > 1:
                # a window of whole coarse voxels may end a little later
                spacing = voxel_size * self.downsample_lsds
                radii = [window_radius(s, h) * h for s, h in zip(self.sigma(voxel_size), spacing)]
                window = Coordinate(max(pad, radius) for pad, radius in zip(window, radii))
            below = Coordinate(max(pair) for pair in zip(below, window))
            above = Coordinate(max(pair) for pair in zip(above, window))
        eroded = voxel_size * self.grow_boundary_iterations
        return below + eroded, above + eroded

    def grid(self, voxel_size: Coordinate) -> Coordinate:
        # every n-th voxel must be the same voxel whatever the region, so regions consist of whole cells
        return voxel_size * (self.downsample_lsds if self.lsds else 1)

    def _labels(self, gt: Array) -> np.ndarray:
        labels = unsigned_labels(without_channels(labels_of(gt), gt.dims))
        return erode_labels(labels, self.grow_boundary_iterations)

    def create_target(self, gt: Array) -> Array:
        return self._create_target(gt, None)

    def weight_context(self, voxel_size: Coordinate) -> tuple[Coordinate, Coordinate]:
        """How far, in world units, a weight looks: to the partners, and not as far as descriptors do."""
        below, above = padding(self.neighborhood, voxel_size)
        eroded = voxel_size * self.grow_boundary_iterations
        return below + eroded, above + eroded

    def create_target_within(self, gt: Array, roi: Roi) -> Array:
        """As ``create_target``, but descriptors, which take long, may be missing outside ``roi``."""
        begin = (roi.begin - gt.roi.begin) / gt.voxel_size
        shape = roi.shape / gt.voxel_size
        return self._create_target(gt, tuple(slice(b, b + s) for b, s in zip(begin, shape)))

    def _create_target(self, gt: Array, within: tuple[slice, ...] | None) -> Array:
        labels = self._labels(gt)
        number = len(self.neighborhood)
        target = np.zeros((self.num_channels, *labels.shape), dtype=np.float32)
        affinities(labels, self.neighborhood, self.background_as_object, out=target[:number])
        if self.lsds:
            objects = _with_background(labels) if self.background_as_object else labels
            descriptors = target[number:]
            self.extractor(gt.voxel_size).get_descriptors(objects, gt.voxel_size, descriptors, within)
        return like(gt, target)

    def balanced_parts(self, gt: Array, target: Array, mask: Array | None) -> Iterator[BalancedPart]:
        number = len(self.neighborhood)
        data = target[target.roi]
        masked = mask_of(mask)
        if masked is not None:
            masked = without_channels(masked, gt.dims)
        everywhere = np.ones(data.shape[1:], dtype=np.uint8) if masked is None else masked
        bounds = (self.affs_weight_clipmin, self.affs_weight_clipmax)
        for channel, offset in enumerate(self.neighborhood):
            both = partner_masks(everywhere, [offset])[0] if self.mask_partners else masked
            labels = data[channel].astype(np.uint8)
            yield BalancedPart(slice(channel, channel + 1), labels, both, 2, *bounds)
        if self.lsds:
            inside = (self._labels(gt) > 0).view(np.uint8)
            bounds = (self.lsd_weight_clipmin, self.lsd_weight_clipmax)
            yield BalancedPart(slice(number, None), inside, masked, 2, *bounds)

    def pack_counts(self, counts: list[ClassCounts]) -> AffinityCounts:
        """Counts of the affinities, and those of the descriptors or None."""
        number = len(self.neighborhood)
        return counts[:number], counts[number:] or None

    def flat_counts(self, packed: AffinityCounts) -> list[ClassCounts]:
        return [*packed[0], *(packed[1] or [])]


def _with_background(labels: np.ndarray) -> np.ndarray:
    """Labels in which 0 is an object like all others; ids are others."""
    if labels.size == 0 or labels.max() < np.iinfo(labels.dtype).max:
        return labels + labels.dtype.type(1)
    # The largest id would become 0. Of a volume there are fewer than 2**63 ids.
    dense, _ = fastremap.renumber(labels, preserve_zero=False, in_place=False)
    return dense
