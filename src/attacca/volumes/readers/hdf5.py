"""Data sets of HDF5 files."""

import fcntl
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from attacca.arrays.metadata import GridMetadata, parse_attributes
from attacca.errors import AttaccaError, MissingInputError, VolumeError, summarize_error
from attacca.volumes.readers.foreign_formats import CONVERTERS, describe_content
from attacca.volumes.readers.hdf5_attributes import check_axes, find_axes, guess_axes, read_attributes
from attacca.volumes.readers.hdf5_links import find_object, list_datasets
from attacca.volumes.readers.hdf5_storage import (
    check_chunk_table,
    check_files,
    check_filters,
    describe_missing,
    list_linked_files,
)
from attacca.volumes.readers.image_header import describe_unused_bytes
from attacca.volumes.readers.source import Source

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5", ".mat", ".nxs")
_MATLAB = b"MATLAB 7.3"
_MOST_NAMES = 20


class Hdf5Source(Source):
    """A data set in an HDF5 file, with the metadata in its attributes (``resolution``, ``offset``, ...).

    The axes are those of the configuration; otherwise those that the file names (``axistags`` of ilastik, ``axes``,
    ``DIMENSION_LABELS``); otherwise they follow from the shape. The result of ``read`` has the order c, z, y, x.

    Args:
        path: the file.
        dataset: name of the data set; None for the only one. Soft and external links are followed.
        axes: one letter per axis of the data set (t, c, z, y, x) in the order of the file; None for those of the file.

    Attributes:
        missing: number of chunks that were never written, as text; empty if the data set is complete.

    Raises:
        VolumeError: the file cannot be read, or is not a volume.
        MissingInputError: the data set, or a file that holds a part of it, does not exist.
    """

    def __init__(self, path: Path, dataset: str | None, axes: str | None = None) -> None:
        self._path = path
        self._file: Any = None
        self._data: Any = None
        self._broken: list[AttaccaError] = []
        _check_not_written(path)
        self._refuse_imaris()
        self._dataset = self._choose_dataset(dataset)
        self.name = f"{path}:{self._dataset}"
        data = self._open()
        shape, self.dtype = tuple(data.shape), np.dtype(data.dtype).newbyteorder("=")
        self._is_bdv = self.dtype == "i2" and _is_bigdataviewer(self._dataset)
        if self._is_bdv:
            # BigDataViewer stores unsigned values in a signed type.
            self.dtype = np.dtype("u2")
        check_filters(data, self.name)
        check_files(data, Path(data.file.filename), self.name)
        check_chunk_table(data, self.name)
        self.missing = describe_missing(data)
        attributes = read_attributes(data)
        order, origin = self._choose_axes(data, attributes, axes)
        check_axes(order, shape, self.name)
        self._stored = order
        self.axes = [axis for axis in "czyx" if axis in order]
        self.shape = tuple(shape[order.index(axis)] for axis in self.axes)
        self.metadata, warnings = self._read_metadata(attributes, origin)
        self.warnings = (*warnings, *describe_unused_bytes(path, _read_end(path)))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_data": None}

    def list_files(self) -> list[Path]:
        """Return the file, and the other files from which links and virtual data sets read voxels."""
        return [self._path, *list_linked_files(self._open(), self._path)]

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        spatial = dict(zip(self.axes[-self.dims :], zip(begin, end)))
        window = tuple(
            slice(*spatial[axis]) if axis in spatial else (0 if axis == "t" else slice(None))
            for axis in self._stored
        )
        try:
            block = self._open()[window]
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise VolumeError(
                f"{self.name} cannot be read at {list(begin)}: {summarize_error(error)}",
                fix="copy the file again, or restore it",
            ) from error
        if self._is_bdv:
            block = block.view("u2")
        order = [axis for axis in self._stored if axis != "t"]
        block = np.transpose(block, [order.index(axis) for axis in self.axes])
        return np.ascontiguousarray(block, dtype=self.dtype)

    def _open(self) -> Any:
        """Return the open data set."""
        if self._data is None:
            self._data = find_object(self._open_file(), self._path, self._dataset)
        return self._data

    def _open_file(self) -> Any:
        # deferred: h5py takes 0.1 s to import
        import h5py

        if self._file is None:
            # Many network file systems refuse locks; the file is only read.
            try:
                self._file = h5py.File(self._path, "r", locking=False)
            except OSError as error:
                raise _explain(self._path, error) from error
        return self._file

    def _refuse_imaris(self) -> None:
        """Refuse a file of Imaris, which pads its data sets beyond the size of the image, whatever its suffix."""
        if "ImarisDataSet" in self._open_file().attrs:
            name, program = CONVERTERS[".ims"]
            raise VolumeError(
                f"{self._path} is in the format {name}, which is not read: its data sets are larger than the image",
                fix=f"convert it: {program}",
            )

    def _choose_dataset(self, name: str | None) -> str:
        # deferred: h5py takes 0.1 s to import
        import h5py

        if name is not None:
            found = find_object(self._open_file(), self._path, name)
            if isinstance(found, h5py.Dataset):
                _check_type(found, f"{self._path}:{name.strip('/')}")
                return name.strip("/")
            problem = f"has no data set {name.strip('/')!r}"
            if isinstance(found, h5py.Group):
                problem = f"has a group, not a data set, of the name {name.strip('/')!r}"
            raise MissingInputError(
                f"{self._path} {problem}; it holds {self._list_volumes()[1]}", fix="correct 'dataset'"
            )
        names, text = self._list_volumes()
        if not names and self._broken:
            raise self._broken[0]
        if len(names) != 1:
            raise MissingInputError(
                f"{self._path} holds {len(names)} data sets, name one: {text}", fix="set 'dataset'"
            )
        return names[0]

    def _list_volumes(self) -> tuple[list[str], str]:
        """Return the names of the data sets that may be volumes, and these with their shapes as text."""
        datasets, self._broken = list_datasets(self._open_file(), self._path)
        shapes = _select_volumes(datasets)
        parts = [f"{name} {shape}" for name, shape in sorted(shapes.items())]
        if len(parts) > _MOST_NAMES:
            parts[_MOST_NAMES:] = [f"and {len(parts) - _MOST_NAMES} others"]
        return sorted(shapes), ", ".join(parts) or "no data set"

    def _choose_axes(self, data: Any, attributes: dict[str, Any], axes: str | None) -> tuple[list[str], str]:
        if axes is not None:
            return list(axes), "configuration"
        order, origin = find_axes(attributes, data, self.name)
        if order is not None:
            return order, origin
        if "MATLAB_class" in attributes or _is_matlab(self._path):
            raise VolumeError(
                f"{self.name} was written by MATLAB, which stores the axes of an array in reverse order: the array "
                f"of MATLAB has {tuple(reversed(data.shape))} voxels, the file {tuple(data.shape)}",
                fix="set 'axes' to their order in the file: axes: zxy for an array (y, x, z) in MATLAB, zyx for "
                "(x, y, z)",
            )
        if len(data.shape) < 2:
            raise VolumeError(
                f"{self.name}: found {len(data.shape)} axes, expected y, x or z, y, x, optionally with channels",
                fix="choose another data set",
            )
        return guess_axes(tuple(data.shape), self.name), ""

    def _read_metadata(self, attributes: dict[str, Any], origin: str) -> tuple[GridMetadata, tuple[str, ...]]:
        """Return voxel size, offset and unit in the order z, y, x, and warnings about attributes that are not used."""
        dims, names = self.dims, ("z", "y", "x")[3 - self.dims :]
        for key in ("resolution", "voxel_size", "pixelResolution", "offset", "translate"):
            if isinstance(attributes.get(key), int | float):
                attributes[key] = [float(attributes[key])] * dims
        metadata = parse_attributes(
            {
                key: value
                for key, value in attributes.items()
                if key not in ("axes", "_ARRAY_DIMENSIONS", "axis_names")
            },
            dims,
        )
        micrometers = attributes.get("element_size_um")
        if isinstance(micrometers, int | float):
            micrometers = [float(micrometers)] * dims
        if metadata.voxel_size is None and isinstance(micrometers, list):
            # Attribute of Fiji's HDF5 plugin and of PlantSeg.
            own = parse_attributes({"resolution": micrometers, "units": ["micrometer"]}, dims)
            name = "'element_size_um'"
            problem = own.problem and own.problem.replace("'resolution'", name)
            metadata = replace(own, offset=None, origin=f"the attribute {name}", problem=problem)
        spatial = [axis for axis in self._stored if axis in names]
        warnings = []
        for key in ("voxel_size", "offset"):
            values = getattr(metadata, key)
            if values is None:
                continue
            if len(values) == len(self._stored) != dims:
                values = tuple(v for v, axis in zip(values, self._stored) if axis in names)
            values = values[-dims:]
            reordered = values
            if len(values) == dims and tuple(spatial) != names:
                reordered = tuple(values[spatial.index(axis)] for axis in names)
                if reordered != values and origin != "axes":
                    # ilastik keeps attributes of its input, whose axes may have had another order.
                    warnings.append(
                        f"{self.name}: the stored {key.replace('_', ' ')} {list(values)} is not used: the axes are "
                        f"{''.join(self._stored)}, and the order of the values is not known"
                    )
                    reordered = None
            metadata = replace(metadata, **{key: reordered})
        return metadata, tuple(warnings)


