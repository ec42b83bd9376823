"""Step 1 of the segmentation: fragments of a box of the volume.

Fragments are made in cells of a lattice that is anchored at the volume's first voxel. Each cell is read with
context, and a box gets its part of the cells that it touches: the result depends on the cells and not on the
boxes.

1. Read the affinities of a cell and its context (``compute_context``), and smooth them.
2. Segment them: ``mutex_watershed`` (and merge small fragments), or ``seeded_watershed``.
3. Give the fragments ids that are unique in the volume, whatever the voxel size: ``cell * voxels per cell +
   label`` for the mutex watershed, with labels that count a cell's fragments from 1 by first voxel; the
   coordinate of the seed for the seeded watershed, the same in all cells.

Connected components need no cells: each box is labeled with one voxel of context, a component's id is the
coordinate of its first voxel in the box, and the agglomeration joins the components exactly.
"""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np

from attacca.config.segmentation import FragmentSettings
from attacca.errors import ConfigurationError
from attacca.segmentation.box import Box, Triple, triple
from attacca.segmentation.components import label_components, label_foreground
from attacca.segmentation.dense_labels import index_labels
from attacca.segmentation.frame import Frame
from attacca.segmentation.inputs import quantize
from attacca.segmentation.mutex_watershed import mutex_watershed
from attacca.segmentation.offsets import Offsets
from attacca.segmentation.reference_mutex_watershed import reference_mutex_watershed
from attacca.segmentation.seeded_watershed import compute_seed_context, seeded_watershed
from attacca.segmentation.small_fragments import merge_small_fragments
from attacca.segmentation.smoothing import compute_smoothing_context, smooth_affinities

Read = Callable[[Box], tuple[np.ndarray, np.ndarray | None]]
"""Reads a box of the volume: affinities (channels, z, y, x), and the mask, bool (z, y, x), if there is one."""

DEFAULT_CELL = 128
DEFAULT_CELL_2D = 1024
MUTEX_CONTEXT = 32
"""Voxels of the finest axis that the mutex watershed reads around a cell."""

_ENGINES = {"attacca": mutex_watershed, "mwatershed": reference_mutex_watershed}


def make_fragments(
    read: Read,
    frame: Frame,
    box: Box,
    neighborhood: Sequence[Sequence[int]],
    settings: FragmentSettings,
) -> np.ndarray:
    """Make the fragments of one box of a volume; boxes match at their faces whatever their shapes.

    Args:
        read: reads any box inside the volume.
        frame: the volume.
        box: voxels to compute.
        neighborhood: offset of each channel, in voxels; empty for a single channel that is not an affinity.
        settings: method and parameters.

    Returns:
        uint64 (z, y, x), 0 for background.

    Raises:
        ConfigurationError: the method needs affinities, but the neighborhood is empty.

    The context decides whether a cell uses evidence beyond its faces. A row of eight voxels in cells of four,
    with a weak boundary between voxels 1 and 2 that only long-range affinities over five voxels show:

    >>> affinities = np.full((2, 1, 1, 8), 200, np.uint8)
    >>> affinities[0, 0, 0, 1] = 150
    >>> affinities[1, 0, 0] = [0, 0, 255, 0, 0, 0, 0, 0]
    >>> from funlib.geometry import Coordinate, Roi
    >>> frame = Frame(Roi((0, 0, 0), (1, 1, 8)), Coordinate((1, 1, 1)))
    >>> def read(box):
    ...     return affinities[(slice(None), *box.slices())], None
    >>> def make(context):
    ...     settings = FragmentSettings(chain="mutex_watershed", cell_size=[1, 1, 4], strides=None,
    ...         min_evidence=0, min_fragment_size=0, context=context)
    ...     return make_fragments(read, frame, frame.box, [[0, 0, 1], [0, 0, 5]], settings).ravel().tolist()
    >>> make([0, 0, 0])
    [1, 1, 1, 1, 5, 5, 5, 5]
    >>> make([0, 0, 4])
    [1, 1, 2, 2, 5, 5, 5, 5]
    """
    if not neighborhood:
        if settings.chain != "connected_components":
            raise ConfigurationError(
                f"segmentation.chain: '{settings.chain}' needs affinities, but the task predicts none; "
                "use connected_components"
            )
        return _foreground_components(read, frame, box, settings)
    if settings.chain == "mutex_watershed":
        offsets = Offsets.create(neighborhood, settings.bias, settings.strides)
        return _fragments_of_cells(read, frame, box, offsets, settings)
    if settings.chain == "seeded":
        return _fragments_of_cells(read, frame, box, Offsets.create(neighborhood), settings)
    return _affinity_components(read, frame, box, Offsets.create(neighborhood), settings)


