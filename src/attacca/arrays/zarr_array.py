"""Arrays in Zarr and N5 containers, on a local disk or in an object store."""

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays.array import Array
from attacca.arrays.array_creation import (
    clip_write_block,
    create_stored_array,
    find_existing_array,
    plan_layout,
)
from attacca.arrays.damaged_objects import list_objects
from attacca.arrays.identifier import LocalArrayIdentifier, join_path
from attacca.arrays.links import read_link
from attacca.arrays.metadata import GridMetadata, build_attributes, complete_metadata
from attacca.arrays.n5 import is_n5_container
from attacca.arrays.neuroglancer_source import NeuroglancerSource
from attacca.arrays.ome_zarr import read_grid_metadata
from attacca.arrays.stored_array import ReorderedArray, StoredArray
from attacca.arrays.stored_voxels import StoredVoxels
from attacca.arrays.zarr_opening import ZarrArrayConfig, open_zarr
from attacca.config.units import normalize_unit, to_whole_coordinate
from attacca.errors import MissingInputError, VolumeError


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
        config = _read_config(array_config)
        try:
            self._zarr, self.dataset = open_zarr(config.file_name, config.dataset, config.mode)
        except MissingInputError:
            link = read_link(config.file_name, config.dataset)
            if link is None:
                raise
            if config.mode != "r":
                name = join_path(config.file_name, config.dataset)
                raise VolumeError(f"{name} is used in place, so it is never written to") from None
            config = replace(link, name=config.name, snap_to_grid=config.snap_to_grid)
            self._zarr, self.dataset = open_zarr(config.file_name, config.dataset, "r")
        if config.stored_axes is not None:
            self._zarr = ReorderedArray(self._zarr, config.stored_axes, config.axes or [], config.points)
        self.name, self.file_name, self.snap_to_grid = config.name, config.file_name, config.snap_to_grid
        self._config, self._axes, roi = config, config.axes, config.roi
        self._read_metadata()
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
        config = replace(
            self._config,
            dataset=self.dataset,
            axes=self._all_axes,
            unit=self._unit,
            voxel_size=self._voxel_size,
            offset=self._offset,
            roi=self._roi,
        )
        return ZarrArray, (config,)

    _roi: Roi

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
        fill_value: float = 0,
        value_scale: float = 1.0,
        value_offset: float = 0.0,
        chunk_size: Coordinate | Sequence[int] | None = None,
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
            write_size: size of a write block in world units, the unit in which parallel writers may share the array.
                In Zarr 3 a block is one shard, in Zarr 2 one chunk or several. By default blocks are cubes of at most
                5 MiB. A block spans all channels.
            name: display name; by default the data set.
            overwrite: delete an existing array or group.
            unit: unit of world coordinates.
            fill_value: value of voxels in missing chunks.
            value_scale, value_offset: the original value of a voxel is ``stored * value_scale + value_offset``.
            chunk_size: size in world units of the chunks that divide a write block and are read alone. By default they
                are inner chunks of about 64 voxels a side in Zarr 3, and the whole write block in Zarr 2 and N5. A size
                that does not divide the write block is replaced by one that does.

        Raises:
            VolumeError: a different array or a group exists, or the arguments do not fit each other.
        """
        unit = normalize_unit(unit)
        voxel_size = to_whole_coordinate(voxel_size, unit, f"{array_identifier}: the voxel size")
        layout = plan_layout(
            array_identifier,
            axes,
            roi,
            num_channels,
            voxel_size,
            np.dtype(dtype),
            write_size,
            fill_value,
            chunk_size,
        )
        container, path = array_identifier.container, str(array_identifier.dataset).strip("/")
        attributes = build_attributes(
            layout.axes, voxel_size, roi.begin, unit, reverse=is_n5_container(container)
        )
        attributes["attacca"] = {"value_scale": float(value_scale), "value_offset": float(value_offset)}
        config = ZarrArrayConfig(container, path, name=name or "", mode=mode)
        existing = None if overwrite else find_existing_array(array_identifier, path)
        if existing is None:
            create_stored_array(array_identifier, path, layout, attributes)
            return cls(config)
        if layout.is_storage_of(existing) and not existing.attrs.asdict():
            # In Zarr 2 and N5 attributes are written last: the creator of this array was stopped before.
            writable, _ = open_zarr(container, path, "a")
            writable.attrs.put(attributes)
        result = cls(config)
        pairs = {
            "shape": (result._zarr.shape, layout.shape),
            "chunks": (clip_write_block(result._zarr), layout.write_block_in(existing)),
            "dtype": (result._zarr.dtype.str, layout.dtype.str),
            "axes": (result.axes, layout.axes),
            "ROI": (result.roi, roi),
            "voxel size": (result.voxel_size, voxel_size),
            "unit": (result.unit, unit),
            "value scale": (result.value_scale, float(value_scale)),
            "value offset": (result.value_offset, float(value_offset)),
        }
        if write_size is None:
            # Without a write size, any chunks are accepted.
            del pairs["chunks"]
        differences = [
            f"{key}: found {found}, expected {expected}"
            for key, (found, expected) in pairs.items()
            if found != expected
        ]
        if differences:
            raise VolumeError(
                f"{array_identifier}: another array exists already ({'; '.join(differences)}); delete or overwrite it"
            )
        return result

    def _read_metadata(self) -> None:
        unit, voxel_size, offset = self._config.unit, self._config.voxel_size, self._config.offset
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
        values: Any = self._zarr.attrs.get("attacca", {})
        self.value_scale = float(values.get("value_scale", 1.0))
        self.value_offset = float(values.get("value_offset", 0.0))
        spatial = Coordinate(self._zarr.shape[self._zarr.ndim - self._voxel_size.dims :])
        self._roi = Roi(self._offset, spatial * self._voxel_size)
        if self.snap_to_grid is not None:
            self._roi = self._roi.snap_to_grid(Coordinate(self.snap_to_grid), mode="shrink")

    @property
    def mode(self) -> str:
        """``"r"`` or ``"a"``."""
        return self._config.mode

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
    def data(self) -> StoredArray:
        return self._zarr

    @property
    def writable(self) -> bool:
        return self._config.mode != "r"

    @property
    def chunk_size(self) -> Coordinate:
        """Size of the unit of writing in world units, spatial axes only: a shard, or a chunk without shards.

        For arrays of other programs, which are only read, it is the unit of reading: a chunk in a shard.
        """
        block = clip_write_block(self._zarr) if self.is_own else self._zarr.chunks
        return Coordinate(block[-self.dims :]) * self._voxel_size

    @property
    def inner_chunk_size(self) -> Coordinate:
        """Size of the unit of reading in world units, spatial axes only: a chunk, inside a shard or without shards.

        >>> array = ZarrArray.create_from_array_identifier(
        ...     LocalArrayIdentifier("memory://inner.zarr", "s0"), ["z", "y", "x"], Roi((0, 0, 0), (200, 200, 200)),
        ...     None, (1, 1, 1), np.uint8, write_size=(144, 144, 144), chunk_size=(48, 48, 48))
        >>> array.chunk_size, array.inner_chunk_size
        ((144, 144, 144), (48, 48, 48))
        """
        edges = [min(edge, extent) for edge, extent in zip(self._zarr.chunks, self._zarr.shape)]
        return Coordinate(edges[-self.dims :]) * self._voxel_size

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
            mode="r" if self._config.mode == "r" else "r+",
            offset=self._offset,
            voxel_size=self._voxel_size,
            axis_names=[f"{axis}^" if index < lead else axis for index, axis in enumerate(self.axes)],
            units=[self._unit] * self.dims,
            types=["channel"] * lead + ["space"] * self.dims,
        )

    def __setitem__(self, roi: Roi, value: np.ndarray | float) -> None:
        """Write the voxels of a ROI inside the array.

        A write block (shard or chunk) whose voxels in the array are all covered by the ROI is written without being read
        first.

        Args:
            roi: world units; contained in the array and on its voxel grid.
            value: an array of the ROI's shape with all channels, or one number.

        Raises:
            VolumeError: the array is read-only, or ROI, voxel grid and data do not fit.
        """
        if not self.writable:
            raise VolumeError(f"{self} was opened for reading only")
        self._voxels.write(self.to_slices(roi), roi, value)

    def __getitem__(self, roi: Roi) -> np.ndarray:
        """Return the stored voxels of a ROI inside the array, with all channels; missing chunks: see ``StoredVoxels``.

        Raises:
            DamagedDataError: a stored object is missing or fails its checksum, or an array that is used in place holds
                values that its kind of data must not hold.
            VolumeError: the ROI is not contained in the array or not on its voxel grid, or stored data cannot be read.
        """
        return self._voxels.read(self.to_slices(roi), roi)

    @property
    def is_own(self) -> bool:
        """True for an array that Attacca wrote: each of its chunks is stored, even if it holds zeros alone."""
        return self._voxels.is_own

    @cached_property
    def _voxels(self) -> StoredVoxels:
        config = self._config
        return StoredVoxels(self._zarr, self.directory, self.writable, config.contents, config.missing_chunks)

    def object_keys(self, roi: Roi | None = None) -> Iterator[str]:
        """Return the names of the stored objects (shards or chunks) that hold voxels of a ROI.

        Args:
            roi: world units, inside the array; by default the array's ROI.
        """
        return (key for _, key in list_objects(self._zarr, self.to_slices(roi or self.roi)))

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


def _read_config(config: Any) -> ZarrArrayConfig:
    """Return the values of a ``ZarrArrayConfig``, or of any object with some of its attributes."""
    names = [field.name for field in fields(ZarrArrayConfig)]
    values = {name: getattr(config, name) for name in names if getattr(config, name, None) is not None}
    axes = values.get("axes") or getattr(config, "_axes", None)
    return ZarrArrayConfig(**{**values, "axes": list(axes) if axes else None})
