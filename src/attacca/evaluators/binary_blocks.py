"""Binary scores of volumes of any size: out-of-core distance transforms, pencil by pencil.

Distances to the ground truth and to the prediction are computed in the same passes:

1. ``FirstPass`` computes squared distances along the first axis and writes them to scratch arrays.
2. ``NextPass`` adds one axis and writes to other scratch arrays. A pass never changes its input, so that it can
   be killed and repeated.
3. ``LastPass`` adds the last axis and writes the table of each pencil; the tables are summed.

A pencil is complete along the axis of its pass and one scratch chunk wide across it. Memory is that of a few
pencils.
"""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from funlib.geometry import Coordinate, Roi
from zarr.codecs import BloscCodec

from attacca.arrays import Array
from attacca.arrays.channel_axis import drop_channel_axis
from attacca.atomic import write_json
from attacca.blockwise import Ledger, run_blocks
from attacca.blockwise.grid import Block, BlockGrid
from attacca.errors import MissingInputError, VolumeError
from attacca.evaluators.binary_counts import count_true_negatives, sum_negative_side, sum_positive_side
from attacca.evaluators.binary_scores import BinaryTable
from attacca.evaluators.distance_transform import NOWHERE, compute_distance_unit, extend_along_axis, scan_axis
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.evaluators.table_blocks import announce_blocks, count_max_voxels, locate_block_file
from attacca.manifest import read_object
from attacca.progress import Progress

PENCIL_VOXELS = 1 << 23
"""Maximum voxels of a pencil, unless it is longer with a cross section of 8 x 8 voxels."""

IN_MEMORY_VOXELS = 1 << 25
"""Maximum voxels of a volume that is compared in memory."""

# Measured: 23 bytes per voxel for distances and sides, and the two volumes as they are read.
_BYTES_PER_VOXEL = 28

_NAMES = ("to_ground_truth.zarr", "to_prediction.zarr")


