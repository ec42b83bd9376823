"""OME-NGFF 0.4 metadata of multiscale images.

Each scale has a ``scale`` (its voxel size) and a ``translation`` (where its voxel 0 is). In OME-NGFF an index
means a voxel's *centre*, whereas the ``offset`` attribute of Attacca's arrays, like every ROI, is a *corner*.
The two frames are chosen half a full-resolution voxel apart: the translation of the first scale equals its
offset (0 stays 0, whole numbers stay whole), and a coarser scale is translated by half of the difference of
the voxel sizes, so that all scales lie exactly on one another in a viewer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import zarr
from zarr.storage import BaseStore

from attacca.arrays.metadata import GridMetadata
from attacca.config.units import unit_name


def read_scale_metadata(store: BaseStore, path: str) -> GridMetadata | None:
    """Metadata that the multiscale group above an array gives for it; None without such a group."""
    parent, _, name = path.rpartition("/")
    try:
        group = zarr.open_group(store, mode="r", path=parent)
    except (zarr.errors.GroupNotFoundError, zarr.errors.ContainsArrayError, KeyError, FileNotFoundError):
        return None
    for image in group.attrs.get("multiscales", []):
        for dataset in image.get("datasets", []):
            if dataset.get("path") == name:
                first = _scale(image, image["datasets"][0])
                return _corner(_scale(image, dataset), first)
    return None


def _corner(scale: GridMetadata, first: GridMetadata) -> GridMetadata:
    size, base, centre = scale.voxel_size or (), first.voxel_size or (), scale.offset or ()
    corner = tuple(c - (s - b) / 2 for c, s, b in zip(centre, size, base))
    return GridMetadata(scale.axes, size, corner, scale.unit)


def _scale(image: Mapping[str, Any], dataset: Mapping[str, Any]) -> GridMetadata:
    axes = image.get("axes", [])
    names = [axis["name"] if isinstance(axis, Mapping) else str(axis) for axis in axes]
    spatial = [
        index
        for index, axis in enumerate(axes)
        if (axis.get("type") == "space" if isinstance(axis, Mapping) else str(axis) in ("z", "y", "x"))
    ]
    units = [axes[index].get("unit") for index in spatial if isinstance(axes[index], Mapping)]
    scale = [1.0] * len(axes)
    centre = [0.0] * len(axes)
    transformations = [
        *dataset.get("coordinateTransformations", []),
        *image.get("coordinateTransformations", []),
    ]
    for transformation in transformations:
        if transformation.get("type") == "scale":
            factors: Sequence[float] = transformation["scale"]
            scale = [a * b for a, b in zip(scale, factors)]
            centre = [a * b for a, b in zip(centre, factors)]
        elif transformation.get("type") == "translation":
            centre = [a + b for a, b in zip(centre, transformation["translation"])]
    unit = next((unit_name(unit) for unit in units if unit), None)
    size = tuple(scale[index] for index in spatial)
    return GridMetadata(names or None, size, tuple(centre[index] for index in spatial), unit)


def write_multiscale_metadata(group_path: str, scales: Sequence[str], name: str = "") -> None:
    """Make a group an OME-NGFF 0.4 image, from the metadata of its arrays.

    Args:
        group_path: path or URL of the group.
        scales: names of the arrays in it, the finest first.
        name: of the image; by default that of the group.
    """
    from attacca.arrays.identifier import LocalArrayIdentifier
    from attacca.arrays.storage import open_store
    from attacca.arrays.zarr_array import ZarrArray

    arrays = [
        ZarrArray.open_from_array_identifier(LocalArrayIdentifier(group_path, scale)) for scale in scales
    ]
    first = arrays[0]
    lead = len(first.axes) - first.dims
    axes = [{"name": axis, "type": "channel"} for axis in first.axes[:lead]]
    axes += [{"name": axis, "type": "space", "unit": first.unit} for axis in first.spatial_axes]
    datasets = []
    for scale, array in zip(scales, arrays):
        shift = [(a - b) / 2 for a, b in zip(array.voxel_size, first.voxel_size)]
        centre = [float(begin) + half for begin, half in zip(array.roi.begin, shift)]
        datasets.append(
            {
                "path": scale,
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1.0] * lead + [float(size) for size in array.voxel_size]},
                    {"type": "translation", "translation": [0.0] * lead + centre},
                ],
            }
        )
    image = {"version": "0.4", "name": name or group_path.rstrip("/").rpartition("/")[2], "axes": axes}
    group = zarr.open_group(open_store(group_path, "a"), mode="a")
    group.attrs["multiscales"] = [{**image, "datasets": datasets}]