def list_hdf5_volumes(path: Path) -> list[str]:
    """Return the sorted names of the data sets that may be volumes: numbers with two axes or more.

    Raises:
        VolumeError: the file cannot be read.
    """
    # deferred: h5py takes 0.1 s to import
    import h5py

    _check_not_written(path)
    try:
        with h5py.File(path, "r", locking=False) as file:
            return sorted(_select_volumes(list_datasets(file, path)[0]))
    except OSError as error:
        raise _explain(path, error) from error


def _select_volumes(datasets: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the data sets that may be volumes."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, data in datasets.items():
        try:
            if data.shape is not None and len(data.shape) >= 2 and data.dtype.kind in "buif":
                shapes[name] = tuple(data.shape)
        except (TypeError, ValueError):
            continue
    return shapes


def has_hdf5_signature(path: Path) -> bool:
    """Return True for an HDF5 file of any name."""
    # deferred: h5py takes 0.1 s to import
    import h5py

    return bool(h5py.is_hdf5(path))


def _is_bigdataviewer(dataset: str) -> bool:
    parts = dataset.split("/")
    return len(parts) == 4 and parts[0][:1] == "t" and parts[1][:1] == "s" and parts[3] == "cells"


def _check_type(data: Any, name: str) -> None:
    """Raise an error unless a data set holds an array of numbers."""
    try:
        shape, dtype = data.shape, data.dtype
    except (TypeError, ValueError) as error:
        raise VolumeError(
            f"{name} holds values of an unknown type ({summarize_error(error)}); expected integers or "
            "floating-point numbers",
            fix="choose another data set",
        ) from error
    if shape is None:
        raise VolumeError(f"{name} is empty: it has no shape", fix="choose another data set")
    if dtype.names is not None:
        raise VolumeError(
            f"{name} holds records of {', '.join(dtype.names)}; expected numbers",
            fix="choose another data set, or store one of these fields alone",
        )


def _check_not_written(path: Path) -> None:
    """Raise an error if another program has the file open for writing."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise VolumeError(
            f"{path} is open for writing in another program", fix="close the file there first"
        ) from None
    except PermissionError as error:
        raise VolumeError(f"{path} cannot be read by this user", fix="change its permissions") from error
    except OSError:
        # The file system has no locks.
        pass


def _read_end(path: Path) -> int:
    """Return the number of bytes of a file according to its superblock; the size of the file if it does not say so.

    Reference: https://docs.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html#Superblock
    """
    with path.open("rb") as file:
        block = file.read(96)
    position, base = {0: (40, 24), 1: (44, 28), 2: (28, 12), 3: (28, 12)}.get(block[8], (0, 0))
    is_usual = block.startswith(b"\x89HDF") and position and block[13 if block[8] < 2 else 9] == 8
    if not is_usual or any(block[base : base + 8]):
        return path.stat().st_size
    return int.from_bytes(block[position : position + 8], "little")


def _is_matlab(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MATLAB)) == _MATLAB


def _explain(path: Path, error: OSError) -> VolumeError:
    text = str(error)
    if "file is already open for write" in text or "file consistency flags" in text:
        return VolumeError(
            f"{path} is open for writing in another program, or that program did not close it",
            fix=f"close the file there; if no program has it open: h5clear -s {path}",
        )
    content = describe_content(path)
    if content:
        return VolumeError(f"{path} is not HDF5: {content}", fix="get the file itself, or correct the path")
    return VolumeError(
        f"{path} cannot be read as HDF5: damaged, incomplete or another format ({summarize_error(error)})",
        fix="copy the file again, or correct the path",
    )
