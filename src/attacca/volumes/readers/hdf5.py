"""Data sets in HDF5 files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attacca.arrays.metadata import GridMetadata, parse_attributes
from attacca.errors import MissingInputError, VolumeError
from attacca.volumes.readers.source import Source


class Hdf5Source(Source):
    """A data set in an HDF5 file; its attributes ``resolution`` and ``offset`` are used.

    Args:
        path: the file.
        dataset: name of the data set; None where the file holds only one.

    Raises:
        VolumeError: the file cannot be read.
        MissingInputError: there is no such data set; the message lists those there are.
    """

    def __init__(self, path: Path, dataset: str | None) -> None:
        self._path = path
        self._file: Any = None
        there = self._datasets()
        if dataset is None:
            if len(there) != 1:
                raise MissingInputError(f"{path} holds {len(there)} data sets, name one: {_listed(there)}")
            dataset = next(iter(there))
        dataset = dataset.strip("/")
        if dataset not in there:
            raise MissingInputError(f"{path} has no data set {dataset!r}; it holds {_listed(there)}")
        self._dataset = dataset
        self.name = f"{path}:{dataset}"
        data = self._open()[dataset]
        self.shape, self.dtype = tuple(data.shape), data.dtype.newbyteorder("=")
        attrs = {
            key: value.tolist() if hasattr(value, "tolist") else value for key, value in data.attrs.items()
        }
        if not 2 <= len(self.shape) <= 4:
            raise VolumeError(f"{self.name} has {len(self.shape)} axes; expected z, y, x or y, x")
        self._channels_last = len(self.shape) == 4 and self.shape[-1] <= 4 < self.shape[0]
        if self._channels_last:
            self.shape = (self.shape[-1], *self.shape[:-1])
        self.axes = ["c", "z", "y", "x"][4 - len(self.shape) :]
        self.found = parse_attributes(attrs, len(self.shape))
        micrometres = attrs.get("element_size_um")
        if self.found.voxel_size is None and isinstance(micrometres, list):
            # ilastik and PlantSeg.
            size = tuple(float(value) for value in micrometres[-self.dims :])
            self.found = GridMetadata(None, size, self.found.offset, "micrometer")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        window = tuple(slice(b, e) for b, e in zip(begin, end))
        data = self._open()[self._dataset]
        lead = (slice(None),) * (len(self.shape) - self.dims)
        try:
            if self._channels_last:
                return np.ascontiguousarray(np.moveaxis(data[(*window, slice(None))], -1, 0))
            block = data[(*lead, *window)]
        except OSError as error:
            raise VolumeError(f"{self.name} cannot be read at {list(begin)}: {error}") from error
        return block.astype(self.dtype, copy=False)

    def _open(self) -> Any:
        import h5py

        if self._file is None:
            # Without locks, which many network file systems refuse; nothing is ever written.
            try:
                self._file = h5py.File(self._path, "r", locking=False)
            except OSError as error:
                raise VolumeError(
                    f"{self._path} cannot be read as HDF5: damaged, incomplete or another format ({error})"
                ) from error
        return self._file

    def _datasets(self) -> dict[str, tuple[int, ...]]:
        import h5py

        found: dict[str, tuple[int, ...]] = {}

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and len(item.shape) >= 2:
                found[name] = tuple(item.shape)

        self._open().visititems(visit)
        return found


def _listed(there: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in sorted(there.items())) or "no data set"
