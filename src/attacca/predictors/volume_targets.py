"""Targets and weights of whole volumes, block by block, equal to those of the volume in one piece.

1. ``CountBlocks`` gives each block's class counts: integers that add up over blocks, in any order, by
   ``sum_counts``.
2. ``TargetBlocks``, made with their sum, writes each block's target and weight. A weight depends on the
   counts of the whole volume, so it is what ``create_weight`` gives for the volume in one piece.

Ground truth is read with the context that the predictor asks for; beyond the volume, labels are read as the
predictor's ``fill_outside`` says and masks as 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array, LocalArrayIdentifier, NumpyArray, ZarrArray
from attacca.errors import ConfigurationError, VolumeError
from attacca.predictors.class_balance import BalancedPart
from attacca.predictors.label_arrays import labelled_mask, with_channels
from attacca.predictors.predictor import Predictor

PartCounts = tuple[list[int], float]
"""Voxels of each class under the mask, and the sum of the mask, of one ``BalancedPart``."""


def read_ground_truth(
    labels: Array, mask: Array | None, roi: Roi, unlabelled: int | None, fill: Literal[0, "edge"]
) -> tuple[NumpyArray, NumpyArray]:
    """Ground truth of any region, and where it says something.

    Args:
        labels: the volume's labels, with or without a channel axis.
        mask: 0 where nothing shall be learnt; None for none.
        roi: world units, on the voxel grid; may reach beyond the volume.
        unlabelled: the value of voxels that nobody has labelled, which become 0; None if all are labelled.
        fill: what labels are beyond the volume.

    Returns:
        labels, and a mask (uint8, one channel) that is 0 where unlabelled, masked out or outside the volume.
    """
    data = labels.read(roi, fill)
    valid = np.zeros((1, *(roi.shape / labels.voxel_size)), dtype=np.uint8)
    inside = roi.intersect(labels.roi)
    if not inside.empty:
        begin = (inside.begin - roi.begin) / labels.voxel_size
        box = tuple(slice(b, b + n) for b, n in zip(begin, inside.shape / labels.voxel_size))
        of_labels = with_channels(data, labels.dims)[(slice(None), *box)]
        known = labelled_mask(of_labels, unlabelled).min(axis=0)
        if mask is not None:
            read = with_channels(mask.read(inside, 0), labels.dims)
            known &= (read != 0).all(axis=0).view(np.uint8)
        valid[0][box] = known
    if unlabelled is not None:
        data = np.where(data == data.dtype.type(unlabelled), data.dtype.type(0), data)
    axes = labels.spatial_axes
    lead = ["c"] * (data.ndim - len(axes))
    make = NumpyArray.from_np_array  # type: ignore[attr-defined]
    return make(data, roi, labels.voxel_size, lead + axes), make(valid, roi, labels.voxel_size, ["c", *axes])


@dataclass
class _GroundTruthBlocks:
    """Base of the block functions; picklable, opens its arrays once in each process."""

    predictor: Predictor
    """Makes targets and weights."""
    labels: LocalArrayIdentifier
    """Ground truth."""
    mask: LocalArrayIdentifier | None
    """Where ground truth counts."""
    unlabelled: int | None
    """The label value of voxels that nobody has labelled."""
    _arrays: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def open(self) -> None:
        """Open the arrays."""
        self._arrays = {"labels": ZarrArray.open_from_array_identifier(self.labels)}
        if self.mask is not None:
            self._arrays["mask"] = ZarrArray.open_from_array_identifier(self.mask)

    def close(self) -> None:
        """Forget the arrays."""
        self._arrays = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}}

    def _prepare(self, write_roi: Roi) -> tuple[NumpyArray, Array, NumpyArray, tuple[slice, ...]]:
        """Ground truth, target and mask of the region to read, and the slices of the block in it."""
        if not self._arrays:
            self.open()
        labels = self._arrays["labels"]
        voxel_size = Coordinate(labels.voxel_size)
        roi = self.predictor.gt_roi(write_roi, voxel_size)
        if self.predictor.fill_outside == 0 and self.predictor.grid(voxel_size) == voxel_size:
            # where labels end is where the volume ends: objects are not eroded there
            roi = roi.intersect(labels.roi)
        gt, mask = read_ground_truth(
            labels, self._arrays.get("mask"), roi, self.unlabelled, self.predictor.fill_outside
        )
        begin = (write_roi.begin - roi.begin) / voxel_size
        box = tuple(slice(b, b + n) for b, n in zip(begin, write_roi.shape / voxel_size))
        return gt, self.predictor.create_target(gt), mask, box

    def _parts(self, gt: Array, target: Array, mask: Array) -> Iterator[BalancedPart]:
        return self.predictor.balanced_parts(gt, target, mask)


@dataclass
class CountBlocks(_GroundTruthBlocks):
    """Block function of the first pass: class counts of a block, as ``[[[voxels of each class], mask],
    ...]``."""

    check: bool = False
    """Refuse labels that are not what the predictor is made for, such as ids of more classes than it has."""

    def __call__(self, block: Any) -> list[PartCounts]:
        """Counts of ``block.write_roi``, for each part that is balanced by itself."""
        gt, target, mask, box = self._prepare(block.write_roi)
        if self.check:
            self.predictor.check_ground_truth(gt, mask)
        return [part.count(box) for part in self._parts(gt, target, mask)]


@dataclass
class TargetBlocks(_GroundTruthBlocks):
    """Block function of the second pass: writes target and weight of ``block.write_roi``."""

    counts: list[PartCounts]
    """Counts of the whole volume, from ``sum_counts``."""
    target: LocalArrayIdentifier
    """Array for targets, from ``create_target_array``."""
    weight: LocalArrayIdentifier
    """Array for weights, from ``create_weight_array``."""

    def open(self) -> None:
        super().open()
        for name, identifier in (("target", self.target), ("weight", self.weight)):
            self._arrays[name] = ZarrArray.open_from_array_identifier(identifier, mode="r+")

    def __call__(self, block: Any) -> None:
        """Write target and weight of ``block.write_roi``."""
        gt, target, mask, box = self._prepare(block.write_roi)
        of_target, of_weight = self._arrays["target"], self._arrays["weight"]
        where = (slice(None), *box)
        of_target[block.write_roi] = stored_values(target[target.roi][where], of_target)
        weights = np.empty(
            (self.predictor.num_channels, *(part.stop - part.start for part in box)), np.float32
        )
        for part, (counts, total) in zip(self._parts(gt, target, mask), self.counts, strict=True):
            weights[part.channels] = part.weigh(box, counts, total)
        of_weight[block.write_roi] = weights.astype(of_weight.dtype, copy=False)


def sum_counts(counts_of_blocks: Iterable[list[PartCounts]]) -> list[PartCounts]:
    """Counts of all blocks together; the order of blocks does not matter.

    Raises:
        VolumeError: there are no blocks, or their counts are of different predictors.
    """
    total: list[PartCounts] | None = None
    for counts in counts_of_blocks:
        if total is None:
            total = [([int(n) for n in classes], float(mask)) for classes, mask in counts]
            continue
        if [len(classes) for classes, _ in counts] != [len(classes) for classes, _ in total]:
            raise VolumeError(
                "class counts of blocks differ in their classes: they are of different predictors"
            )
        total = [
            ([a + int(b) for a, b in zip(classes, more)], mask + float(further))
            for (classes, mask), (more, further) in zip(total, counts)
        ]
    if total is None:
        raise VolumeError("there are no blocks to count classes in")
    return total


def running_counts(predictor: Predictor, counts: list[PartCounts]) -> Any:
    """Counts of a volume as running counts that ``predictor.create_weight`` goes on from."""
    return predictor.pack_counts(
        [{index: (n, 1 + mask) for index, n in enumerate(classes)} for classes, mask in counts]
    )


def stored_values(values: np.ndarray, array: Array) -> np.ndarray:
    """Values in the form in which ``array`` stores them: scaled, rounded and clipped to integers, or as they
    are."""
    if np.dtype(array.dtype).kind == "f":
        return values.astype(array.dtype, copy=False)
    limits = np.iinfo(array.dtype)
    scaled = (values - np.float32(array.value_offset)) / np.float32(array.value_scale)
    return np.clip(np.rint(scaled), limits.min, limits.max).astype(array.dtype)


def create_target_array(
    predictor: Predictor,
    identifier: LocalArrayIdentifier,
    labels: Array,
    roi: Roi | None = None,
    write_size: Coordinate | None = None,
    dtype: str = "uint8",
) -> ZarrArray:
    """The array of a predictor's targets: made, or opened where the equal one is there already.

    Args:
        labels: whose voxel size, unit and (without ``roi``) region it takes.
        write_size: world units; chunks, which a block must not share with another.
        dtype: ``"uint8"`` is exact for targets of 0 and 1 and within 1/510 of the value range for others;
            ``"float16"`` and ``"float32"`` are stored as they are.
    """
    low, high = predictor.value_range
    scale, offset = 1.0, 0.0
    if dtype == "uint8" and not predictor.target_is_binary:
        scale, offset = (high - low) / 255, low
    elif dtype not in ("uint8", "float16", "float32"):
        raise ConfigurationError(f"targets cannot be stored as {dtype!r}; known are uint8, float16, float32")
    return _create(predictor, identifier, labels, roi, write_size, dtype, scale, offset)


def create_weight_array(
    predictor: Predictor,
    identifier: LocalArrayIdentifier,
    labels: Array,
    roi: Roi | None = None,
    write_size: Coordinate | None = None,
) -> ZarrArray:
    """The array of a predictor's weights, float32; arguments as of ``create_target_array``."""
    return _create(predictor, identifier, labels, roi, write_size, "float32", 1.0, 0.0)


def _create(
    predictor: Predictor,
    identifier: LocalArrayIdentifier,
    labels: Array,
    roi: Roi | None,
    write_size: Coordinate | None,
    dtype: str,
    scale: float,
    offset: float,
) -> ZarrArray:
    return ZarrArray.create_from_array_identifier(
        identifier,
        ["c", *labels.spatial_axes],
        labels.roi if roi is None else roi,
        predictor.num_channels,
        labels.voxel_size,
        np.dtype(dtype),
        write_size=write_size,
        unit=labels.unit,
        value_scale=scale,
        value_offset=offset,
    )
