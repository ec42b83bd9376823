"""Fragments of a volume, block by block.

Fragments are made in cells of a lattice that is anchored at the volume's first voxel, each with context: a
block writes its part of the cells that it touches, so that the result depends on the cells and not on the
blocks. With the mutex watershed a fragment's id is ``cell * voxels of a cell + label``; labels count a cell's
fragments from 1 by their first voxel. Seeded fragments are called by the coordinate of their seed, in all
cells alike. Connected components need no cells; they are called by a block's first voxel of each, and are
joined exactly afterwards. All ids are unique by construction, in uint64, whatever the voxel size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy import ndimage

from attacca.config.segmentation import FragmentSettings
from attacca.errors import ConfigurationError, VolumeError
from attacca.segmentation.components import label_components, label_foreground
from attacca.segmentation.debris import merge_small_fragments
from attacca.segmentation.frame import Box, Frame, Triple, read_affinities, read_mask, triple
from attacca.segmentation.graph import dense_labels
from attacca.segmentation.mutex_watershed import mutex_watershed
from attacca.segmentation.offsets import Offsets
from attacca.segmentation.seeded import grow_fragments, seed_context

Read = Callable[[Box], tuple[np.ndarray, np.ndarray | None]]
"""Gives uint8 affinities (channels, z, y, x) and the mask, if there is one, of a box of the volume."""

DEFAULT_CELL = 128
DEFAULT_CELL_2D = 1024
MUTEX_CONTEXT = 32


@dataclass(frozen=True)
class FragmentBlocks:
    """Block function that writes fragments.

    Args:
        prediction: affinities, channels first; for connected components also a single channel.
        output: uint64 array without channels; its ROI is the volume.
        neighborhood: offset of each channel, in voxels; empty for a single channel that is no affinity.
        settings: how fragments are made.
        mask: voxels of value 0 stay 0; None for all.
    """

    prediction: Any
    output: Any
    neighborhood: tuple[tuple[int, ...], ...]
    settings: FragmentSettings
    mask: Any = None

    @property
    def frame(self) -> Frame:
        return Frame(self.output.roi, self.output.voxel_size)

    def open(self) -> None:
        """Compile the kernels before the first block is timed."""
        from attacca.segmentation.compiled import warm

        warm(self.settings.chain)

    def __call__(self, block: Any) -> None:
        frame = self.frame
        if not self.prediction.roi.contains(self.output.roi):
            raise VolumeError(f"{self.output} reaches beyond its prediction {self.prediction}")
        fragments = fragments_of_box(
            self._read, frame, frame.to_box(block.write_roi), self.neighborhood, self.settings
        )
        self.output[block.write_roi] = fragments.reshape(block.write_roi.shape / frame.voxel_size)

    def _read(self, box: Box) -> tuple[np.ndarray, np.ndarray | None]:
        frame = self.frame
        if not self.neighborhood:
            values = self.prediction.read_values(frame.to_roi(box))
            values = values[0] if self.prediction.num_channels else values
            return values.reshape(1, *box.shape), read_mask(self.mask, frame, box)
        channels = len(self.neighborhood)
        if not self.settings.quantised and self.prediction.dtype != np.uint8:
            values = self.prediction.read_values(frame.to_roi(box))
            return values[:channels].reshape(channels, *box.shape), read_mask(self.mask, frame, box)
        affinities = read_affinities(self.prediction, frame, box, channels)
        return affinities, read_mask(self.mask, frame, box)


def fragment_offsets(neighborhood: tuple[tuple[int, ...], ...], settings: FragmentSettings) -> Offsets:
    """The offsets with the settings' biases and strides."""
    return Offsets.create(neighborhood, settings.bias, settings.strides)


