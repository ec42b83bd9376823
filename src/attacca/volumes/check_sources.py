"""Checks of arrays that are read at their location: missing chunks, and values that their kind must not hold."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays.missing_chunks import find_missing_chunks
from attacca.arrays.stored_values import ACCEPT_MISSING_CHUNKS
from attacca.arrays.zarr_opening import open_zarr
from attacca.config.volumes import ClassSource, VolumeConfig
from attacca.errors import AttaccaError, VolumeError
from attacca.volumes.import_volume import import_block
from attacca.volumes.placement import PlacedSource
from attacca.volumes.readers.source import SelectedChannel, Source, choose_missing_chunks
from attacca.volumes.readers.zarr_container import ZarrSource
from attacca.volumes.source_problems import Key, SourceProblem
from attacca.volumes.volume_plan import PlannedArray, VolumePlan

QUICK_LIMIT = 64 << 20
"""Bytes of an array that the check of a configuration reads at most."""

FULL_LIMIT = 1 << 30
"""Bytes of an array that the stage ``volume`` reads at most."""

_SAMPLED_BLOCK = 8 << 20


@dataclass
class SourceChecks:
    """Result of the checks of a volume.

    Attributes:
        problems: errors, with the keys of their sources.
        warnings: findings that may be intended.
        notes: descriptions of the examined part of each array whose values were read.
    """

    problems: list[SourceProblem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_sources(config: VolumeConfig, plan: VolumePlan, limit: int = QUICK_LIMIT) -> SourceChecks:
    """Look for missing chunks of Zarr and N5 sources, and for impossible values of arrays that are used in place.

    Args:
        config: the volume.
        plan: its plan.
        limit: bytes; of an array with more, evenly spaced blocks are read.
    """
    checks = SourceChecks()
    for array in plan.arrays.values():
        found = len(checks.problems)
        for placed in array.sources:
            _check_chunks(plan, array, placed, checks)
        if array.link is not None and len(checks.problems) == found:
            _check_values(config, plan, array, limit, checks)
    return checks


def _check_chunks(plan: VolumePlan, array: PlannedArray, placed: PlacedSource, checks: SourceChecks) -> None:
    source: Source = placed.source
    if isinstance(source, SelectedChannel):
        source = source.source
    if not isinstance(source, ZarrSource):
        return
    stored, path = open_zarr(source.identifier.container, source.identifier.dataset, "r")
    begin = (array.roi.begin - placed.roi.begin) / plan.voxel_size
    end = begin + array.roi.shape / plan.voxel_size
    window = source.locate(tuple(begin), tuple(end))
    missing = find_missing_chunks(stored, source.identifier.container, path, window)
    if missing is None or placed.config.missing_chunks == "zero":
        return
    if choose_missing_chunks(array.name, placed.config) == "refuse":
        error = VolumeError(f"{source.name}: {missing}", fix=ACCEPT_MISSING_CHUNKS)
        checks.problems.append(SourceProblem(_key_of(array, placed), error))
    else:
        # Arrays in N5 and Precomputed have no fill value.
        value = getattr(stored, "fill_value", None) or 0
        checks.warnings.append(
            f"{source.name}: {missing}. They are read as {value}; set 'missing_chunks: zero' beside 'path' if this is "
            "intended"
        )


def _check_values(
    config: VolumeConfig, plan: VolumePlan, array: PlannedArray, limit: int, checks: SourceChecks
) -> None:
    kind = array.sources[0].source.dtype.kind
    if not (array.name == "raw" and kind == "f") and not (array.name == "labels" and kind == "i"):
        # All values of the other types are possible.
        return
    blocks = _divide(plan, array)
    read = blocks
    size = math.prod(array.roi.shape / plan.voxel_size) * array.dtype.itemsize * (array.num_channels or 1)
    if size > limit:
        count = max(1, limit * len(blocks) // size)
        read = [blocks[int(i)] for i in np.unique(np.linspace(0, len(blocks) - 1, count).astype(int))]
    for roi in read:
        try:
            import_block(config, plan, array, roi)
        except AttaccaError as error:
            checks.problems.append(SourceProblem(_key_of(array, array.sources[0]), error))
            return
    share = "all voxels" if len(read) == len(blocks) else f"{len(read):,} of {len(blocks):,} blocks"
    rest = "" if len(read) == len(blocks) else "; jobs check each block that they read"
    rule = "finite" if array.name == "raw" else "0 or more"
    checks.notes.append(f"{array.name}, used in place: the values of {share} are {rule}{rest}")


def _divide(plan: VolumePlan, array: PlannedArray) -> list[Roi]:
    """Return boxes of about 8 MiB that cover an array."""
    shape = array.roi.shape / plan.voxel_size
    edge = max(1, int((_SAMPLED_BLOCK / array.dtype.itemsize) ** (1 / len(shape))))
    size = Coordinate(min(edge, n) for n in shape) * plan.voxel_size
    return list(_boxes(array.roi, size))


def _boxes(roi: Roi, size: Coordinate) -> Iterator[Roi]:
    for index in product(*(range(-(-n // s)) for n, s in zip(roi.shape, size))):
        yield Roi(roi.begin + Coordinate(index) * size, size).intersect(roi)


def _key_of(array: PlannedArray, placed: PlacedSource) -> Key:
    if isinstance(placed.config, ClassSource):
        return ("labels", "classes", array.sources.index(placed))
    return (array.name,)
