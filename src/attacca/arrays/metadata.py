"""Axes, voxel size, offset and unit in the attributes of zarr, N5 and HDF5 arrays."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from funlib.geometry import Coordinate

from attacca.config.units import SYMBOLS, convert_length, find_unit, normalize_unit, to_whole_coordinate
from attacca.errors import VolumeError

SPATIAL_AXES = ("z", "y", "x")
_SIZE_KEYS = ("resolution", "voxel_size", "pixelResolution")
_OFFSET_KEYS = ("offset", "translate")
_PLACEHOLDER = re.compile(r"(dim_?|axis_?|phony_dim_|[cd])\d+")


@dataclass(frozen=True)
class GridMetadata:
    """Axes, voxel size, offset and unit as stored with an array; None for each value that is not stored.

    Attributes:
        axes: names of all axes.
        voxel_size: edge lengths of a voxel in ``unit``, spatial axes only.
        offset: lower corner of the first voxel in ``unit``, spatial axes only.
        unit: OME-NGFF name of a unit of length.
        origin: convention from which the voxel size was read, for messages.
        problem: reason why a stored voxel size is not used, such as a unit that is not a length.
    """

    axes: list[str] | None
    voxel_size: tuple[float, ...] | None
    offset: tuple[float, ...] | None
    unit: str | None
    origin: str | None = field(default=None, repr=False, compare=False)
    problem: str | None = field(default=None, repr=False, compare=False)

    def reject(self, problem: str) -> "GridMetadata":
        """Return the axes without voxel size, offset and unit, and the reason.

        >>> GridMetadata(["y", "x"], (1.0, 1.0), None, None).reject("its unit is 'pixel'").voxel_size is None
        True
        """
        return replace(self, voxel_size=None, offset=None, unit=None, problem=self.problem or problem)


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
    >>> parse_attributes({"pixelResolution": {"dimensions": [4, 4, 40], "unit": "pixel"}}, 3, reverse=True).problem
    "the attribute 'pixelResolution' is in 'pixel', which is not a unit of length"
    """
    axes = parse_axis_names(attrs, ndim, reverse)
    key = next((key for key in _SIZE_KEYS if attrs.get(key) is not None), None)
    size: Any = attrs.get(key) if key else None
    units = _list_units(attrs)
    if isinstance(size, Mapping):
        units = [size["unit"]] if size.get("unit") else units
        size = size.get("dimensions")
    offset = next((attrs[key] for key in _OFFSET_KEYS if attrs.get(key) is not None), None)
    origin = f"the attribute {key!r}" if key else None
    found = GridMetadata(axes, None, None, None, origin)
    numbers = []
    for name, value in ((key, size), ("offset", offset)):
        parsed = None if value is None else _parse_numbers(value, reverse)
        if value is not None and parsed is None:
            return found.reject(f"the attribute {name!r} is {_shorten(value)}, expected a list of numbers")
        numbers.append(parsed and select_spatial(parsed, axes))
    voxel_size, offset = numbers
    factors = _parse_numbers(attrs.get("downsamplingFactors"), reverse)
    if voxel_size and factors and key == "pixelResolution" and len(factors) == len(voxel_size):
        # n5-viewer stores the size of a voxel of the first scale with each scale.
        voxel_size = tuple(a * b for a, b in zip(voxel_size, factors))
    return set_lengths(found, voxel_size, offset, units[::-1] if reverse else units)


