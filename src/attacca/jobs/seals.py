"""Seals: records of all files of a finished stage, from which a later start finds damaged and deleted files.

A seal is a zip archive with the size and digest of each file, and with copies of small files that are not voxels or
weights: metadata, manifests, curves. It is written when the last job of a stage has finished, and set aside when the
first job of the stage starts again. It exists twice, in different directories, and members of the archive carry checksums:
if one is damaged, the other is used.

Above ``WHOLE_BYTES`` per stage, the digests are those of a sample of the files; the checksums of chunks protect the others
when they are read.
"""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from attacca.arrays.damage_notes import clear_damage
from attacca.arrays.identifier import is_url
from attacca.atomic import write_bytes
from attacca.fingerprint import canonical_json, digest_file
from attacca.jobs.stage import StageInstance
from attacca.layout import Layout

WHOLE_BYTES = 1 << 30
"""Size of a stage's files up to which all of them have digests."""

WEIGHTS_SUFFIX = ".pt"
"""Suffix of checkpoints."""

_BROKEN_SUFFIX = ".broken"
_LIST = "files.json"
_COPIES = "copies/"
_COPIED_BYTES = 1 << 20
_COPIED_SUFFIXES = (".json", ".tsv")
_COPIED_NAMES = (".zattrs", ".zarray", ".zgroup")
_COPIED_RECORD_BYTES = 64 << 20
_STAMP = (1980, 1, 1, 0, 0, 0)
_THREADS = 4


@dataclass(frozen=True)
class SealedFile:
    """State of a file when its stage finished.

    Attributes:
        size: bytes.
        digest: SHA-256 in hexadecimal; empty for a file that was not read.
    """

    size: int
    digest: str


@dataclass(frozen=True)
class Seal:
    """Files of a finished stage.

    Attributes:
        files: state of each file by its name (see ``name_file``).
        copies: content of small files by name.
        inputs: SHA-256 of each manifest that the stage read.
    """

    files: dict[str, SealedFile] = field(default_factory=dict)
    copies: dict[str, bytes] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()


def seal_paths(instance: StageInstance, layout: Layout) -> tuple[Path, Path]:
    """Return the paths of both archives of a stage's seal."""
    name = instance.manifest(layout).relative_to(layout.results).with_suffix(".zip")
    return layout.results / ".seals" / "1" / name, layout.results / ".seals" / "2" / name


def break_seal(instance: StageInstance, layout: Layout) -> None:
    """Set the seal of a stage aside whose files are going to change, and remove the notes of its damaged objects."""
    for path in seal_paths(instance, layout):
        if path.exists():
            path.replace(path.with_suffix(_BROKEN_SUFFIX))
    for directory in list_scales(instance, layout):
        clear_damage(str(directory))


def read_broken_seal(instance: StageInstance, layout: Layout) -> Seal | None:
    """Return the seal that a job has set aside without finishing the stage; None if there is none."""
    paths = (path.with_suffix(_BROKEN_SUFFIX) for path in seal_paths(instance, layout))
    return next((seal for path in paths if (seal := _read_archive(path)) is not None), None)


def mend_seal(instance: StageInstance, layout: Layout) -> None:
    """Make a seal that was set aside valid again, because the job that did so has changed no file."""
    for path in seal_paths(instance, layout):
        broken = path.with_suffix(_BROKEN_SUFFIX)
        if broken.exists():
            broken.replace(path)


def list_scales(instance: StageInstance, layout: Layout) -> list[Path]:
    """Return the directories of all scales of the local arrays of a stage."""
    arrays = [Path(array) for array in instance.arrays(layout) if not is_url(array)]
    return [scale for array in arrays for scale in sorted(array.parent.glob("s[0-9]*"))]


