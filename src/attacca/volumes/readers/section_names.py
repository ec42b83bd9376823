"""Names of sections: files of a directory or pattern, their order, and numbers that are missing or repeated."""

import glob
import math
import os
import re
import stat
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from attacca.errors import VolumeError
from attacca.volumes.readers.image_file import IMAGE_SUFFIXES

# If the numbers in names span more than this multiple of the number of sections, they do not count sections.
_LARGEST_SPAN = 20
# Digits of other alphabets and superscripts are text: int() refuses some of them.
_DIGITS = re.compile(r"([0-9]+)")


def split_numbers(path: Path) -> list[int | str]:
    """Return a sort key of file names in natural order.

    A minus at the start of the name, or after a character that is not a letter or digit, is a sign: ``z=-2``.

    >>> sorted([Path("section_10.png"), Path("section_2.png")], key=split_numbers)[0].name
    'section_2.png'
    >>> [path.name for path in sort_sections([Path("z_-1.png"), Path("z_-10.png"), Path("z_0.png")])]
    ['z_-10.png', 'z_-1.png', 'z_0.png']
    """
    return list(_split(path.name))


@lru_cache(maxsize=2**17)
def _split(name: str) -> tuple[int | str, ...]:
    parts: list[int | str] = []
    for index, part in enumerate(_DIGITS.split(name)):
        if index % 2 == 0:
            parts.append(part.lower())
        elif (index == 1 and parts[-1] == "-") or re.search(r"[^a-z0-9)\]]-$", str(parts[-1])):
            parts[-1] = str(parts[-1])[:-1]
            parts.append(-int(part))
        else:
            parts.append(int(part))
    return tuple(parts)


def sort_sections(paths: Iterable[Path]) -> list[Path]:
    """Return files in the natural order of their names, signs included.

    A minus after a letter is a sign if other names have none there (``z-1``, ``z0``), otherwise it is a hyphen.
    """
    files = list(paths)
    keys = dict(zip(files, _split_signed([path.name for path in files])))
    return sorted(files, key=lambda path: (keys[path], str(path)))