def fragments_of_box(
    read: Read,
    frame: Frame,
    box: Box,
    neighborhood: tuple[tuple[int, ...], ...],
    settings: FragmentSettings,
) -> np.ndarray:
    """Fragments of one box of a volume, uint64 (z, y, x); boxes fit together whatever their shapes.

    Args:
        read: gives affinities and mask of any box inside the volume.
        frame: the volume.
        box: what to compute.
        neighborhood, settings: as for ``FragmentBlocks``.
    """
    if not neighborhood:
        if settings.chain != "connected_components":
            raise ConfigurationError(f"segmentation: the chain '{settings.chain}' needs affinities")
        return _foreground_box(read, frame, box, settings)
    if settings.chain == "mutex_watershed":
        return _cells_box(read, frame, box, fragment_offsets(neighborhood, settings), settings)
    if settings.chain == "seeded":
        return _cells_box(read, frame, box, Offsets.create(neighborhood), settings)
    return _component_box(read, frame, box, Offsets.create(neighborhood), settings)


def settle_cells(settings: FragmentSettings, block_size: Sequence[int]) -> FragmentSettings:
    """The settings with cells of a block's size (voxels), where they say nothing of cells: whole blocks are
    quickest."""
    if settings.cell_size is not None or settings.chain == "connected_components":
        return settings
    return settings.model_copy(update={"cell_size": [int(size) for size in block_size]})


def cell_shape(frame: Frame, settings: FragmentSettings) -> Triple:
    """Voxels of a cell."""
    default = (DEFAULT_CELL,) * 3 if frame.dims == 3 else (1, DEFAULT_CELL_2D, DEFAULT_CELL_2D)
    return frame.voxels(settings.cell_size, triple(default), "block_size", 1)


def chain_context(frame: Frame, settings: FragmentSettings) -> Triple:
    """Voxels that the chain reads around a cell or box."""
    smoothing = _smoothing(frame, settings)
    if settings.chain == "seeded":
        needed = seed_context(settings.window, settings.max_distance, frame.anisotropy)
    elif settings.chain == "mutex_watershed":
        needed = triple([max(2, round(MUTEX_CONTEXT / ratio)) for ratio in frame.anisotropy])
    else:
        needed = (1, 1, 1)
    needed = triple([own + extra for own, extra in zip(needed, smoothing)])
    if frame.dims == 2:
        needed = (0, needed[1], needed[2])
    return frame.voxels(settings.context, needed, "context")


def _smoothing(frame: Frame, settings: FragmentSettings) -> Triple:
    return triple(
        [int(np.ceil(4 * settings.sigma / ratio)) if settings.sigma else 0 for ratio in frame.anisotropy]
    )


def _smoothed(affinities: np.ndarray, frame: Frame, settings: FragmentSettings) -> np.ndarray:
    if not settings.sigma:
        return affinities
    sigma = [0.0] + [settings.sigma / ratio for ratio in frame.anisotropy]
    if frame.dims == 2:
        sigma[1] = 0.0
    smooth = ndimage.gaussian_filter(affinities.astype(np.float32), sigma, mode="nearest", truncate=4.0)
    return np.round(smooth).astype(affinities.dtype) if affinities.dtype == np.uint8 else smooth


