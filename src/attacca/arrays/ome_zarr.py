"""OME-Zarr metadata of multiscale images: version 0.5 in Zarr 3, version 0.4 in Zarr 2.

Each scale has a ``scale`` (its voxel size) and a ``translation`` (the position of its voxel 0). In OME-NGFF a position
is that of a voxel's *center*, whereas the ``offset`` attribute of Attacca's arrays, like every ROI, is a *corner*. The
two frames are half a full-resolution voxel apart: the translation of the first scale equals its offset (0 stays 0,
whole numbers stay whole), and a coarser scale is translated by half of the difference of the voxel sizes, so that all
scales coincide in a viewer.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import zarr

from attacca.arrays.identifier import join_path
from attacca.arrays.metadata import (
    SPATIAL_AXES,
    GridMetadata,
    clean_axis_names,
    complete_metadata,
    parse_attributes,
    set_lengths,
)
from attacca.arrays.n5 import N5Array, read_attributes_file
from attacca.arrays.storage import open_store, zarr_format
from attacca.arrays.stored_array import ForeignArray, StoredArray
from attacca.arrays.zarr_opening import FIRST_SCALES, multiscales, open_node, open_zarr
from attacca.config.units import convert_length


def read_grid_metadata(array: StoredArray) -> GridMetadata:
    """Return the metadata in an array's attributes or, if they hold no voxel size, in its group.

    Conventions, the first that is found: the ``transform`` of the array (COSEM), its ``resolution``, ``voxel_size`` or
    ``pixelResolution``, the ``multiscales`` of the group (OME-Zarr 0.1 to 0.5, COSEM), and the group's
    ``pixelResolution`` or ``resolution`` with the downsampling factors of the scale (n5-viewer, Paintera).

    >>> store = zarr.storage.MemoryStore()
    >>> array = zarr.create_array(store, name="raw", shape=(4, 8), dtype="u1", attributes={"resolution": [8, 4]})
    >>> read_grid_metadata(array)
    GridMetadata(axes=None, voxel_size=(8.0, 4.0), offset=None, unit=None)
    """
    if isinstance(array, ForeignArray):
        known = array.read_grid_metadata()
        if known is not None:
            return known
    is_n5 = isinstance(array, N5Array)
    attributes = array.attrs.asdict()
    own = parse_attributes(attributes, array.ndim, reverse=is_n5)
    if own.axes is None and isinstance(array, zarr.Array):
        own = replace(own, axes=_dimension_names(array))
    transform = attributes.get("transform")
    if own.voxel_size is not None and not isinstance(transform, Mapping):
        return own
    group, name = _read_group_attributes(array)
    if isinstance(transform, Mapping):
        scale = _parse_transform(transform, is_n5)
        return _move_to_corner(scale, _find_first_transform(array, group, is_n5) or scale)
    found = _parse_multiscales(group, name, array.ndim, is_n5)
    if found is None or (found.voxel_size is None and found.problem is None):
        below = _parse_group_attributes(group, name, attributes, array.ndim, is_n5)
        found = replace(below, axes=(found.axes if found else None) or below.axes) if below else found
    if found is None:
        return own
    found = replace(found, axes=found.axes or own.axes)
    return found if found.voxel_size is not None or own.problem is None else found.reject(own.problem)


def _dimension_names(array: zarr.Array[Any]) -> list[str] | None:
    names = getattr(array.metadata, "dimension_names", None)
    return clean_axis_names([str(name) for name in names]) if names and all(names) else None


def _read_group_attributes(array: StoredArray) -> tuple[Mapping[str, Any], str]:
    """Return the attributes of the groups above an array that describe it, and its name in that group."""
    parent, _, name = array.path.rpartition("/")
    if not array.path:
        return {}, ""
    if isinstance(array, N5Array):
        return read_attributes_file(join_path(array.container, parent)) or {}, name
    if not isinstance(array, zarr.Array):
        return {}, name
    node = open_node(array.store, parent)
    return (node.attrs.asdict() if isinstance(node, zarr.Group) else {}), name


def _parse_multiscales(group: Mapping[str, Any], name: str, ndim: int, is_n5: bool) -> GridMetadata | None:
    for image in multiscales(group):
        datasets = [item for item in image.get("datasets") or [] if isinstance(item, Mapping)]
        for dataset in datasets:
            if dataset.get("path") == name:
                if isinstance(dataset.get("transform"), Mapping):
                    scale = _parse_transform(dataset["transform"], is_n5)
                    return _move_to_corner(scale, _parse_transform(datasets[0].get("transform"), is_n5))
                scale = _parse_scale(image, dataset, ndim)
                return _move_to_corner(scale, _parse_scale(image, datasets[0], ndim))
    return None


def _parse_group_attributes(
    group: Mapping[str, Any], name: str, attributes: Mapping[str, Any], ndim: int, is_n5: bool
) -> GridMetadata | None:
    """Return the metadata of a scale from those of the first scale, which n5-viewer and Paintera store in the group."""
    first = parse_attributes({**group, "downsamplingFactors": None}, ndim, reverse=is_n5)
    if first.voxel_size is None:
        return first if first.problem else None
    number = re.fullmatch(r"(?:s|scale)?(\d+)", name)
    index = int(number[1]) if number else 0
    factors = attributes.get("downsamplingFactors")
    for key in ("scales", "downsamplingFactors"):
        steps = group.get(key)
        if factors is None and isinstance(steps, list) and index < len(steps):
            factors = steps[index]
    if factors is None and index:
        return first.reject(
            f"{first.origin} of the group is that of its first scale, and the downsampling factors of {name} are missing"
        )
    first = replace(first, origin=f"{first.origin} of the group")
    if factors is None:
        return first
    values = factors if isinstance(factors, list) else [factors] * len(first.voxel_size or ())
    if len(values) != len(first.voxel_size or ()) or not all(
        isinstance(value, int | float) and value > 0 for value in values
    ):
        return first.reject(f"the downsampling factors of {name} are {factors!r}, expected a number per axis")
    values = values[::-1] if is_n5 else values
    return replace(first, voxel_size=tuple(a * b for a, b in zip(first.voxel_size or (), values)))


def _find_first_transform(array: StoredArray, group: Mapping[str, Any], is_n5: bool) -> GridMetadata | None:
    """Return the transform of the first scale of an array's group."""
    for image in multiscales(group):
        datasets = image.get("datasets")
        if isinstance(datasets, list) and datasets and isinstance(datasets[0], Mapping):
            transform = datasets[0].get("transform")
            if isinstance(transform, Mapping):
                return _parse_transform(transform, is_n5)
    parent, _, name = array.path.rpartition("/")
    if name in FIRST_SCALES:
        return None
    for first in FIRST_SCALES:
        path = f"{parent}/{first}".strip("/")
        attributes: Mapping[str, Any] = {}
        if isinstance(array, N5Array):
            attributes = read_attributes_file(join_path(array.container, path)) or {}
        elif isinstance(array, zarr.Array):
            node = open_node(array.store, path)
            attributes = node.attrs.asdict() if isinstance(node, zarr.Array) else {}
        if isinstance(attributes.get("transform"), Mapping):
            return _parse_transform(attributes["transform"], is_n5)
    return None


