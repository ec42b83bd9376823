"""Synthetic electron microscopy of dense neural tissue, the embedded data of the workflow.

1. The volume is divided into bricks of about BRICK neurite diameters; a volume up to that size is one brick.
2. ``skeletons`` grows the skeletons of a brick's neurites from the seed and the brick's index.
3. ``voxels`` computes neurite, membrane, mitochondrion and gray value of each voxel from the nearby skeletons.
4. Gray values are blurred, and shot noise is added from a hash of the voxel's index.

Each voxel depends only on its position, so any division into blocks gives the same bytes. A neurite stays in its brick.

The labels are dense (without background), and the cells of a neurite are one connected object in space (see
``skeletons``). Sampling on voxels may separate slivers of a few voxels at sharp edges.
"""

from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from funlib.geometry import Roi

from attacca.config.volumes import VolumeConfig
from attacca.errors import VolumeError
from attacca.volumes.tissue.geometry import TissueGeometry
from attacca.volumes.tissue.skeletons import CLEARANCE, Skeletons, grow_skeletons, mix
from attacca.volumes.tissue.voxels import BlockVoxels, PointCells, fill_block, white_noise

_MARGIN = 6.0
_HALF_MEMBRANE = 8.5
_NOISE = 17.0
# Radius of the blur in voxels.
_BLUR = 1


class Tissue(TissueGeometry):
    """The tissue of one configured volume.

    Args:
        config: a volume with ``synthetic``.
    """

    def __init__(self, config: VolumeConfig) -> None:
        super().__init__(config)
        self._seed = int(mix(np.uint64(self.settings.seed + 1)))

    def block(self, roi: Roi) -> dict[str, np.ndarray]:
        """Compute all voxels of a ROI.

        Args:
            roi: world units.

        Returns:
            ``raw`` (uint8), ``labels`` and ``mitochondria`` (ids), ``organelles`` (uint8: 0 cytoplasm, 1 membrane, 2
            mitochondrion), each (z, y, x) or (y, x).

        Raises:
            VolumeError: the ROI is not inside the volume, or not on its voxel grid.
        """
        if not self.roi.contains(roi) or any((roi.begin - self.roi.begin) % self.voxel_size):
            raise VolumeError(f"{roi} is not inside the synthetic volume {self.roi}, on its voxel grid")
        lead = (0,) * (3 - self.dims)
        begin = np.array([*lead, *((roi.begin - self.roi.begin) / self.voxel_size)], dtype=np.int64)
        shape = np.array([*(1 for _ in lead), *(roi.shape / self.voxel_size)], dtype=np.int64)
        margin = np.array([*lead, *(_BLUR for _ in range(self.dims))], dtype=np.int64)
        wide = tuple(int(n) for n in shape + 2 * margin)
        labels = np.empty(wide, self.label_dtype)
        mitochondria = np.empty(wide, self.label_dtype)
        organelles = np.empty(wide, np.uint8)
        gray = np.empty(wide, np.float32)
        skeletons = self._find_skeletons(begin - margin, wide)
        fill_block(
            begin - margin,
            self.voxel,
            self.dims,
            skeletons,
            _sort_into_cells(skeletons.points),
            np.uint64(self._seed),
            max(_HALF_MEMBRANE, 0.7 * float(self.voxel[3 - self.dims :].min())),
            BlockVoxels(labels, organelles, mitochondria, gray),
        )
        raw = self._add_noise(gray, begin - margin)
        inner: tuple[Any, ...] = tuple(slice(m, n - m) for m, n in zip(margin, wide))
        if self.dims == 2:
            inner = (0, *inner[1:])
        named = {"raw": raw, "labels": labels, "organelles": organelles, "mitochondria": mitochondria}
        return {name: np.ascontiguousarray(array[inner]) for name, array in named.items()}

    def labels_of(self, block: dict[str, np.ndarray]) -> np.ndarray:
        """Return the configured labels from a result of ``block``."""
        kind = self.settings.labels
        if kind == "neurites":
            return block["labels"]
        if kind == "mitochondria":
            return block["mitochondria"]
        if kind == "classes":
            return block["organelles"]
        return np.stack([(block["organelles"] == 1).astype(self.label_dtype), block["mitochondria"]])

    def _add_noise(self, gray: np.ndarray, begin: np.ndarray) -> np.ndarray:
        noise = np.empty(gray.shape, np.float32)
        white_noise(begin, np.uint64(self._seed + 5), noise)
        # The variance of shot noise is proportional to the number of electrons.
        scale = np.float32(_NOISE * self.settings.noise)
        noisy = gray + noise * scale * np.sqrt(np.clip(gray, 20, None) / np.float32(160.0))
        for axis in range(3 - self.dims, 3):
            before, after = np.roll(noisy, 1, axis), np.roll(noisy, -1, axis)
            noisy = np.float32(0.2) * (before + after) + np.float32(0.6) * noisy
        return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)

    def _find_skeletons(self, begin: np.ndarray, shape: tuple[int, ...]) -> Skeletons:
        """Return the skeletons of all bricks that can influence a block."""
        reach = _MARGIN * self.settings.neurite_diameter
        low = (begin * self.voxel - reach) / self.extent * self.bricks
        high = ((begin + np.array(shape)) * self.voxel + reach) / self.extent * self.bricks
        ranges = [
            range(max(0, int(np.floor(a))), min(int(n), int(np.floor(b)) + 1))
            for a, b, n in zip(low, high, self.bricks)
        ]
        parts = [self._grow_brick(index) for index in product(*ranges)]
        if len(parts) == 1:
            return parts[0]
        joined = Skeletons(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("points", "radius", "neurite", "mitochondrion", "mitochondrion_radius")
            )
        )
        near = np.all(
            (joined.points > begin * self.voxel - reach)
            & (joined.points < (begin + np.array(shape)) * self.voxel + reach),
            axis=1,
        )
        return Skeletons(
            joined.points[near],
            joined.radius[near],
            joined.neurite[near],
            joined.mitochondrion[near],
            joined.mitochondrion_radius[near],
        )

    def _grow_brick(self, index: tuple[int, ...]) -> Skeletons:
        number = int(np.ravel_multi_index(index, tuple(self.bricks)))
        low = np.array(index) * self.extent / self.bricks
        high = (np.array(index) + 1) * self.extent / self.bricks
        margin = np.zeros((2, 3))
        margin[0] = np.where(np.array(index) > 0, CLEARANCE, 0.0)
        margin[1] = np.where(np.array(index) + 1 < self.bricks, CLEARANCE, 0.0)
        if self.dims == 2:
            low[0] = high[0] = 0.0
        return _grow_cached(
            tuple(low),
            tuple(high),
            tuple(margin.ravel()),
            self.dims,
            self.settings.neurite_diameter,
            int(mix(np.uint64((self._seed + number) % 2**64))),
            number * self.ids_per_brick,
        )