def _cells_box(
    read: Read, frame: Frame, box: Box, offsets: Offsets, settings: FragmentSettings
) -> np.ndarray:
    """Fragments of the parts of cells that lie in a box."""
    cell, context = cell_shape(frame, settings), chain_context(frame, settings)
    lattice = [-(-extent // side) for extent, side in zip(frame.box.shape, cell)]
    result = np.zeros(box.shape, np.uint64)
    touched = [range(b // side, -(-e // side)) for b, e, side in zip(box.begin, box.end, cell)]
    for position in product(*touched):
        begin = triple([p * side for p, side in zip(position, cell)])
        own = Box(begin, triple([b + side for b, side in zip(begin, cell)])).intersect(frame.box)
        seen = own.grow(context, context).intersect(frame.box)
        if settings.chain == "seeded":
            ids = _seeded_cell(*read(seen), offsets, frame, own, seen, settings)
        else:
            labels = cell_labels(*read(seen), offsets, frame, seen, settings)[own.slices(seen.begin)]
            ids = _by_first_voxel(labels)
            number = int(np.ravel_multi_index(position, lattice))
            ids[ids > 0] += np.uint64(number * int(np.prod(cell)))
        part = own.intersect(box)
        result[part.slices(box.begin)] = ids[part.slices(own.begin)]
    return result


def cell_labels(
    affinities: np.ndarray,
    mask: np.ndarray | None,
    offsets: Offsets,
    frame: Frame,
    seen: Box,
    settings: FragmentSettings,
) -> np.ndarray:
    """Mutex watershed of one box of affinities, with small fragments merged: uint32 (z, y, x)."""
    affinities = _smoothed(affinities, frame, settings)
    origin = triple([o + b for o, b in zip(frame.origin, seen.begin)])
    if settings.engine == "mwatershed":
        from attacca.segmentation.reference_engine import reference_mutex_watershed

        engine = reference_mutex_watershed
    else:
        engine = mutex_watershed
    strongest = max(float(offsets.biases.max()), 1 - float(offsets.biases.min()))
    evidence = settings.min_evidence * strongest
    labels = engine(affinities, offsets, origin=origin, mask=mask, min_evidence=evidence)
    if settings.min_fragment_size > 1 and affinities.dtype != np.uint8:
        affinities = np.round(np.clip(affinities, 0, 1) * 255).astype(np.uint8)
    return merge_small_fragments(
        labels,
        affinities,
        offsets,
        settings.min_fragment_size,
        fill_background=settings.fill_background and settings.min_fragment_size > 1,
        above=settings.background_below,
        mask=mask,
    )


def _by_first_voxel(labels: np.ndarray) -> np.ndarray:
    """Labels renumbered 1, 2, ... by first voxel, uint64; 0 stays."""
    return dense_labels(labels)[1].astype(np.uint64)


def _seeded_cell(
    affinities: np.ndarray,
    mask: np.ndarray | None,
    offsets: Offsets,
    frame: Frame,
    own: Box,
    seen: Box,
    settings: FragmentSettings,
) -> np.ndarray:
    labels, seeds = grow_fragments(
        _smoothed(affinities, frame, settings),
        offsets,
        inside_above=settings.inside_above,
        window=settings.window,
        max_distance=settings.max_distance,
        grow_above=settings.background_below,
        anisotropy=frame.anisotropy,
        origin=triple([o + b for o, b in zip(frame.origin, seen.begin)]),
        mask=mask,
    )
    return _ids_of_places(labels[own.slices(seen.begin)], seeds, seen, frame)


def _component_box(
    read: Read, frame: Frame, box: Box, offsets: Offsets, settings: FragmentSettings
) -> np.ndarray:
    context = chain_context(frame, settings)
    seen = box.grow(context, context).intersect(frame.box)
    affinities, mask = read(seen)
    begin = triple([b - s for b, s in zip(box.begin, seen.begin)])
    part = Box(begin, triple([b + extent for b, extent in zip(begin, box.shape)]))
    labels, places = label_components(
        _smoothed(affinities, frame, settings), offsets, settings.threshold, part, mask
    )
    return _ids_of_places(labels, places, box, frame)


def _foreground_box(read: Read, frame: Frame, box: Box, settings: FragmentSettings) -> np.ndarray:
    smoothing = _smoothing(frame, settings)
    seen = box.grow(smoothing, smoothing).intersect(frame.box)
    values, mask = read(seen)
    inside = _smoothed(values, frame, settings)[0] > settings.threshold
    if mask is not None:
        inside &= mask
    labels, places = label_foreground(inside[box.slices(seen.begin)])
    return _ids_of_places(labels, places, box, frame)


def _ids_of_places(labels: np.ndarray, places: np.ndarray, seen: Box, frame: Frame) -> np.ndarray:
    """Ids that are 1 + the flat index, in the whole volume, of each label's place in ``seen``."""
    local = np.unravel_index(places, seen.shape)
    shape = frame.box.shape
    flat = np.zeros(len(places), np.uint64)
    for axis in range(3):
        flat = flat * np.uint64(shape[axis]) + (local[axis] + seen.begin[axis]).astype(np.uint64)
    ids = np.concatenate([np.zeros(1, np.uint64), flat + np.uint64(1)])
    return ids[labels]