def _move_to_corner(scale: GridMetadata, first: GridMetadata) -> GridMetadata:
    """Return the metadata of a scale with the position of the corner, not the center, of its first voxel."""
    if scale.voxel_size is None or scale.offset is None or first.voxel_size is None:
        return scale
    base: tuple[float, ...] = first.voxel_size
    if first.unit and scale.unit and first.unit != scale.unit:
        base = tuple(float(value) for value in convert_length(base, first.unit, scale.unit))
    # In exact numbers: 0.012 - (0.016 - 0.008) / 2 is 0.008.
    size, begin, center = (
        [Fraction(repr(value)) for value in values] for values in (scale.voxel_size, base, scale.offset)
    )
    corner = tuple(float(c - (s - b) / 2) for c, s, b in zip(center, size, begin))
    return replace(scale, offset=corner)


def _parse_transform(transform: object, is_n5: bool) -> GridMetadata:
    """Return the metadata of a COSEM transform; ``offset`` is the position of a voxel's center.

    Its lists are in the order of its ``axes``. These name the array's axes from the slowest to the fastest, unless
    ``order`` is ``F``; older N5 containers list x, y, z without an order.
    """
    found = GridMetadata(None, None, None, None, "the attribute 'transform'")
    if not isinstance(transform, Mapping):
        return found.reject(f"{found.origin} of the first scale is missing")
    axes, scale, center = (transform.get(key) for key in ("axes", "scale", "translate"))
    if center is None and isinstance(scale, list):
        center = [0.0] * len(scale)
    if (
        not (isinstance(axes, list) and isinstance(scale, list) and isinstance(center, list))
        or not axes
        or not len(axes) == len(scale) == len(center)
    ):
        return found.reject(f"{found.origin} has no 'axes', 'scale' and 'translate' of equal length")
    names = clean_axis_names([str(axis) for axis in axes])
    order = transform.get("order", transform.get("ordering"))
    units = transform.get("units")
    per_axis = [units] * len(axes) if isinstance(units, str) else units
    if not isinstance(per_axis, list) or len(per_axis) != len(axes):
        return found.reject(f"{found.origin} has no unit for each axis")
    reverse = order == "F" or (order is None and is_n5 and names == ["x", "y", "z"])
    step = -1 if reverse else 1
    return _set_scale(
        replace(found, axes=names[::step] if names else None), scale[::step], center[::step], per_axis[::step]
    )