def write_seal(instance: StageInstance, layout: Layout, inputs: Iterable[Path] = ()) -> None:
    """Record all files of a finished stage.

    Args:
        instance: the stage.
        layout: paths of results.
        inputs: manifests that the stage read.
    """
    read = [digest_file(path) for path in inputs]
    paths = {name_file(path, layout): path for path in list_stage_files(instance, layout)}
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    total = sum(sizes.values())
    step = max(1, -(-total // WHOLE_BYTES))
    chosen = [
        name
        for name in sorted(paths)
        if is_copied(name, sizes[name]) or zlib.crc32(name.encode()) % step == 0
    ]
    with ThreadPoolExecutor(_THREADS) as pool:
        digests = dict(zip(chosen, pool.map(lambda name: digest_file(paths[name]), chosen)))
    files = {name: [sizes[name], digests.get(name, "")] for name in sorted(paths)}
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            zipfile.ZipInfo(_LIST, _STAMP),
            canonical_json({"files": files, "inputs": read}),
            zipfile.ZIP_DEFLATED,
        )
        for name in sorted(paths):
            if is_copied(name, sizes[name]):
                archive.writestr(
                    zipfile.ZipInfo(_COPIES + name, _STAMP), paths[name].read_bytes(), zipfile.ZIP_DEFLATED
                )
    for path in seal_paths(instance, layout):
        write_bytes(path, buffer.getvalue())
        path.with_suffix(_BROKEN_SUFFIX).unlink(missing_ok=True)


def read_seal(instance: StageInstance, layout: Layout, repair: bool = False) -> Seal | None:
    """Return the seal of a stage; None if it is not finished, or if both archives are damaged.

    Args:
        instance: the stage.
        layout: paths of results.
        repair: whether a damaged archive is replaced by the other.
    """
    both = seal_paths(instance, layout)
    contents = [(path, _read_archive(path)) for path in both]
    valid = next(((path, seal) for path, seal in contents if seal is not None), None)
    if valid is None:
        return None
    path, seal = valid
    if repair:
        for other, found in contents:
            if found is None:
                write_bytes(other, path.read_bytes())
                time = path.stat().st_mtime_ns
                os.utime(other, ns=(time, time))
    return seal


def read_seal_time(instance: StageInstance, layout: Layout) -> int:
    """Return the time of a stage's seal in nanoseconds: no file of the stage is newer; 0 without a seal."""
    paths = seal_paths(instance, layout)
    return min((path.stat().st_mtime_ns for path in paths if path.exists()), default=0)


def _read_archive(path: Path) -> Seal | None:
    try:
        with zipfile.ZipFile(path) as archive:
            values = json.loads(archive.read(_LIST))
            names = [name for name in archive.namelist() if name.startswith(_COPIES)]
            copies = {name.removeprefix(_COPIES): archive.read(name) for name in names}
        files = {name: SealedFile(*state) for name, state in values["files"].items()}
        inputs = tuple(values.get("inputs", ()))
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
    ):
        return None
    # Checksums of the archive do not cover the names of its members.
    if copies.keys() != {name for name, file in files.items() if is_copied(name, file.size)}:
        return None
    if any(hashlib.sha256(data).hexdigest() != files[name].digest for name, data in copies.items()):
        return None
    return Seal(files, copies, inputs)


def is_copied(name: str, size: int) -> bool:
    """Return whether a seal contains a copy of a file.

    Curves and other records of a training are copied up to 64 MiB, because only another training would write them again.

    >>> is_copied("first/tuning.json", 900), is_copied("first/cube.zarr/prediction/s0/c/0/0/0", 900)
    (True, False)
    >>> is_copied("first/training/metrics.tsv", 10_000_000)
    True
    """
    path = Path(name)
    if "/training/" in name and path.suffix != WEIGHTS_SUFFIX:
        return size <= _COPIED_RECORD_BYTES
    return size <= _COPIED_BYTES and (path.suffix in _COPIED_SUFFIXES or path.name in _COPIED_NAMES)


def name_file(path: Path, layout: Layout) -> str:
    """Return the name of a file in seals, which does not change when the results are moved.

    >>> name_file(Path("results/first/training.json"), Layout(Path("results")))
    'first/training.json'
    """
    if path.is_relative_to(layout.results):
        return path.relative_to(layout.results).as_posix()
    return f"storage:{path.relative_to(layout.array_root).as_posix()}"


def locate_file(name: str, layout: Layout) -> Path:
    """Return the path of a file that is named in a seal.

    >>> locate_file("first/training.json", Layout(Path("results"))).as_posix()
    'results/first/training.json'
    """
    is_stored = name.startswith("storage:")
    return Path(layout.array_root if is_stored else layout.results) / name.removeprefix("storage:")


def list_stage_files(instance: StageInstance, layout: Layout) -> Iterator[Path]:
    """Yield the files that a stage has written, without ledgers, logs and arrays behind an address."""
    manifest = instance.manifest(layout)
    own = [manifest, manifest.with_name(f".{manifest.stem}.finished.json")]
    own += [instance.plan(layout), *instance.finished_shards(layout)]
    yield from (path for path in own if path.is_file())
    for root in instance.contents(layout):
        if is_url(root):
            continue
        if os.path.isfile(root):
            yield Path(root)
        for directory, names, files in os.walk(root):
            names[:] = sorted(name for name in names if not name.startswith("."))
            for name in sorted(files):
                if not name.startswith(".") or name in _COPIED_NAMES:
                    yield Path(directory) / name
