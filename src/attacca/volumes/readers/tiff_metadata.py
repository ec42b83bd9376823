"""Voxel size of TIFF files from OME-XML, ImageJ's description, or resolution tags.

Most programs write screen resolutions into the tags Resolution, so these count only if a pixel is below a micrometer.
"""

import math
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from attacca.arrays.metadata import GridMetadata
from attacca.config.units import convert_length, normalize_unit
from attacca.errors import VolumeError

if TYPE_CHECKING:
    from tifffile import TiffFile

_NONE = GridMetadata(None, None, None, None)
# Nanometers in the units of the tag ResolutionUnit: inch and centimeter.
_RESOLUTION_UNITS = {2: 25.4e6, 3: 1e7}
_LARGEST_PIXEL = 1000.0

Size = tuple[list[float | None], str]


def read_tiff_metadata(file: "TiffFile", dims: int) -> GridMetadata:
    """Return the voxel size and unit of an open TIFF file; values that are not positive numbers are ignored.

    Args:
        file: open file.
        dims: number of spatial axes.
    """
    size = _parse_ome(file.ome_metadata or "") if file.is_ome else None
    if size is None and file.is_imagej:
        size = _parse_imagej(file)
    if size is None and dims == 2:
        size = _parse_resolution(file)
    if size is None:
        return _NONE
    values = size[0][3 - dims :]
    known = tuple(value for value in values if value is not None and math.isfinite(value) and value > 0)
    if len(known) < len(values):
        return _NONE
    try:
        return GridMetadata(None, known, None, normalize_unit(size[1]))
    except VolumeError:
        return _NONE


def count_ome_planes(text: str) -> int:
    """Return the number of planes that the first image of OME-XML describes, with all channels and time points.

    >>> count_ome_planes('<OME><Image><Pixels SizeX="9" SizeZ="5" SizeC="2" SizeT="1"/></Image></OME>')
    10
    """
    pixels = _find_pixels(text)
    if pixels is None:
        return 0
    return math.prod(int(pixels.get(f"Size{axis}", "1")) for axis in "ZCT")


def _find_pixels(text: str) -> ElementTree.Element | None:
    try:
        elements = ElementTree.fromstring(text).iter()
    except (ElementTree.ParseError, ValueError):
        return None
    return next((element for element in elements if element.tag.split("}")[-1] == "Pixels"), None)


def _parse_ome(text: str) -> Size | None:
    pixels = _find_pixels(text)
    if pixels is None or pixels.get("PhysicalSizeX") is None:
        return None
    unit = pixels.get("PhysicalSizeXUnit", "µm")
    values: list[float | None] = []
    for axis in "ZYX":
        value = _to_number(pixels.get(f"PhysicalSize{axis}"))
        own = pixels.get(f"PhysicalSize{axis}Unit", "µm")
        if value is not None and own != unit:
            try:
                value = float(convert_length([value], own, unit)[0])
            except VolumeError:
                value = None
        values.append(value)
    return values, unit


def _parse_imagej(file: "TiffFile") -> Size | None:
    description = file.imagej_metadata or {}
    unit = str(description.get("unit", "")).replace("\\u00B5", "µ")
    pixels = _read_pixel_sizes(file)
    if not unit or pixels is None:
        return None
    return [_to_number(description.get("spacing")), *(round(value, 9) for value in pixels)], unit


def _parse_resolution(file: "TiffFile") -> Size | None:
    unit = _RESOLUTION_UNITS.get(int(file.pages.first.tags.valueof("ResolutionUnit", 1) or 1))
    pixels = _read_pixel_sizes(file)
    if unit is None or pixels is None or max(pixels) * unit > _LARGEST_PIXEL:
        return None
    return [None, *(round(value * unit, 4) for value in pixels)], "nanometer"


def _read_pixel_sizes(file: "TiffFile") -> tuple[float, float] | None:
    """Return the lengths of a pixel along y and x in units of the resolution."""
    tags = file.pages.first.tags
    sizes = []
    for name in ("YResolution", "XResolution"):
        value = tags.valueof(name)
        if not isinstance(value, tuple) or len(value) != 2 or not all(value):
            return None
        sizes.append(value[1] / value[0])
    return sizes[0], sizes[1]


def _to_number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
