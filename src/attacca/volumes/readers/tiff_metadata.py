"""Voxel size of TIFF files: from OME-XML or from ImageJ's description, the two that state a unit of length.

The resolution tags alone are left aside: most programs write screen resolutions there.
"""

import re
from typing import Any

from attacca.arrays.metadata import GridMetadata
from attacca.config.units import normalize_unit
from attacca.errors import VolumeError


def tiff_grid(file: Any, dims: int) -> GridMetadata:
    """What an open ``tifffile.TiffFile`` says of its voxel size.

    Args:
        dims: number of spatial axes.
    """
    size = _from_ome(file.ome_metadata) if file.is_ome else None
    if size is None and file.is_imagej:
        size = _from_imagej(file)
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


def _from_ome(text: str) -> tuple[list[float | None], str] | None:
    values: list[float | None] = []
    unit = "micrometer"
    for axis in "ZYX":
        found = re.search(rf'PhysicalSize{axis}="([0-9.eE+-]+)"', text)
        values.append(float(found.group(1)) if found else None)
        named = re.search(rf'PhysicalSize{axis}Unit="([^"]+)"', text)
        unit = named.group(1) if named else unit
    return (values, unit) if values[-1] is not None else None


def _from_imagej(file: Any) -> tuple[list[float | None], str] | None:
    description = file.imagej_metadata or {}
    unit = str(description.get("unit", "")).replace("\\u00B5", "µ")
    tags = file.pages[0].tags
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
