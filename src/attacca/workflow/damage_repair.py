"""Repair of damaged results: small files are restored from seals, all others are computed again.

The start of the workflow restores files before Snakemake decides which stages have to run. The records of damaged
blocks are removed when jobs are about to start, so that a dry run keeps them.
"""

import json
import os
import re
import sys
from collections.abc import Collection, Iterable
from contextlib import suppress
from itertools import groupby
from pathlib import Path

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.array_creation import write_block_of
from attacca.arrays.damage_notes import note_damage
from attacca.arrays.identifier import is_url
from attacca.atomic import write_bytes
from attacca.blockwise import BlockGrid
from attacca.blockwise.ledger_files import remove_records
from attacca.errors import AttaccaError
from attacca.export.products import PRODUCTS, remove_product
from attacca.jobs.block_shape import read_plan
from attacca.jobs.seals import read_seal_time, seal_paths
from attacca.jobs.stage import StageInstance
from attacca.layout import Layout
from attacca.stages.export import EXPORT
from attacca.stages.train import TRAIN
from attacca.workflow.damage import DamageReport, StageDamage, all_instances, find_damage
from attacca.workflow.workflow import Workflow

_COARSER = re.compile(r"s[1-9]\d*")
"""Name of a coarser scale of an image."""


def restore_files(workflow: Workflow) -> DamageReport:
    """Restore small damaged files from the seals of their stages, and print all damage and missing manifests.

    Returns:
        The damage. Stages with ``needs_work`` have to run again, after ``discard_damaged_work``.
    """
    report = find_damage(workflow, repair_seals=True)
    for instance, damage in report.stages.items():
        try:
            for path, data in damage.copies.items():
                write_bytes(path, data)
            _restore_times(instance, workflow.layout, damage)
            action = _describe_repair(instance, damage, workflow.layout)
        except OSError as error:
            action = f"cannot be restored: {error.strerror}"
        print(f"{instance.title}: {damage}; {action}", file=sys.stderr, flush=True)
    for instance, path in report.missing_manifests.items():
        print(f"{instance.title}: {path} is missing; it is written again", file=sys.stderr)
    if report.checked:
        print(report, file=sys.stderr, flush=True)
    return report


def discard_unplanned_marks(workflow: Workflow) -> None:
    """Remove manifests and files of shards of stages without a plan, which Snakemake deletes if the job of the plan fails.

    Snakemake does not miss a plan while the files exist that are made from it. The ledgers keep the finished blocks.
    """
    layout = workflow.layout
    for instance in all_instances(workflow):
        if not instance.stage.is_blockwise or instance.plan(layout).exists():
            continue
        marks = [
            path for path in (instance.manifest(layout), *instance.finished_shards(layout)) if path.exists()
        ]
        # Of results that may not be written, Snakemake reports it.
        with suppress(OSError):
            for path in marks:
                path.unlink(missing_ok=True)


def discard_damaged_work(workflow: Workflow, report: DamageReport) -> None:
    """Remove the records of blocks, tables and checkpoints whose files are damaged, so that jobs compute them again."""
    for instance, damage in report.stages.items():
        if damage.needs_work:
            _discard(instance, workflow.layout, damage.lost)


def _restore_times(instance: StageInstance, layout: Layout, damage: StageDamage) -> None:
    """Give restored files times in the order in which the stage wrote them, before those of all stages downstream."""
    manifest, plan = instance.manifest(layout), instance.plan(layout)
    marks = instance.finished_shards(layout)
    written_last = [path for path in damage.copies if path not in (manifest, plan, *marks)]
    time = read_seal_time(instance, layout)
    for path in (*written_last, manifest, *marks, plan):
        if path in damage.copies:
            os.utime(path, ns=(time, time))
        elif path.exists():
            time = min(time, path.stat().st_mtime_ns)


def _describe_repair(instance: StageInstance, damage: StageDamage, layout: Layout) -> str:
    actions = []
    if damage.copies:
        actions.append(f"{_count_files(damage.copies)} restored from the copy that the stage kept")
    if damage.lost:
        actions.append(f"{_count_files(damage.lost)} will be computed again")
    if damage.irreparable:
        seals = " and ".join(map(str, seal_paths(instance, layout)))
        actions.append(
            f"{_count_files(damage.irreparable)} cannot be restored: delete {seals} to keep them as they are"
        )
    return ", ".join(actions)


