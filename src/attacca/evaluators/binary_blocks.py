"""Binary scores of volumes of any size: distance transforms out of core, pencil by pencil.

Distances to the truth and distances to the prediction go through the same passes:

1. ``FirstPass`` measures along the first axis and stores squared distances in scratch arrays.
2. ``NextPass`` adds one axis and writes other scratch arrays: a pass never changes what it reads, so that it
   can be killed and repeated.
3. ``LastPass`` adds the last axis and makes the table of each pencil; the tables are summed.

A pencil is whole along the axis of its pass and one scratch chunk wide across it. Memory is that of a few
pencils.
"""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from funlib.geometry import Coordinate, Roi
from numcodecs import Blosc

from attacca.arrays import Array
from attacca.atomic import write_json
from attacca.blockwise import Ledger, run_blocks
from attacca.blockwise.grid import Block, BlockGrid
from attacca.errors import MissingInputError, VolumeError
from attacca.evaluators.binary_counts import negative_side, positive_side, rest
from attacca.evaluators.binary_scores import BinaryTable
from attacca.evaluators.compared_arrays import without_channel
from attacca.evaluators.distance_transform import NOWHERE, distance_unit, first_pass, next_pass
from attacca.evaluators.ground_truth import GroundTruthRules
from attacca.evaluators.table_blocks import announce, largest_block
from attacca.progress import Progress

PENCIL_VOXELS = 1 << 23
"""Voxels of a pencil at most, unless a line of 8 x 8 voxels across is longer."""

IN_MEMORY_VOXELS = 1 << 25
"""Volumes of up to this many voxels are compared at once."""

# Measured: 23 bytes a voxel for distances and sides, and the two volumes as they are read.
_BYTES_PER_VOXEL = 28

_NAMES = ("to_truth.zarr", "to_prediction.zarr")


@dataclass
class BinarySides:
    """Reads both sides of a comparison as bool arrays; it can be pickled.

    Attributes:
        prediction: the segmentation; positive voxels are predicted.
        ground_truth: the truth; positive voxels are true.
        channel: which channel of both; arrays without a channel axis have channel 0 only.
        class_id: the value of true voxels, where the truth is one volume of class ids.
        rules: what is done to the truth first.
        mask: voxels that count, not 0; all of them by default.
    """

    prediction: Array
    ground_truth: Array
    channel: int = 0
    class_id: int | None = None
    rules: GroundTruthRules = field(default_factory=GroundTruthRules)
    mask: Array | None = None

    @property
    def voxel_size(self) -> Coordinate:
        """World units of a voxel."""
        return self.ground_truth.voxel_size

    def read(self, roi: Roi) -> tuple[np.ndarray, np.ndarray, int]:
        """The predicted and the true voxels, bool, and how many voxels count; others are on neither side."""
        predicted = self._of(self.prediction, self.prediction[roi]) > 0
        context = self.rules.context(self.voxel_size)
        around = self.ground_truth.read(roi.grow(context, context), "edge")
        if self.class_id is None:
            around = self._of(self.ground_truth, around)
        else:
            around = without_channel(around, self.ground_truth.dims, self.ground_truth)
        inside = tuple(slice(c, c + n) for c, n in zip(context / self.voxel_size, predicted.shape))
        counted = self.rules.counted(around, self.voxel_size)
        true = around[inside] > 0 if self.class_id is None else around[inside] == self.class_id
        if counted is not None:
            counted = counted[inside]
        if self.mask is not None:
            allowed = self.mask.read(roi) != 0
            allowed = allowed.reshape(allowed.shape[-self.ground_truth.dims :])
            counted = allowed if counted is None else counted & allowed
        if counted is None:
            return predicted, true, true.size
        return predicted & counted, true & counted, int(np.count_nonzero(counted))

    def _of(self, array: Array, voxels: np.ndarray) -> np.ndarray:
        return voxels[self.channel] if array.num_channels is not None else voxels