# A block needs up to eight bricks; consecutive blocks share most of them.
@lru_cache(maxsize=16)
def _grow_cached(
    low: tuple[float, ...],
    high: tuple[float, ...],
    margin: tuple[float, ...],
    dims: int,
    diameter: float,
    seed: int,
    first_neurite: int,
) -> Skeletons:
    return grow_skeletons(
        np.array([low, high]), np.array(margin).reshape(2, 3), dims, diameter, seed, first_neurite
    )


def _sort_into_cells(points: np.ndarray) -> PointCells:
    """Sort points into a regular grid of cells."""
    low = points.min(axis=0)
    extent = points.max(axis=0) - low
    size = max(40.0, float(extent.max()) / 200)
    shape = (extent / size).astype(np.int64) + 1
    index = np.minimum(((points - low) / size).astype(np.int64), shape - 1)
    flat = (index[:, 0] * shape[1] + index[:, 1]) * shape[2] + index[:, 2]
    order = np.argsort(flat, kind="stable")
    start = np.zeros(int(np.prod(shape)) + 1, np.int64)
    np.cumsum(np.bincount(flat, minlength=int(np.prod(shape))), out=start[1:])
    return PointCells(start, order, low, size, shape)


@lru_cache(maxsize=8)
def _open_tissue(config_json: str) -> Tissue:
    return Tissue(VolumeConfig.model_validate_json(config_json))


def tissue_block(config: VolumeConfig, roi: Roi) -> dict[str, np.ndarray]:
    """Return ``Tissue(config).block(roi)``; skeletons are cached between calls."""
    return _open_tissue(config.model_dump_json()).block(roi)


def tissue_labels(config: VolumeConfig, block: dict[str, np.ndarray]) -> np.ndarray:
    """Return ``Tissue(config).labels_of(block)``."""
    return _open_tissue(config.model_dump_json()).labels_of(block)
