"""Segmentation of a volume by a user's function, block by block, with the segments joined across blocks.

1. Segment each block with its context (``_SegmentBlocks``): its own part is written to a scratch array, with
   ids that no other block uses; the labels in the overlaps with its neighbors are written to scratch files.
2. Compare neighboring blocks (``_CompareBlocks``, ``attacca.blockwise.stitching``).
3. Find the components of all joined pairs (``SegmentJob.write_table``).
4. Relabel each block into the output (``_RelabelBlocks``).

All steps over blocks have ledgers: after an interruption, the same call resumes where it stopped.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays.zarr_array import ZarrArray
from attacca.blockwise.cpu_limit import limit_workers
from attacca.blockwise.grid import Block
from attacca.blockwise.runner import run_blocks
from attacca.blockwise.segment_file import load_segment_file
from attacca.blockwise.segment_job import SegmentJob, relative_slices, save_arrays
from attacca.blockwise.stitching import face_slices, find_joins, relabel_volume, unique_ids
from attacca.errors import AttaccaError, BlocksFailedError
from attacca.progress import Progress

logger = logging.getLogger("attacca.blockwise")


@dataclass(frozen=True)
class SegmentBlock:
    """A block, as a segmentation function gets it.

    Args:
        index: number of the block.
        read_roi: region to segment, in world units: the block and its context, clipped to the input.
        write_roi: the part of it that is written to the output.
    """

    index: int
    read_roi: Roi
    write_roi: Roi

    @property
    def block_id(self) -> tuple[str, int]:
        """Name of the task and number of the block."""
        return "segment", self.index


def segment_blockwise(
    segment_function_file: str | Path,
    context: Coordinate,
    total_roi: Roi,
    read_roi: Roi,
    write_roi: Roi,
    num_workers: int = 16,
    max_retries: int = 2,
    timeout: float | None = None,
    upstream_tasks: Iterable[Callable[[], Any]] | None = None,
    keep_tmpdir: bool = False,
    *args: Any,
    **kwargs: Any,
) -> bool:
    """Segment a volume of any size with a function of your own.

    The function's file is Python and defines one of

    * ``segment_function(input_array, block, **parameters)``, which returns labels (integers, 0 is
      background) of the shape of ``block.read_roi``, with an optional dictionary ``default_parameters``;
    * ``spawn_worker(*args, **kwargs)``, called once per process, and ``start_worker(worker, block)``, called
      for each block with the result of ``spawn_worker``, which returns labels as above.

    It may also define ``init_callback_fn(context)``, called once per process with the dictionary of the
    keyword arguments below, and ``check_function(block)``, called after a block was segmented, which returns
    True if the result is accepted; other blocks are tried again.

    Args:
        segment_function_file: path of the file.
        context: world units to read around each block; the larger of this and the margin of ``read_roi``
            around ``write_roi`` counts. Without any context, segments end at the faces of blocks.
        total_roi: region to segment.
        read_roi: region that the first block reads.
        write_roi: region that the first block writes; its shape is the block size.
        num_workers: number of processes, limited by the number of CPUs.
        max_retries: number of further attempts at a block that failed.
        timeout: seconds per block.
        upstream_tasks: functions without arguments, called first, in their order; the call stops if one
            returns False.
        keep_tmpdir: keep the scratch directory after success; after a failure it is always kept, for the next
            call.
        args: passed to ``spawn_worker``.
        kwargs: ``input_array_identifier`` and ``output_array_identifier`` (the output is created if it is
            missing); optional are ``parameters``, a dictionary for the function; ``agreement``, between 0 and
            1, the minimum agreement of segments of neighboring blocks that are joined (0.5; see
            ``attacca.blockwise.stitching``); and ``tmpdir``, the scratch directory. All, and any others, are
            passed to ``spawn_worker``.

    Returns:
        True. The output contains uint64 ids.

    Raises:
        BlocksFailedError: a block or an upstream task failed; the finished blocks are kept for the next call.
        ConfigurationError: an argument is invalid.
        MissingInputError: the file or the input array is missing.
    """
    for task in upstream_tasks or ():
        if task() is False:
            raise BlocksFailedError(
                f"the upstream task {getattr(task, '__name__', task)!r} returned False",
                fix="correct its cause and call segment_blockwise again; finished blocks are kept",
            )
    job = SegmentJob.create(
        Path(segment_function_file), context, total_roi, read_roi, write_roi, args, kwargs
    )
    workers = limit_workers(num_workers)
    scratch = job.start()
    fragments = job.create_fragments()

    def run(step: str, function: Callable[[Block], Any], directory: str) -> None:
        ledger = job.ledger(directory, step)
        progress = Progress(step, len(job.grid), done=int(ledger.done().sum()))
        run_blocks(
            function,
            job.grid,
            ledger=ledger,
            num_workers=workers,
            retries=max_retries,
            timeout=timeout,
            progress=progress,
        )

    run("segment", _SegmentBlocks(job), fragments.directory)
    if job.is_stitched:
        compared = scratch / "compared"
        compared.mkdir(exist_ok=True)
        run("compare", _CompareBlocks(job), str(compared))
    else:
        logger.warning("segments are not joined across blocks: joining needs context, which is 0")
    job.write_table()
    run("relabel", _RelabelBlocks(job), job.output_directory)
    job.finish(keep=keep_tmpdir)
    return True


class _SegmentBlocks:
    """Step 1: segments a block, and writes its labels in the overlaps with its neighbors."""

    def __init__(self, job: SegmentJob) -> None:
        self._job = job
        self._segment: Callable[[SegmentBlock], Any] | None = None
        self._check: Callable[[SegmentBlock], bool] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_job": self._job, "_segment": None, "_check": None}

    def open(self) -> None:
        """Import the function and open the arrays."""
        job = self._job
        module = load_segment_file(job.file)
        if hasattr(module, "init_callback_fn"):
            module.init_callback_fn(dict(job.kwargs))
        self._check = getattr(module, "check_function", None)
        self._source = ZarrArray.open_from_array_identifier(job.input)
        self._fragments = ZarrArray.open_from_array_identifier(job.fragments, mode="a")
        if hasattr(module, "segment_function"):
            parameters = {**getattr(module, "default_parameters", {}), **(job.kwargs.get("parameters") or {})}
            self._segment = lambda block: module.segment_function(self._source, block, **parameters)
        else:
            worker = module.spawn_worker(*job.args, **job.kwargs)
            self._segment = lambda block: module.start_worker(worker, block)

    def __call__(self, block: Block) -> None:
        assert self._segment is not None
        job = self._job
        own = SegmentBlock(block.index, block.read_roi.intersect(self._source.roi), block.write_roi)
        labels = np.asarray(self._segment(own))
        expected = tuple(own.read_roi.shape / job.grid.voxel_size)
        if labels.shape != expected or labels.dtype.kind not in "iub":
            raise AttaccaError(
                f"{job.file}: found labels of shape {labels.shape} and dtype {labels.dtype} for block "
                f"{block.index}, expected integers of shape {expected}, that of block.read_roi"
            )
        ids = unique_ids(labels, block.index, job.stride)
        for axis, upper in job.grid.upper_neighbors(block.index):
            path = job.overlap_file(block.index, axis, "lower")
            self._save_overlap(block, job.grid[upper], ids, own.read_roi, path)
        position = job.grid.position(block.index)
        for axis in range(job.grid.dims):
            if position[axis] > 0:
                lower = job.grid.index((*position[:axis], position[axis] - 1, *position[axis + 1 :]))
                path = job.overlap_file(lower, axis, "upper")
                self._save_overlap(block, job.grid[lower], ids, own.read_roi, path)
        self._fragments[block.write_roi] = ids[
            relative_slices(own.write_roi, own.read_roi, job.grid.voxel_size)
        ]
        if self._check is not None and not self._check(own):
            raise AttaccaError(
                f"{job.file}: check_function refused block {block.index}: it returned False for {own.write_roi}",
                fix="correct segment_function or check_function",
            )

    def _save_overlap(
        self, block: Block, neighbor: Block, ids: np.ndarray, read_roi: Roi, path: Path
    ) -> None:
        overlap = self._job.overlap(block, neighbor, self._source.roi)
        if not overlap.empty:
            save_arrays(path, labels=ids[relative_slices(overlap, read_roi, self._job.grid.voxel_size)])


class _CompareBlocks:
    """Step 2: compares a block with its upper neighbors."""

    def __init__(self, job: SegmentJob) -> None:
        self._job = job

    def open(self) -> None:
        """Read the ROI of the input."""
        self._data = ZarrArray.open_from_array_identifier(self._job.input).roi

    def __call__(self, block: Block) -> None:
        job, data = self._job, self._data
        pairs = [np.zeros((0, 2), dtype=np.uint64)]
        for axis, number in job.grid.upper_neighbors(block.index):
            overlap = job.overlap(block, job.grid[number], data)
            if overlap.empty:
                continue
            at_face = face_slices(overlap, block.write_roi.end[axis], axis, job.grid.voxel_size)
            labels = [
                np.load(job.overlap_file(block.index, axis, side))["labels"] for side in ("lower", "upper")
            ]
            pairs.append(find_joins(labels[0], labels[1], at_face, job.agreement))
        save_arrays(job.edges_file(block.index), pairs=np.concatenate(pairs))


class _RelabelBlocks:
    """Step 4: writes a block's final ids."""

    def __init__(self, job: SegmentJob) -> None:
        self._job = job

    def open(self) -> None:
        """Open the table and the arrays."""
        table = np.load(self._job.table_file)
        self._ids, self._components = table["ids"], table["components"]
        self._fragments = ZarrArray.open_from_array_identifier(self._job.fragments)
        self._output = ZarrArray.open_from_array_identifier(self._job.output, mode="a")

    def __call__(self, block: Block) -> None:
        labels = self._fragments[block.write_roi]
        self._output[block.write_roi] = relabel_volume(labels, self._ids, self._components)
