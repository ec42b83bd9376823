"""Record of finished blocks, from which the remaining blocks are determined.

1. A block depends on parameters, inputs, grid and version of its block function. Their digest is the *key* of the
   ledger.
2. Each shard appends to its own file, ``ARRAY/.attacca/ledger/shard-K-of-N.txt``. The first line holds the key, each
   further line the number of a block whose data are on disk. A last line without its end was interrupted by a kill and
   does not count.
3. The union of all files with the current key is the set of finished blocks. A different number of shards therefore
   repeats no block.
4. Files with another key are void. They are removed before the first block is written under a new key: otherwise, a
   return to the old parameters would restore records of blocks that have been overwritten.
5. A killed process loses no record. After a power cut, the records of the last moments before it do not count
   (``attacca.blockwise.durability``).

The ledger of an array in an object store is in a local directory, because such a store cannot append. A token that is
stored in both places connects them: a deleted or replaced array has another token or none, and voids the ledger.
"""

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np

from attacca.arrays.identifier import is_url
from attacca.arrays.storage import storage_options
from attacca.atomic import write_text
from attacca.blockwise.durability import DiskNote, get_note_path
from attacca.blockwise.ledger_files import LedgerFile, mend_file, name_shard, parse_shard, read_files
from attacca.blockwise.locking import lock_file
from attacca.errors import MissingInputError, ResourceError
from attacca.fingerprint import canonical_json, digest, list_differences

_FORMAT = 1
_TOKEN = "token"


@dataclass(frozen=True)
class LedgerSummary:
    """State of a stage over one array, for ``attacca status``.

    Attributes:
        num_blocks: number of blocks.
        done: number of finished blocks.
        stale: number of blocks recorded under another key, which do not count.
        void_reason: reason why they do not count; empty without stale blocks.
        shards: (shard, shards, recorded blocks) of each file with the current key.
    """

    num_blocks: int
    done: int
    stale: int
    void_reason: str
    shards: tuple[tuple[int, int, int], ...]

    @property
    def missing(self) -> int:
        """Number of remaining blocks."""
        return self.num_blocks - self.done


