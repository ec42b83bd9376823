"""Digests of what stands on the disk: of arrays by their chunks, of directories by their files.

1. An array's files are listed: ``.zarray`` and every chunk; the ledger and other hidden files are left out.
2. Each file's bytes are hashed (SHA-256), many files side by side; of a ``.npz``, which holds the time of its
   writing, the checksums of its members.
3. The digest is that of the sorted list of (name, size, hash).

Above ``whole_bytes`` in all, names and sizes of all files count, but the bytes only of every n-th file: a result
of many terabytes is digested in minutes. A hash of the file's name decides which ones: two arrays of equal files
take the same sample.

An array has millions of files. Their names are held as a text for each directory, their sizes as plain numbers, and
their hashes go into the digest as they come, so that a file costs some ten bytes of memory.
"""

import hashlib
import math
import os
import zipfile
from array import array
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from attacca.arrays.storage import storage_options
from attacca.fingerprint import canonical_json, digest

WHOLE_BYTES = 64 * 10**9
"""Data up to this size are read whole."""
# Files whose hashes are awaited at once: each costs a kilobyte meanwhile.
_BATCH = 4096


@dataclass(frozen=True)
class ContentDigest:
    """What was found.

    Args:
        digest: SHA-256 in hexadecimal; empty where there are no files.
        files: number of files.
        bytes: their sizes together.
        sample: 1 where every file was read, n where every n-th was.
    """

    digest: str
    files: int
    bytes: int
    sample: int

    def to_json(self) -> dict[str, str | int]:
        """Plain values for a manifest."""
        return {"digest": self.digest, "files": self.files, "bytes": self.bytes, "sample": self.sample}


def digest_content(
    place: str | Path,
    threads: int = 4,
    whole_bytes: int = WHOLE_BYTES,
    names: Collection[str] | None = None,
) -> ContentDigest:
    """Digest the files below a directory or an address (``s3://bucket/array``).

    Args:
        place: an array's own directory, or any directory; a single file is fine too.
        threads: files that are read side by side.
        whole_bytes: above this size, a part of the files is read.
        names: look at these files alone, as far as they are there; at all by default.
    """
    if "://" in str(place):
        there = _remote_files(str(place))
        files = _Listing(item for item in there if names is None or item[0] in names)
    else:
        files = _Listing(_local_files(Path(place)) if names is None else _named_files(Path(place), names))
    sample = max(1, math.ceil(files.bytes / whole_bytes))
    # The canonical JSON of all entries, without ever holding it.
    found = hashlib.sha256(b"[")
    separator = b""
    with ThreadPoolExecutor(max(1, threads)) as pool:
        remaining = iter(files)
        while batch := list(islice(remaining, _BATCH)):
            read = [name for name, _ in batch if _draw(name) % sample == 0]
            hashes = dict(zip(read, pool.map(lambda name: _hash(str(place), name), read)))
            for name, size in batch:
                found.update(separator + canonical_json([name, size, hashes.get(name, "")]).encode())
                separator = b","
    found.update(b"]")
    return ContentDigest(found.hexdigest() if len(files) else "", len(files), files.bytes, sample)


class _Listing:
    """Names and sizes of files, in the order in which they come.

    Args:
        files: sorted by name, so that those of one directory follow one another.
    """

    def __init__(self, files: Iterable[tuple[str, int]]) -> None:
        self._directories: list[tuple[str, bytes]] = []
        self._sizes = array("q")
        for directory, members in groupby(files, key=lambda file: file[0].rpartition("/")[0]):
            names = []
            for name, size in members:
                names.append(name.rpartition("/")[2])
                self._sizes.append(size)
            # No name of a file holds a zero byte; not every one is text.
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
        """Sizes of all files together."""
        return sum(self._sizes)


def _local_files(place: Path) -> Iterator[tuple[str, int]]:
    """Names below ``place`` and sizes, sorted by name."""
    if place.is_file():
        yield "", place.stat().st_size
    elif place.is_dir():
        yield from _files_below(place, "")


def _files_below(directory: Path, prefix: str) -> Iterator[tuple[str, int]]:
    with os.scandir(directory) as entries:
        # With its slash a directory stands where the names of its files stand in the order of all names.
        found = sorted((entry.name + "/" * entry.is_dir(), entry.is_symlink()) for entry in entries)
    for name, linked in found:
        if not name.startswith(".") or name == ".zarray":
            if not name.endswith("/"):
                yield prefix + name, (directory / name).stat().st_size
            elif not linked:
                yield from _files_below(directory / name, prefix + name)


def _named_files(place: Path, names: Collection[str]) -> Iterator[tuple[str, int]]:
    """Those of the names below ``place`` that are there, and their sizes, sorted by name."""
    for name in sorted(names):
        try:
            yield name, (place / name).stat().st_size
        except FileNotFoundError:
            # A chunk without values has no file.
            continue


def _remote_files(place: str) -> list[tuple[str, int]]:
    """Names below an address and sizes, sorted by name."""
    import fsspec

    system, root = fsspec.core.url_to_fs(place, **storage_options(place))
    found = []
    for path, details in system.find(root, detail=True).items():
        name = path[len(root) :].lstrip("/")
        parts = name.split("/")
        if not any(part.startswith(".") for part in parts[:-1]) and (
            not parts[-1].startswith(".") or parts[-1] == ".zarray"
        ):
            found.append((name, int(details["size"])))
    return sorted(found)


def _hash(place: str, name: str) -> str:
    if "://" in place:
        import fsspec

        with fsspec.open(f"{place.rstrip('/')}/{name}", "rb", **storage_options(place)) as file:
            return hashlib.sha256(file.read()).hexdigest()
    path = Path(place, name) if name else Path(place)
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as members:
            return digest(sorted([item.filename, item.file_size, item.CRC] for item in members.infolist()))
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _draw(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