def _split_signed(names: Sequence[str]) -> list[list[int | str]]:
    """Return the parts of names, in which a minus is a sign or a hyphen; see ``sort_sections``."""
    keys = [list(_split(name)) for name in names]
    texts = {tuple(part for part in key if isinstance(part, str)) for key in keys}
    for key in keys:
        for index in range(0, len(key) - 1, 2):
            text, number = key[index], key[index + 1]
            if not isinstance(text, str) or not isinstance(number, int) or not text.endswith("-"):
                continue
            strings = [part for part in key if isinstance(part, str)]
            strings[index // 2] = text[:-1]
            if tuple(strings) in texts:
                key[index], key[index + 1] = text[:-1], -number
    return keys


def find_missing_numbers(names: Sequence[str]) -> list[int]:
    """Return the missing numbers of names that differ in one number only.

    Numbers in equal steps, such as every tenth, are complete.

    >>> find_missing_numbers(["s2.png", "s4.png", "s5.png"]), find_missing_numbers(["s10.png", "s20.png", "s30.png"])
    ([3], [])
    """
    numbers = find_numbers(names)
    step = math.gcd(*(b - a for a, b in pairwise(numbers)))
    if not step:
        return []
    return sorted(set(range(numbers[0], numbers[-1], step)) - set(numbers))


def find_numbers(names: Sequence[str]) -> list[int]:
    """Return the ascending numbers of names that differ in one number only; empty if they do not count sections.

    >>> find_numbers(["s_2.png", "s_10.png"]), find_numbers(["a_2.png", "b_10.png"]), find_numbers(["s_1.png"])
    ([2, 10], [], [])
    """
    parts = _split_signed([os.path.basename(name) for name in names])
    if len({len(split) for split in parts}) != 1:
        return []
    varying = [column for column in zip(*parts) if len(set(column)) > 1]
    if len(varying) != 1 or not all(isinstance(value, int) for value in varying[0]):
        return []
    numbers = sorted({int(value) for value in varying[0]})
    step = math.gcd(*(b - a for a, b in pairwise(numbers)))
    if not step or (numbers[-1] - numbers[0]) // step > _LARGEST_SPAN * len(numbers):
        return []
    return numbers


def check_repeated_numbers(name: str, paths: Sequence[Path]) -> None:
    """Refuse sections of which two have the same number: copies, or two series in one directory.

    Raises:
        VolumeError: a number occurs twice.
    """
    # Suffixes such as .tif and .tiff do not distinguish sections.
    keys = [tuple(key) for key in _split_signed([os.path.splitext(path.name)[0] for path in paths])]
    all_numbers = [tuple(part for part in key if isinstance(part, int)) for key in keys]
    # Names in which no number varies are distinguished by their texts.
    if len(set(all_numbers)) == 1:
        all_numbers = [()] * len(paths)
    found: dict[tuple[object, ...], Path] = {}
    for path, key, numbers in zip(paths, keys, all_numbers):
        other = found.setdefault((os.path.dirname(path), *(numbers or key)), path)
        if other != path:
            raise VolumeError(
                f"{name} has two files of the same section number: {other.name} and {path.name}",
                fix="remove copies, or select one series with a pattern such as section_*.png",
            )


def is_pattern(path: Path) -> bool:
    """Return True if a path has the marks of a pattern, and no file has that name."""
    return any(mark in str(path) for mark in "*?[") and not os.path.lexists(path)


def match_files(pattern: Path) -> list[Path]:
    """Return the files that match a pattern, in order. Brackets in the names of existing directories are literal.

    Raises:
        VolumeError: a match is a broken link, a pipe, or a directory with the name of an image.
    """
    literal = next((parent for parent in pattern.parents if os.path.lexists(parent)), Path())
    rest = str(pattern.relative_to(literal)) if literal != Path() else str(pattern)
    names = glob.glob(os.path.join(glob.escape(str(literal)), rest) if literal != Path() else rest)
    paths = [Path(name) for name in names]
    return sort_sections(path for path in paths if not _is_plain_directory(path) and check_regular_file(path))


def list_sections(directory: Path) -> list[Path]:
    """Return the images of a directory in order; hidden files do not count.

    Raises:
        VolumeError: the directory cannot be read, or an image is a broken link, a pipe or a directory.
    """
    check_access(directory)
    with os.scandir(directory) as items:
        names = [item.name for item in items]
    return sort_sections(
        path
        for path in (directory / name for name in names if not name.startswith("."))
        if path.suffix.lower() in IMAGE_SUFFIXES and check_regular_file(path)
    )


def check_access(path: Path) -> None:
    """Refuse a path that this user may not read.

    Raises:
        VolumeError: permission is denied.
    """
    try:
        status = os.stat(path)
    except PermissionError as error:
        raise VolumeError(
            f"{path}: permission denied", fix="ask for permission to enter its directories"
        ) from error
    except (OSError, ValueError):
        return
    directory = stat.S_ISDIR(status.st_mode)
    if not os.access(path, os.R_OK | os.X_OK if directory else os.R_OK):
        kind = "directory" if directory else "file"
        raise VolumeError(f"{path}: permission denied to read this {kind}", fix="ask for read permission")


def check_regular_file(path: Path) -> bool:
    """Return True for a regular file. Nothing is opened: opening a pipe waits for its writer.

    Raises:
        VolumeError: the path is something else.
    """
    try:
        mode = os.stat(path).st_mode
    except PermissionError as error:
        raise VolumeError(
            f"{path}: permission denied", fix="ask for permission to enter its directories"
        ) from error
    except OSError as error:
        kind = (
            "a link to a file that does not exist"
            if path.is_symlink()
            else f"not readable ({error.strerror})"
        )
        raise VolumeError(f"{path} is {kind}", fix="restore the file, or remove the link") from error
    if stat.S_ISREG(mode):
        return True
    kind = "a directory" if stat.S_ISDIR(mode) else "a pipe, socket or device"
    raise VolumeError(f"{path} is {kind}, not a regular file", fix="move it, or correct 'path'")


def _is_plain_directory(path: Path) -> bool:
    return os.path.isdir(path) and path.suffix.lower() not in IMAGE_SUFFIXES
