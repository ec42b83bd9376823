"""Tags of TIFF pages as bytes, by which pages with equal descriptions are recognized.

tifffile takes half a millisecond for a file, which adds up to seconds for a directory of ten thousand sections. Sections of
one writer have equal tags, except for the positions and lengths of their strips and the date: a page like an earlier one
does not have to be interpreted again.
"""

import os
import struct
from pathlib import Path
from typing import NamedTuple

_POSITIONS = (273, 324)
_LENGTHS = (279, 325)
_DATE = 306
# Tables of tags of their own: SubIFDs, Exif, GPS, interoperability.
_NESTED = (330, 34665, 34853, 40965)
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # fmt: skip
_INTEGERS = {3: "H", 4: "I", 16: "Q"}
_FIRST_BYTES = 4096
_LARGEST_VALUE = 2**16
_MOST_ENTRIES = 1000


class PageTags(NamedTuple):
    """Tags of a page.

    Attributes:
        key: order of bytes, and each tag with its type, count and value; without values that differ between sections.
        offsets, counts: positions and lengths of the strips or tiles in bytes.
        end: position after the page's tags and strips.
        end_of_copies: position after the table of tags, if copies of the tags' values follow it.
    """

    key: tuple[object, ...]
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    end: int
    end_of_copies: int


def read_page_tags(path: Path) -> list[PageTags]:
    """Return the tags of all pages; an empty list if a page has to be interpreted, because it is unusual or damaged."""
    try:
        with open(path, "rb", buffering=0) as file:
            return _Reader(file.fileno()).read_pages()
    except (OSError, struct.error, _UnusualError):
        return []


class _UnusualError(Exception):
    """The file has to be read with tifffile."""


class _Reader:
    """Reader of the tags of an open file."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._size = os.fstat(file).st_size
        self._first = os.pread(file, _FIRST_BYTES, 0)
        self._order = {b"II": "<", b"MM": ">"}.get(self._first[:2], "")
        if not self._order:
            raise _UnusualError
        version = struct.unpack_from(self._order + "H", self._first, 2)[0]
        self._is_big = version == 43
        if version not in (42, 43):
            raise _UnusualError
        # Lengths of the number of entries, of an entry, and of an offset.
        self._offset_code, self._num_code = ("Q", "Q") if self._is_big else ("I", "H")
        self._entry = struct.Struct(self._order + ("HHQ8s" if self._is_big else "HHI4s"))

    def read_pages(self) -> list[PageTags]:
        """Return the tags of all pages."""
        pages, seen = [], set()
        position = self._number(8 if self._is_big else 4, self._offset_code)
        while position:
            if position in seen:
                raise _UnusualError
            seen.add(position)
            page, position = self._read_page(position)
            pages.append(page)
        return pages

    def _bytes(self, position: int, length: int) -> bytes:
        if position + length <= len(self._first):
            return self._first[position : position + length]
        if position + length > self._size:
            raise _UnusualError
        return os.pread(self._file, length, position)

    def _number(self, position: int, code: str) -> int:
        return int(struct.unpack(self._order + code, self._bytes(position, struct.calcsize(code)))[0])

    def _read_page(self, position: int) -> tuple[PageTags, int]:
        number = self._number(position, self._num_code)
        if not 0 < number <= _MOST_ENTRIES:
            raise _UnusualError
        position += struct.calcsize(self._num_code)
        length = number * self._entry.size
        table = self._bytes(position, length + struct.calcsize(self._offset_code))
        end = copies = position + len(table)
        key: list[object] = [self._order, self._is_big]
        parts: dict[tuple[int, ...], tuple[int, ...]] = {}
        previous = -1
        for tag, kind, count, value in self._entry.iter_unpack(table[:length]):
            if tag < previous or tag in _NESTED or kind not in _SIZES:
                raise _UnusualError
            previous = tag
            size = _SIZES[kind] * count
            if size <= len(value):
                content = value[:size]
            else:
                begin = int(struct.unpack(self._order + self._offset_code, value)[0])
                is_part = tag in _POSITIONS or tag in _LENGTHS
                if size > _LARGEST_VALUE and not is_part:
                    raise _UnusualError
                content = b"" if tag == _DATE else self._bytes(begin, size)
                end = max(end, begin + size)
                copies += size
            if tag in _POSITIONS or tag in _LENGTHS:
                if kind not in _INTEGERS:
                    raise _UnusualError
                names = _POSITIONS if tag in _POSITIONS else _LENGTHS
                if names in parts:
                    raise _UnusualError
                parts[names] = struct.unpack(f"{self._order}{count}{_INTEGERS[kind]}", content)
                content = b""
            key.append((tag, kind, count, b"" if tag == _DATE else content))
        offsets, counts = parts.get(_POSITIONS, ()), parts.get(_LENGTHS, ())
        if not offsets or len(offsets) != len(counts):
            raise _UnusualError
        end = max(end, max(map(sum, zip(offsets, counts))))
        following = int(struct.unpack_from(self._order + self._offset_code, table, length)[0])
        return PageTags(tuple(key), offsets, counts, end, copies), following
