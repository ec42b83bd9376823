"""TIFF files with several pages."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attacca.errors import VolumeError
from attacca.volumes.readers.image_file import decode_tiff_page
from attacca.volumes.readers.section_cache import SectionCache
from attacca.volumes.readers.source import Source
from attacca.volumes.readers.tiff_metadata import read_tiff_metadata

# Micrographs have at most this many channels; more channels are sections that the writer named wrongly.
_MOST_CHANNELS = 4


class MultipageTiff(Source):
    """A TIFF file whose pages are sections, or channels of sections.

    Args:
        path: the file.

    Raises:
        VolumeError: the file cannot be read, or its axes are not sections, rows, columns and channels.
    """

    def __init__(self, path: Path) -> None:
        # deferred: tifffile takes 0.1 s to import
        import tifffile

        self.name = str(path)
        self._path = path
        self._sections = SectionCache(self._decode)
        try:
            with tifffile.TiffFile(path) as file:
                series = file.series[0]
                axes, shape = series.axes, series.shape
                stored = np.dtype(series.dtype).newbyteorder(file.byteorder)
                # Uncompressed voxels in one piece are read without decoding pages.
                self._contiguous = None if series.dataoffset is None else (series.dataoffset, stored, shape)
                self.dtype = stored.newbyteorder("=")
                _check_size(path, series.dataoffset, stored.itemsize * math.prod(shape))
                has_depth = any(size > 1 for axis, size in zip(axes, shape) if axis in "ZIQTC")
                self.metadata = read_tiff_metadata(file, 3 if has_depth else 2)
        except VolumeError:
            raise
        except (tifffile.TiffFileError, OSError, ValueError, IndexError, TypeError) as error:
            raise VolumeError(
                f"{path} cannot be read as TIFF: {error}", fix="copy the file again, or correct the path"
            ) from error
        # Time points and pages without a declared meaning (I, Q) are sections.
        sections = re.sub("[IQT]", "Z", axes)
        kept = [(axis, size) for axis, size in zip(sections, shape) if size > 1 or axis in "YX"]
        if [axis for axis, _ in kept] == ["C", "Y", "X"] and kept[0][1] > _MOST_CHANNELS:
            kept[0] = ("Z", kept[0][1])
        self._names = "".join(axis for axis, _ in kept)
        if self._names not in ("YX", "ZYX", "CZYX", "ZCYX", "YXS", "ZYXS", "CYX"):
            raise VolumeError(
                f"{path} has the axes {axes} with {shape} voxels; expected sections, rows and columns (ZYX), "
                "optionally with channels",
                fix="save it with these axes",
            )
        sizes = dict(kept)
        self._stored_shape = tuple(size for _, size in kept)
        self._depth = sizes.get("Z", 1)
        channels = sizes.get("C", sizes.get("S"))
        self.axes = [*(["c"] if channels else []), *(["z"] if "Z" in sizes else []), "y", "x"]
        spatial = (*((self._depth,) if "Z" in sizes else ()), sizes["Y"], sizes["X"])
        self.shape = (*((channels,) if channels else ()), *spatial)

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        window: tuple[Any, ...] = (Ellipsis, *(slice(b, e) for b, e in zip(begin, end)))
        if self._contiguous is not None:
            offset, dtype, shape = self._contiguous
            stored = np.memmap(self._path, dtype, "r", offset, shape).reshape(self._stored_shape)
            order = [self._names.index(axis) for axis in self._names if axis in "CS"]
            order += [self._names.index(axis) for axis in "ZYX" if axis in self._names]
            return np.ascontiguousarray(stored.transpose(order)[window]).astype(self.dtype, copy=False)
        first, last = (begin[0], end[0]) if self.dims == 3 else (0, 1)
        sections = [self._sections[index][window[0], *window[-2:]] for index in range(first, last)]
        return np.stack(sections, axis=-3) if self.dims == 3 else sections[0]

    def _decode(self, index: int) -> np.ndarray:
        """Decode one section, ``[c,] y, x``."""
        if self._names == "CZYX":
            pages = [c * self._depth + index for c in range(self.shape[0])]
        elif self._names in ("ZCYX", "CYX"):
            pages = [index * self.shape[0] + c for c in range(self.shape[0])]
        else:
            section = decode_tiff_page(self._path, index)
            return np.moveaxis(section, -1, 0) if self._names.endswith("S") else section
        return np.stack([decode_tiff_page(self._path, page) for page in pages])


def _check_size(path: Path, offset: int | None, size: int) -> None:
    existing = path.stat().st_size
    if offset is not None and existing < offset + size:
        raise VolumeError(
            f"{path} is truncated: it has {existing} bytes, but its voxels need {offset + size}; copy it again"
        )
