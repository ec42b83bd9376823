"""ZIP files that are written with equal bytes for equal contents, and read without trust in their origin.

Members are stored uncompressed, so a small file cannot expand to a large one. A name of a member is a key and never
becomes a path, so a member cannot be written anywhere.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from attacca.atomic import replace_file
from attacca.errors import MissingInputError, ModelFileError, summarize_error

MOST_MEMBERS = 20_000
"""Largest number of members that is read."""

_COPY_AGAIN = "copy the file again from its source"
_WRITE_MODE = 0o644 << 16


def write_archive(path: Path, members: Mapping[str, bytes]) -> None:
    """Write a ZIP file atomically, with the members in the given order and without times."""
    with replace_file(path) as file:
        _write_members(file, members)


def pack_archive(members: Mapping[str, bytes]) -> bytes:
    """Return the ZIP file that ``write_archive`` writes.

    >>> pack_archive({"a": b"1"}) == pack_archive({"a": b"1"})
    True
    """
    buffer = io.BytesIO()
    _write_members(buffer, members)
    return buffer.getvalue()


def _write_members(file: IO[bytes], members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            # The default is the first date that the format knows.
            information = zipfile.ZipInfo(name)
            information.external_attr = _WRITE_MODE
            archive.writestr(information, content)


@dataclass(frozen=True)
class Archive:
    """An open ZIP file.

    Args:
        path: the file.
        sizes: bytes of each member, by its name.
    """

    path: Path
    sizes: Mapping[str, int]
    _file: zipfile.ZipFile

    def read(self, name: str, limit: int) -> bytes:
        """Return the content of a member.

        Args:
            name: name of the member.
            limit: largest permitted size in bytes.

        Raises:
            ModelFileError: the member is missing, damaged or larger than the limit.
        """
        if name not in self.sizes:
            raise ModelFileError(f"{self.path}: found no member {name}", fix=_COPY_AGAIN)
        if self.sizes[name] > limit:
            raise ModelFileError(
                f"{self.path}: found a member {name} of {self.sizes[name]} bytes, expected at most {limit}"
            )
        try:
            return self._file.read(name)
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
            raise ModelFileError(
                f"{self.path}: the member {name} is damaged: {summarize_error(error)}", fix=_COPY_AGAIN
            ) from None


def list_members(path: Path) -> list[str]:
    """Return the names of all members of a ZIP file; an empty list for anything else.

    >>> list_members(Path("no_such_file.zip"))
    []
    """
    try:
        with zipfile.ZipFile(path) as file:
            return file.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return []


def is_archive(path: Path, member: str) -> bool:
    """Return whether a file is a ZIP file that has a member of this name."""
    return member in list_members(path)


def open_zip(path: Path, problem: str, fix: str) -> zipfile.ZipFile:
    """Open a ZIP file of any program; the caller closes it, and limits what it reads.

    Args:
        path: the file.
        problem: predicate of the message about another file, such as ``cannot be read``.
        fix: instruction of this message.

    Raises:
        MissingInputError: the file does not exist.
        ModelFileError: the file is not a ZIP file.
    """
    if not path.exists():
        raise MissingInputError(f"{path}: no such file")
    if not path.is_file():
        raise ModelFileError(f"{path}: found a directory, expected a file")
    try:
        return zipfile.ZipFile(path)
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ModelFileError(f"{path} {problem}: {summarize_error(error)}", fix=fix) from None


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a ZIP file for reading.

    Raises:
        MissingInputError: the file does not exist.
        ModelFileError: the file is not a ZIP file, or has members that ``write_archive`` does not write: compressed,
            encrypted, doubled, or larger than the file.
    """
    with open_zip(path, "cannot be read", _COPY_AGAIN) as file:
        members = file.infolist()
        sizes = {member.filename: member.file_size for member in members}
        if len(members) > MOST_MEMBERS:
            raise ModelFileError(f"{path}: found {len(members)} members, expected at most {MOST_MEMBERS}")
        if len(sizes) < len(members):
            raise ModelFileError(f"{path}: found several members of one name, expected each name once")
        for member in members:
            is_stored = member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1
            if not is_stored or member.compress_size != member.file_size:
                raise ModelFileError(
                    f"{path}: found the compressed or encrypted member {member.filename!a}, expected stored members"
                )
        if sum(sizes.values()) > path.stat().st_size:
            raise ModelFileError(f"{path}: found members that are larger than the file", fix=_COPY_AGAIN)
        yield Archive(path, sizes, file)
