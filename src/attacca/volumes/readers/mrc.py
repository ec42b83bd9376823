"""MRC files (``.mrc``, ``.rec``, ``.map``, ``.st``) through ``mrcfile``."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attacca.arrays.metadata import GridMetadata
from attacca.errors import VolumeError, summarize_error
from attacca.volumes.readers.foreign_formats import describe_content
from attacca.volumes.readers.hdf5_attributes import check_axes
from attacca.volumes.readers.source import Source

MRC_SUFFIXES = (".mrc", ".rec", ".map", ".st", ".ali", ".preali", ".mrcs", ".ccp4")
_HEADER_BYTES = 1024
_IMOD_STAMP = 1146047817
"""Number in an IMOD header; its flags say whether bytes are signed."""
_PACKED_MODE = 101
_FIRST_VERSION = 20140
_VOLUME_STACKS = range(401, 631)


class MrcSource(Source):
    """A volume in an MRC file. Its voxel size is stored in angstrom.

    The axes of the file are those of its header (``mapc``, ``mapr``, ``maps``): sections, rows and columns are z, y, x
    in most files. Bytes are signed, unless the header of IMOD says otherwise.

    Args:
        path: the file.
        axes: order of the axes in the file, from sections to columns; None for that of the header.

    Raises:
        VolumeError: the file is not MRC, is truncated, or holds something else than a volume.
    """

    def __init__(self, path: Path, axes: str | None = None) -> None:
        self._path = path
        self._map: Any = None
        self.name = str(path)
        header, messages = _read_header(path)
        shape = tuple(int(header[key]) for key in ("nz", "ny", "nx"))
        if min(shape) < 1:
            raise VolumeError(f"{path}: found {shape} voxels in its header", fix="copy the file again")
        if int(header.ispg) in _VOLUME_STACKS and int(header.mz) != shape[0]:
            raise VolumeError(f"{path} is a stack of several volumes", fix="store one of them alone")
        self._stored_dtype = _read_dtype(header, messages, path)
        self.dtype = self._stored_dtype.newbyteorder("=")
        if self.dtype == "f2":
            self.dtype = np.dtype("f4")
        self._begin = _HEADER_BYTES + max(0, int(header.nsymbt))
        size, expected = (
            path.stat().st_size,
            self._begin + int(np.prod(shape, dtype=object)) * self._stored_dtype.itemsize,
        )
        if size < expected:
            raise VolumeError(
                f"{path} is truncated: found {size} bytes, expected {expected} for {shape} voxels of "
                f"{self._stored_dtype.name}",
                fix="copy the file again",
            )
        if size > expected:
            messages.append(f"{path} has {size - expected} bytes more than its header says")
        order = list(axes) if axes is not None else _read_axes(header, path)
        check_axes(order, shape, self.name)
        self._stored = order
        self._stored_shape = shape
        self.axes = [axis for axis in "czyx" if axis in order]
        self.shape = tuple(shape[order.index(axis)] for axis in self.axes)
        self.metadata = _read_metadata(header, self.axes, messages, path)
        self.warnings = tuple(messages)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_map": None}

    def read(self, begin: Sequence[int], end: Sequence[int]) -> np.ndarray:
        if self._map is None:
            try:
                self._map = np.memmap(
                    self._path, self._stored_dtype, "r", offset=self._begin, shape=self._stored_shape
                )
            except (OSError, ValueError) as error:
                raise VolumeError(
                    f"{self._path} cannot be read: {summarize_error(error)}", fix="copy the file again"
                ) from error
        spatial = dict(zip(self.axes[-self.dims :], zip(begin, end)))
        window = tuple(
            slice(*spatial[axis]) if axis in spatial else (0 if axis == "t" else slice(None))
            for axis in self._stored
        )
        order = [axis for axis in self._stored if axis != "t"]
        block = np.transpose(self._map[window], [order.index(axis) for axis in self.axes])
        return np.ascontiguousarray(block, dtype=self.dtype)


def _read_header(path: Path) -> tuple[Any, list[str]]:
    """Return the header as ``mrcfile`` reads it, and its warnings."""
    # deferred: the package is needed for MRC only
    import mrcfile

    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # Older files have neither the stamp nor the name of the format: they are read if the numbers make sense.
            with mrcfile.open(path, "r", permissive=True, header_only=True) as file:
                header = file.header.copy()
    except (OSError, ValueError, TypeError, EOFError) as error:
        content = describe_content(path)
        raise VolumeError(
            f"{path} is not an MRC file: {content or summarize_error(error)}",
            fix="copy the file again, or correct the path",
        ) from error
    sizes = [int(header[key]) for key in ("nx", "ny", "nz")]
    if bytes(header.map)[:3] != b"MAP" and not all(0 < size < 1 << 20 for size in sizes):
        raise VolumeError(
            f"{path} is not an MRC file: {describe_content(path) or 'its header is missing'}",
            fix="copy the file again, or correct the path",
        )
    return header, [
        f"{path}: {warning.message}" for warning in caught if issubclass(warning.category, RuntimeWarning)
    ]


def _read_dtype(header: Any, messages: list[str], path: Path) -> np.dtype:
    mode, order = int(header.mode), header.mode.dtype.byteorder
    # deferred: the package is needed for MRC only
    from mrcfile.utils import dtype_from_mode

    if mode == _PACKED_MODE:
        raise VolumeError(
            f"{path} holds 4-bit numbers (mode 101)", fix="convert it: newstack -mode 0 FILE COPY (IMOD)"
        )
    try:
        dtype = dtype_from_mode(mode)
    except ValueError:
        raise VolumeError(
            f"{path}: found the mode {mode} in its header, expected 0 (int8), 1 (int16), 2 (float32), 6 (uint16) or 12 "
            "(float16)",
            fix="copy the file again, or convert it: newstack -mode 1 FILE COPY (IMOD)",
        ) from None
    if dtype.kind == "c":
        raise VolumeError(f"{path} holds complex numbers (mode {mode})", fix="convert it to real numbers")
    if mode == 0:
        # The words 39 and 40 of the header: IMOD's stamp and flags, in bytes 152 to 160.
        raw = header.tobytes()
        stamp, flags = np.frombuffer(raw[152:160], np.dtype("i4").newbyteorder(order))
        is_imod = stamp == _IMOD_STAMP
        if (is_imod and not flags & 1) or (not is_imod and 127 < float(header.dmax) <= 255):
            dtype = np.dtype(np.uint8)
        elif not is_imod and int(header.nversion) < _FIRST_VERSION and float(header.dmin) >= 0:
            messages.append(
                f"{path}: bytes are read as signed numbers, as MRC2014 has them; its header does not say so"
            )
    return np.dtype(dtype).newbyteorder(order)


def _read_axes(header: Any, path: Path) -> list[str]:
    """Return the axes from sections to columns, from the header's numbers: 1 is x, 2 is y, 3 is z."""
    numbers = [int(header[key]) for key in ("maps", "mapr", "mapc")]
    if not any(numbers):
        return ["z", "y", "x"]
    if sorted(numbers) != [1, 2, 3]:
        raise VolumeError(
            f"{path}: found the axes mapc, mapr, maps = {', '.join(map(str, numbers[::-1]))}, expected an order of 1, 2, 3",
            fix="set 'axes' to the order of sections, rows and columns, usually axes: zyx",
        )
    return [{1: "x", 2: "y", 3: "z"}[number] for number in numbers]


