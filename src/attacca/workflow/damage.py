"""Damaged files of finished stages, which are found by the seals of the stages.

An array that was deleted as a whole does not count as damaged, see ``deleted_outputs``.
"""

import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import batched, chain
from pathlib import Path

from attacca.arrays.damage_notes import read_damage
from attacca.arrays.identifier import is_url
from attacca.errors import join_names
from attacca.fingerprint import digest_file
from attacca.jobs.seals import (
    WEIGHTS_SUFFIX,
    Seal,
    SealedFile,
    is_copied,
    list_scales,
    locate_file,
    mend_seal,
    name_file,
    read_broken_seal,
    read_seal,
    read_seal_time,
)
from attacca.jobs.stage import StageInstance
from attacca.layout import Layout
from attacca.manifest import read_values
from attacca.stages.train import TRAIN
from attacca.workflow.summaries import summaries
from attacca.workflow.workflow import Workflow

READ_BYTES = 4 << 30
"""Bytes of arrays and weights that one search reads. Files that changed after their stage are read first."""

_THREADS = 8
_BATCH = 500
_LISTED = 3


@dataclass
class StageDamage:
    """Damaged files of a stage.

    Attributes:
        files: state (``deleted``, ``truncated``, ``changed`` or ``unreadable``) of each damaged file by its path.
        copies: content of those files that can be restored, by path.
        irreparable: records of a training that have no copy. Only a training from its start would write them again.
    """

    files: dict[Path, str] = field(default_factory=dict)
    copies: dict[Path, bytes] = field(default_factory=dict)
    irreparable: set[Path] = field(default_factory=set)

    def __str__(self) -> str:
        names = [f"{path} is {state}" for path, state in sorted(self.files.items())]
        return join_names(names, _LISTED)

    @property
    def lost(self) -> list[Path]:
        """The files that have to be computed again."""
        return [path for path in self.files if path not in self.copies and path not in self.irreparable]

    @property
    def needs_work(self) -> bool:
        """True if a file has to be computed again."""
        return bool(self.lost)


@dataclass
class DamageReport:
    """Damage of all stages.

    Attributes:
        stages: damaged files by stage.
        checked: number of files whose size was compared.
        read: number of files whose content was compared.
        unsealed: number of finished stages without a seal.
        missing_manifests: manifest of each finished stage whose manifest was deleted. Snakemake runs these stages.
    """

    stages: dict[StageInstance, StageDamage] = field(default_factory=dict)
    checked: int = 0
    read: int = 0
    unsealed: int = 0
    missing_manifests: dict[StageInstance, Path] = field(default_factory=dict)

    def __str__(self) -> str:
        damaged = sum(len(damage.files) for damage in self.stages.values())
        text = f"results: {self.checked:,} files exist with their sizes, {self.read:,} of them with their digests"
        if damaged:
            text = f"results: {damaged:,} of {self.checked:,} files are damaged"
        return text + (f"; {self.unsealed} stages have no record of their files" if self.unsealed else "")


@dataclass(frozen=True)
class _Present:
    """A file that exists with its size, and may be read.

    Attributes:
        instance: its stage.
        path: its path.
        sealed: its state when the stage finished.
        rank: files of a lower rank are read first, those of rank 0 always.
    """

    instance: StageInstance
    path: Path
    sealed: SealedFile
    rank: int


def all_instances(workflow: Workflow) -> list[StageInstance]:
    """Return all instances of stages, those that describe results included."""
    return [*workflow.instances(), *summaries(workflow.configuration)]


def find_damage(workflow: Workflow, read_arrays: bool = True, repair_seals: bool = False) -> DamageReport:
    """Compare the files of all finished stages with their seals.

    Args:
        workflow: the configuration.
        read_arrays: whether to read arrays and weights up to ``READ_BYTES``; otherwise only small files are read.
        repair_seals: whether damaged seals are replaced by their copies, and seals that a job without effect has set
            aside are renewed.
    """
    report, layout = DamageReport(), workflow.layout
    found: dict[StageInstance, StageDamage] = {}
    seals: dict[StageInstance, Seal] = {}
    present: list[_Present] = []
    for instance in all_instances(workflow):
        if repair_seals:
            _mend_seal(instance, layout)
        seal = read_seal(instance, layout, repair_seals)
        if seal is None:
            report.unsealed += instance.manifest(layout).exists()
            seal = Seal()
        elif not instance.manifest(layout).exists():
            report.missing_manifests[instance] = instance.manifest(layout)
        seals[instance], found[instance] = seal, StageDamage()
        found[instance].files = dict.fromkeys(_list_noted_objects(instance, layout), "unreadable")
        present += _compare_sizes(instance, layout, seal, found[instance], report)
    for item, digest in _read_digests(present, READ_BYTES if read_arrays else 0):
        report.read += 1
        if digest != item.sealed.digest:
            found[item.instance].files[item.path] = "changed"
    for instance, damage in found.items():
        for path in damage.files:
            name = name_file(path, layout)
            if name in seals[instance].copies:
                damage.copies[path] = seals[instance].copies[name]
            elif instance.stage == TRAIN and path.suffix != WEIGHTS_SUFFIX:
                damage.irreparable.add(path)
    report.stages = {instance: damage for instance, damage in found.items() if damage.files}
    return report


