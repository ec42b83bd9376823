"""Common interface of the readers: a box of voxels that is read block by block."""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from attacca.arrays.metadata import GridMetadata
from attacca.config.volumes import ArraySource
from attacca.errors import MissingInputError

_NO_METADATA = GridMetadata(None, None, None, None)

type Box = tuple[Sequence[int], Sequence[int]]
"""First voxel and number of voxels along z, y, x."""


class Source(ABC):
    """Voxels in a file of any format, read on demand. A source can be pickled.

    Attributes:
        name: path and data set, for messages.
        axes: names of the axes of the result of ``read``: ``[c,] [z,] y, x``.
        shape: number of voxels along these axes.
        dtype: dtype of the result of ``read``.
        metadata: voxel size, offset and unit as stored in the file.
        warnings: descriptions of probable errors in a readable file.
        stored_axes: axes in the order of the file, if the file names or implies them.
        missing: number of chunks that were never written, as text; empty if all voxels are stored.
        section_numbers: ascending numbers of the sections in the names of their files; empty if names do not count them.
    """

    name: str
    axes: list[str]
    shape: tuple[int, ...]
    dtype: np.dtype
    metadata: GridMetadata = _NO_METADATA
    warnings: tuple[str, ...] = ()
    stored_axes: str = ""
    missing: str = ""
    section_numbers: tuple[int, ...] = ()

    @property
    def dims(self) -> int:
        """Number of spatial axes."""
        return len(self.axes) - self.axes.count("c")

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Number of voxels along the spatial axes."""
        return self.shape[len(self.shape) - self.dims :]

    @property
    def num_channels(self) -> int | None:
        """Size of the channel axis; None without one."""
        return self.shape[0] if "c" in self.axes else None

    @abstractmethod
    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        """Read the voxels of a box, with all channels first.

        Args:
            begin: index of the first voxel along each spatial axis.
            end: index after the last voxel along each spatial axis.
        """


class SelectedChannel(Source):
    """One channel of a source with several channels."""

    def __init__(self, source: Source, channel: int) -> None:
        self.name, self.dtype, self.metadata = source.name, source.dtype, source.metadata
        self.warnings, self.stored_axes = source.warnings, source.stored_axes
        self.axes, self.shape = source.axes[1:], source.shape[1:]
        self.section_numbers = source.section_numbers
        self.source, self.channel = source, channel

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        return self.source.read(begin, end)[self.channel]


class SinglePlane(Source):
    """A three-dimensional source with one section, as a two-dimensional image."""

    def __init__(self, source: Source) -> None:
        self.name, self.dtype, self.warnings = source.name, source.dtype, source.warnings
        self.stored_axes = source.stored_axes
        lead = len(source.axes) - 3
        self.axes = source.axes[:lead] + source.axes[lead + 1 :]
        self.shape = source.shape[:lead] + source.shape[lead + 1 :]
        stored = source.metadata
        self.metadata = replace(
            stored,
            axes=self.axes,
            voxel_size=stored.voxel_size[-2:] if stored.voxel_size else None,
            offset=stored.offset[-2:] if stored.offset else None,
        )
        self._source = source

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        data = self._source.read((0, *begin), (1, *end))
        return data.reshape(*data.shape[:-3], *data.shape[-2:])


def build_missing_error(path: Path) -> MissingInputError:
    """Return the error for a path that does not exist, with the nearest existing names."""
    parent = path.parent
    while not parent.exists() and parent != parent.parent:
        path, parent = parent, parent.parent
    names = sorted(item.name for item in parent.iterdir()) if parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    else:
        hint = f"{parent} holds {', '.join(names[:10]) or 'nothing'}{' ...' if len(names) > 10 else ''}"
    return MissingInputError(f"{path}: no such file or directory; {hint}")


def choose_missing_chunks(name: str, source: ArraySource) -> str:
    """Return ``refuse`` or ``zero``, the treatment of missing chunks of an array.

    Args:
        name: use of the array: ``raw``, ``labels`` or ``mask``.
        source: its configuration.

    >>> choose_missing_chunks("raw", ArraySource(path="em.zarr")), choose_missing_chunks("labels", ArraySource(path="a"))
    ('refuse', 'zero')
    """
    return source.missing_chunks or ("refuse" if name == "raw" else "zero")
