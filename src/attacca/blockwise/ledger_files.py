"""Files of a ledger, one per shard: the key in the first line, then the number of a finished block in each line."""

import json
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attacca.atomic import write_text
from attacca.blockwise.durability import get_note_path, read_lasting_bytes
from attacca.blockwise.locking import lock_file

_NAME = re.compile(r"shard-(\d+)-of-(\d+)")


@dataclass(frozen=True)
class LedgerFile:
    """Content of the file of one shard.

    Attributes:
        path: the file.
        shard: index of the shard and number of shards of the job that wrote it.
        key: digest of all dependencies of its blocks.
        parts: components of the key, if they are known.
        num_blocks: number of blocks of the grid.
        blocks: numbers of recorded blocks, int64, in the order of recording.
    """

    path: Path
    shard: tuple[int, int]
    key: str
    parts: dict[str, Any]
    num_blocks: int
    blocks: np.ndarray


def read_files(directory: Path) -> Iterator[LedgerFile]:
    """Yield the ledger files of a directory by name, without those with an incomplete header."""
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        shard = parse_shard(path.stem)
        if path.suffix != ".txt" or shard is None:
            continue
        try:
            head, _, body = path.read_bytes()[: read_lasting_bytes(path)].partition(b"\n")
            header = json.loads(head)
            yield LedgerFile(
                path, shard, header["key"], header["parts"], int(header["blocks"]), _parse_numbers(body)
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue


def remove_records(directory: Path, blocks: Collection[int] | None) -> None:
    """Remove blocks from all files of a ledger, so that they are computed again.

    Args:
        directory: directory of the ledger.
        blocks: numbers of the blocks; None for all blocks.

    >>> import tempfile
    >>> from attacca.blockwise import Ledger
    >>> array = tempfile.mkdtemp()
    >>> ledger = Ledger(array, {"seed": 1}, 3)
    >>> with ledger.shard_writer() as writer:
    ...     writer.record(0, 1, 2)
    >>> remove_records(ledger.directory, {1})
    >>> ledger.missing().tolist()
    [1]
    """
    if blocks is not None and not blocks:
        return
    with lock_file(directory / ".lock"):
        for file in read_files(directory):
            if blocks is None:
                file.path.unlink()
            else:
                head = file.path.read_bytes().partition(b"\n")[0].decode()
                kept = [str(number) for number in file.blocks.tolist() if number not in blocks]
                write_text(file.path, "\n".join([head, *kept]) + "\n")
            get_note_path(file.path).unlink(missing_ok=True)


def name_shard(index: int, count: int) -> str:
    """Return the name of a shard's file, without its suffix.

    >>> name_shard(1, 3), parse_shard("shard-00001-of-00003"), parse_shard("shard")
    ('shard-00001-of-00003', (1, 3), None)
    """
    return f"shard-{index:05d}-of-{count:05d}"


def parse_shard(name: str) -> tuple[int, int] | None:
    """Return index and count of the shard that has a name; None for other names. See ``name_shard``."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


def _parse_numbers(body: bytes) -> np.ndarray:
    whole = body[: body.rfind(b"\n") + 1]
    if not whole.translate(None, b"0123456789\n"):
        return (
            np.fromstring(whole.decode(), dtype=np.int64, sep="\n")
            if whole.strip()
            else np.zeros(0, dtype=np.int64)
        )
    # A damaged file system may leave other bytes; whole lines of digits still count.
    return np.array([int(line) for line in whole.split(b"\n") if line.isdigit()], dtype=np.int64)


def mend_file(path: Path, header: str) -> None:
    """Ensure that a shard's file begins with a header and ends with a whole line.

    Args:
        path: the file; it is made if it does not exist, and replaced if its header has another key.
        header: first line with its end.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    kept = data[: read_lasting_bytes(path)]
    try:
        known = json.loads(kept[: kept.find(b"\n") + 1])["key"] == json.loads(header)["key"]
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        write_text(path, header)
    elif len(kept) < len(data) or not data.endswith(b"\n"):
        os.truncate(path, kept.rfind(b"\n") + 1)