def _read_metadata(header: Any, axes: list[str], messages: list[str], path: Path) -> GridMetadata:
    """Return the voxel size: the size of the cell divided by its number of samples; unknown if one of them is 0."""
    sizes = {}
    for axis in "xyz":
        samples, edge = int(header[f"m{axis}"]), float(header.cella[axis])
        sizes[axis] = edge / samples if samples > 0 and np.isfinite(edge) else 0.0
    spatial = [axis for axis in axes if axis in "zyx"]
    # Six digits: the header holds numbers of 32 bits.
    values = tuple(float(f"{sizes[axis]:.6g}") for axis in spatial)
    origin = [f"{float(header.origin[axis]):g}" for axis in spatial]
    start = [str(int(header[f"n{axis}start"])) for axis in spatial]
    found = [
        f"{', '.join(numbers)} {unit}"
        for numbers, unit in ((origin, "angstrom"), (start, "voxels"))
        if set(numbers) - {"0", "-0"}
    ]
    if found:
        messages.append(
            f"{path}: the origin in its header ({'; '.join(found)} along {', '.join(spatial)}) is not used, since programs "
            "differ in its meaning; set offset if the volume does not begin at 0"
        )
    if len(spatial) == 3 and int(header.mz) != int(header.nz) and int(header.mz) == 1:
        messages.append(f"{path} is a stack of images, whose header does not hold the distance of sections")
        return GridMetadata(None, None, None, None)
    if min(values) <= 0:
        return GridMetadata(None, None, None, None)
    if set(values) == {1.0}:
        messages.append(
            f"{path} has the voxel size 1 angstrom, which many programs write if they do not know it; set voxel_size"
        )
    return GridMetadata(None, values, None, "angstrom")
