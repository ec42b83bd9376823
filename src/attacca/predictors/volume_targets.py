"""Targets and weights of whole volumes, computed block by block and equal to those of the volume in one piece.

1. ``CountBlocks`` returns the class counts of each block: integers that ``sum_counts`` adds up over blocks, in any
   order.
2. ``TargetBlocks``, created with this sum, writes target and weight of each block. Weights depend on the counts of
   the whole volume, so they equal those of ``create_weight`` for the volume in one piece.

Ground truth is read with the predictor's context. Outside the volume, labels follow the predictor's ``fill_outside``
and masks are 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array, LocalArrayIdentifier, NumpyArray, ZarrArray
from attacca.arrays.channel_axis import add_channel_axis
from attacca.errors import ConfigurationError, VolumeError
from attacca.predictors.label_arrays import create_label_mask
from attacca.predictors.predictor import Predictor

PartCounts = tuple[list[int], float]
"""Voxels of each class inside the mask, and the sum of the mask, of one ``BalancedPart``."""


def read_ground_truth(
    labels: Array, mask: Array | None, roi: Roi, unlabelled: int | None, fill: Literal[0, "edge"]
) -> tuple[NumpyArray, NumpyArray]:
    """Return ground truth of any region, and the mask of its valid voxels.

    Args:
        labels: the volume's labels, ([channels,] *spatial).
        mask: 0 for voxels to exclude from learning; None excludes none.
        roi: region in world units, on the voxel grid; may extend beyond the volume.
        unlabelled: value of voxels without annotation, which become 0; None if all voxels are annotated.
        fill: values of labels outside the volume: 0, or those at its border.

    Returns:
        labels in their dtype, and a mask (uint8, (1, *spatial)) that is 0 for voxels that are unlabeled, masked out or
        outside the volume.

    >>> labels = NumpyArray.from_np_array(np.array([[5, 9]]), Roi((0, 0), (8, 16)), Coordinate(8, 8), ["y", "x"])
    >>> gt, mask = read_ground_truth(labels, None, Roi((0, 0), (8, 24)), unlabelled=9, fill=0)
    >>> gt[gt.roi].tolist(), mask[mask.roi].tolist()
    ([[5, 0, 0]], [[[1, 0, 0]]])
    """
    data = labels.read(roi, fill)
    valid = np.zeros((1, *(roi.shape / labels.voxel_size)), dtype=np.uint8)
    overlap = roi.intersect(labels.roi)
    if not overlap.empty:
        box = _find_slices(overlap, roi, labels.voxel_size)
        overlapping = add_channel_axis(data, labels.dims)[(slice(None), *box)]
        known = create_label_mask(overlapping, unlabelled).min(axis=0)
        if mask is not None:
            mask_data = add_channel_axis(mask.read(overlap, 0), labels.dims)
            known &= (mask_data != 0).all(axis=0).view(np.uint8)
        valid[0][box] = known
    if unlabelled is not None:
        data = np.where(data == data.dtype.type(unlabelled), data.dtype.type(0), data)
    axes = labels.spatial_axes
    lead = ["c"] * (data.ndim - len(axes))
    make = NumpyArray.from_np_array  # type: ignore[attr-defined]
    return make(data, roi, labels.voxel_size, lead + axes), make(valid, roi, labels.voxel_size, ["c", *axes])


def _find_slices(part: Roi, whole: Roi, voxel_size: Coordinate) -> tuple[slice, ...]:
    offset = (part.begin - whole.begin) / voxel_size
    return tuple(slice(o, o + size) for o, size in zip(offset, part.shape / voxel_size))


@dataclass
class _GroundTruthBlocks:
    """Base of the block functions: picklable, opens its arrays once per process."""

    predictor: Predictor
    """Creates targets and weights."""
    labels: LocalArrayIdentifier
    """Ground truth."""
    mask: LocalArrayIdentifier | None
    """Mask of the ground truth, 0 where it is invalid."""
    unlabelled: int | None
    """Label value of voxels without annotation."""
    _arrays: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def open(self) -> None:
        """Open the arrays."""
        self._arrays = {"labels": ZarrArray.open_from_array_identifier(self.labels)}
        if self.mask is not None:
            self._arrays["mask"] = ZarrArray.open_from_array_identifier(self.mask)

    def close(self) -> None:
        """Release the arrays."""
        self._arrays = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}}

    def _prepare(
        self, write_roi: Roi, target_roi: Roi
    ) -> tuple[NumpyArray, Array, NumpyArray, tuple[slice, ...]]:
        """Return ground truth, target and mask of the read region, and the slices of the block in it.

        Args:
            write_roi: the block.
            target_roi: region inside the read region in which the target itself is used, and not only its balance.
        """
        if not self._arrays:
            self.open()
        labels = self._arrays["labels"]
        voxel_size = Coordinate(labels.voxel_size)
        roi = self.predictor.gt_roi(write_roi, voxel_size)
        if self.predictor.fill_outside == 0 and self.predictor.grid(voxel_size) == voxel_size:
            # The read region ends at the border of the volume, where objects are not eroded.
            roi = roi.intersect(labels.roi)
        gt, mask = read_ground_truth(
            labels, self._arrays.get("mask"), roi, self.unlabelled, self.predictor.fill_outside
        )
        return (
            gt,
            self.predictor.create_target_within(gt, target_roi),
            mask,
            _find_slices(write_roi, roi, voxel_size),
        )


@dataclass
class CountBlocks(_GroundTruthBlocks):
    """Block function of the first pass: class counts of a block, ``[[[voxels of each class], mask], ...]``."""

    check: bool = False
    """Raise an error for labels that the predictor does not expect, such as ids of unknown classes."""

    def __call__(self, block: Any) -> list[PartCounts]:
        """Return the counts of ``block.write_roi``, for each part that is balanced independently."""
        # Counts do not depend on descriptors, which are not computed for an empty region.
        nothing = Roi(block.write_roi.begin, (0,) * block.write_roi.dims)
        gt, target, mask, box = self._prepare(block.write_roi, nothing)
        if self.check:
            self.predictor.check_ground_truth(gt, mask)
        return [part.count(box) for part in self.predictor.balanced_parts(gt, target, mask)]


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
        gt, target, mask, box = self._prepare(block.write_roi, block.write_roi)
        target_array, weight_array = self._arrays["target"], self._arrays["weight"]
        where = (slice(None), *box)
        target_array[block.write_roi] = _encode_values(target[target.roi][where], target_array)
        weights = np.empty(
            (self.predictor.num_channels, *(part.stop - part.start for part in box)), np.float32
        )
        for part, (counts, total) in zip(
            self.predictor.balanced_parts(gt, target, mask), self.counts, strict=True
        ):
            weights[part.channels] = part.weigh(box, counts, total)
        weight_array[block.write_roi] = weights.astype(weight_array.dtype, copy=False)


def sum_counts(counts_of_blocks: Iterable[list[PartCounts]]) -> list[PartCounts]:
    """Return the sum of the counts of all blocks, which is independent of their order.

    Raises:
        VolumeError: the blocks are empty, or their counts belong to different predictors.

    >>> sum_counts([[([3, 1], 4.0)], [([2, 2], 4.0)]])
    [([5, 3], 8.0)]
    """
    total: list[PartCounts] | None = None
    for counts in counts_of_blocks:
        if total is None:
            total = [([int(n) for n in classes], float(mask)) for classes, mask in counts]
            continue
        if [len(classes) for classes, _ in counts] != [len(classes) for classes, _ in total]:
            raise VolumeError(
                "class counts of blocks have different classes: they belong to different predictors; count again"
            )
        total = [
            ([a + int(b) for a, b in zip(classes, further)], mask + float(further_mask))
            for (classes, mask), (further, further_mask) in zip(total, counts)
        ]
    if total is None:
        raise VolumeError("found no blocks to count classes in, expected at least one")
    return total


def pack_running_counts(predictor: Predictor, counts: list[PartCounts]) -> Any:
    """Return the counts of a volume as the running counts from which ``predictor.create_weight`` continues.

    >>> from attacca.predictors.one_hot_predictor import OneHotPredictor
    >>> predictor = OneHotPredictor(["background", "cell"], balance_classes=True)
    >>> pack_running_counts(predictor, [([3, 1], 4.0)])
    [{0: (3, 5.0), 1: (1, 5.0)}]
    """
    return predictor.pack_counts(
        [{index: (n, 1 + mask) for index, n in enumerate(classes)} for classes, mask in counts]
    )


def _encode_values(values: np.ndarray, array: Array) -> np.ndarray:
    """Return values as ``array`` stores them: scaled, rounded and clipped to its integer dtype, or as floats."""
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
    """Create the array of a predictor's targets, or open an existing array with the same metadata.

    Args:
        predictor: gives channels and value range.
        identifier: container and name of the array.
        labels: array from which voxel size, unit and (without ``roi``) region are taken.
        roi: region in world units.
        write_size: chunk size in world units; no two blocks may write to the same chunk.
        dtype: ``"uint8"`` is exact for targets of 0 and 1, and within 1/510 of the value range for others;
            ``"float16"`` and ``"float32"`` are stored unscaled.

    Raises:
        ConfigurationError: the dtype is another one.

    >>> from attacca.predictors.one_hot_predictor import OneHotPredictor
    >>> predictor = OneHotPredictor(["background", "cell"])
    >>> labels = NumpyArray.from_np_array(np.array([[5, 9]]), Roi((0, 0), (8, 16)), Coordinate(8, 8), ["y", "x"])
    >>> identifier = LocalArrayIdentifier("memory://targets.zarr", "s0")
    >>> array = create_target_array(predictor, identifier, labels)
    >>> array.num_channels, array.dtype
    (2, dtype('uint8'))
    """
    low, high = predictor.value_range
    scale, offset = 1.0, 0.0
    if dtype == "uint8" and not predictor.target_is_binary:
        scale, offset = (high - low) / 255, low
    elif dtype not in ("uint8", "float16", "float32"):
        raise ConfigurationError(f"found dtype {dtype!r} for targets, expected uint8, float16 or float32")
    return _create_array(predictor, identifier, labels, roi, write_size, dtype, scale, offset)


def create_weight_array(
    predictor: Predictor,
    identifier: LocalArrayIdentifier,
    labels: Array,
    roi: Roi | None = None,
    write_size: Coordinate | None = None,
) -> ZarrArray:
    """Create the array of a predictor's weights, float32, or open an existing array with the same metadata.

    Arguments are those of ``create_target_array``.

    >>> from attacca.predictors.one_hot_predictor import OneHotPredictor
    >>> predictor = OneHotPredictor(["background", "cell"])
    >>> labels = NumpyArray.from_np_array(np.array([[5, 9]]), Roi((0, 0), (8, 16)), Coordinate(8, 8), ["y", "x"])
    >>> identifier = LocalArrayIdentifier("memory://weights.zarr", "s0")
    >>> array = create_weight_array(predictor, identifier, labels)
    >>> array.num_channels, array.dtype
    (2, dtype('<f4'))
    """
    return _create_array(predictor, identifier, labels, roi, write_size, "float32", 1.0, 0.0)


def _create_array(
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
