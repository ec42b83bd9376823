"""Arrays in Zarr (format 2) and N5 containers, on a local disk or in an object store."""

from collections.abc import MutableMapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from funlib.geometry import Coordinate, Roi
from numcodecs import Blosc, Zstd, blosc
from numcodecs.abc import Codec

from attacca.arrays.array import Array
from attacca.arrays.identifier import LocalArrayIdentifier, join_path
from attacca.arrays.links import read_link
from attacca.arrays.metadata import GridMetadata, build_attributes, complete_metadata
from attacca.arrays.neuroglancer_source import NeuroglancerSource
from attacca.arrays.ome_zarr import read_grid_metadata
from attacca.arrays.storage import is_n5, open_store
from attacca.arrays.zarr_opening import ZarrArrayConfig, list_group, open_zarr
from attacca.config.units import normalize_unit, to_whole_coordinate
from attacca.errors import MissingInputError, VolumeError

_CHUNK_BYTES = 5 * 2**20

# The threads of Blosc store the parts of a chunk in the order in which they finish, so that equal data would have
# different bytes, and different digests, from run to run.
blosc.use_threads = False


class ZarrArray(NeuroglancerSource, Array):
    """An array in a Zarr or N5 container. Opening an array never changes it.

    An array is pickled as its location: the receiving process opens the store itself.

    Args:
        array_config: a ``ZarrArrayConfig``, or any object with some of its attributes.

    Raises:
        MissingInputError: the array does not exist; the message lists the members of the nearest group.
        VolumeError: the metadata are contradictory, or a number is not whole.

    >>> raw = LocalArrayIdentifier("memory://doctest.zarr", "raw/s0")
    >>> array = ZarrArray.create_from_array_identifier(
    ...     raw, ["z", "y", "x"], Roi((0, 0, 0), (80, 16, 16)), None, (40, 4, 4), np.uint8)
    >>> array[Roi((40, 0, 0), (40, 16, 16))] = 7
    >>> ZarrArray.open_from_array_identifier(raw)[Roi((0, 0, 0), (80, 4, 4))].ravel().tolist()
    [0, 7]
    """

    def __init__(self, array_config: Any) -> None:
        self.name: str = getattr(array_config, "name", "") or ""
        self.file_name: Path | str = array_config.file_name
        self.snap_to_grid: Coordinate | None = getattr(array_config, "snap_to_grid", None)
        axes = getattr(array_config, "axes", None) or getattr(array_config, "_axes", None)
        self._axes: list[str] | None = list(axes) if axes is not None else None
        self._mode: str = getattr(array_config, "mode", None) or "r"
        self.dataset: str = array_config.dataset
        unit: str | None = getattr(array_config, "unit", None)
        voxel_size = getattr(array_config, "voxel_size", None)
        offset = getattr(array_config, "offset", None)
        roi: Roi | None = getattr(array_config, "roi", None)
        try:
            self._zarr, self.dataset = open_zarr(self.file_name, self.dataset, self._mode)
        except MissingInputError:
            link = read_link(self.file_name, self.dataset)
            if link is None:
                raise
            if self._mode != "r":
                raise VolumeError(f"{self} is used in place, so it is never written to") from None
            self.file_name, self._axes = link["container"], link["axes"]
            unit, voxel_size, offset = link["unit"], link["voxel_size"], link["offset"]
            roi = Roi(*link["roi"]) if link["roi"] else None
            self._zarr, self.dataset = open_zarr(self.file_name, link["dataset"], "r")
        self._read_metadata(unit, voxel_size, offset)
        if roi is not None:
            if not self._roi.contains(roi):
                raise VolumeError(f"{self}: the ROI {roi} is not contained in the array's {self._roi}")
            self._check_aligned(roi)
            self._roi = roi

    def __str__(self) -> str:
        return self.directory

    def __repr__(self) -> str:
        return f"ZarrArray({self.directory}, shape={self._zarr.shape}, dtype={self.dtype}, roi={self.roi})"

    def __reduce__(self) -> tuple[Any, ...]:
        return ZarrArray, (self._config(),)

    _roi: Roi

    def _config(self) -> ZarrArrayConfig:
        return ZarrArrayConfig(
            file_name=self.file_name,
            dataset=self.dataset,
            name=self.name,
            snap_to_grid=self.snap_to_grid,
            axes=self._all_axes,
            mode=self._mode,
            unit=self._unit,
            voxel_size=self._voxel_size,
            offset=self._offset,
            roi=self._roi,
        )

    @classmethod
    def open_from_array_identifier(
        cls, array_identifier: LocalArrayIdentifier, name: str = "", mode: str = "r", unit: str | None = None
    ) -> "ZarrArray":
        """Open an existing array, or the first scale of an existing multiscale group.

        Args:
            array_identifier: location of the array.
            name: display name; by default the data set.
            mode: ``"r"`` to read, ``"a"`` to read and write.
            unit: unit of world coordinates; by default the stored one. Stored numbers are converted to it.

        Raises:
            MissingInputError: the array does not exist.
        """
        config = ZarrArrayConfig(
            array_identifier.container, array_identifier.dataset, name=name, mode=mode, unit=unit
        )
        return cls(config)

    @classmethod
    def create_from_array_identifier(
        cls,
        array_identifier: LocalArrayIdentifier,
        axes: Sequence[str],
        roi: Roi,
        num_channels: int | None,
        voxel_size: Coordinate | Sequence[int],
        dtype: Any,
        mode: str = "a",
        write_size: Coordinate | Sequence[int] | None = None,
        name: str | None = None,
        overwrite: bool = False,
        *,
        unit: str = "nanometer",
        compressor: Codec | Literal["default"] | None = "default",
        fill_value: float = 0,
        value_scale: float = 1.0,
        value_offset: float = 0.0,
    ) -> "ZarrArray":
        """Create an array, or open an existing array with equal metadata and keep its data.

        Args:
            array_identifier: location of the array.
            axes: names of all axes, spatial ones last; ``c`` is removed or added according to ``num_channels``.
            roi: world units; its shape is a multiple of ``voxel_size``.
            num_channels: size of the channel axis; None for an array without one.
            voxel_size: whole numbers of ``unit``, one per spatial axis.
            dtype: stored dtype.
            mode: mode of the returned array, ``"r"`` or ``"a"``.
            write_size: chunk size in world units, and so the unit in which parallel writers may share the array.
                By default chunks are cubes of at most 5 MiB. A chunk spans all channels.
            name: display name; by default the data set.
            overwrite: delete an existing array or group.
            unit: unit of world coordinates.
            compressor: None for none; by default Zstd at level 3 for integers and bytes, Blosc for floats.
            fill_value: value of voxels in missing chunks.
            value_scale, value_offset: the original value of a voxel is ``stored * value_scale + value_offset``.

        Raises:
            VolumeError: a different array or a group exists, or the arguments do not fit each other.
        """
        unit = normalize_unit(unit)
        voxel_size = to_whole_coordinate(voxel_size, unit, f"{array_identifier}: the voxel size")
        names = [axis for axis in axes if axis != "c" or num_channels is not None]
        if num_channels is not None and "c" not in names:
            names = ["c", *names]
        if len(names) - (num_channels is not None) != roi.dims or voxel_size.dims != roi.dims:
            raise VolumeError(
                f"{array_identifier}: axes {list(axes)}, {roi} and voxel size {tuple(voxel_size)} do not fit"
            )
        if any(roi.shape % voxel_size):
            raise VolumeError(f"{array_identifier}: {roi} is not whole in voxels of {tuple(voxel_size)}")
        dtype = np.dtype(dtype)
        lead = () if num_channels is None else (int(num_channels),)
        spatial = tuple(int(size) for size in roi.shape / voxel_size)
        if write_size is None:
            edge = int((_CHUNK_BYTES / max(1, num_channels or 1) / dtype.itemsize) ** (1 / roi.dims))
            chunk = tuple(max(1, min(edge, size)) for size in spatial)
        else:
            if any(Coordinate(write_size) % voxel_size):
                raise VolumeError(
                    f"{array_identifier}: the write size {tuple(write_size)} is not whole in voxels of "
                    f"{tuple(voxel_size)}"
                )
            requested = Coordinate(write_size) / voxel_size
            chunk = tuple(max(1, min(int(size), limit)) for size, limit in zip(requested, spatial))
        store = open_store(array_identifier.container, "a")
        path = str(array_identifier.dataset).strip("/")
        attributes = build_attributes(names, voxel_size, roi.begin, unit, reverse=is_n5(store))
        attributes["attacca"] = {"value_scale": float(value_scale), "value_offset": float(value_offset)}
        config = ZarrArrayConfig(array_identifier.container, path, name=name or "", mode=mode)
        exists = zarr.storage.contains_array(store, path)
        if not exists and not overwrite:
            members = list_group(store, path)
            if members:
                raise VolumeError(
                    f"{array_identifier} is a group that holds {', '.join(members[:20])}; "
                    "choose another name for the array"
                )
        if overwrite or not exists:
            array = zarr.create(
                store=store,
                path=path,
                shape=(*lead, *spatial),
                chunks=(*lead, *chunk),
                dtype=dtype,
                compressor=_choose_compressor(dtype) if compressor == "default" else compressor,
                fill_value=fill_value,
                overwrite=True,
                dimension_separator="/",
            )
            array.attrs.put(attributes)
            return cls(config)
        existing = zarr.open_array(store, path=path, mode="r+")
        same = (existing.shape, existing.chunks, existing.dtype) == (
            (*lead, *spatial),
            (*lead, *chunk),
            dtype,
        )
        if same and not existing.attrs.asdict():
            # Attributes are written last: the creator of this array was stopped before.
            existing.attrs.put(attributes)
        result = cls(config)
        expected = {
            "shape": (*lead, *spatial),
            "chunks": (*lead, *chunk),
            "dtype": dtype.str,
            "axes": names,
            "ROI": roi,
            "voxel size": voxel_size,
            "unit": unit,
            "value scale": float(value_scale),
            "value offset": float(value_offset),
        }
        found = {
            "shape": result._zarr.shape,
            "chunks": result._zarr.chunks,
            "dtype": result._zarr.dtype.str,
            "axes": result.axes,
            "ROI": result.roi,
            "voxel size": result.voxel_size,
            "unit": result.unit,
            "value scale": result.value_scale,
            "value offset": result.value_offset,
        }
        if write_size is None:
            # Without a write size, any chunks are accepted.
            expected["chunks"] = found["chunks"]
        differences = [
            f"{key}: found {found[key]}, expected {expected[key]}"
            for key in expected
            if expected[key] != found[key]
        ]
        if differences:
            raise VolumeError(
                f"{array_identifier}: another array exists already ({'; '.join(differences)}); delete or overwrite it"
            )
        return result

    def _read_metadata(
        self, unit: str | None, voxel_size: Sequence[int] | None, offset: Sequence[int] | None
    ) -> None:
        stored = read_grid_metadata(self._zarr)
        if voxel_size is not None or offset is not None:
            unit = normalize_unit(unit or stored.unit or "nanometer")
            dims = len(voxel_size if voxel_size is not None else offset or ())
            if (stored.unit or unit) != unit:
                stored = GridMetadata(stored.axes, None, None, unit)
            stored = GridMetadata(
                stored.axes,
                tuple(voxel_size) if voxel_size is not None else stored.voxel_size,
                tuple(offset) if offset is not None else (stored.offset or (0,) * dims),
                unit,
            )
        axes, self._voxel_size, self._offset, self._unit = complete_metadata(
            stored, self._zarr.ndim, self.directory, self._axes, unit
        )
        self._all_axes = axes
        values = self._zarr.attrs.get("attacca", {})
        self.value_scale = float(values.get("value_scale", 1.0))
        self.value_offset = float(values.get("value_offset", 0.0))
        spatial = Coordinate(self._zarr.shape[self._zarr.ndim - self._voxel_size.dims :])
        self._roi = Roi(self._offset, spatial * self._voxel_size)
        if self.snap_to_grid is not None:
            self._roi = self._roi.snap_to_grid(Coordinate(self.snap_to_grid), mode="shrink")

    @property
    def mode(self) -> str:
        """``"r"`` or ``"a"``."""
        return self._mode

    @property
    def directory(self) -> str:
        """Path or URL of the array itself."""
        return join_path(self.file_name, self.dataset)

    @property
    def attrs(self) -> MutableMapping[str, Any]:
        return self._zarr.attrs

    @property
    def axes(self) -> list[str]:
        return self._all_axes

    @property
    def voxel_size(self) -> Coordinate:
        return self._voxel_size

    @property
    def roi(self) -> Roi:
        return self._roi

    @property
    def unit(self) -> str:
        return self._unit

    @property
    def dtype(self) -> np.dtype:
        return self._zarr.dtype

    @property
    def data(self) -> zarr.Array:
        return self._zarr

    @property
    def writable(self) -> bool:
        return self._mode != "r"

    @property
    def chunk_size(self) -> Coordinate:
        """Size of a chunk in world units, spatial axes only."""
        return Coordinate(self._zarr.chunks[-self.dims :]) * self._voxel_size

    @property
    def _data_begin(self) -> Coordinate:
        return self._offset

    @property
    def _daisy_array(self) -> Any:
        """The same array as a ``funlib.persistence.Array``; the package is not a dependency.

        Raises:
            VolumeError: the package is not installed.
        """
        try:
            # deferred: an optional package
            from funlib.persistence import open_ds
        except ImportError as error:
            message = "this needs the package funlib.persistence: pip install funlib.persistence"
            raise VolumeError(message) from error
        lead = len(self.axes) - self.dims
        return open_ds(
            self.directory,
            mode="r" if self._mode == "r" else "r+",
            offset=self._offset,
            voxel_size=self._voxel_size,
            axis_names=[f"{axis}^" if index < lead else axis for index, axis in enumerate(self.axes)],
            units=[self._unit] * self.dims,
            types=["channel"] * lead + ["space"] * self.dims,
        )

    def __setitem__(self, roi: Roi, value: np.ndarray | float) -> None:
        """Write the voxels of a ROI inside the array.

        If the ROI covers whole chunks, as far as they overlap the array, they are written without being read first.

        Args:
            roi: world units; contained in the array and on its voxel grid.
            value: an array of the ROI's shape with all channels, or one number.

        Raises:
            VolumeError: the array is read-only, or ROI, voxel grid and data do not fit.
        """
        if not self.writable:
            raise VolumeError(f"{self} was opened for reading only")
        slices = self.to_slices(roi)
        shape = self._zarr.shape
        begin = [s.start or 0 for s in slices]
        end = [n if s.stop is None else s.stop for s, n in zip(slices, shape)]
        value = np.asarray(value, dtype=self.dtype)
        extent = tuple(e - b for b, e in zip(begin, end))
        if value.ndim and value.shape != extent:
            raise VolumeError(f"{self}: {roi} holds {extent} voxels, the data have the shape {value.shape}")
        chunks = self._zarr.chunks
        covers = all(b % c == 0 and (e % c == 0 or e == n) for b, e, c, n in zip(begin, end, chunks, shape))
        if not covers:
            self._zarr[slices] = np.broadcast_to(value, extent)
            return
        # zarr reads a chunk before writing it unless the data contain all its voxels, even those beyond the array.
        ranges = [range(b // c, -(-e // c)) for b, e, c in zip(begin, end, chunks)]
        for index in product(*ranges):
            low = [i * c for i, c in zip(index, chunks)]
            high = [min(lo + c, n) for lo, c, n in zip(low, chunks, shape)]
            window = tuple(slice(lo - b, hi - b) for lo, hi, b in zip(low, high, begin))
            part = value[window] if value.ndim else value
            if part.shape == tuple(chunks):
                whole = np.ascontiguousarray(part)
            else:
                whole = np.full(chunks, self._zarr.fill_value or 0, dtype=self.dtype)
                whole[tuple(slice(0, hi - lo) for lo, hi in zip(low, high))] = part
            self._zarr.chunk_store[self._zarr._chunk_key(index)] = self._zarr._encode_chunk(whole)

    def add_metadata(self, metadata: dict[str, Any]) -> None:
        """Add entries to the stored attributes.

        Args:
            metadata: JSON-compatible values.

        Raises:
            VolumeError: the array was opened for reading only.
        """
        if not self.writable:
            raise VolumeError(f"{self} was opened for reading only")
        self._zarr.attrs.update(metadata)


def _choose_compressor(dtype: np.dtype) -> Codec:
    if dtype.kind in "ui" or dtype.itemsize == 1:
        return Zstd(3)
    return Blosc("zstd", clevel=1, shuffle=Blosc.BITSHUFFLE)