def _parse_scale(image: Mapping[str, Any], dataset: Mapping[str, Any], ndim: int) -> GridMetadata:
    """Return the metadata of one scale; ``offset`` is the position of a voxel's center."""
    axes = image.get("axes")
    version = str(image.get("version", ""))
    if not isinstance(axes, list) or not axes:
        # OME-Zarr 0.1 and 0.2 always have five axes; they have no names.
        names = list("tczyx") if ndim == 5 and version in ("", "0.1", "0.2") else None
        return GridMetadata(names, None, None, None, "'multiscales'")
    descriptions = [axis if isinstance(axis, Mapping) else {"name": str(axis)} for axis in axes]
    names = clean_axis_names(
        [str(axis.get("name")) for axis in descriptions], [axis.get("type") for axis in descriptions]
    )
    found = GridMetadata(names, None, None, None, "the scale in 'multiscales'")
    scale: list[float] | None = None
    center = [0.0] * len(axes)
    for owner in (dataset, image):
        for transformation in owner.get("coordinateTransformations") or []:
            kind = transformation.get("type") if isinstance(transformation, Mapping) else None
            values = transformation.get(kind) if kind in ("scale", "translation") else None
            if kind == "identity":
                continue
            if not isinstance(values, list) or len(values) != len(axes) or not _are_numbers(values):
                return found.reject(
                    f"the transformation {kind!r} in 'multiscales' is not a scale or translation"
                )
            if kind == "scale":
                scale = [a * b for a, b in zip(scale or [1.0] * len(axes), values)]
                center = [a * b for a, b in zip(center, values)]
            else:
                center = [a + b for a, b in zip(center, values)]
    if scale is None:
        return found
    return _set_scale(found, scale, center, [axis.get("unit") for axis in descriptions])


