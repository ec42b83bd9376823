"""OME-NGFF 0.4 metadata of multiscale images.

Each scale has a ``scale`` (its voxel size) and a ``translation`` (the position of its voxel 0). In OME-NGFF a position
is that of a voxel's *center*, whereas the ``offset`` attribute of Attacca's arrays, like every ROI, is a *corner*. The
two frames are half a full-resolution voxel apart: the translation of the first scale equals its offset (0 stays 0,
whole numbers stay whole), and a coarser scale is translated by half of the difference of the voxel sizes, so that all
scales coincide in a viewer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import zarr
from zarr.storage import BaseStore

from attacca.arrays.identifier import join_path
from attacca.arrays.metadata import GridMetadata, complete_metadata, parse_attributes
from attacca.arrays.storage import is_n5, open_store
from attacca.arrays.zarr_opening import open_zarr
from attacca.config.units import normalize_unit


def read_grid_metadata(array: zarr.Array) -> GridMetadata:
    """Return the metadata in an array's attributes or, if they hold no voxel size, in its multiscale group."""
    own = parse_attributes(array.attrs, array.ndim, reverse=is_n5(array.store))
    if own.voxel_size is not None:
        return own
    scale = _read_scale_metadata(array.store, array.path)
    if scale is None:
        return own
    return GridMetadata(scale.axes or own.axes, scale.voxel_size, scale.offset, scale.unit)


def _read_scale_metadata(store: BaseStore, path: str) -> GridMetadata | None:
    parent, _, name = path.rpartition("/")
    try:
        group = zarr.open_group(store, mode="r", path=parent)
    except (zarr.errors.GroupNotFoundError, zarr.errors.ContainsArrayError, KeyError, FileNotFoundError):
        return None
    for image in group.attrs.get("multiscales", []):
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
    """Write the OME-NGFF 0.4 metadata of a group, derived from the metadata of its arrays.

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
    >>> image = zarr.open_group(open_store(s0.container), mode="r").attrs["multiscales"][0]
    >>> image["datasets"][0]["coordinateTransformations"][0]
    {'scale': [40.0, 4.0, 4.0], 'type': 'scale'}
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
    image = {"version": "0.4", "name": name or group_path.rstrip("/").rpartition("/")[2], "axes": axes}
    group = zarr.open_group(open_store(group_path, "a"), mode="a")
    group.attrs["multiscales"] = [{**image, "datasets": datasets}]