def fix_cell_size(settings: FragmentSettings, block_size: Sequence[int]) -> FragmentSettings:
    """Return settings with cells of a block's size (voxels), unless they have a cell size.

    Cells of a block's size are the fastest: a block that touches several cells computes all of them.

    >>> fix_cell_size(FragmentSettings(), [64, 64, 64]).cell_size
    [64, 64, 64]
    """
    if settings.cell_size is not None or settings.chain == "connected_components":
        return settings
    return settings.model_copy(update={"cell_size": [int(size) for size in block_size]})


def compute_context(frame: Frame, settings: FragmentSettings) -> Triple:
    """Return the voxels to read around a cell or box, z, y, x.

    By default the context of the mutex watershed is 32 voxels of the finest axis, fewer along coarse axes:

    >>> from funlib.geometry import Coordinate, Roi
    >>> frame = Frame(Roi((0, 0, 0), (400, 80, 80)), Coordinate((40, 8, 8)))
    >>> compute_context(frame, FragmentSettings(chain="mutex_watershed"))
    (6, 32, 32)
    >>> compute_context(frame, FragmentSettings(chain="mutex_watershed", context=[2, 20, 20]))
    (2, 20, 20)
    """
    if settings.chain == "seeded":
        needed = compute_seed_context(settings.window, settings.max_distance, frame.anisotropy)
    elif settings.chain == "mutex_watershed":
        needed = triple([max(2, round(MUTEX_CONTEXT / ratio)) for ratio in frame.anisotropy])
    else:
        needed = (1, 1, 1)
    needed = triple(
        [own + extra for own, extra in zip(needed, compute_smoothing_context(frame, settings.sigma))]
    )
    if frame.dims == 2:
        needed = (0, needed[1], needed[2])
    configured = frame.voxels(settings.context, needed, "context")
    if settings.chain != "connected_components":
        return configured
    # Components of a block end at its faces: without the next voxels, those that continue there are lost.
    return triple([max(pair) for pair in zip(configured, needed)])