def _count_files(files: Collection[Path]) -> str:
    return "1 file" if len(files) == 1 else f"{len(files)} files"


def _discard(instance: StageInstance, layout: Layout, lost: list[Path]) -> None:
    manifest = instance.manifest(layout)
    if manifest in lost:
        manifest.unlink(missing_ok=True)
    if instance.stage == TRAIN:
        # The training discards a damaged checkpoint and all later ones when it runs.
        checkpoints = layout.checkpoints(instance.run)
        note_damage(str(checkpoints), [path.name for path in lost if path.parent == checkpoints])
    elif instance.stage == EXPORT:
        directory = layout.export(instance.run, instance.volume)
        for name, product in PRODUCTS.items():
            if any(path.is_relative_to(directory / product) for path in lost):
                remove_product(directory, name)
    elif instance.stage.is_blockwise:
        _discard_blocks(instance, layout, lost)
    else:
        manifest.with_name(f".{manifest.stem}.finished.json").unlink(missing_ok=True)
        _remove_parts(lost, layout.agglomeration(instance.run, instance.volume))
        for root in instance.contents(layout):
            for path in (Path(root) / ".attacca" / "ledger").glob("shard-*.txt"):
                path.unlink()


def _remove_parts(lost: Iterable[Path], directory: Path) -> None:
    """Remove the files of all parts of an agglomeration that have a damaged file, so that the parts are computed again."""
    for path in lost:
        if path.is_relative_to(directory):
            for file in path.parent.glob(f"{path.name.partition('.')[0]}.*"):
                file.unlink()


def _discard_blocks(instance: StageInstance, layout: Layout, lost: Iterable[Path]) -> None:
    plan = read_plan(instance.plan(layout)) or {}
    grid = BlockGrid.from_json(json.dumps(plan["grid"])) if "grid" in plan else None
    arrays = [Path(array) for array in instance.arrays(layout) if not is_url(array)]
    roots = [*map(str, arrays), *(root for root in instance.contents(layout) if not is_url(root))]
    ledgers = [Path(root) / ".attacca" / "ledger" for root in dict.fromkeys(roots)]
    _discard_scales(lost)
    blocks: set[int] | None = set()
    for array, paths in groupby(sorted(lost), lambda path: _find_array(path, arrays)):
        found = None if grid is None else _find_blocks(grid, array, list(paths))
        blocks = None if blocks is None or found is None else blocks | found
    for directory in ledgers:
        if directory.is_dir():
            remove_records(directory, blocks)


def _discard_scales(lost: Iterable[Path]) -> None:
    """Remove the records of coarser scales with a damaged file, so that all of their blocks are computed again."""
    scales = {parent for path in lost for parent in path.parents if _COARSER.fullmatch(parent.name)}
    for scale in scales:
        ledger = scale / ".attacca" / "ledger"
        if ledger.is_dir():
            remove_records(ledger, None)


def _find_array(path: Path, arrays: Iterable[Path]) -> Path | None:
    if path.suffix == ".npy":
        return None
    return next((array for array in arrays if path.is_relative_to(array)), None)


def _find_blocks(grid: BlockGrid, directory: Path | None, paths: list[Path]) -> set[int] | None:
    """Return the blocks that write files; None if all blocks may write them.

    Args:
        grid: blocks of the stage.
        directory: array at full resolution that contains the files, or None. Coarser scales and other files are written
            when all blocks are finished; a table of a block has the number of the block as its name.
        paths: the files.
    """
    if directory is None:
        numbers = (path.name.partition(".")[0] for path in paths if path.suffix == ".npy")
        return {int(number) for number in numbers if number.isdecimal()}
    blocks: set[int] = set()
    with suppress(AttaccaError, ValueError):
        array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(directory.parent, directory.name))
        begins, ends = grid.bounds(np.arange(len(grid)))
        size = Coordinate(write_block_of(array.data)[-array.dims :]) * array.voxel_size
        for path in paths:
            parts = [part for part in path.relative_to(directory).parts if part.isdecimal()]
            if len(parts) < array.dims:
                return None
            low = array.roi.begin + Coordinate(map(int, parts[-array.dims :])) * size
            touched = ((begins < np.array(low + size)) & (ends > np.array(low))).all(axis=1)
            blocks.update(map(int, np.flatnonzero(touched)))
        return blocks
    return None
