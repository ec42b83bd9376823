"""Damaged files of finished stages: they are found by the seals of stages, and restored or computed again.

Small files are restored from the seal. Blocks whose stored objects are damaged are removed from the ledger, so that the
stage computes them again. An array that was deleted as a whole is no damage, see ``deleted_outputs``.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.array_creation import write_block_of
from attacca.arrays.damage_notes import clear_damage, note_damage, read_damage
from attacca.arrays.identifier import is_url
from attacca.atomic import write_bytes
from attacca.blockwise import BlockGrid
from attacca.blockwise.ledger import remove_records
from attacca.errors import AttaccaError
from attacca.fingerprint import digest_file
from attacca.jobs.seals import Seal, SealedFile, is_copied, locate_file, name_file, read_seal
from attacca.jobs.stage import StageInstance
from attacca.layout import Layout
from attacca.manifest import read_values
from attacca.stages.provenance import PROVENANCE
from attacca.stages.report import REPORT
from attacca.stages.train import TRAIN
from attacca.workflow.workflow import Workflow

_THREADS = 8
_LISTED = 3


@dataclass
class StageDamage:
    """Damaged files of a stage.

    Attributes:
        files: state (``deleted``, ``truncated`` or ``changed``) of each damaged file by its path.
        copies: content of those files that can be restored, by path.
        times: modification times of these in nanoseconds.
    """

    files: dict[Path, str] = field(default_factory=dict)
    copies: dict[Path, bytes] = field(default_factory=dict)
    times: dict[Path, int] = field(default_factory=dict)

    def __str__(self) -> str:
        names = [f"{path} is {state}" for path, state in sorted(self.files.items())]
        return ", ".join(names[:_LISTED]) + (
            f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        )

    @property
    def needs_work(self) -> bool:
        """True if a file has to be computed again."""
        return len(self.copies) < len(self.files)


@dataclass
class DamageReport:
    """Damage of all stages.

    Attributes:
        stages: damaged files by stage.
        checked: number of files whose size was compared.
        read: number of files whose content was compared.
        unsealed: number of finished stages without a seal.
    """

    stages: dict[StageInstance, StageDamage] = field(default_factory=dict)
    checked: int = 0
    read: int = 0
    unsealed: int = 0

    def __str__(self) -> str:
        damaged = sum(len(damage.files) for damage in self.stages.values())
        text = f"results: {self.checked:,} files exist with their sizes, {self.read:,} of them with their digests"
        if damaged:
            text = f"results: {damaged:,} of {self.checked:,} files are damaged"
        return text + (f"; {self.unsealed} stages have no record of their files" if self.unsealed else "")


def all_instances(workflow: Workflow) -> list[StageInstance]:
    """Return all instances of stages, those that describe results included."""
    runs = [StageInstance(PROVENANCE, run) for run in workflow.configuration.runs]
    return [*workflow.instances(), *runs, StageInstance(REPORT)]


def find_damage(workflow: Workflow, read_arrays: bool = True, repair: bool = False) -> DamageReport:
    """Compare the files of all finished stages with their seals.

    Args:
        workflow: the configuration.
        read_arrays: whether to read all files that have a digest; otherwise only small files are read.
        repair: whether damaged seals are replaced by their copies.
    """
    report = DamageReport()
    for instance in all_instances(workflow):
        damage = _find_stage_damage(instance, workflow.layout, read_arrays, repair, report)
        if damage.files:
            report.stages[instance] = damage
    return report


def repair_damage(workflow: Workflow) -> DamageReport:
    """Restore small damaged files, and remove damaged blocks from ledgers; print what was found.

    Returns:
        The damage, whose stages with ``needs_work`` have to run again.
    """
    report = find_damage(workflow, repair=True)
    for instance, damage in report.stages.items():
        for path, data in damage.copies.items():
            write_bytes(path, data)
            os.utime(path, ns=(damage.times[path], damage.times[path]))
        lost = [path for path in damage.files if path not in damage.copies]
        if lost:
            _void(instance, workflow.layout, lost)
        action = "computed again" if lost else "restored"
        print(f"{instance.stage.name} {instance.label}: {damage}; {action}", file=sys.stderr, flush=True)
    if report.checked:
        print(report, file=sys.stderr, flush=True)
    return report


def _find_stage_damage(
    instance: StageInstance, layout: Layout, read_arrays: bool, repair: bool, report: DamageReport
) -> StageDamage:
    damage = StageDamage()
    seal = read_seal(instance, layout, repair)
    if seal is None:
        report.unsealed += instance.manifest(layout).exists()
        seal = Seal()
    missing = _find_deleted_directories(instance, layout, seal)
    for name, path in _noted_objects(instance, layout):
        if not (name in seal.files and seal.files[name].digest):
            damage.files[path] = "damaged"
    to_read: list[tuple[str, Path, SealedFile]] = []
    for name, sealed in seal.files.items():
        path = locate_file(name, layout)
        try:
            size = path.stat().st_size
        except OSError:
            if not _may_be_deleted(instance, layout, path, missing):
                damage.files[path] = "deleted"
            continue
        report.checked += 1
        if size != sealed.size:
            damage.files[path] = "truncated" if size < sealed.size else "changed"
        elif sealed.digest and (read_arrays or is_copied(name, size)):
            to_read.append((name, path, sealed))
    with ThreadPoolExecutor(_THREADS) as pool:
        digests = pool.map(lambda item: _digest(item[1]), to_read)
        for (_, path, sealed), present in zip(to_read, digests):
            report.read += 1
            if present != sealed.digest:
                damage.files[path] = "changed"
    for path in damage.files:
        name = name_file(path, layout)
        if name in seal.copies:
            damage.copies[path], damage.times[path] = seal.copies[name], seal.files[name].time
    return damage


def _digest(path: Path) -> str:
    try:
        return digest_file(path)
    except OSError:
        return ""


def _find_deleted_directories(instance: StageInstance, layout: Layout, seal: Seal) -> list[Path]:
    """Return directories that were deleted as a whole, or whose array at full resolution was."""
    roots = [Path(root) for root in instance.contents(layout) if not is_url(root)]
    names = {f"{path.rpartition('/s0/')[0]}/s0" for path in map(str, _paths(seal, layout))}
    arrays = [Path(array) for array in instance.arrays(layout) if array in names]
    deleted = [root for root in roots if not root.exists()]
    deleted += [array.parent for array in arrays if array.name == "s0" and not array.is_dir()]
    if instance.stage == TRAIN:
        folders = {path.parent for path in _paths(seal, layout)}
        deleted += [folder for folder in folders if not folder.is_dir()]
    if any(array.parent in deleted for array in arrays if array.name == "s0"):
        # The metadata of a deleted container are computed with its arrays.
        deleted += roots
    return deleted


def _paths(seal: Seal, layout: Layout) -> Iterator[Path]:
    return (locate_file(name, layout) for name in seal.files)


def _may_be_deleted(instance: StageInstance, layout: Layout, path: Path, deleted: list[Path]) -> bool:
    manifest = instance.manifest(layout)
    if path in (manifest, manifest.with_name(f".{manifest.stem}.finished.json")):
        # Users delete manifests to compute a result again.
        return True
    if any(path.is_relative_to(root) for root in deleted):
        return True
    if instance.stage == TRAIN and path.suffix == ".pt":
        result = (read_values(manifest) or {}).get("result", {})
        is_named = path.name in (result.get("best_file"), result.get("latest_file"))
        return not is_named or not any(path.parent.glob("*.pt"))
    return False


def _noted_objects(instance: StageInstance, layout: Layout) -> Iterator[tuple[str, Path]]:
    """Yield the stored objects that a job could not read."""
    for array in instance.arrays(layout):
        if not is_url(array):
            for directory in sorted(Path(array).parent.glob("s*")):
                for key in read_damage(str(directory)):
                    yield name_file(directory / key, layout), directory / key


def _void(instance: StageInstance, layout: Layout, lost: Iterable[Path]) -> None:
    """Remove the records of all work whose files are lost."""
    lost, manifest = list(lost), instance.manifest(layout)
    if manifest in lost:
        manifest.unlink(missing_ok=True)
    if instance.stage == TRAIN:
        # The training discards a damaged checkpoint and all later ones when it runs.
        checkpoints = layout.checkpoints(instance.run)
        note_damage(str(checkpoints), [path.name for path in lost if path.parent == checkpoints])
        return
    if not instance.stage.is_blockwise:
        manifest.with_name(f".{manifest.stem}.finished.json").unlink(missing_ok=True)
        for root in instance.contents(layout):
            for path in (Path(root) / ".attacca" / "ledger").glob("shard-*.txt"):
                path.unlink()
        return
    plan = read_values(instance.plan(layout)) or {}
    grid = BlockGrid.from_json(json.dumps(plan["grid"])) if "grid" in plan else None
    ledgers = [
        Path(root) / ".attacca" / "ledger" for root in (*instance.arrays(layout), *instance.contents(layout))
    ]
    ledgers = [directory for directory in dict.fromkeys(ledgers) if directory.is_dir()]
    blocks: set[int] | None = set()
    for path in lost:
        found = None if grid is None else _find_blocks(instance, layout, grid, path)
        blocks = None if blocks is None or found is None else blocks | found
    for directory in ledgers:
        remove_records(directory, blocks)
    for array in instance.arrays(layout):
        for directory in Path(array).parent.glob("s*"):
            clear_damage(str(directory))


def _find_blocks(instance: StageInstance, layout: Layout, grid: BlockGrid, path: Path) -> set[int] | None:
    """Return the blocks that write a file; None if all may write it."""
    if path.suffix == ".npy":
        return {int(path.name.partition(".")[0])}
    for directory in map(Path, instance.arrays(layout)):
        if path.is_relative_to(directory):
            with suppress(AttaccaError, ValueError):
                array = ZarrArray.open_from_array_identifier(
                    LocalArrayIdentifier(directory.parent, directory.name)
                )
                parts = [
                    part for part in path.relative_to(directory).as_posix().split("/") if part.isdecimal()
                ]
                index = Coordinate(map(int, parts[-array.dims :]))
                block = Coordinate(write_block_of(array.data)[-array.dims :]) * array.voxel_size
                low, high = array.roi.begin + index * block, array.roi.begin + (index + 1) * block
                begins, ends = grid.bounds(np.arange(len(grid)))
                touched = ((begins < np.array(high)) & (ends > np.array(low))).all(axis=1)
                return {int(number) for number in np.flatnonzero(touched)}
            return None
    # Coarser scales and other files are written when all blocks are finished.
    return set()