def set_lengths(
    found: GridMetadata,
    voxel_size: Sequence[float] | None,
    offset: Sequence[float] | None,
    units: Sequence[object],
) -> GridMetadata:
    """Return metadata with voxel size and offset in one unit; without them if a unit is not a length.

    Args:
        found: axes and origin.
        voxel_size, offset: spatial axes only.
        units: as stored: none, one, or one per spatial axis (with others before them).

    >>> set_lengths(GridMetadata(None, None, None, None), [0.04, 4], [0, 8], ["um", "nm"])
    GridMetadata(axes=None, voxel_size=(0.04, 0.004), offset=(0.0, 0.008), unit='micrometer')
    """
    what = found.origin or "the voxel size"
    unknown = [text for text in units if find_unit(text) is None]
    if unknown and voxel_size is None and offset is None:
        return found
    if unknown:
        return found.reject(f"{what} is in {_shorten(unknown[0])}, which is not a unit of length")
    if voxel_size is not None and not all(size > 0 for size in voxel_size):
        return found.reject(f"{what} is {_shorten(list(voxel_size))}, expected positive numbers")
    names = [normalize_unit(str(text)) for text in units]
    if len(set(names)) <= 1:
        return replace(
            found,
            voxel_size=tuple(map(float, voxel_size)) if voxel_size is not None else None,
            offset=tuple(map(float, offset)) if offset is not None else None,
            unit=names[0] if names else None,
        )
    converted = []
    for values in (voxel_size, offset):
        if values is not None and len(values) > len(names):
            return found.reject(f"{what} has {len(names)} units for {len(values)} axes")
        own = names[len(names) - len(values or ()) :]
        converted.append(
            None
            if values is None
            else tuple(float(convert_length([value], unit, own[0])[0]) for value, unit in zip(values, own))
        )
    return replace(found, voxel_size=converted[0], offset=converted[1], unit=names[-len(voxel_size or names)])


def select_spatial(values: Sequence[float], axes: Sequence[str] | None) -> tuple[float, ...]:
    """Return the values of the spatial axes from a list over all axes, or over the spatial ones.

    >>> select_spatial([1, 4, 8, 8], ["c", "z", "y", "x"]), select_spatial([4, 8], ["c", "y", "x"])
    ((4, 8, 8), (4, 8))
    """
    if axes is not None and len(values) == len(axes):
        return tuple(value for value, axis in zip(values, axes) if axis in SPATIAL_AXES)
    return tuple(values)


def parse_axis_names(attrs: Mapping[str, Any], ndim: int, reverse: bool = False) -> list[str] | None:
    """Return the names of axes in an array's attributes; None if they are missing or mean nothing (``dim_0``).

    >>> parse_axis_names({"axis_names": ["c^", "Y", "X"]}, 3), parse_axis_names({"axes": ["dim_0", "dim_1"]}, 2)
    (['c', 'y', 'x'], None)
    """
    for key in ("axes", "_ARRAY_DIMENSIONS", "axis_names"):
        names = attrs.get(key)
        if isinstance(names, list) and len(names) == ndim and all(isinstance(name, str) for name in names):
            cleaned = clean_axis_names(names)
            if cleaned is not None:
                return cleaned[::-1] if reverse else cleaned
    return None


def clean_axis_names(names: Sequence[str], types: Sequence[object] = ()) -> list[str] | None:
    """Return names of axes as ``t``, ``c``, ``z``, ``y``, ``x``, unknown ones as they are; None for placeholders.

    Args:
        names: as stored.
        types: types of the axes in OME-NGFF, such as ``channel``.

    >>> clean_axis_names(["Time", "channels", "Z", "y", "x"]), clean_axis_names(["c0^", "d0", "d1"])
    (['t', 'c', 'z', 'y', 'x'], None)
    """
    stripped = [name.strip().rstrip("^") for name in names]
    if all(_PLACEHOLDER.fullmatch(name) for name in stripped):
        return None
    known = {"time": "t", "channel": "c", "channels": "c"}
    result = []
    for index, name in enumerate(stripped):
        kind = types[index] if index < len(types) else None
        lower = name.lower()
        fallback = known.get(str(kind), name)
        result.append(lower if lower in ("t", "c", *SPATIAL_AXES) else known.get(lower, fallback))
    return result


def _list_units(attrs: Mapping[str, Any]) -> list[object]:
    units = attrs.get("units") or attrs.get("unit")
    if isinstance(units, str):
        return [units] if units else []
    if isinstance(units, list) and any(units):
        return [text for text in units if text]
    units = attrs.get("dimension_units")
    if isinstance(units, list):
        return [str(text).split()[-1] for text in units if len(str(text).split()) == 2]
    return []


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _parse_numbers(value: Any, reverse: bool = False) -> tuple[float, ...] | None:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    try:
        numbers = tuple(float(item) for item in value)
    except (TypeError, ValueError, OverflowError):
        return None
    if not numbers or not all(math.isfinite(number) for number in numbers):
        return None
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