def _mend_seal(instance: StageInstance, layout: Layout) -> None:
    """Renew the seal that a job has set aside which then failed, or found nothing to do, before it changed a file.

    Snakemake deletes the output of a job that failed, such as the plan of a stage; the seal has copies of such files.
    """
    seal = read_broken_seal(instance, layout)
    if seal is None or not instance.manifest(layout).exists() or read_seal(instance, layout) is not None:
        return
    damage = StageDamage()
    present = list(_compare_sizes(instance, layout, seal, damage, DamageReport()))
    if any(
        state != "deleted" or name_file(path, layout) not in seal.copies
        for path, state in damage.files.items()
    ):
        return
    if all(digest == item.sealed.digest for item, digest in _read_digests(present, READ_BYTES)):
        mend_seal(instance, layout)


def _compare_sizes(
    instance: StageInstance, layout: Layout, seal: Seal, damage: StageDamage, report: DamageReport
) -> Iterator[_Present]:
    """Add missing files and files of other sizes to the damage of a stage, and yield those that may be read."""
    missing = _find_deleted_directories(instance, layout, seal)
    paths = [locate_file(name, layout) for name in seal.files]
    time = read_seal_time(instance, layout)
    for (name, sealed), path, state in zip(seal.files.items(), paths, _read_states(paths)):
        if state is None:
            if not _may_be_deleted(instance, layout, path, missing):
                damage.files[path] = "deleted"
            continue
        report.checked += 1
        if state.st_size != sealed.size:
            damage.files[path] = "truncated" if state.st_size < sealed.size else "changed"
        elif sealed.digest:
            rank = 0 if is_copied(name, sealed.size) else 1 if state.st_mtime_ns > time else 2
            yield _Present(instance, path, sealed, rank)


def _read_states(paths: Sequence[Path]) -> Iterator[os.stat_result | None]:
    with ThreadPoolExecutor(_THREADS) as pool:
        # One task per file would take longer than the system call.
        yield from chain.from_iterable(pool.map(_read_batch, batched(paths, _BATCH)))


def _read_batch(paths: Iterable[Path]) -> list[os.stat_result | None]:
    return [_read_state(path) for path in paths]


def _read_state(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _read_digests(present: list[_Present], budget: int) -> Iterator[tuple[_Present, str]]:
    """Yield files with the digests of their present content, empty for a file that cannot be read."""
    chosen, total = [], 0
    for item in sorted(present, key=lambda item: (item.rank, zlib.crc32(str(item.path).encode()))):
        total += item.sealed.size if item.rank else 0
        if item.rank and total > budget:
            break
        chosen.append(item)
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from zip(chosen, pool.map(lambda item: _read_digest(item.path), chosen))


def _read_digest(path: Path) -> str:
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
    is_mark = path.parent == manifest.parent and path.name.startswith(
        (f"{manifest.stem}.plan", f"{manifest.stem}.shard-")
    )
    if is_mark and not manifest.exists():
        # Snakemake runs the stage.
        return True
    if any(path.is_relative_to(root) for root in deleted):
        return True
    if instance.stage == TRAIN and path.suffix == WEIGHTS_SUFFIX:
        result = (read_values(manifest) or {}).get("result", {})
        is_named = path.name in (result.get("best_file"), result.get("latest_file"))
        return not is_named or not any(path.parent.glob("*.pt"))
    return False


def _list_noted_objects(instance: StageInstance, layout: Layout) -> list[Path]:
    """Return the stored objects that a job could not read."""
    return [
        directory / key for directory in list_scales(instance, layout) for key in read_damage(str(directory))
    ]
