"""Stacks of sections in one file each."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from attacca.errors import VolumeError
from attacca.volumes.readers.image_file import decode_image, read_image_header
from attacca.volumes.readers.section_cache import SectionCache
from attacca.volumes.readers.source import Source

# If the numbers in names span more than this multiple of the number of sections, they do not count sections.
_LARGEST_SPAN = 20


def split_numbers(path: Path) -> list[int | str]:
    """Return a sort key of file names in natural order.

    >>> sorted([Path("section_10.png"), Path("section_2.png")], key=split_numbers)[0].name
    'section_2.png'
    """
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", path.name)]


def find_missing_numbers(names: Sequence[str]) -> list[int]:
    """Return the missing numbers of names that differ in one number only.

    Numbers in equal steps, such as every tenth, are complete.

    >>> find_missing_numbers(["s2.png", "s4.png", "s5.png"]), find_missing_numbers(["s10.png", "s20.png", "s30.png"])
    ([3], [])
    """
    parts = [re.split(r"(\d+)", name) for name in names]
    if len({len(split) for split in parts}) != 1:
        return []
    varying = [column for column in zip(*parts) if len(set(column)) > 1]
    if len(varying) != 1 or not all(text.isdigit() for text in varying[0]):
        return []
    numbers = sorted({int(text) for text in varying[0]})
    step = math.gcd(*(b - a for a, b in pairwise(numbers)))
    if not step or (numbers[-1] - numbers[0]) // step > _LARGEST_SPAN * len(numbers):
        return []
    return sorted(set(range(numbers[0], numbers[-1], step)) - set(numbers))


class ImageStack(Source):
    """Sections in one file each, stacked along z.

    Args:
        paths: the files in order.
        name: name for messages.

    Raises:
        VolumeError: a file cannot be read, or differs from the first in size or type; the message names it.
    """

    def __init__(self, paths: Sequence[Path], name: str) -> None:
        self.name = name
        self._paths = list(paths)
        self._sections = SectionCache(self._decode)
        first = read_image_header(self._paths[0])
        for path in self._paths[1:]:
            header = read_image_header(path)
            if header != first:
                raise VolumeError(
                    f"{path} is {header}, but {self._paths[0].name} is {first}; "
                    "all sections of a stack must have one size and one type",
                    fix="remove or convert the file, or select the sections with a pattern such as section_*.png",
                )
        self.dtype = first.dtype
        channels = () if first.num_channels is None else (first.num_channels,)
        self.axes = ["z", "y", "x"] if not channels else ["c", "z", "y", "x"]
        self.shape = (*channels, len(self._paths), *first.shape)
        missing = find_missing_numbers([path.name for path in self._paths])
        if missing:
            numbers = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
            self.warnings = (
                f"{name}: the numbers of the sections ({self._paths[0].name} to {self._paths[-1].name}) have a "
                f"gap: {numbers} {'is' if len(missing) == 1 else 'are'} missing. The {len(self._paths)} existing "
                "sections are stacked without space between them; add a copy of a neighboring section or a black "
                "section for each missing one",
            )

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        window = tuple(slice(b, e) for b, e in zip(begin[1:], end[1:]))
        block = np.stack([self._sections[index][window] for index in range(begin[0], end[0])])
        return np.ascontiguousarray(np.moveaxis(block, -1, 0)) if block.ndim == 4 else block

    def _decode(self, index: int) -> np.ndarray:
        return decode_image(self._paths[index])
