"""One call of ``segment_blockwise``: arrays, grid, ledgers and scratch files, shared by all of its steps."""

import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays.identifier import LocalArrayIdentifier, is_url
from attacca.arrays.zarr_array import ZarrArray
from attacca.atomic import replace_file, write_text
from attacca.blockwise.grid import Block, BlockGrid, check_alignment
from attacca.blockwise.ledger import Ledger
from attacca.blockwise.segment_file import load_segment_file
from attacca.blockwise.stitching import find_components
from attacca.errors import ConfigurationError, MissingInputError
from attacca.fingerprint import digest, digest_file

_VERSION = 2
_AGREEMENT = 0.5
# Files in the scratch directory: the name of its run, and the mark of a finished run.
_RUN = "run"
_FINISHED = "finished"


@dataclass(frozen=True)
class SegmentJob:
    """One call of ``segment_blockwise``.

    Args:
        file: file of the segmentation function.
        grid: blocks with their context.
        input: array to segment.
        output: array of segments.
        scratch: directory that only this call uses.
        agreement: minimum agreement of segments that are joined.
        args: positional arguments of the caller.
        kwargs: keyword arguments of the caller.
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
        context: int | Sequence[int],
        total_roi: Roi,
        read_roi: Roi,
        write_roi: Roi,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> "SegmentJob":
        """Check the arguments of ``segment_blockwise``, and create the output array if it is missing.

        Raises:
            ConfigurationError: an argument is invalid.
            MissingInputError: the file or the input array is missing.
        """
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
            raise ConfigurationError(f"{output}: found {output.dtype}, expected uint64, the dtype of ids")
        if not output.roi.contains(total_roi):
            raise ConfigurationError(
                f"total_roi: found {total_roi}, but the existing output {identifier} covers {output.roi} only"
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
            _scratch_directory(kwargs, output),
            agreement,
            args,
            kwargs,
        )

    @property
    def output_directory(self) -> str:
        """Location of the output."""
        return str(self.output)

    @property
    def fragments(self) -> LocalArrayIdentifier:
        """Scratch array of the segments of single blocks."""
        return LocalArrayIdentifier(self.scratch / "fragments.zarr", "fragments")

    @property
    def is_stitched(self) -> bool:
        """True if blocks have context, so that segments can be joined."""
        return any(self.grid.context[0] + self.grid.context[1])

    @property
    def stride(self) -> int:
        """Number of ids per block: more than the voxels that a block reads."""
        read = (self.grid.block_size + self.grid.context[0] + self.grid.context[1]) / self.grid.voxel_size
        return int(np.prod([int(n) for n in read], dtype=object)) + 1

    def start(self) -> Path:
        """Return the scratch directory: that of an interrupted call, or a new one."""
        if (self.scratch / _FINISHED).exists():
            shutil.rmtree(self.scratch)
        self.scratch.mkdir(parents=True, exist_ok=True)
        if not (self.scratch / _RUN).exists():
            write_text(self.scratch / _RUN, uuid.uuid4().hex)
        return self.scratch

    def finish(self, keep: bool) -> None:
        """Remove the scratch directory, or mark it so that the next call recomputes everything."""
        if keep:
            (self.scratch / _FINISHED).touch()
        else:
            shutil.rmtree(self.scratch)

    def ledger(self, directory: str, step: str) -> Ledger:
        """Return the ledger of a step; its key contains all arguments and the text of the function's file."""
        keywords = {key: value for key, value in self.kwargs.items() if key != "tmpdir"}
        parts = {
            "step": step,
            # Blocks that an earlier, finished call wrote to the output are recomputed.
            "run": (self.scratch / _RUN).read_text(),
            "version": _VERSION,
            "function": digest_file(self.file),
            "grid": self.grid.to_dict(),
            "agreement": None if step == "segment" else self.agreement,
            "arguments": repr(self.args),
            "keywords": {key: repr(value) for key, value in sorted(keywords.items()) if key != "agreement"},
        }
        state = self.scratch.parent / "ledger" if is_url(directory) else None
        return Ledger(directory, parts, len(self.grid), state_directory=state)

    def create_fragments(self) -> ZarrArray:
        """Create the scratch array, or open that of an interrupted call."""
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
        """Return the region that two blocks both read."""
        return block.read_roi.intersect(neighbor.read_roi).intersect(data)

    def overlap_file(self, lower: int, axis: int, side: str) -> Path:
        """Return the path of the labels in the overlap of a block and its upper neighbor.

        Args:
            lower: number of the lower block.
            axis: axis along which the blocks are neighbors.
            side: ``"lower"`` or ``"upper"``, the block that computed the labels.
        """
        return self.scratch / "overlaps" / f"{lower % 1000:03d}" / f"{lower}-{axis}-{side}.npz"

    def edges_file(self, index: int) -> Path:
        """Return the path of the joined pairs of a block and its upper neighbors."""
        return self.scratch / "compared" / f"{index % 1000:03d}" / f"{index}.npz"

    @property
    def table_file(self) -> Path:
        """Path of the table from the ids of blocks to those of the output."""
        return self.scratch / "table.npz"

    def write_table(self) -> None:
        """Find the components of all joined pairs, and write the table of all blocks."""
        parts = [np.zeros((0, 2), dtype=np.uint64)]
        if self.is_stitched:
            parts += [np.load(self.edges_file(index))["pairs"] for index in range(len(self.grid))]
        ids, components = find_components(np.concatenate(parts))
        save_arrays(self.table_file, ids=ids, components=components)


def _scratch_directory(kwargs: Mapping[str, Any], output: ZarrArray) -> Path:
    """Return the scratch directory of all calls with this output."""
    if kwargs.get("tmpdir"):
        return Path(kwargs["tmpdir"]) / f"segment_blockwise-{digest(output.directory)[:16]}"
    if is_url(output.directory):
        return Path(".attacca", "segment_blockwise", digest(output.directory)[:16], "scratch").absolute()
    return Path(output.directory) / ".attacca" / "segment_blockwise"


def relative_slices(inner: Roi, outer: Roi, voxel_size: Coordinate) -> tuple[slice, ...]:
    """Return the slices of a region in the voxels of a larger one."""
    return ((inner - outer.begin) / voxel_size).to_slices()


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays to a compressed ``.npz`` file, which appears whole or not at all."""
    with replace_file(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
