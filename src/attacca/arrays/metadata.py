"""Axes, voxel size, offset and unit in the attributes of zarr, N5 and HDF5 arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from funlib.geometry import Coordinate

from attacca.config.units import SYMBOLS, normalize_unit, to_whole_coordinate
from attacca.errors import VolumeError


@dataclass(frozen=True)
class GridMetadata:
    """Axes, voxel size, offset and unit as stored with an array; None for each value that is not stored.

    Attributes:
        axes: names of all axes.
        voxel_size: edge lengths of a voxel in ``unit``, spatial axes only.
        offset: lower corner of the first voxel in ``unit``, spatial axes only.
        unit: OME-NGFF name of a unit of length.
    """

    axes: list[str] | None
    voxel_size: tuple[float, ...] | None
    offset: tuple[float, ...] | None
    unit: str | None


class Grid(NamedTuple):
    """Complete and checked metadata of an array; see ``GridMetadata`` for the fields."""

    axes: list[str]
    voxel_size: Coordinate
    offset: Coordinate
    unit: str


def build_attributes(
    axes: Sequence[str], voxel_size: Coordinate, offset: Coordinate, unit: str, reverse: bool = False
) -> dict[str, Any]:
    """Return an array's attributes under the keys of funlib, xarray and DaCapo.

    Args:
        axes: names of all axes.
        voxel_size, offset: in ``unit``.
        unit: OME-NGFF name of a unit of length.
        reverse: store lists in the order x, y, z, as N5 does.

    >>> build_attributes(["c", "y", "x"], Coordinate(8, 4), Coordinate(0, 0), "nanometer")["dimension_units"]
    ['1', '8 nm', '4 nm']
    """
    spatial = len(axes) - voxel_size.dims
    marked = [f"{axis}^" if index < spatial else axis for index, axis in enumerate(axes)]
    symbol = SYMBOLS[normalize_unit(unit)]
    attributes: dict[str, list[Any]] = {
        "axes": list(axes),
        "offset": [int(value) for value in offset],
        "resolution": [int(value) for value in voxel_size],
        "units": [""] * spatial + [unit] * voxel_size.dims,
        "dimension_units": ["1"] * spatial + [f"{int(value)} {symbol}" for value in voxel_size],
        "_ARRAY_DIMENSIONS": marked,
        "axis_names": marked,
        "types": ["channel"] * spatial + ["space"] * voxel_size.dims,
        "voxel_size": [int(value) for value in voxel_size],
    }
    return {key: values[::-1] for key, values in attributes.items()} if reverse else dict(attributes)


def parse_attributes(attrs: Mapping[str, Any], ndim: int, reverse: bool = False) -> GridMetadata:
    """Return the metadata in an array's own attributes.

    Args:
        attrs: attributes with the keys of funlib, xarray, DaCapo or N5.
        ndim: number of axes of the array.
        reverse: lists are in the order x, y, z, as in N5.

    >>> parse_attributes({"resolution": [40, 4, 4], "units": ["nm", "nm", "nm"]}, 3)
    GridMetadata(axes=None, voxel_size=(40.0, 4.0, 4.0), offset=None, unit='nanometer')
    """
    axes = _parse_names(attrs, ndim)
    if axes is not None and reverse:
        axes = axes[::-1]
    pixel = attrs.get("pixelResolution")
    unit: str | None = None
    voxel_size = attrs.get("resolution", attrs.get("voxel_size"))
    offset = attrs.get("offset", attrs.get("translate"))
    if voxel_size is None and isinstance(pixel, Mapping):
        voxel_size, unit = pixel.get("dimensions"), pixel.get("unit")
    elif voxel_size is None and isinstance(pixel, Sequence):
        voxel_size = pixel
    units = [text for text in attrs.get("units", []) if text] if isinstance(attrs.get("units"), list) else []
    if not units and isinstance(attrs.get("dimension_units"), list):
        units = [text.split()[-1] for text in attrs["dimension_units"] if len(str(text).split()) == 2]
    if units:
        unit = units[-1]
    numbers = [_parse_numbers(value, reverse) for value in (voxel_size, offset)]
    return GridMetadata(axes, numbers[0], numbers[1], normalize_unit(unit) if unit else None)


def _parse_names(attrs: Mapping[str, Any], ndim: int) -> list[str] | None:
    for key in ("axes", "_ARRAY_DIMENSIONS", "axis_names"):
        names = attrs.get(key)
        if isinstance(names, list) and len(names) == ndim and all(isinstance(name, str) for name in names):
            return [name.rstrip("^") for name in names]
    return None


def _parse_numbers(value: Any, reverse: bool) -> tuple[float, ...] | None:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    numbers = tuple(float(item) for item in value)
    return numbers[::-1] if reverse else numbers


def complete_metadata(
    stored: GridMetadata,
    ndim: int,
    name: str,
    axes: Sequence[str] | None = None,
    unit: str | None = None,
) -> Grid:
    """Return the grid of an array, with defaults for values that are not stored.

    Axes default to the last ``ndim`` of ``c, z, y, x``, the voxel size to 1, the offset to 0, the unit to nanometer.

    Args:
        stored: metadata in the file.
        ndim: number of axes of the array.
        name: name of the array for error messages.
        axes: replaces the stored axes.
        unit: unit of the result; stored numbers are converted to it.

    Raises:
        VolumeError: axes and array do not fit, or a number is not whole in the unit.

    >>> complete_metadata(GridMetadata(None, (0.04, 0.004), None, "micrometer"), 2, "raw", unit="nm")
    Grid(axes=['y', 'x'], voxel_size=(40, 4), offset=(0, 0), unit='nanometer')
    """
    names = list(axes) if axes is not None else stored.axes
    if names is None:
        if ndim > 4:
            raise VolumeError(f"{name} has {ndim} axes without names; expected at most 4: c, z, y, x")
        names = ["c", "z", "y", "x"][4 - ndim :]
    if len(names) != ndim:
        raise VolumeError(f"{name} has {ndim} axes, but {len(names)} names for them: {names}")
    dims = sum(axis in ("z", "y", "x") for axis in names)
    if any(axis in ("z", "y", "x") for axis in names[: ndim - dims]) or dims == 0:
        raise VolumeError(f"{name} has the axes {names}; spatial axes (z, y, x) must come last")
    stored_unit = stored.unit or "nanometer"
    unit = normalize_unit(unit) if unit else stored_unit
    numbers = []
    for quantity, value, default in (("voxel size", stored.voxel_size, 1), ("offset", stored.offset, 0)):
        value = value[-dims:] if value is not None and len(value) >= dims else value
        if value is not None and len(value) != dims:
            raise VolumeError(
                f"{name}: the {quantity} {value} has {len(value)} numbers for {dims} spatial axes"
            )
        if value is None:
            numbers.append(Coordinate([default] * dims))
        else:
            numbers.append(to_whole_coordinate(value, stored_unit, f"{name}: the {quantity}", unit))
    if any(size <= 0 for size in numbers[0]):
        raise VolumeError(f"{name}: the voxel size {tuple(numbers[0])} must be positive")
    return Grid(names, numbers[0], numbers[1], unit)
