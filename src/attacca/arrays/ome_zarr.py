"""OME-Zarr metadata of multiscale images: version 0.5 in Zarr 3, version 0.4 in Zarr 2.

Each scale has a ``scale`` (its voxel size) and a ``translation`` (the position of its voxel 0). In OME-NGFF a position
is that of a voxel's *center*, whereas the ``offset`` attribute of Attacca's arrays, like every ROI, is a *corner*. The
two frames are half a full-resolution voxel apart: the translation of the first scale equals its offset (0 stays 0,
whole numbers stay whole), and a coarser scale is translated by half of the difference of the voxel sizes, so that all
scales coincide in a viewer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import zarr

from attacca.arrays.identifier import join_path
from attacca.arrays.metadata import GridMetadata, complete_metadata, parse_attributes
from attacca.arrays.n5 import N5Array, StoredArray, read_attributes_file
from attacca.arrays.storage import open_store, zarr_format
from attacca.arrays.zarr_opening import multiscales, open_node, open_zarr
from attacca.config.units import normalize_unit


def read_grid_metadata(array: StoredArray) -> GridMetadata:
    """Return the metadata in an array's attributes or, if they hold no voxel size, in its multiscale group.

    >>> store = zarr.storage.MemoryStore()
    >>> array = zarr.create_array(store, name="raw", shape=(4, 8), dtype="u1", attributes={"resolution": [8, 4]})
    >>> read_grid_metadata(array)
    GridMetadata(axes=None, voxel_size=(8.0, 4.0), offset=None, unit=None)
    """
    own = parse_attributes(array.attrs, array.ndim, reverse=isinstance(array, N5Array))
    if own.axes is None and isinstance(array, zarr.Array):
        own = replace(own, axes=_dimension_names(array))
    if own.voxel_size is not None:
        return own
    scale = _read_scale_metadata(array)
    if scale is None:
        return own
    return GridMetadata(scale.axes or own.axes, scale.voxel_size, scale.offset, scale.unit)


def _dimension_names(array: zarr.Array[Any]) -> list[str] | None:
    names = getattr(array.metadata, "dimension_names", None)
    return [str(name) for name in names] if names and all(names) else None


def _read_scale_metadata(array: StoredArray) -> GridMetadata | None:
    parent, _, name = array.path.rpartition("/")
    if isinstance(array, N5Array):
        attributes: Mapping[str, Any] = read_attributes_file(join_path(array.container, parent)) or {}
    else:
        node = open_node(array.store, parent)
        attributes = dict(node.attrs) if isinstance(node, zarr.Group) else {}
    for image in multiscales(attributes):
        for dataset in image.get("datasets", []):
            if dataset.get("path") == name:
                first = _parse_scale(image, image["datasets"][0])
                return _center_to_corner(_parse_scale(image, dataset), first)
    return None


def _center_to_corner(scale: GridMetadata, first: GridMetadata) -> GridMetadata:
    size, base, center = scale.voxel_size or (), first.voxel_size or (), scale.offset or ()
    corner = tuple(c - (s - b) / 2 for c, s, b in zip(center, size, base))
    return GridMetadata(scale.axes, size, corner, scale.unit)


def _parse_scale(image: Mapping[str, Any], dataset: Mapping[str, Any]) -> GridMetadata:
    """Return the metadata of one scale; ``offset`` is the position of a voxel's center."""
    axes = image.get("axes", [])
    names = [axis["name"] if isinstance(axis, Mapping) else str(axis) for axis in axes]
    spatial = [
        index
        for index, axis in enumerate(axes)
        if (axis.get("type") == "space" if isinstance(axis, Mapping) else str(axis) in ("z", "y", "x"))
    ]
    units = [axes[index].get("unit") for index in spatial if isinstance(axes[index], Mapping)]
    scale = [1.0] * len(axes)
    center = [0.0] * len(axes)
    transformations = [
        *dataset.get("coordinateTransformations", []),
        *image.get("coordinateTransformations", []),
    ]
    for transformation in transformations:
        if transformation.get("type") == "scale":
            factors: Sequence[float] = transformation["scale"]
            scale = [a * b for a, b in zip(scale, factors)]
            center = [a * b for a, b in zip(center, factors)]
        elif transformation.get("type") == "translation":
            center = [a + b for a, b in zip(center, transformation["translation"])]
    unit = next((normalize_unit(unit) for unit in units if unit), None)
    size = tuple(scale[index] for index in spatial)
    return GridMetadata(names or None, size, tuple(center[index] for index in spatial), unit)


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
