"""What every kind of source looks like to the import: a box of voxels that is read block by block."""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attacca.arrays.metadata import GridMetadata
from attacca.errors import MissingInputError


class Source(ABC):
    """Voxels somewhere outside, read lazily.

    Attributes:
        name: path and data set, for messages.
        axes: names of the axes of what ``read`` returns: ``[c,] [z,] y, x``.
        shape: extent of these axes, in voxels.
        dtype: dtype of what ``read`` returns.
        found: what the file says about its place in the world.
        warnings: what looks wrong with it, although it can be read.
    """

    name: str
    axes: list[str]
    shape: tuple[int, ...]
    dtype: np.dtype
    found: GridMetadata = GridMetadata(None, None, None, None)
    warnings: tuple[str, ...] = ()

    @property
    def dims(self) -> int:
        """Number of spatial axes."""
        return len(self.axes) - self.axes.count("c")

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Extent of the spatial axes, in voxels."""
        return self.shape[len(self.shape) - self.dims :]

    @property
    def num_channels(self) -> int | None:
        """Size of the channel axis, None without one."""
        return self.shape[0] if "c" in self.axes else None

    @abstractmethod
    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        """Voxels from ``begin`` up to ``end`` (spatial axes), with all channels first."""


class SelectedChannel(Source):
    """One channel of a source with several."""

    def __init__(self, source: Source, channel: int) -> None:
        self.name, self.dtype, self.found = source.name, source.dtype, source.found
        self.warnings = source.warnings
        self.axes, self.shape = source.axes[1:], source.shape[1:]
        self._source, self._channel = source, channel

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        return self._source.read(begin, end)[self._channel]


class SinglePlane(Source):
    """A three-dimensional source of one section, as the two-dimensional image that it is."""

    def __init__(self, source: Source) -> None:
        self.name, self.dtype, self.warnings = source.name, source.dtype, source.warnings
        lead = len(source.axes) - 3
        self.axes = source.axes[:lead] + source.axes[lead + 1 :]
        self.shape = source.shape[:lead] + source.shape[lead + 1 :]
        found = source.found
        self.found = GridMetadata(
            self.axes,
            found.voxel_size[-2:] if found.voxel_size else None,
            found.offset[-2:] if found.offset else None,
            found.unit,
        )
        self._source = source

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        data = self._source.read((0, *begin), (1, *end))
        return data.reshape(*data.shape[:-3], *data.shape[-2:])


def missing(path: Path) -> MissingInputError:
    """The error for a path that is not there, with the nearest names that are."""
    parent = path.parent
    while not parent.exists() and parent != parent.parent:
        path, parent = parent, parent.parent
    names = sorted(item.name for item in parent.iterdir()) if parent.is_dir() else []
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    if close:
        there = f"did you mean {' or '.join(close)}?"
    else:
        there = f"{parent} holds {', '.join(names[:10]) or 'nothing'}{' ...' if len(names) > 10 else ''}"
    return MissingInputError(f"{path}: no such file or directory; {there}")
