"""Digests of stored data: of arrays by their chunks, of directories by their files.

1. The files of an array are listed: its metadata and its chunks or shards, without the ledger and other hidden files.
2. The bytes of each file are hashed (SHA-256), many files in parallel. Of a ``.npz``, which contains the time of
   writing, the checksums of its members are hashed.
3. The digest is that of the sorted list of (name, size, hash).

Above ``whole_bytes`` in total, names and sizes of all files count, but the bytes only of every n-th file: a result of
many terabytes is digested in minutes. A hash of the file's name selects these files: two arrays with equal files use
the same sample.

An array has millions of files. Their names are kept as one text per directory and their sizes as plain numbers, and
their hashes enter the digest one after another, so that a file needs about ten bytes of memory.
"""

import hashlib
import math
import os
import zipfile
from array import array
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from pathlib import Path

import fsspec

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.identifier import is_url
from attacca.arrays.links import read_link
from attacca.arrays.precomputed import is_precomputed, locate_precomputed
from attacca.arrays.storage import remote_file_system, storage_options
from attacca.arrays.stored_array import ForeignArray
from attacca.fingerprint import canonical_json, digest

WHOLE_BYTES = 64 * 10**9
"""Data up to this size are read completely."""
# Files whose hashes are computed at the same time: each needs a kilobyte meanwhile.
_BATCH = 4096


@dataclass(frozen=True)
class ContentDigest:
    """Digest of stored data.

    Args:
        digest: SHA-256 in hexadecimal; empty without files.
        files: number of files.
        bytes: total size of the files.
        sample: 1 if all files were read, n if every n-th file was read.
    """

    digest: str
    files: int
    bytes: int
    sample: int

    def to_json(self) -> dict[str, str | int]:
        """Return plain values for a manifest."""
        return asdict(self)


def digest_content(
    path: str | Path,
    threads: int = 4,
    whole_bytes: int = WHOLE_BYTES,
    names: Collection[str] | None = None,
) -> ContentDigest:
    """Digest the files below a directory or an address (``s3://bucket/array``).

    Args:
        path: directory of an array, any other directory, or a single file.
        threads: number of files that are read in parallel.
        whole_bytes: total size above which only a sample of the files is read.
        names: paths of the only files to consider, relative to ``path``; missing ones are skipped. All files by default.
    """
    if is_url(path):
        remote = _list_remote_files(str(path))
        files = _FileList(item for item in remote if names is None or item[0] in names)
    elif names is None:
        files = _FileList(_list_local_files(Path(path)))
    else:
        files = _FileList(_stat_files(Path(path), names))
    sample = max(1, math.ceil(files.bytes / whole_bytes))
    # Canonical JSON of all entries, of which only a batch is in memory at the same time.
    total = hashlib.sha256(b"[")
    separator = b""
    with ThreadPoolExecutor(max(1, threads)) as pool:
        remaining = iter(files)
        while batch := list(islice(remaining, _BATCH)):
            selected = [name for name, _ in batch if _draw(name) % sample == 0]
            hashes = dict(zip(selected, pool.map(lambda name: _hash_file(str(path), name), selected)))
            for name, size in batch:
                total.update(separator + canonical_json([name, size, hashes.get(name, "")]).encode())
                separator = b","
    total.update(b"]")
    return ContentDigest(total.hexdigest() if len(files) else "", len(files), files.bytes, sample)


def digest_linked_array(container: str, dataset: str, threads: int = 1) -> ContentDigest | None:
    """Digest the part of another array that a data set links to, or return None if the data set is not a link.

    The other array may be far larger than the linked region: chunks outside of the region are not read. Of an archive,
    and of a sharded Precomputed volume, all files are digested. Web servers do not list files: None for their arrays.

    Raises:
        MissingInputError: the other array does not exist any more.
    """
    if read_link(container, dataset) is None:
        return None
    linked = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(container, dataset))
    container = str(linked.file_name)
    if not is_url(container) and Path(container).is_file():
        return digest_content(container, threads)
    names: set[str] | None = {"zarr.json", ".zarray", "attributes.json", *linked.object_keys()}
    directory = linked.directory
    if is_precomputed(container):
        directory = locate_precomputed(directory)
        is_sharded = isinstance(linked.data, ForeignArray) and linked.data.has_unnamed_objects
        names = None if is_sharded else names
    if directory.startswith(("http://", "https://")):
        return None
    return digest_content(directory, threads, names=names)


class _FileList:
    """Names and sizes of files, in the order of their listing.

    Args:
        files: sorted by name, so that files of one directory are adjacent.
    """

    def __init__(self, files: Iterable[tuple[str, int]]) -> None:
        self._directories: list[tuple[str, bytes]] = []
        self._sizes = array("q")
        for directory, members in groupby(files, key=lambda file: file[0].rpartition("/")[0]):
            names = []
            for name, size in members:
                names.append(name.rpartition("/")[2])
                self._sizes.append(size)
            # The zero byte cannot occur in a file's name. Names may be invalid as text, hence bytes.
            self._directories.append((directory, os.fsencode("\0".join(names))))

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        sizes = iter(self._sizes)
        for directory, names in self._directories:
            for name in os.fsdecode(names).split("\0"):
                yield f"{directory}/{name}" if directory else name, next(sizes)

    @property
    def bytes(self) -> int:
        """Total size of the files."""
        return sum(self._sizes)


def _list_local_files(path: Path) -> Iterator[tuple[str, int]]:
    """Yield names relative to ``path`` and sizes, sorted by name."""
    if path.is_file():
        yield "", path.stat().st_size
    elif path.is_dir():
        yield from _walk(path, "")


def _walk(directory: Path, prefix: str) -> Iterator[tuple[str, int]]:
    with os.scandir(directory) as members:
        # With its slash, a directory has the position of its files in the order of all names.
        found = sorted((item.name + "/" * item.is_dir(), item.is_symlink()) for item in members)
    for name, is_link in found:
        if not _is_hidden(name):
            if not name.endswith("/"):
                yield prefix + name, (directory / name).stat().st_size
            elif not is_link:
                yield from _walk(directory / name, prefix + name)


def _stat_files(path: Path, names: Collection[str]) -> Iterator[tuple[str, int]]:
    """Yield those of the names that exist below ``path`` and their sizes, sorted by name."""
    for name in sorted(names):
        try:
            yield name, (path / name).stat().st_size
        except FileNotFoundError:
            # A chunk of fill values has no file.
            continue


def _list_remote_files(address: str) -> list[tuple[str, int]]:
    """Return names relative to an address and sizes, sorted by name."""
    system, root = remote_file_system(address)
    found = []
    for path, details in system.find(root, detail=True).items():
        name = path[len(root) :].lstrip("/")
        if not any(_is_hidden(part) for part in name.split("/")):
            found.append((name, int(details["size"])))
    return sorted(found)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") and name != ".zarray"


def _hash_file(root: str, name: str) -> str:
    if is_url(root):
        with fsspec.open(f"{root.rstrip('/')}/{name}", "rb", **storage_options(root)) as file:
            return hashlib.sha256(file.read()).hexdigest()
    path = Path(root, name) if name else Path(root)
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as members:
            return digest(sorted([item.filename, item.file_size, item.CRC] for item in members.infolist()))
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _draw(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
