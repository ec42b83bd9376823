"""Reader: reads the voxels of a file or directory in a format that Attacca does not read.

In the configuration:

    extensions: [reader.py]
    volumes:
      NAME:
        raw: {path: tissue.npy, reader: {type: my_reader, voxel_size: [8, 8, 8]}}
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from attacca import GridMetadata, Options, Source, register


class NumpyOptions(Options):
    """Keys of the section ``reader``. A change of one imports the volume again."""

    type: Literal["my_reader"] = "my_reader"
    """Name by which the configuration selects this reader."""
    voxel_size: tuple[float, ...] | None = None
    """Voxel size in nanometers, if the file has none; the key ``voxel_size`` of the volume replaces it."""


@register("reader", NumpyOptions)
class NumpyReader(Source):
    """An array in NumPy's format, with the axes (z,) y, x."""

    def __init__(self, options: NumpyOptions, path: Path, kind: str) -> None:
        """Read the header only; ``kind`` is ``raw``, ``labels`` or ``mask``."""
        self.path, self.name = path, str(path)
        array = np.load(path, mmap_mode="r")
        self.axes = list("zyx"[-array.ndim :])
        self.shape, self.dtype = array.shape, array.dtype
        self.metadata = GridMetadata(self.axes, options.voxel_size, None, "nanometer")

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray[Any, Any]:
        """Return the voxels of a box. Several processes read different boxes at the same time."""
        array = np.load(self.path, mmap_mode="r")
        return np.array(array[tuple(slice(*limits) for limits in zip(begin, end, strict=True))])