@dataclass(frozen=True)
class Pencils:
    """How a region is cut into pencils.

    Attributes:
        roi: the compared region, world units.
        voxel_size: world units.
        chunk: scratch chunk, voxels.
    """

    roi: Roi
    voxel_size: Coordinate
    chunk: tuple[int, ...]

    @classmethod
    def over(cls, roi: Roi, voxel_size: Coordinate, pencil_voxels: int = PENCIL_VOXELS) -> "Pencils":
        """Cut a region so that no pencil has more than about ``pencil_voxels`` voxels."""
        shape = roi.shape / voxel_size
        across = (pencil_voxels / max(shape)) ** (1 / max(1, len(shape) - 1))
        edge = min(max(8, int(across) // 8 * 8), 256)
        return cls(roi, voxel_size, tuple(min(edge, n) for n in shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels of the region."""
        return tuple(self.roi.shape / self.voxel_size)

    @property
    def dtype(self) -> np.dtype:
        """Smallest unsigned type that holds all squared distances of the region and a value for none."""
        unit = distance_unit(self.voxel_size)
        largest = sum((n * int(size) // unit) ** 2 for n, size in zip(self.shape, self.voxel_size))
        return np.dtype(np.uint32 if largest < np.iinfo(np.uint32).max else np.uint64)

    def grid(self, axis: int) -> BlockGrid:
        """Pencils along one axis."""
        sides = [n if a == axis else c for a, (n, c) in enumerate(zip(self.shape, self.chunk))]
        return BlockGrid(self.roi, Coordinate(sides) * self.voxel_size, self.voxel_size)

    def slices(self, roi: Roi) -> tuple[slice, ...]:
        """Where a region lies in a scratch array."""
        begin = (roi.begin - self.roi.begin) / self.voxel_size
        return tuple(slice(b, b + n) for b, n in zip(begin, roi.shape / self.voxel_size))

    def step(self, axis: int) -> int:
        """Distance of neighboring voxels along an axis, in units of the distance transform."""
        return int(self.voxel_size[axis]) // distance_unit(self.voxel_size)

    def create(self, directory: Path) -> None:
        """Make the two scratch arrays of a pass; those that are there already are kept."""
        for name in _NAMES:
            if not (directory / name / ".zarray").exists():
                zarr.open(
                    str(directory / name),
                    mode="w",
                    shape=self.shape,
                    chunks=self.chunk,
                    dtype=self.dtype,
                    compressor=Blosc("lz4", clevel=1, shuffle=Blosc.SHUFFLE),
                )


def _none(dtype: np.dtype) -> int:
    # Stands for NOWHERE in a scratch array.
    return min(int(np.iinfo(dtype).max), NOWHERE)


def _store(path: Path, slices: tuple[slice, ...], distances: np.ndarray) -> None:
    scratch = zarr.open(str(path), mode="r+")
    stored = distances.astype(scratch.dtype)
    stored[distances == NOWHERE] = _none(scratch.dtype)
    scratch[slices] = stored


def _load(path: Path, slices: tuple[slice, ...]) -> np.ndarray:
    stored = zarr.open(str(path), mode="r")[slices]
    distances = stored.astype(np.int64)
    distances[stored == _none(stored.dtype)] = NOWHERE
    return distances


@dataclass
class FirstPass:
    """Block function: squared distances along the first axis, to the truth and to the prediction."""

    sides: BinarySides
    pencils: Pencils
    result: Path

    def __call__(self, block: Block) -> None:
        predicted, true, _ = self.sides.read(block.write_roi)
        slices, step = self.pencils.slices(block.write_roi), self.pencils.step(0)
        for name, inside in zip(_NAMES, (true, predicted)):
            _store(self.result / name, slices, first_pass(inside, 0, step))


@dataclass
class NextPass:
    """Block function: squared distances over one more axis."""

    axis: int
    pencils: Pencils
    source: Path
    result: Path

    def __call__(self, block: Block) -> None:
        slices, step = self.pencils.slices(block.write_roi), self.pencils.step(self.axis)
        for name in _NAMES:
            distances = _load(self.source / name, slices)
            next_pass(distances, self.axis, step)
            _store(self.result / name, slices, distances)


@dataclass
class LastPass:
    """Block function: the last axis, and the table of the pencil, in ``directory/INDEX.json``."""

    sides: BinarySides
    pencils: Pencils
    source: Path
    directory: Path
    clip_distance: float
    tol_distance: float

    def __call__(self, block: Block) -> None:
        slices, axis = self.pencils.slices(block.write_roi), len(self.pencils.shape) - 1
        predicted, true, voxels = self.sides.read(block.write_roi)
        unit, step = distance_unit(self.pencils.voxel_size), self.pencils.step(axis)
        table = rest(predicted, true, voxels)
        for name, part in zip(_NAMES, (positive_side, negative_side)):
            distances = _load(self.source / name, slices)
            next_pass(distances, axis, step)
            table += part(predicted, true, distances, unit, self.clip_distance, self.tol_distance)
        write_json(self.path(self.directory, block.index), table.to_dict())

    @staticmethod
    def path(directory: Path, index: int) -> Path:
        """Where the table of a pencil stands: a thousand pencils a directory."""
        return directory / f"{index // 1000:06d}" / f"{index % 1000:03d}.json"

    @classmethod
    def collect(cls, directory: Path, grid: BlockGrid) -> BinaryTable:
        """The sum over all pencils.

        Raises:
            MissingInputError: the file of a pencil is missing.
        """
        table = BinaryTable()
        for index in range(len(grid)):
            path = cls.path(directory, index)
            try:
                table += BinaryTable(**json.loads(path.read_text()))
            except FileNotFoundError:
                raise MissingInputError(f"{path}: this block has no result; evaluate it again") from None
        return table


def binary_table_blockwise(
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
) -> BinaryTable:
    """The table of one channel of volumes of any size; it equals ``binary_table`` of the whole.

    Args:
        sides: the two volumes.
        roi: the compared region, world units.
        directory: for scratch arrays, which are removed as soon as they are not needed, and tables; on a
            local disk.
        clip_distance: distances are clipped here, world units.
        tol_distance: errors up to this distance are forgiven, world units.
        key: what the volumes depend on (fingerprints); without it nothing of an earlier call is used.
        num_workers: processes.
        progress: it is told of all pencils, and of those that are done.
        pencil_voxels: upper bound of a pencil.

    Raises:
        VolumeError: the volumes have one axis only.
        BlocksFailedError: a block failed.
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
        "channel": sides.channel,
        "class_id": sides.class_id,
        "rules": vars(sides.rules),
        "clip": clip_distance,
        "tolerance": tol_distance,
    }

    def run(function: Callable[[Block], None], grid: BlockGrid, ledger: Ledger) -> None:
        announce(progress, grid, ledger)
        run_blocks(
            function,
            grid,
            ledger=ledger,
            num_workers=num_workers,
            progress=progress,
            memory_per_block=_BYTES_PER_VOXEL * largest_block(grid),
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
    """Whether a region is small enough to be compared at once."""
    return math.prod(int(n) // int(size) for n, size in zip(roi.shape, voxel_size)) <= IN_MEMORY_VOXELS