def _set_scale(
    found: GridMetadata, scale: Sequence[Any], center: Sequence[Any], units: Sequence[Any]
) -> GridMetadata:
    """Return metadata with the lengths of the spatial axes; without them if a unit is missing or not a length."""
    spatial = [index for index, axis in enumerate(found.axes or []) if axis in SPATIAL_AXES]
    if not spatial:
        return found.reject(f"{found.origin} names no axis z, y or x")
    if not _are_numbers([*scale, *center]):
        return found.reject(f"{found.origin} holds values that are not numbers")
    size, position, lengths = ([values[index] for index in spatial] for values in (scale, center, units))
    if any(unit is None or not str(unit).strip() for unit in lengths):
        return found.reject(f"{found.origin} is {list(size)} without a unit")
    return set_lengths(found, size, position, lengths)


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and math.isfinite(value) for value in values)


def write_multiscale_metadata(group_path: str, scales: Sequence[str], name: str = "") -> None:
    """Write the OME-Zarr metadata of a group, derived from the metadata of its arrays.

    Args:
        group_path: path or URL of the group.
        scales: names of the arrays in it, the finest first.
        name: name of the image; by default that of the group.

    Raises:
        MissingInputError: a scale does not exist.

    >>> from attacca.arrays import LocalArrayIdentifier, ZarrArray
    >>> from funlib.geometry import Roi
    >>> s0 = LocalArrayIdentifier("memory://multiscale.zarr/raw", "s0")
    >>> array = ZarrArray.create_from_array_identifier(s0, "zyx", Roi((0, 0, 0), (80, 8, 8)), None, (40, 4, 4), "u1")
    >>> write_multiscale_metadata("memory://multiscale.zarr/raw", ["s0"])
    >>> image = multiscales(zarr.open_group(open_store(s0.container), mode="r").attrs)[0]
    >>> image["datasets"][0]["coordinateTransformations"][0]
    {'type': 'scale', 'scale': [40.0, 4.0, 4.0]}
    """
    grids = []
    for scale in scales:
        array, _ = open_zarr(group_path, scale, "r")
        grids.append(complete_metadata(read_grid_metadata(array), array.ndim, join_path(group_path, scale)))
    first = grids[0]
    dims = first.voxel_size.dims
    lead = len(first.axes) - dims
    axes = [{"name": axis, "type": "channel"} for axis in first.axes[:lead]]
    axes += [{"name": axis, "type": "space", "unit": first.unit} for axis in first.axes[lead:]]
    datasets = []
    for scale, grid in zip(scales, grids):
        shift = [(a - b) / 2 for a, b in zip(grid.voxel_size, first.voxel_size)]
        center = [float(corner) + half for corner, half in zip(grid.offset, shift)]
        datasets.append(
            {
                "path": scale,
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1.0] * lead + [float(size) for size in grid.voxel_size]},
                    {"type": "translation", "translation": [0.0] * lead + center},
                ],
            }
        )
    image: dict[str, Any] = {
        "name": name or group_path.rstrip("/").rpartition("/")[2],
        "axes": axes,
        "datasets": datasets,
    }
    update_ome_metadata(group_path, {"multiscales": [image]})


def update_ome_metadata(group_path: str, values: Mapping[str, Any]) -> None:
    """Add OME metadata to a group, which is created if it does not exist; other entries are kept.

    Args:
        group_path: path or URL of the group.
        values: entries such as ``multiscales``, ``omero`` or ``image-label``, without the version of an image.

    >>> update_ome_metadata("memory://update.zarr/labels", {"labels": ["cells"]})
    >>> dict(zarr.open_group(open_store("memory://update.zarr/labels"), mode="r").attrs)
    {'ome': {'version': '0.5', 'labels': ['cells']}}
    """
    group = zarr.open_group(open_store(group_path, "a"), mode="a", zarr_format=zarr_format())
    if group.metadata.zarr_format == 2:
        versioned = [{"version": "0.4", **image} for image in values.get("multiscales", [])]
        group.attrs.update({**values, "multiscales": versioned} if versioned else values)
    else:
        existing: Any = group.attrs.get("ome", {})
        group.attrs["ome"] = {"version": "0.5", **existing, **values}
