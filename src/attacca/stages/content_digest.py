"""Digests of what stands on the disk: of arrays by their chunks, of directories by their files.

1. An array's files are listed: ``.zarray`` and every chunk; the ledger and other hidden files are left out.
2. Each file's bytes are hashed (SHA-256), many files side by side; of a ``.npz``, which holds the time of its
   writing, the checksums of its members.
3. The digest is that of the sorted list of (name, size, hash).

Above ``whole_bytes`` in all, names and sizes of all files count, but the bytes only of every n-th file: a result
of many terabytes is digested in minutes. A hash of the file's name decides which ones: two arrays of equal files
take the same sample.
"""

import hashlib
import math
import os
import zipfile
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from attacca.fingerprint import digest

WHOLE_BYTES = 64 * 10**9
"""Data up to this size are read whole."""


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
        files = sorted(item for item in _remote_files(str(place)) if names is None or item[0] in names)
    else:
        files = sorted(_local_files(Path(place)) if names is None else _named_files(Path(place), names))
    total = sum(size for _, size in files)
    sample = max(1, math.ceil(total / whole_bytes))
    read = [name for name, _ in files if _draw(name) % sample == 0]
    with ThreadPoolExecutor(max(1, threads)) as pool:
        hashes = dict(zip(read, pool.map(lambda name: _hash(str(place), name), read, chunksize=1)))
    entries = [[name, size, hashes.get(name, "")] for name, size in files]
    return ContentDigest(digest(entries) if entries else "", len(files), total, sample)


def _local_files(place: Path) -> Iterator[tuple[str, int]]:
    if place.is_file():
        yield "", place.stat().st_size
        return
    for directory, names, files in os.walk(place):
        names[:] = [name for name in names if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") or name == ".zarray":
                path = Path(directory, name)
                yield path.relative_to(place).as_posix(), path.stat().st_size


def _named_files(place: Path, names: Collection[str]) -> Iterator[tuple[str, int]]:
    for name in names:
        try:
            yield name, (place / name).stat().st_size
        except FileNotFoundError:
            # A chunk without values has no file.
            continue


def _remote_files(place: str) -> Iterator[tuple[str, int]]:
    import fsspec

    system, root = fsspec.core.url_to_fs(place)
    for path, details in system.find(root, detail=True).items():
        name = path[len(root) :].lstrip("/")
        parts = name.split("/")
        if not any(part.startswith(".") for part in parts[:-1]) and (
            not parts[-1].startswith(".") or parts[-1] == ".zarray"
        ):
            yield name, int(details["size"])


def _hash(place: str, name: str) -> str:
    if "://" in place:
        import fsspec

        with fsspec.open(f"{place.rstrip('/')}/{name}", "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    path = Path(place, name) if name else Path(place)
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as members:
            return digest(sorted([item.filename, item.file_size, item.CRC] for item in members.infolist()))
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _draw(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
