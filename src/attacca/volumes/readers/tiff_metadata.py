"""Voxel size of TIFF files from OME-XML or ImageJ's description, which state a unit of length.

Resolution tags without other metadata are ignored: most programs write screen resolutions.
"""

import re
from typing import TYPE_CHECKING

from attacca.arrays.metadata import GridMetadata
from attacca.config.units import normalize_unit
from attacca.errors import VolumeError

if TYPE_CHECKING:
    from tifffile import TiffFile


def read_tiff_metadata(file: "TiffFile", dims: int) -> GridMetadata:
    """Return the voxel size and unit of an open TIFF file.

    Args:
        file: open file.
        dims: number of spatial axes.
    """
    size = _parse_ome(file.ome_metadata or "") if file.is_ome else None
    if size is None and file.is_imagej:
        size = _parse_imagej(file)
    if size is None:
        return GridMetadata(None, None, None, None)
    values, unit = size
    try:
        unit = normalize_unit(unit)
    except VolumeError:
        return GridMetadata(None, None, None, None)
    values = values[3 - dims :]
    if any(value is None for value in values):
        return GridMetadata(None, None, None, None)
    return GridMetadata(None, tuple(value for value in values if value is not None), None, unit)


def _parse_ome(text: str) -> tuple[list[float | None], str] | None:
    values: list[float | None] = []
    unit = "micrometer"
    for axis in "ZYX":
        size = re.search(rf'PhysicalSize{axis}="([0-9.eE+-]+)"', text)
        values.append(float(size.group(1)) if size else None)
        size_unit = re.search(rf'PhysicalSize{axis}Unit="([^"]+)"', text)
        unit = size_unit.group(1) if size_unit else unit
    return (values, unit) if values[-1] is not None else None


def _parse_imagej(file: "TiffFile") -> tuple[list[float | None], str] | None:
    description = file.imagej_metadata or {}
    unit = str(description.get("unit", "")).replace("\\u00B5", "µ")
    tags = file.pages.first.tags
    if not unit or "XResolution" not in tags or "YResolution" not in tags:
        return None
    pixels = []
    for name in ("YResolution", "XResolution"):
        count, per = tags[name].value
        if not count:
            return None
        pixels.append(round(per / count, 9))
    spacing = description.get("spacing")
    return [float(spacing) if spacing else None, *pixels], unit