class Ledger:
    """The finished blocks of one array under one key.

    Args:
        array_directory: directory of the array itself, or its URL (``s3://bucket/prediction.zarr/s0``).
        key: all dependencies of the blocks: a mapping, whose digest is the key and whose parts later explain why an old
            ledger does not count; or a digest.
        num_blocks: number of blocks of the grid.
        state_directory: directory of the ledger of an array in an object store; by default ``.attacca/ledgers`` in the
            working directory. Ignored for local arrays, whose ledger must be deleted with them.
    """

    def __init__(
        self,
        array_directory: str | os.PathLike[str],
        key: Mapping[str, Any] | str,
        num_blocks: int,
        state_directory: str | os.PathLike[str] | None = None,
    ) -> None:
        self.array_directory = str(array_directory)
        self.parts: dict[str, Any] = {} if isinstance(key, str) else json.loads(canonical_json(dict(key)))
        self.key = key if isinstance(key, str) else digest(self.parts)
        self.num_blocks = num_blocks
        self.remote = is_url(self.array_directory)
        if not self.remote:
            self.directory = Path(self.array_directory) / ".attacca" / "ledger"
        elif state_directory is not None:
            self.directory = Path(state_directory)
        else:
            self.directory = Path(".attacca", "ledgers", digest(self.array_directory)[:16]).absolute()

    def files(self) -> list[LedgerFile]:
        """Return all readable files of the ledger by name, with any key."""
        return list(read_files(self.directory))

    def done(self) -> np.ndarray:
        """Return a mask of the finished blocks, bool (blocks,), read from disk at each call."""
        done = np.zeros(self.num_blocks, dtype=bool)
        if self._token_holds():
            for file in self.files():
                if self._is_current(file):
                    done[file.blocks[(file.blocks >= 0) & (file.blocks < self.num_blocks)]] = True
        return done

    def missing(self, indices: Iterable[int] | None = None) -> np.ndarray:
        """Return the numbers (int64) of the blocks that are not finished, of all blocks or of ``indices``."""
        done = self.done()
        if indices is None:
            return np.flatnonzero(~done)
        if isinstance(indices, range):
            numbers = np.arange(indices.start, indices.stop, indices.step, dtype=np.int64)
        else:
            numbers = np.fromiter(indices, dtype=np.int64)
        return numbers[~done[numbers]]

    @property
    def complete(self) -> bool:
        """True if every block is finished."""
        return bool(self.done().all())

    @property
    def void_reason(self) -> str:
        """Reason why recorded blocks do not count, with the changed parts of the key; empty if all count."""
        files = self.files()
        if files and not self._token_holds():
            return f"the array {self.array_directory} was deleted or replaced since its blocks were recorded"
        for file in files:
            if not self._is_current(file):
                return "; ".join(self._list_differences(file))
        return "" if self.complete else self._earlier_reason()

    def summary(self) -> LedgerSummary:
        """Return the number of finished and stale blocks, and the blocks of each shard."""
        files = self.files()
        holds = self._token_holds()
        shards = tuple(
            (*file.shard, len(np.unique(file.blocks))) for file in files if holds and self._is_current(file)
        )
        stale = sum(len(np.unique(file.blocks)) for file in files if not (holds and self._is_current(file)))
        return LedgerSummary(self.num_blocks, int(self.done().sum()), stale, self.void_reason, shards)

    def prepare(self) -> None:
        """Remove void files, and store the token of a remote array, before the first block is written."""
        if not self.remote and not Path(self.array_directory).is_dir():
            raise MissingInputError(
                f"the array {self.array_directory} does not exist, so its blocks cannot be recorded"
            )
        self.directory.mkdir(parents=True, exist_ok=True)
        with lock_file(self.directory / ".lock"):
            holds = self._token_holds()
            for file in self.files():
                if not (holds and self._is_current(file)):
                    reason = self._list_differences(file) if holds else [self.void_reason]
                    write_text(
                        self.directory / "void.json",
                        canonical_json({"key": self.key, "reason": "; ".join(reason)}),
                    )
                    file.path.unlink(missing_ok=True)
                    get_note_path(file.path).unlink(missing_ok=True)
            if self.remote and not (holds and (self.directory / _TOKEN).exists()):
                token = uuid.uuid4().hex
                _write_remote(self.array_directory, token)
                write_text(self.directory / _TOKEN, token)

    @contextmanager
    def shard_writer(self, index: int = 0, count: int = 1) -> Iterator["ShardWriter"]:
        """Open the file of one shard for appending; only the job's own process writes.

        Raises:
            ResourceError: another job that is still running writes the same shard.
        """
        self.prepare()
        writer = ShardWriter(self, index, count)
        try:
            yield writer
        finally:
            writer.close()

    def wait_for_writers(self, shard: tuple[int, int] | None = None) -> None:
        """Wait until no other job writes blocks of the array.

        Jobs on a cluster outlive a Snakemake that was killed. They would write blocks of old settings among new ones.

        Args:
            shard: number and count of the only shard to wait for; by default all shards.
        """
        name = "shard-*" if shard is None else name_shard(*shard)
        for path in sorted(self.directory.glob(f"{name}.lock")):
            found = parse_shard(path.stem)
            if found is not None:
                with lock_file(path, what=self._shard_label(*found)):
                    pass

    def _shard_label(self, index: int, count: int) -> str:
        return f"shard {index + 1} of {count} of {self.array_directory}"

    def header(self) -> str:
        """Return the first line of each file."""
        head = {"attacca_ledger": _FORMAT, "key": self.key, "blocks": self.num_blocks, "parts": self.parts}
        return canonical_json(head) + "\n"

    def _is_current(self, file: LedgerFile) -> bool:
        return file.key == self.key and file.num_blocks == self.num_blocks

    def _list_differences(self, file: LedgerFile) -> list[str]:
        differences = list(list_differences(file.parts, self.parts)) if file.parts and self.parts else []
        if not differences and file.num_blocks != self.num_blocks:
            differences.append(f"the grid had {file.num_blocks} blocks and has {self.num_blocks} now")
        return differences or ["the inputs or settings of the blocks have changed"]

    def _earlier_reason(self) -> str:
        try:
            void = json.loads((self.directory / "void.json").read_text())
        except (OSError, ValueError):
            return ""
        return str(void["reason"]) if void.get("key") == self.key else ""

    def _token_holds(self) -> bool:
        if not self.remote:
            return True
        try:
            token = (self.directory / _TOKEN).read_text()
        except OSError:
            return False
        return bool(token) and token == _read_remote(self.array_directory)


class ShardWriter:
    """Appends finished blocks to one shard's file; made by ``Ledger.shard_writer``."""

    def __init__(self, ledger: Ledger, index: int, count: int) -> None:
        self._path = ledger.directory / f"{name_shard(index, count)}.txt"
        self._lock = lock_file(
            self._path.with_suffix(".lock"), wait=False, what=ledger._shard_label(index, count)
        )
        self._lock.__enter__()
        try:
            mend_file(self._path, ledger.header())
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            # Data in an object store are durable.
            self._note = None if ledger.remote else DiskNote(self._path)
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise

    def record(self, *indices: int) -> None:
        """Record blocks whose data are on disk.

        Raises:
            ResourceError: the disk is full; earlier records are kept.
        """
        data = "".join(f"{int(index)}\n" for index in indices).encode()
        while data:
            try:
                data = data[os.write(self._file, data) :]
            except OSError as error:
                raise ResourceError(
                    f"cannot record finished blocks in {self._path}: {error.strerror}. Earlier records "
                    "are kept: free some space and run the same command again"
                ) from error
        if self._note is not None:
            self._note.update()

    def close(self) -> None:
        """Close the file and release the shard."""
        os.close(self._file)
        if self._note is not None:
            self._note.close()
        self._lock.__exit__(None, None, None)


def _token_url(array_directory: str) -> str:
    return array_directory.rstrip("/") + "/.attacca/" + _TOKEN


def _token_file(array_directory: str, mode: str) -> Any:
    return fsspec.open(_token_url(array_directory), mode, **storage_options(array_directory))


def _read_remote(array_directory: str) -> str | None:
    opened = _token_file(array_directory, "rt")
    # A cached listing may be older than the token.
    opened.fs.invalidate_cache()
    try:
        with opened as file:
            return str(file.read())
    except FileNotFoundError:
        return None


def _write_remote(array_directory: str, token: str) -> None:
    with _token_file(array_directory, "wt") as file:
        file.write(token)
