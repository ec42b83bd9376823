"""What all steps of ``segment_blockwise`` know: arrays, grid, scratch files, and the user's function."""

import importlib.util
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays.identifier import LocalArrayIdentifier
from attacca.arrays.zarr_array import ZarrArray
from attacca.atomic import write_text
from attacca.blockwise.grid import Block, BlockGrid, check_alignment
from attacca.blockwise.ledger import Ledger
from attacca.blockwise.stitching import find_components
from attacca.errors import ConfigurationError, MissingInputError
from attacca.fingerprint import digest, digest_file

_VERSION = 1
_AGREEMENT = 0.5
# Files in the scratch directory: the name of the run that it belongs to, and that it has ended.
_RUN = "run"
_FINISHED = "finished"


@dataclass(frozen=True)
class SegmentJob:
    """One call of ``segment_blockwise``.

    Args:
        file: of the segmentation function.
        grid: the blocks, with their context.
        input, output: the arrays.
        scratch: directory of this call alone.
        agreement: from which on segments are joined.
        args, kwargs: what the caller handed over.
    """

    file: Path
    grid: BlockGrid
    input: LocalArrayIdentifier
    output: LocalArrayIdentifier
    scratch: Path
    agreement: float
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @classmethod
    def create(
        cls,
        file: Path,
        context: Any,
        total_roi: Roi,
        read_roi: Roi,
        write_roi: Roi,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> "SegmentJob":
        for name in ("input_array_identifier", "output_array_identifier"):
            if name not in kwargs:
                raise ConfigurationError(f"segment_blockwise needs the keyword argument {name}")
        load_segment_file(file)
        agreement = float(kwargs.get("agreement", _AGREEMENT))
        if not 0 < agreement <= 1:
            raise ConfigurationError(f"agreement: found {agreement}, expected a number above 0 and up to 1")
        source = ZarrArray.open_from_array_identifier(kwargs["input_array_identifier"])
        if not source.roi.contains(total_roi):
            raise ConfigurationError(
                f"total_roi: found {total_roi}, but the input {source} covers {source.roi} only"
            )
        given = Coordinate((int(context),) * source.dims if isinstance(context, int) else context)
        lower = Coordinate(max(c, w - r) for c, w, r in zip(given, write_roi.begin, read_roi.begin))
        upper = Coordinate(max(c, r - w) for c, w, r in zip(given, write_roi.end, read_roi.end))
        identifier = kwargs["output_array_identifier"]
        try:
            output = ZarrArray.open_from_array_identifier(identifier, mode="a")
        except MissingInputError:
            output = ZarrArray.create_from_array_identifier(
                identifier,
                source.spatial_axes,
                total_roi,
                None,
                source.voxel_size,
                np.uint64,
                write_size=write_roi.shape,
                unit=source.unit,
            )
        if output.dtype != np.uint64:
            raise ConfigurationError(f"{output} holds {output.dtype}, expected uint64: ids need it")
        if not output.roi.contains(total_roi):
            raise ConfigurationError(
                f"total_roi: found {total_roi}, but the output {identifier}, which is there already, covers "
                f"{output.roi} only"
            )
        grid = BlockGrid(
            total_roi, write_roi.shape, source.voxel_size, (lower, upper), origin=output.roi.begin
        )
        check_alignment(grid, output)
        return cls(
            file,
            grid,
            kwargs["input_array_identifier"],
            identifier,
            _scratch(kwargs, output),
            agreement,
            args,
            kwargs,
        )

    @property
    def output_directory(self) -> str:
        return str(self.output)

    @property
    def fragments(self) -> LocalArrayIdentifier:
        return LocalArrayIdentifier(self.scratch / "fragments.zarr", "fragments")

    @property
    def stitched(self) -> bool:
        """Whether blocks overlap at all."""
        return any(self.grid.context[0] + self.grid.context[1])

    @property
    def stride(self) -> int:
        """More than the voxels that any block reads."""
        read = (self.grid.block_size + self.grid.context[0] + self.grid.context[1]) / self.grid.voxel_size
        return int(np.prod([int(n) for n in read], dtype=object)) + 1

    def begin(self) -> Path:
        """The scratch directory: that of a call that did not end, or a new one."""
        if (self.scratch / _FINISHED).exists():
            shutil.rmtree(self.scratch)
        self.scratch.mkdir(parents=True, exist_ok=True)
        if not (self.scratch / _RUN).exists():
            write_text(self.scratch / _RUN, uuid.uuid4().hex)
        return self.scratch

    def end(self, keep: bool) -> None:
        """Remove the scratch directory, or mark it so that the next call starts anew."""
        if keep:
            (self.scratch / _FINISHED).touch()
        else:
            shutil.rmtree(self.scratch)

    def ledger(self, directory: str, step: str) -> Ledger:
        """The finished blocks of a step; they depend on all that was given, the function's text included."""
        told = {key: value for key, value in self.kwargs.items() if key != "tmpdir"}
        parts = {
            "step": step,
            # Blocks of the output that an earlier call finished do not count for this one.
            "run": (self.scratch / _RUN).read_text(),
            "version": _VERSION,
            "function": digest_file(self.file),
            "grid": self.grid.to_dict(),
            "agreement": None if step == "segment" else self.agreement,
            "arguments": repr(self.args),
            "keywords": {key: repr(value) for key, value in sorted(told.items()) if key != "agreement"},
        }
        state = self.scratch.parent / "ledger" if "://" in directory else None
        return Ledger(directory, parts, len(self.grid), state_directory=state)

    def create_fragments(self) -> ZarrArray:
        source = ZarrArray.open_from_array_identifier(self.input)
        output = ZarrArray.open_from_array_identifier(self.output)
        return ZarrArray.create_from_array_identifier(
            self.fragments,
            source.spatial_axes,
            output.roi,
            None,
            source.voxel_size,
            np.uint64,
            write_size=output.chunk_size,
            unit=source.unit,
        )

    def overlap(self, block: Block, neighbor: Block, data: Roi) -> Roi:
        """What two blocks both read."""
        return block.read_roi.intersect(neighbor.read_roi).intersect(data)

    def overlap_file(self, lower: int, axis: int, side: str) -> Path:
        """Where labels of the overlap of a block and its upper neighbor stand, as the lower or upper one
        gave them."""
        return self.scratch / "overlaps" / f"{lower % 1000:03d}" / f"{lower}-{axis}-{side}.npz"

    def edges_file(self, index: int) -> Path:
        return self.scratch / "compared" / f"{index % 1000:03d}" / f"{index}.npy"

    @property
    def table_file(self) -> Path:
        return self.scratch / "table.npz"

    def write_table(self) -> None:
        """Join what was found to be one, into one table for all blocks."""
        parts = [np.zeros((0, 2), dtype=np.uint64)]
        if self.stitched:
            parts += [np.load(self.edges_file(index)) for index in range(len(self.grid))]
        ids, components = find_components(np.concatenate(parts))
        save(self.table_file, lambda file: np.savez(file, ids=ids, components=components))


def load_segment_file(path: Path) -> ModuleType:
    """The module in a segmentation function's file.

    Raises:
        MissingInputError: there is no such file.
        ConfigurationError: it cannot be imported, or lacks the functions.
    """
    if not path.is_file():
        raise MissingInputError(f"{path}: no such file; expected Python with a segment_function")
    name = f"attacca_segment_{digest(str(path.absolute()))[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigurationError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    if not (
        hasattr(module, "segment_function")
        or (hasattr(module, "spawn_worker") and hasattr(module, "start_worker"))
    ):
        raise ConfigurationError(
            f"{path} defines neither segment_function(input_array, block, **parameters) nor the pair "
            "spawn_worker and "
            "start_worker"
        )
    return module


def _scratch(kwargs: Mapping[str, Any], output: ZarrArray) -> Path:
    if kwargs.get("tmpdir"):
        return Path(kwargs["tmpdir"]) / f"segment_blockwise-{digest(output.directory)[:16]}"
    if "://" in output.directory:
        return Path(".attacca", "segment_blockwise", digest(output.directory)[:16], "scratch").absolute()
    return Path(output.directory) / ".attacca" / "segment_blockwise"


def inside(inner: Roi, outer: Roi, voxel_size: Coordinate) -> tuple[slice, ...]:
    """Where a region lies in the voxels of a larger one."""
    return ((inner - outer.begin) / voxel_size).to_slices()


def save(path: Path, write: Callable[[Any], Any]) -> None:
    """Have ``write(file)`` fill a file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with open(partial, "wb") as file:
        write(file)
    os.replace(partial, path)
