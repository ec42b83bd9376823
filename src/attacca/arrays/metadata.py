"""What the attributes of a zarr or N5 array say about its place in the world."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from funlib.geometry import Coordinate

from attacca.config.units import SYMBOLS, unit_name, whole_coordinate
from attacca.errors import VolumeError


@dataclass(frozen=True)
class GridMetadata:
    """Place of an array: names of its axes, and voxel size, position of the first voxel's corner, unit.

    ``None`` where the file says nothing.
    """

    axes: list[str] | None
    voxel_size: tuple[float, ...] | None
    offset: tuple[float, ...] | None
    unit: str | None


def array_attributes(
    axes: Sequence[str], voxel_size: Coordinate, offset: Coordinate, unit: str, reverse: bool = False
) -> dict[str, Any]:
    """Attributes that other readers know: funlib's, xarray's and DaCapo's.

    Args:
        axes: names of all axes.
        voxel_size, offset: in ``unit``.
        unit: unit of length.
        reverse: N5 keeps lists in the order x, y, z.
    """
    spatial = len(axes) - voxel_size.dims
    marked = [f"{axis}^" if index < spatial else axis for index, axis in enumerate(axes)]
    symbol = SYMBOLS[unit_name(unit)]
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


def read_attributes(attrs: Mapping[str, Any], ndim: int, reverse: bool = False) -> GridMetadata:
    """Metadata from an array's own attributes.

    Args:
        attrs: the attributes.
        ndim: number of axes of the array.
        reverse: N5 keeps lists in the order x, y, z.
    """
    axes = _names(attrs, ndim)
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
    numbers = [_numbers(value, reverse) for value in (voxel_size, offset)]
    return GridMetadata(axes, numbers[0], numbers[1], unit_name(unit) if unit else None)


def _names(attrs: Mapping[str, Any], ndim: int) -> list[str] | None:
    for key in ("axes", "_ARRAY_DIMENSIONS", "axis_names"):
        names = attrs.get(key)
        if isinstance(names, list) and len(names) == ndim and all(isinstance(name, str) for name in names):
            return [name.rstrip("^") for name in names]
    return None


def _numbers(value: Any, reverse: bool) -> tuple[float, ...] | None:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    numbers = tuple(float(item) for item in value)
    return numbers[::-1] if reverse else numbers


def place(
    found: GridMetadata,
    ndim: int,
    where: str,
    axes: Sequence[str] | None = None,
    unit: str | None = None,
) -> tuple[list[str], Coordinate, Coordinate, str]:
    """Axes, voxel size, offset and unit of an array, with the defaults for what the file does not say.

    Axes default to the last ``ndim`` of ``c, z, y, x``, the voxel size to 1, the offset to 0, the unit to
    nanometre.

    Args:
        where: the array's name, for messages.
        axes: overrules the file.
        unit: the unit that world coordinates shall have; the file's numbers are converted.

    Raises:
        VolumeError: axes and array do not fit, or a number is not whole in the unit.
    """
    names = list(axes) if axes is not None else found.axes
    if names is None:
        if ndim > 4:
            raise VolumeError(f"{where} has {ndim} axes and does not say which; expected at most c, z, y, x")
        names = ["c", "z", "y", "x"][4 - ndim :]
    if len(names) != ndim:
        raise VolumeError(f"{where} has {ndim} axes, but {len(names)} names for them: {names}")
    dims = sum(name in ("z", "y", "x") for name in names)
    if any(name in ("z", "y", "x") for name in names[: ndim - dims]) or dims == 0:
        raise VolumeError(f"{where} has the axes {names}; spatial axes (z, y, x) must come last")
    stored = found.unit or "nanometer"
    unit = unit_name(unit) if unit else stored
    numbers = []
    for what, value, default in (("voxel size", found.voxel_size, 1.0), ("offset", found.offset, 0.0)):
        value = value[-dims:] if value is not None and len(value) >= dims else value
        if value is not None and len(value) != dims:
            raise VolumeError(f"{where}: the {what} {value} has {len(value)} numbers for {dims} spatial axes")
        if value is None:
            numbers.append(Coordinate([int(default)] * dims))
        else:
            numbers.append(whole_coordinate(value, stored, f"{where}: the {what}", unit))
    if any(size <= 0 for size in numbers[0]):
        raise VolumeError(f"{where}: the voxel size {tuple(numbers[0])} must be positive")
    return names, numbers[0], numbers[1], unit
