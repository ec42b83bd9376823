"""Stacks of sections: images of a directory or pattern, or pages of a file."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attacca.errors import VolumeError
from attacca.volumes.readers.image_file import decode_image, read_image_headers
from attacca.volumes.readers.image_header import ImageHeader
from attacca.volumes.readers.pixel_meaning import Kind, PixelMeaning, check_palettes, has_equal_channels
from attacca.volumes.readers.section_cache import SectionCache
from attacca.volumes.readers.section_names import check_repeated_numbers, find_missing_numbers, find_numbers
from attacca.volumes.readers.source import Source
from attacca.volumes.readers.tiff_pages import KnownFiles, TiffPages


class Section(NamedTuple):
    """One section of a file.

    Attributes:
        page: index of the page in the file.
        depth: index of the section in the page, which is 0 without volumetric tiles.
        num_pages: number of pages of the file, for messages.
    """

    path: Path
    page: int
    depth: int
    num_pages: int
    header: ImageHeader

    def __str__(self) -> str:
        return str(self.path) if self.num_pages == 1 else f"{self.path}, page {self.page + 1},"


def list_pages(path: Path, headers: dict[int, ImageHeader]) -> list[Section]:
    """Return the sections of a file in the order of its pages."""
    return [
        Section(path, page, depth, len(headers), header)
        for page, header in headers.items()
        for depth in range(header.depth)
    ]


class SectionStack(Source):
    """Sections stacked along z.

    Args:
        name: name for messages.
        sections: sections in order; a tuple for each z with one section per channel.
        kind: use of the image.
        channel: configured channel, if any.

    Raises:
        VolumeError: a section differs from the first in size or type, or cannot be used; the message names it.
    """

    def __init__(
        self, name: str, sections: Sequence[tuple[Section, ...]], kind: Kind, channel: int | None
    ) -> None:
        self.name = name
        self._grid = list(sections)
        self._meaning = PixelMeaning(kind, channel)
        self._cache = SectionCache(self._decode)
        flat = [section for planes in self._grid for section in planes]
        first = flat[0]
        planes = len(self._grid[0])
        warnings = []
        if planes == 1 and first.header.samples - first.header.has_alpha > 1 and channel is None:
            # The first section decides, and each section is compared when it is read.
            pixels = self._meaning.find_type(str(first), first.header)
            if kind in ("raw", "mask") and has_equal_channels(self._decode_plane(first)):
                self._meaning.is_gray_color = True
                warnings.append(f"{name}: color images with equal channels are read as gray values")
        pixels = self._meaning.find_type(str(first), first.header)
        seen = {first.header}
        for section in flat:
            if section.header in seen:
                continue
            seen.add(section.header)
            if self._meaning.find_type(str(section), section.header) != pixels:
                other = f"page {first.page + 1}" if section.path == first.path else first.path.name
                raise VolumeError(
                    f"{section} is {section.header}, but {other} is {first.header}; "
                    "all sections of a stack must have one size and one type",
                    fix="remove or convert the file, or select the sections with a pattern such as section_*.png; images "
                    "that are not sections of one volume are volumes of their own",
                )
        if kind == "labels":
            check_palettes(
                name, [section.header for section in flat], [str(section).rstrip(",") for section in flat]
            )
            if first.header.photometric == "rgb":
                warnings.append(
                    f"{name}: one channel of a color image is read as ids; if the colors encode ids of 24 bits, replace "
                    "'channel' by 'encoding: rgb'"
                )
        if first.header.has_alpha and first.header.samples > 1 and channel is None:
            self._decode_plane(first)
            warnings.append(f"{name}: opacities (alpha) are equal in each section and ignored")
        if any(header.photometric == "white is zero" for header in seen):
            warnings.append(f"{name}: values are inverted, because the file stores white as 0 (MINISWHITE)")
        if kind == "raw" and pixels.bits < pixels.dtype.itemsize * 8 and pixels.bits not in (12, 24):
            warnings.append(f"{name} has {pixels.bits} bits per pixel: values from 0 to {2**pixels.bits - 1}")
        self.dtype = pixels.dtype
        channels = planes if planes > 1 else pixels.num_channels
        if planes > 1 and pixels.num_channels is not None:
            raise VolumeError(
                f"{name} has {planes} channels of color images", fix="save one of them as gray values"
            )
        self.axes = ["z", "y", "x"] if channels is None else ["c", "z", "y", "x"]
        self.shape = (*(() if channels is None else (channels,)), len(self._grid), *pixels.shape)
        self.warnings = tuple(warnings)

    @property
    def has_stored_values(self) -> bool:
        """True if the values of the source are those of the file."""
        header = self._grid[0][0].header
        return (
            header.photometric in ("gray", "rgb") and not header.has_alpha and not self._meaning.is_gray_color
        )

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        window = tuple(slice(b, e) for b, e in zip(begin[1:], end[1:]))
        block = np.stack([self._cache[index][window] for index in range(begin[0], end[0])])
        return np.ascontiguousarray(np.moveaxis(block, -1, 0)) if block.ndim == 4 else block

    def _decode(self, index: int) -> np.ndarray:
        planes = [self._decode_plane(section) for section in self._grid[index]]
        return planes[0] if len(planes) == 1 else np.stack(planes, axis=-1)

    def _decode_plane(self, section: Section) -> np.ndarray:
        header = section.header
        data = decode_image(section.path, section.page)
        data = data[section.depth] if header.depth > 1 else data
        expected = (header.rows, header.columns, *((header.samples,) if header.samples > 1 else ()))
        if data.shape != expected or data.dtype != header.dtype:
            raise VolumeError(
                f"{section} holds {data.shape} values of {data.dtype}, but its header has {expected} of {header.dtype}",
                fix="copy the file again",
            )
        return self._meaning.apply(str(section).rstrip(","), header, data)


class ImageStack(SectionStack):
    """Images of a directory or pattern. The pages of a file with several pages follow each other.

    Args:
        paths: the files in order.
        name: name for messages.
        kind: use of the image.
        channel: configured channel, if any.
        read_headers: returns the pages of a file.

    Raises:
        VolumeError: a file cannot be read, or differs from the first in size or type; the message names it.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        name: str,
        kind: Kind = "raw",
        channel: int | None = None,
        read_headers: Callable[[Path, KnownFiles], TiffPages] = read_image_headers,
    ) -> None:
        sections: list[Section] = []
        warnings: list[str] = []
        check_repeated_numbers(name, paths)
        counts = []
        known: KnownFiles = {}
        for path in paths:
            pages = read_headers(path, known)
            sections += list_pages(path, pages.headers)
            warnings += pages.warnings
            counts.append(len(pages.headers))
        super().__init__(name, [(section,) for section in sections], kind, channel)
        if max(counts) > 1 and len(paths) > 1:
            warnings.append(
                f"{name}: {len(paths)} files hold {len(sections)} sections, which are stacked file by file in the order "
                "of their pages"
            )
        section_numbers = find_numbers([path.name for path in paths])
        if len(section_numbers) == len(sections):
            self.section_numbers = tuple(section_numbers)
        missing = find_missing_numbers([path.name for path in paths])
        if missing:
            numbers = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
            warnings.append(
                f"{name}: the numbers of the sections ({paths[0].name} to {paths[-1].name}) have a "
                f"gap: {numbers} {'is' if len(missing) == 1 else 'are'} missing. The {len(sections)} existing "
                "sections are stacked without space between them; add a copy of a neighboring section or a black "
                "section for each missing one"
            )
        self.warnings += tuple(warnings[:10])
