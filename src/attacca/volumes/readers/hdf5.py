"""Data sets of HDF5 files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attacca.arrays.metadata import GridMetadata, parse_attributes
from attacca.errors import MissingInputError, VolumeError
from attacca.volumes.readers.source import Source

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5")


class Hdf5Source(Source):
    """A data set in an HDF5 file, with the metadata in its attributes (``resolution``, ``offset``, ...).

    Args:
        path: the file.
        dataset: name of the data set; None for the only one.

    Raises:
        VolumeError: the file cannot be read.
        MissingInputError: the data set does not exist; the message lists the existing ones.
    """

    def __init__(self, path: Path, dataset: str | None) -> None:
        self._path = path
        self._file: Any = None
        shapes = self._list_shapes()
        if dataset is None:
            if len(shapes) != 1:
                raise MissingInputError(
                    f"{path} holds {len(shapes)} data sets, name one: {_format_shapes(shapes)}",
                    fix="set 'dataset'",
                )
            dataset = next(iter(shapes))
        dataset = dataset.strip("/")
        if dataset not in shapes:
            raise MissingInputError(
                f"{path} has no data set {dataset!r}; it holds {_format_shapes(shapes)}",
                fix="correct 'dataset'",
            )
        self._dataset = dataset
        self.name = f"{path}:{dataset}"
        data = self._open()[dataset]
        self.shape, self.dtype = tuple(data.shape), data.dtype.newbyteorder("=")
        attrs = {
            key: value.tolist() if hasattr(value, "tolist") else value for key, value in data.attrs.items()
        }
        if not 2 <= len(self.shape) <= 4:
            raise VolumeError(
                f"{self.name}: found {len(self.shape)} axes, expected y, x or z, y, x, optionally with channels",
                fix="choose another data set, or store one with these axes",
            )
        self._channels_last = len(self.shape) == 4 and self.shape[-1] <= 4 < self.shape[0]
        if self._channels_last:
            self.shape = (self.shape[-1], *self.shape[:-1])
        self.axes = ["c", "z", "y", "x"][4 - len(self.shape) :]
        self.metadata = parse_attributes(attrs, len(self.shape))
        micrometers = attrs.get("element_size_um")
        if self.metadata.voxel_size is None and isinstance(micrometers, list):
            # Attribute of ilastik and PlantSeg.
            size = tuple(float(value) for value in micrometers[-self.dims :])
            self.metadata = GridMetadata(None, size, self.metadata.offset, "micrometer")

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
            raise VolumeError(
                f"{self.name} cannot be read at {list(begin)}: {error}",
                fix="copy the file again, or restore it",
            ) from error
        return block.astype(self.dtype, copy=False)

    def _open(self) -> Any:
        # deferred: h5py takes 0.1 s to import
        import h5py

        if self._file is None:
            # Many network file systems refuse locks; the file is only read.
            try:
                self._file = h5py.File(self._path, "r", locking=False)
            except OSError as error:
                raise VolumeError(
                    f"{self._path} cannot be read as HDF5: damaged, incomplete or another format ({error})",
                    fix="copy the file again, or correct the path",
                ) from error
        return self._file

    def _list_shapes(self) -> dict[str, tuple[int, ...]]:
        # deferred: h5py takes 0.1 s to import
        import h5py

        shapes: dict[str, tuple[int, ...]] = {}

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and len(item.shape) >= 2:
                shapes[name] = tuple(item.shape)

        self._open().visititems(visit)
        return shapes


def _format_shapes(shapes: dict[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in sorted(shapes.items())) or "no data set"