def _fragments_of_cells(
    read: Read, frame: Frame, box: Box, offsets: Offsets, settings: FragmentSettings
) -> np.ndarray:
    """Make the fragments of the parts of cells that lie in a box."""
    default = (DEFAULT_CELL,) * 3 if frame.dims == 3 else (1, DEFAULT_CELL_2D, DEFAULT_CELL_2D)
    cell = frame.voxels(settings.cell_size, triple(default), "block_size", 1)
    context = compute_context(frame, settings)
    lattice = [-(-extent // side) for extent, side in zip(frame.box.shape, cell)]
    result = np.zeros(box.shape, np.uint64)
    touched = [range(b // side, -(-e // side)) for b, e, side in zip(box.begin, box.end, cell)]
    for position in product(*touched):
        begin = triple([p * side for p, side in zip(position, cell)])
        own = Box(begin, triple([b + side for b, side in zip(begin, cell)])).intersect(frame.box)
        if settings.chain == "seeded":
            ids = _seeded_cell(read, frame, own, context, offsets, settings)
        else:
            ids = _mutex_cell(read, frame, own, context, offsets, settings)
            number = int(np.ravel_multi_index(position, lattice))
            ids[ids > 0] += np.uint64(number * int(np.prod(cell)))
        part = own.intersect(box)
        result[part.slices(box.begin)] = ids[part.slices(own.begin)]
    return result


def _mutex_cell(
    read: Read, frame: Frame, own: Box, context: Triple, offsets: Offsets, settings: FragmentSettings
) -> np.ndarray:
    """Return the fragments of one cell by mutex watershed, uint64, 1, 2, ... by first voxel."""
    source = own.grow(context, context).intersect(frame.box)
    affinities, mask = read(source)
    affinities = smooth_affinities(affinities, frame, settings.sigma)
    strongest = max(float(offsets.biases.max()), 1 - float(offsets.biases.min()))
    labels = _ENGINES[settings.engine](
        affinities,
        offsets,
        origin=frame.global_origin(source),
        mask=mask,
        min_evidence=settings.min_evidence * strongest,
    )
    if settings.min_fragment_size > 1:
        labels = merge_small_fragments(
            labels,
            quantize(affinities),
            offsets,
            settings.min_fragment_size,
            fill_background=settings.fill_background,
            above=settings.background_below,
            mask=mask,
        )
    return index_labels(labels[own.slices(source.begin)])[1].astype(np.uint64)


def _seeded_cell(
    read: Read, frame: Frame, own: Box, context: Triple, offsets: Offsets, settings: FragmentSettings
) -> np.ndarray:
    """Return the fragments of one cell by seeded watershed, named by their seeds."""
    source = own.grow(context, context).intersect(frame.box)
    affinities, mask = read(source)
    labels, seeds = seeded_watershed(
        smooth_affinities(affinities, frame, settings.sigma),
        offsets,
        inside_above=settings.inside_above,
        window=settings.window,
        max_distance=settings.max_distance,
        grow_above=settings.background_below,
        anisotropy=frame.anisotropy,
        origin=frame.global_origin(source),
        mask=mask,
    )
    return _name_by_voxels(labels[own.slices(source.begin)], seeds, source, frame)


def _affinity_components(
    read: Read, frame: Frame, box: Box, offsets: Offsets, settings: FragmentSettings
) -> np.ndarray:
    """Return the components of affinities above the threshold, named by their first voxels."""
    context = compute_context(frame, settings)
    source = box.grow(context, context).intersect(frame.box)
    affinities, mask = read(source)
    affinities = smooth_affinities(affinities, frame, settings.sigma)
    labels, firsts = label_components(affinities, offsets, settings.threshold, box.shift(source.begin), mask)
    return _name_by_voxels(labels, firsts, box, frame)


def _foreground_components(read: Read, frame: Frame, box: Box, settings: FragmentSettings) -> np.ndarray:
    """Return the components of values above the threshold, named by their first voxels."""
    context = compute_smoothing_context(frame, settings.sigma)
    source = box.grow(context, context).intersect(frame.box)
    values, mask = read(source)
    is_foreground = smooth_affinities(values, frame, settings.sigma)[0] > settings.threshold
    if mask is not None:
        is_foreground &= mask
    labels, firsts = label_foreground(is_foreground[box.slices(source.begin)])
    return _name_by_voxels(labels, firsts, box, frame)


def _name_by_voxels(labels: np.ndarray, voxels: np.ndarray, source: Box, frame: Frame) -> np.ndarray:
    """Step 3: give each label the id 1 + flat index, in the whole volume, of its voxel in ``source``.

    Args:
        labels: uint32 (z, y, x), 0 for background.
        voxels: int64 (labels,), flat index in ``source`` of each label's voxel.
        source: the box that ``voxels`` counts in.
        frame: the volume.
    """
    local = np.unravel_index(voxels, source.shape)
    flat = np.zeros(len(voxels), np.uint64)
    for axis in range(3):
        flat = flat * np.uint64(frame.box.shape[axis]) + (local[axis] + source.begin[axis]).astype(np.uint64)
    ids = np.concatenate([np.zeros(1, np.uint64), flat + np.uint64(1)])
    return ids[labels]
