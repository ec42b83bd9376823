"""Measurements of given volumes through Attacca's readers: voxels, intensities, and the objects of labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cc3d
import edt
import numpy as np
from funlib.geometry import Coordinate

from attacca.config.units import convert_length, find_whole_unit
from attacca.config.volumes import VolumeConfig
from attacca.errors import AttaccaError, ConfigurationError, VolumeError, join_names
from attacca.proposal.pairing import DataPair, Location
from attacca.volumes import VolumePlan, examine_volume
from attacca.volumes.readers.pixel_meaning import ColoredLabelsError
from attacca.volumes.readers.source import Source
from attacca.volumes.sample_values import sample_values
from attacca.volumes.section_position import MisplacedSectionsError
from attacca.volumes.source_problems import SourceProblem

EXAMINED_VOXELS = 256**3
"""Voxels of labels that are examined at most: a box at the center."""

_LARGEST = np.iinfo(np.uint64).max
_MOST_CLASSES = 20
_NAMED_PATHS = 4
_PIECES = 4
"""Values with at least this many pieces each, on average, are classes and not ids."""


@dataclass(frozen=True)
class LabelFacts:
    """Measurements of the labels of one volume.

    Attributes:
        ids: sorted values without 0 and without the value of unannotated voxels.
        unlabelled: value of unannotated voxels; None if none was recognized.
        unlabelled_share: share of the voxels without annotation.
        zero_share: share of the annotated voxels with the value 0.
        rarest_share: share of the annotated voxels with the rarest value, which may be 0.
        pieces: mean number of connected pieces per value; pieces below a hundredth of their value do not count.
        diameters: diameter of a ball with the volume of an object (circle, in 2D), per object, in world units, sorted.
            Of classes, objects are connected pieces.
        width: median local width of the objects in world units: twice the distance to the boundary at its ridges.
        boxes: lower and upper corner of each object in voxels of the labels, (number, 2, axes).
        is_partial: only a box of the labels was examined.
        empty_sections: number of sections with the value 0 alone between sections that are mostly full; 0 otherwise.
    """

    ids: tuple[int, ...]
    unlabelled: int | None
    unlabelled_share: float
    zero_share: float
    rarest_share: float
    pieces: float
    diameters: tuple[float, ...]
    width: float
    boxes: np.ndarray = field(repr=False, compare=False)
    is_partial: bool = False
    empty_sections: int = 0

    @property
    def diameter(self) -> float:
        """Median diameter in world units."""
        return float(np.median(self.diameters)) if self.diameters else 0.0


@dataclass(frozen=True)
class VolumeFacts:
    """Measurements of one volume.

    Attributes:
        name: name of the volume.
        settings: section of the volume in the configuration.
        shape: number of voxels along the axes.
        voxel_size: in ``unit``.
        unit: unit of lengths.
        offset: lower corner, in ``unit``.
        dtype: type of the image.
        intensity: smallest value, 0.5th and 99.5th percentile, largest value of a sample of the image.
        labels: measurements of the labels; None without labels.
        labels_offset, labels_shape: region of the labels, in voxels from the corner of the image.
        source: origin of the voxel size.
        warnings: messages of the readers.
    """

    name: str
    settings: dict[str, Any]
    shape: tuple[int, ...]
    voxel_size: tuple[int, ...]
    unit: str
    offset: tuple[int, ...]
    dtype: np.dtype
    intensity: tuple[float, float, float, float]
    labels: LabelFacts | None = None
    labels_offset: tuple[int, ...] = ()
    labels_shape: tuple[int, ...] = ()
    source: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def dims(self) -> int:
        """Number of spatial axes."""
        return len(self.shape)


@dataclass(frozen=True)
class GivenFacts:
    """Facts that the user states, because files do not contain them.

    Attributes:
        voxel_size: z, y, x or y, x; None for that of the files.
        unit: unit of the voxel size; None for that of the files.
        unlabelled: value of voxels without annotation.
    """

    voxel_size: tuple[float, ...] | None = None
    unit: str | None = None
    unlabelled: int | None = None


def examine_pairs(pairs: Sequence[DataPair], given: GivenFacts | None = None) -> list[VolumeFacts]:
    """Return the measurements of all volumes.

    Args:
        pairs: images with their labels.
        given: facts that replace those of the files.

    Raises:
        ConfigurationError: lists each volume that cannot be read.
    """
    facts: list[VolumeFacts] = []
    problems: dict[str, list[str]] = {}
    for pair in pairs:
        try:
            facts.append(examine_pair(pair, given or GivenFacts()))
        except AttaccaError as error:
            problems.setdefault(str(error).removeprefix(f"{pair.raw}: "), []).append(str(pair.raw))
    if problems:
        lines = [f"{join_names(paths, _NAMED_PATHS)}: {text}" for text, paths in problems.items()]
        raise ConfigurationError("\n  ".join(["the data cannot be used:", *lines]))
    return facts


def examine_pair(pair: DataPair, given: GivenFacts) -> VolumeFacts:
    """Return the measurements of one volume.

    Raises:
        VolumeError: the volume cannot be read, or lacks its voxel size.
    """
    settings: dict[str, Any] = {"raw": _describe(pair.raw)}
    if pair.labels is not None:
        settings["labels"] = _describe(pair.labels)
    if given.voxel_size is not None:
        unit = find_whole_unit(given.voxel_size, given.unit or "nanometer")
        if unit is None:
            raise VolumeError(f"the voxel size {list(given.voxel_size)} is not whole in any unit; round it")
        settings["voxel_size"] = [
            round(v) for v in convert_length(given.voxel_size, given.unit or "nm", unit)
        ]
        settings |= {"unit": unit} if unit != "nanometer" else {}
    elif given.unit is not None:
        settings["unit"] = given.unit
    plan = _plan(settings)
    labels = plan.arrays.get("labels")
    facts = None
    if labels is not None:
        box, is_partial = _read_center(labels.sources[0].source)
        facts, unlabelled = _examine_labels(box, plan.voxel_size, given.unlabelled)
        if unlabelled is not None:
            settings["labels"]["unlabelled"] = unlabelled
            plan = _plan(settings)
        shape = np.array(labels.sources[0].source.spatial_shape)
        corner = (shape - box.shape) // 2
        facts = replace(facts, boxes=facts.boxes + corner, is_partial=is_partial)
    config = VolumeConfig.model_validate(settings)
    values = sample_values(config, plan, plan.arrays["raw"])
    low, high = np.percentile(values, [0.5, 99.5])
    begin = (labels.roi.begin - plan.roi.begin) / plan.voxel_size if labels is not None else ()
    return VolumeFacts(
        pair.name,
        settings,
        tuple(plan.roi.shape / plan.voxel_size),
        tuple(plan.voxel_size),
        plan.unit,
        tuple(plan.roi.begin),
        plan.arrays["raw"].dtype,
        (float(values.min()), float(low), float(high), float(values.max())),
        facts,
        tuple(begin),
        tuple(labels.roi.shape / plan.voxel_size) if labels is not None else (),
        plan.voxel_size_from,
        plan.warnings,
    )


def _describe(location: Location) -> dict[str, Any]:
    return {"path": location.path, **({"dataset": location.dataset} if location.dataset else {})}


def _plan(settings: dict[str, Any]) -> VolumePlan:
    """Return the plan of a volume.

    A unit in which the stored voxel size is whole is added to the settings, the offset of labels that the numbers of their
    sections give, and the encoding of labels in colors.
    """
    problems: list[SourceProblem] = []
    units = [] if {"unit", "voxel_size"} & set(settings) else [{"unit": "angstrom"}, {"unit": "picometer"}]
    for unit in [{}, *units]:
        tried = settings | unit
        plan, problems = examine_volume(VolumeConfig.model_validate(tried))
        if plan is not None:
            settings |= tried
            return plan
        if problems[0].key != ("voxel_size",) or "whole" not in str(problems[0].error):
            break
    for error in (problem.error for problem in problems):
        found: dict[str, Any] = {}
        if isinstance(error, ColoredLabelsError) and "encoding" not in tried.get("labels", {}):
            found = {"encoding": "rgb"}
        elif isinstance(error, MisplacedSectionsError) and error.offset is not None:
            found = {"offset": error.offset}
        if found:
            settings |= {**tried, "labels": tried["labels"] | found}
            return _plan(settings)
    if any(problem.key == ("voxel_size",) for problem in problems) and "voxel_size" not in settings:
        error = problems[0].error
        raise VolumeError(
            error.problem,
            fix="state it: --voxel-size 40,4,4 (z, y, x in nanometers; y, x for images; --unit for another unit)"
            if "resample" not in error.fix
            else "resample them to one size; if a file is wrong, state the right one: --voxel-size 40,4,4 (z, y, x in "
            "nanometers; --unit for another unit)",
        )
    raise VolumeError("; ".join(str(problem.error) for problem in problems))


def _read_center(source: Source) -> tuple[np.ndarray, bool]:
    """Return the voxels of a box at the center of a source, and whether it is a part of it."""
    shape = source.spatial_shape
    box = list(shape)
    while math.prod(box) > EXAMINED_VOXELS:
        axis = box.index(max(box))
        box[axis] = -(-box[axis] // 2)
    begin = [(size - edge) // 2 for size, edge in zip(shape, box)]
    return source.read(begin, [b + edge for b, edge in zip(begin, box)]), tuple(box) != tuple(shape)


def _examine_labels(
    values: np.ndarray, voxel_size: Coordinate, unlabelled: int | None
) -> tuple[LabelFacts, int | None]:
    if unlabelled is None:
        unlabelled = _find_unlabelled(values)
    annotated = np.ones(values.shape, bool)
    if unlabelled is not None:
        annotated = values != values.dtype.type(unlabelled)
    if not annotated.any():
        raise VolumeError(f"the labels hold only {unlabelled}, the value of voxels without annotation")
    labels = np.where(annotated, values, 0)
    zero_share = float((labels[annotated] == 0).mean())
    ids = tuple(int(value) for value in np.unique(labels) if value)
    dense = np.searchsorted(np.array(ids, labels.dtype), labels).astype(np.uint32) + 1
    dense[labels == 0] = 0
    pieces = cc3d.connected_components(
        np.ascontiguousarray(dense), connectivity=26 if values.ndim == 3 else 8
    )
    sizes = np.bincount(pieces.ravel())
    owner = np.zeros(len(sizes), np.int64)
    owner[pieces.ravel()] = dense.ravel()
    whole = np.bincount(dense.ravel(), minlength=len(ids) + 1)
    counted = (np.arange(len(sizes)) > 0) & (sizes >= np.maximum(2, 0.01 * whole[owner]))
    per_value = counted.sum() / len(ids) if ids else 0.0
    objects, object_sizes = (pieces, sizes) if per_value >= _PIECES else (dense, whole)
    boxes = _find_boxes(objects, values.ndim)
    present = [
        n for n in range(1, len(object_sizes)) if object_sizes[n] > 0 and (objects is dense or counted[n])
    ]
    voxel = math.prod(voxel_size)
    diameters = sorted(_diameter(object_sizes[n] * voxel, values.ndim) for n in present)
    facts = LabelFacts(
        ids,
        unlabelled,
        float(1 - annotated.mean()),
        zero_share,
        float(min(share for share in [zero_share, *(whole[1:] / annotated.sum())] if share > 0)),
        float(per_value),
        tuple(diameters),
        _measure_width(dense, voxel_size),
        boxes[[n - 1 for n in present]] if present else np.zeros((0, 2, values.ndim), int),
        empty_sections=_count_empty_sections(labels),
    )
    return facts, unlabelled


def _count_empty_sections(labels: np.ndarray) -> int:
    """Return the number of sections that hold only 0 while less than half of the others is 0; 0 in an image."""
    if labels.ndim < 3:
        return 0
    full = (labels != 0).mean(axis=(1, 2))
    return int((full == 0).sum()) if full.any() and full[full > 0].mean() > 0.5 else 0


def _find_unlabelled(values: np.ndarray) -> int | None:
    """Return the value that marks voxels without annotation by convention: a negative one, or the largest of 64 bits."""
    if values.dtype.kind == "i" and values.size and values.min() < 0:
        negative = np.unique(values[values < 0])
        if len(negative) > 1:
            raise VolumeError(
                f"the labels hold several negative values: {', '.join(map(str, negative[:5]))}",
                fix="replace them in the file by ids of 0 or more, and one value for voxels without annotation",
            )
        return int(negative[0])
    if values.dtype == np.uint64 and values.size and values.max() == _LARGEST:
        return int(_LARGEST)
    return None


def _diameter(size: float, dims: int) -> float:
    return float((6 * size / math.pi) ** (1 / 3) if dims == 3 else (4 * size / math.pi) ** 0.5)


def _find_boxes(objects: np.ndarray, dims: int) -> np.ndarray:
    """Return the lower and upper corner of each object from 1 on, (number, 2, axes), in voxels."""
    # deferred: scipy.ndimage takes 0.1 s to import
    from scipy.ndimage import find_objects

    found = find_objects(objects)
    empty = [[0] * dims, [0] * dims]
    corners = [[[s.start for s in box], [s.stop for s in box]] if box else empty for box in found]
    return np.array(corners, int).reshape(-1, 2, dims)


def _measure_width(labels: np.ndarray, voxel_size: Coordinate) -> float:
    """Return twice the median distance to the boundary over its local maxima, in world units."""
    # deferred: scipy.ndimage takes 0.1 s to import
    from scipy.ndimage import maximum_filter

    if not labels.any():
        return 0.0
    distance = edt.edt(np.ascontiguousarray(labels), anisotropy=tuple(float(v) for v in voxel_size))
    ridge = (distance >= maximum_filter(distance, 3)) & (labels > 0)
    return float(2 * np.median(distance[ridge]))