@dataclass
class BinarySides:
    """Reader of both sides of a comparison as bool arrays; it can be pickled.

    Attributes:
        prediction: the segmentation; positive voxels are foreground.
        ground_truth: the ground truth; positive voxels are foreground.
        channel: channel of both arrays; arrays without a channel axis have channel 0 only.
        class_id: ground truth value of foreground voxels, if it is one volume of class ids.
        predicted_id: value of foreground voxels of the segmentation, if it is one volume of class ids.
        rules: preparation of the ground truth.
        mask: voxels of value 0 do not count; all voxels count by default.
    """

    prediction: Array
    ground_truth: Array
    channel: int = 0
    class_id: int | None = None
    rules: GroundTruthRules = field(default_factory=GroundTruthRules)
    mask: Array | None = None
    predicted_id: int | None = None

    @property
    def voxel_size(self) -> Coordinate:
        """Size of a voxel in world units."""
        return self.ground_truth.voxel_size

    def read(self, roi: Roi) -> tuple[np.ndarray, np.ndarray, int]:
        """Read a region.

        Returns:
            Predicted and true foreground, bool, and the number of voxels that count; others are on neither side.
        """
        predicted, true, counted = self.read_all(roi)
        if counted is None:
            return predicted, true, true.size
        return predicted & counted, true & counted, int(np.count_nonzero(counted))

    def read_all(self, roi: Roi) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Read a region with the voxels that do not count.

        Returns:
            Predicted and true foreground, and the voxels that count, bool; None if all voxels count.
        """
        if self.predicted_id is None:
            predicted = self._select_channel(self.prediction, self.prediction[roi]) > 0
        else:
            segmented = drop_channel_axis(self.prediction[roi], self.prediction.dims, self.prediction)
            predicted = segmented == self.predicted_id
        context = self.rules.context(self.voxel_size)
        labels = self.ground_truth.read(roi.grow(context, context), "edge")
        if self.class_id is None:
            labels = self._select_channel(self.ground_truth, labels)
        else:
            labels = drop_channel_axis(labels, self.ground_truth.dims, self.ground_truth)
        interior = tuple(slice(c, c + n) for c, n in zip(context / self.voxel_size, predicted.shape))
        counted = self.rules.find_counted(labels, self.voxel_size)
        true = labels[interior] > 0 if self.class_id is None else labels[interior] == self.class_id
        if counted is not None:
            counted = counted[interior]
        if self.mask is not None:
            allowed = self.mask.read(roi) != 0
            allowed = allowed.reshape(allowed.shape[-self.ground_truth.dims :])
            counted = allowed if counted is None else counted & allowed
        return predicted, true, counted

    def _select_channel(self, array: Array, voxels: np.ndarray) -> np.ndarray:
        return voxels[self.channel] if array.num_channels is not None else voxels


@dataclass(frozen=True)
class Pencils:
    """Partition of a region into pencils.

    Attributes:
        roi: the compared region, in world units.
        voxel_size: world units.
        chunk: chunk of the scratch arrays, in voxels.

    Examples:
        >>> pencils = Pencils.over(Roi((0, 0), (100, 100)), Coordinate(1, 1), pencil_voxels=1600)
        >>> pencils.chunk, len(pencils.grid(axis=0))
        ((16, 16), 7)
    """

    roi: Roi
    voxel_size: Coordinate
    chunk: tuple[int, ...]

    @classmethod
    def over(cls, roi: Roi, voxel_size: Coordinate, pencil_voxels: int = PENCIL_VOXELS) -> "Pencils":
        """Partition a region into pencils of at most about ``pencil_voxels`` voxels."""
        shape = roi.shape / voxel_size
        across = (pencil_voxels / max(shape)) ** (1 / max(1, len(shape) - 1))
        edge = min(max(8, int(across) // 8 * 8), 256)
        return cls(roi, voxel_size, tuple(min(edge, n) for n in shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the region in voxels."""
        return tuple(self.roi.shape / self.voxel_size)

    @property
    def dtype(self) -> np.dtype:
        """Smallest unsigned dtype for all squared distances in the region and one value for ``NOWHERE``."""
        unit = compute_distance_unit(self.voxel_size)
        largest = sum((n * int(size) // unit) ** 2 for n, size in zip(self.shape, self.voxel_size))
        return np.dtype(np.uint32 if largest < np.iinfo(np.uint32).max else np.uint64)

    def grid(self, axis: int) -> BlockGrid:
        """Return the pencils along one axis."""
        sides = [n if a == axis else c for a, (n, c) in enumerate(zip(self.shape, self.chunk))]
        return BlockGrid(self.roi, Coordinate(sides) * self.voxel_size, self.voxel_size)

    def slices(self, roi: Roi) -> tuple[slice, ...]:
        """Return the slices of a region in the scratch arrays."""
        begin = (roi.begin - self.roi.begin) / self.voxel_size
        return tuple(slice(b, b + n) for b, n in zip(begin, roi.shape / self.voxel_size))

    def step(self, axis: int) -> int:
        """Return the distance of neighboring voxels along an axis, in units of the distance transform."""
        return int(self.voxel_size[axis]) // compute_distance_unit(self.voxel_size)

    def create(self, directory: Path) -> None:
        """Create the two scratch arrays of a pass; existing ones are kept."""
        for name in _NAMES:
            if not (directory / name / "zarr.json").exists():
                zarr.create_array(
                    directory / name,
                    shape=self.shape,
                    chunks=self.chunk,
                    dtype=self.dtype,
                    compressors=BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"),
                    overwrite=True,
                )


def _stored_nowhere(dtype: np.dtype) -> int:
    return min(int(np.iinfo(dtype).max), NOWHERE)


def _store(path: Path, slices: tuple[slice, ...], distances: np.ndarray) -> None:
    scratch = zarr.open_array(path, mode="r+")
    stored = distances.astype(scratch.dtype)
    stored[distances == NOWHERE] = _stored_nowhere(scratch.dtype)
    scratch[slices] = stored


def _load(path: Path, slices: tuple[slice, ...]) -> np.ndarray:
    stored = np.asarray(zarr.open_array(path, mode="r")[slices])
    distances = stored.astype(np.int64)
    distances[stored == _stored_nowhere(stored.dtype)] = NOWHERE
    return distances


@dataclass
class FirstPass:
    """Block function: squared distances along the first axis, to the ground truth and to the prediction."""

    sides: BinarySides
    pencils: Pencils
    result: Path

    def __call__(self, block: Block) -> None:
        predicted, true, _ = self.sides.read(block.write_roi)
        slices, step = self.pencils.slices(block.write_roi), self.pencils.step(0)
        for name, foreground in zip(_NAMES, (true, predicted)):
            _store(self.result / name, slices, scan_axis(foreground, 0, step))


@dataclass
class NextPass:
    """Block function: squared distances extended by one axis."""

    axis: int
    pencils: Pencils
    source: Path
    result: Path

    def __call__(self, block: Block) -> None:
        slices, step = self.pencils.slices(block.write_roi), self.pencils.step(self.axis)
        for name in _NAMES:
            distances = _load(self.source / name, slices)
            extend_along_axis(distances, self.axis, step)
            _store(self.result / name, slices, distances)


@dataclass
class LastPass:
    """Block function: the last axis, and the table of the pencil, a JSON file in ``directory``."""

    sides: BinarySides
    pencils: Pencils
    source: Path
    directory: Path
    clip_distance: float
    tol_distance: float

    def __call__(self, block: Block) -> None:
        slices, axis = self.pencils.slices(block.write_roi), len(self.pencils.shape) - 1
        predicted, true, voxels = self.sides.read(block.write_roi)
        unit, step = compute_distance_unit(self.pencils.voxel_size), self.pencils.step(axis)
        table = count_true_negatives(predicted, true, voxels)
        for name, part in zip(_NAMES, (sum_positive_side, sum_negative_side)):
            distances = _load(self.source / name, slices)
            extend_along_axis(distances, axis, step)
            table += part(predicted, true, distances, unit, self.clip_distance, self.tol_distance)
        write_json(locate_block_file(self.directory, block.index, ".json"), table.to_dict())

    @classmethod
    def collect(cls, directory: Path, grid: BlockGrid) -> BinaryTable:
        """Return the sum of the tables of all pencils.

        Raises:
            MissingInputError: the file of a pencil is missing.
        """
        table = BinaryTable()
        for index in range(len(grid)):
            path = locate_block_file(directory, index, ".json")
            try:
                table += BinaryTable(**read_object(path, f"delete {directory} and run the workflow again"))
            except FileNotFoundError:
                raise MissingInputError(
                    f"{path}: the result of this block is missing; evaluate it again"
                ) from None
        return table


def sum_binary_table(
    sides: BinarySides,
    roi: Roi,
    directory: str | Path,
    clip_distance: float,
    tol_distance: float,
    *,
    key: Any = None,
    num_workers: int = 1,
    progress: Progress | None = None,
    pencil_voxels: int = PENCIL_VOXELS,
    **run_options: Any,
) -> BinaryTable:
    """Return the table of one channel of volumes of any size; it equals ``binary_table`` of the whole volumes.

    Args:
        sides: reader of the two volumes.
        roi: the compared region, in world units.
        directory: local directory for tables and for scratch arrays, which are deleted at the end.
        clip_distance: upper limit of clipped distances, in world units.
        tol_distance: errors up to this distance are tolerated, in world units.
        key: values that identify the volumes (fingerprints); without it, earlier results are ignored.
        num_workers: processes.
        progress: counts all pencils, and those that are done.
        pencil_voxels: maximum number of voxels of a pencil.
        run_options: further keyword arguments of ``run_blocks``.

    Raises:
        VolumeError: the volumes have one axis.
        BlocksFailedError: a block failed.

    Examples:
        >>> from attacca.arrays import NumpyArray
        >>> from tempfile import mkdtemp
        >>> roi, voxel_size = Roi((0, 0), (8, 32)), Coordinate(8, 8)
        >>> prediction, ground_truth = (
        ...     NumpyArray.from_np_array(np.array([voxels]), roi, voxel_size, ["y", "x"])
        ...     for voxels in ([1, 1, 0, 0], [0, 1, 1, 1]))
        >>> table = sum_binary_table(BinarySides(prediction, ground_truth), roi, mkdtemp(), 40, 8)
        >>> table.true_positives, table.false_positives, table.false_negatives, table.far_negatives
        (1, 1, 2, 1)
    """
    pencils, work = Pencils.over(roi, sides.voxel_size, pencil_voxels), Path(directory)
    axes = len(pencils.shape)
    if axes < 2:
        raise VolumeError(f"{sides.ground_truth}: found one axis, expected two or three")
    tables, scratch = work / "tables", [work / f"axis_{axis}" for axis in range(axes - 1)]
    if key is None:
        for leftover in (tables, *scratch):
            shutil.rmtree(leftover, ignore_errors=True)
    parts = {
        "key": key,
        "roi": [list(roi.begin), list(roi.shape)],
        "chunk": pencils.chunk,
        "scratch": _NAMES,
        "channel": sides.channel,
        "class_id": sides.class_id,
        "rules": vars(sides.rules),
        "clip": clip_distance,
        "tolerance": tol_distance,
    }

    def run(function: Callable[[Block], None], grid: BlockGrid, ledger: Ledger) -> None:
        announce_blocks(progress, grid, ledger)
        run_blocks(
            function,
            grid,
            ledger=ledger,
            num_workers=num_workers,
            progress=progress,
            memory_per_block=_BYTES_PER_VOXEL * count_max_voxels(grid),
            **run_options,
        )

    last = pencils.grid(axes - 1)
    tables.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(tables, parts, len(last))
    if len(ledger.missing(range(len(last)))):
        for axis, result in enumerate(scratch):
            grid = pencils.grid(axis)
            pass_ledger = Ledger(result, parts, len(grid))
            if not pass_ledger.done().any():
                shutil.rmtree(result, ignore_errors=True)
            pencils.create(result)
            if axis == 0:
                run(FirstPass(sides, pencils, result), grid, pass_ledger)
            else:
                run(NextPass(axis, pencils, scratch[axis - 1], result), grid, pass_ledger)
        run(LastPass(sides, pencils, scratch[-1], tables, clip_distance, tol_distance), last, ledger)
    for result in scratch:
        shutil.rmtree(result, ignore_errors=True)
    return LastPass.collect(tables, last)


def fits_into_memory(roi: Roi, voxel_size: Sequence[int]) -> bool:
    """Return whether a region is small enough to be compared in memory.

    Examples:
        >>> fits_into_memory(Roi((0, 0, 0), (400, 400, 400)), (4, 4, 4))
        True
        >>> fits_into_memory(Roi((0, 0, 0), (4000, 4000, 4000)), (4, 4, 4))
        False
    """
    return math.prod(int(n) // int(size) for n, size in zip(roi.shape, voxel_size)) <= IN_MEMORY_VOXELS
