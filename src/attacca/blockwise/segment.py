"""Runs a segmentation function of the user's over a volume, block by block, and joins the segments.

1. Each block is segmented with its context (``_SegmentBlocks``): its own part goes to a scratch array, with
   ids that no other block uses; what it found in the overlaps with its neighbors goes to scratch files.
2. Neighboring blocks are compared (``_CompareBlocks``, ``attacca.blockwise.stitching``).
3. One table says which ids are one; each block is relabelled into the output (``_RelabelBlocks``).

All three keep ledgers: killed at any moment, the same call goes on where it was.
"""

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays.zarr_array import ZarrArray
from attacca.blockwise.grid import Block
from attacca.blockwise.runner import run_blocks
from attacca.blockwise.segment_job import SegmentJob, inside, load_segment_file, save
from attacca.blockwise.stitching import face_slices, joins, relabel_volume, unique_ids
from attacca.errors import AttaccaError, BlocksFailedError
from attacca.progress import Progress

logger = logging.getLogger("attacca.blockwise")


@dataclass(frozen=True)
class SegmentBlock:
    """What a segmentation function is told about its block.

    Args:
        index: number of the block.
        read_roi: the region to segment, in world units: the block and its context, as far as there are data.
        write_roi: the part of it that becomes output.
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
    """Segment a volume of any size with a function of one's own.

    The function's file is Python and defines

    * ``segment_function(input_array, block, **parameters)``, which returns labels (integers, 0 is
      background) of the shape of ``block.read_roi``, with an optional dictionary ``default_parameters``; or
    * ``spawn_worker(*args, **kwargs)``, called once in each process, and ``start_worker(worker, block)``,
      called for each block with what ``spawn_worker`` returned, which returns labels as above.

    It may define ``init_callback_fn(context)``, called once in each process with the dictionary of the
    keyword arguments below, and ``check_function(block)``, called after a block was segmented, which returns
    whether the result is accepted; a block that is not is tried again.

    Args:
        segment_function_file: the file.
        context: world units around each block that are read; the larger of this and what ``read_roi`` adds to
            ``write_roi`` counts. Without any context, segments end at the faces of blocks.
        total_roi: what to segment.
        read_roi: what the first block reads.
        write_roi: what the first block writes; its shape is the block size.
        num_workers: processes, at most as many as there are cores.
        max_retries: how often a block that failed is tried again.
        timeout: seconds that a block may take.
        upstream_tasks: functions without arguments that are called first, in their order; one that returns
            False stops.
        keep_tmpdir: keep the scratch directory after success; after a failure it always stays, for the next
            call.
        args: handed to ``spawn_worker``.
        kwargs: ``input_array_identifier`` and ``output_array_identifier`` (the latter is made if it is not
            there); and ``parameters``, a dictionary for the function; ``agreement``, between 0 and 1, from
            which on segments of neighboring blocks are joined (0.5; see ``attacca.blockwise.stitching``);
            ``tmpdir``, the scratch directory. All, and any others, are handed to ``spawn_worker``.

    Returns:
        True. The output holds uint64 ids.

    Raises:
        BlocksFailedError: a block or an upstream task failed; the finished blocks are kept for the next call.
        ConfigurationError: an argument cannot be used.
        MissingInputError: there is no such file or input array.
    """
    for task in upstream_tasks or ():
        if task() is False:
            raise BlocksFailedError(f"the upstream task {getattr(task, '__name__', task)!r} failed")
    job = SegmentJob.create(
        Path(segment_function_file), context, total_roi, read_roi, write_roi, args, kwargs
    )
    workers = max(1, min(num_workers, len(os.sched_getaffinity(0))))
    scratch = job.begin()
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
    if job.stitched:
        compared = scratch / "compared"
        compared.mkdir(exist_ok=True)
        run("compare", _CompareBlocks(job), str(compared))
    else:
        logger.warning("segments are not joined across blocks: there is no context to compare them in")
    job.write_table()
    run("relabel", _RelabelBlocks(job), job.output_directory)
    job.end(keep=keep_tmpdir)
    return True


class _SegmentBlocks:
    """Segments a block, and keeps what it found where its neighbors looked too."""

    def __init__(self, job: SegmentJob) -> None:
        self._job = job
        self._segment: Callable[[SegmentBlock], Any] | None = None
        self._check: Callable[[SegmentBlock], bool] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_job": self._job, "_segment": None, "_check": None}

    def open(self) -> None:
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
        told = SegmentBlock(block.index, block.read_roi.intersect(self._source.roi), block.write_roi)
        labels = np.asarray(self._segment(told))
        expected = tuple(told.read_roi.shape / job.grid.voxel_size)
        if labels.shape != expected or labels.dtype.kind not in "iub":
            raise AttaccaError(
                f"{job.file}: found labels of shape {labels.shape} and type {labels.dtype} for block "
                f"{block.index}, expected "
                f"integers of shape {expected}, that of block.read_roi"
            )
        ids = unique_ids(labels, block.index, job.stride)
        for axis, neighbor in job.grid.upper_neighbors(block.index):
            self._keep(
                block, job.grid[neighbor], ids, told.read_roi, job.overlap_file(block.index, axis, "lower")
            )
        position = job.grid.position(block.index)
        for axis in range(job.grid.dims):
            if position[axis] > 0:
                lower = job.grid.index((*position[:axis], position[axis] - 1, *position[axis + 1 :]))
                self._keep(block, job.grid[lower], ids, told.read_roi, job.overlap_file(lower, axis, "upper"))
        self._fragments[block.write_roi] = ids[inside(told.write_roi, told.read_roi, job.grid.voxel_size)]
        if self._check is not None and not self._check(told):
            raise AttaccaError(f"{job.file}: check_function refused block {block.index}")

    def _keep(self, block: Block, neighbor: Block, ids: np.ndarray, read: Roi, path: Path) -> None:
        overlap = self._job.overlap(block, neighbor, self._source.roi)
        if not overlap.empty:
            part = ids[inside(overlap, read, self._job.grid.voxel_size)]
            save(path, lambda file: np.savez_compressed(file, labels=part))


class _CompareBlocks:
    """Compares a block with its upper neighbors."""

    def __init__(self, job: SegmentJob) -> None:
        self._job = job

    def open(self) -> None:
        self._data = ZarrArray.open_from_array_identifier(self._job.input).roi

    def __call__(self, block: Block) -> None:
        job, data = self._job, self._data
        found = [np.zeros((0, 2), dtype=np.uint64)]
        for axis, number in job.grid.upper_neighbors(block.index):
            overlap = job.overlap(block, job.grid[number], data)
            if overlap.empty:
                continue
            at_face = face_slices(overlap, block.write_roi.end[axis], axis, job.grid.voxel_size)
            labels = [
                np.load(job.overlap_file(block.index, axis, side))["labels"] for side in ("lower", "upper")
            ]
            found.append(joins(labels[0], labels[1], at_face, job.agreement))
        edges = np.concatenate(found)
        save(job.edges_file(block.index), lambda file: np.save(file, edges))


class _RelabelBlocks:
    """Writes a block's final ids."""

    def __init__(self, job: SegmentJob) -> None:
        self._job = job

    def open(self) -> None:
        table = np.load(self._job.table_file)
        self._ids, self._components = table["ids"], table["components"]
        self._fragments = ZarrArray.open_from_array_identifier(self._job.fragments)
        self._output = ZarrArray.open_from_array_identifier(self._job.output, mode="a")

    def __call__(self, block: Block) -> None:
        labels = self._fragments[block.write_roi]
        self._output[block.write_roi] = relabel_volume(labels, self._ids, self._components)
