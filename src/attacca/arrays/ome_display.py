"""OME-Zarr metadata by which viewers display images: intensity windows, names of channels, classes and their colors.

Reference: Moore, J. et al. OME-Zarr: a cloud-optimized bioimaging file format. Histochem Cell Biol 160 (2023), and the
specification of version 0.5, https://ngff.openmicroscopy.org/0.5.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import zarr
from zarr.abc.store import Store

from attacca.arrays.identifier import LocalArrayIdentifier, join_path
from attacca.arrays.ome_zarr import update_ome_metadata
from attacca.arrays.storage import open_store, zarr_format
from attacca.arrays.zarr_array import ZarrArray
from attacca.arrays.zarr_opening import multiscales, ome_attributes, open_node

CLASS_COLORS = ("0072b2", "e69f00", "009e73", "cc79a7", "56b4e9", "d55e00", "f0e442", "999999")
"""Colors that are distinguishable with color vision deficiency: Okabe and Ito 2008, and gray."""

_LABELS = "labels"
_IMAGES = ("raw", "prediction")
_DARK, _BRIGHT = 0.5, 99.5
"""Percentiles of the intensity window."""


def write_intensity_windows(group_path: str, scales: Sequence[str], names: Sequence[str] = ()) -> None:
    """Write the ``omero`` metadata of an image: for each channel its name and the window of intensities to display.

    The window extends from the percentile 0.5 to 99.5 of the coarsest scale, its limits are those of the data.

    Args:
        group_path: path or URL of the multiscale group.
        scales: names of the arrays in it, the finest first.
        names: names of the channels; by default their numbers.

    >>> from funlib.geometry import Roi
    >>> s0 = LocalArrayIdentifier("memory://windows.zarr/raw", "s0")
    >>> array = ZarrArray.create_from_array_identifier(s0, "yx", Roi((0, 0), (4, 404)), None, (4, 4), "u1")
    >>> array[array.roi] = np.arange(101)[None]
    >>> write_intensity_windows("memory://windows.zarr/raw", ["s0"], ["EM"])
    >>> channel = open_node(open_store("memory://windows.zarr/raw"), "").attrs["ome"]["omero"]["channels"][0]
    >>> channel["label"], channel["window"]
    ('EM', {'min': 0.0, 'max': 100.0, 'start': 0.5, 'end': 99.5})
    """
    array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(group_path, scales[-1]))
    values = array[array.roi]
    channels = []
    for index, channel in enumerate(values if array.num_channels is not None else values[None]):
        finite = channel[np.isfinite(channel)] if channel.dtype.kind == "f" else channel
        low, high = (
            (float(value) for value in np.percentile(finite, [_DARK, _BRIGHT])) if finite.size else (0.0, 1.0)
        )
        limits = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        window = {"min": limits[0], "max": limits[1], "start": low, "end": max(high, low + 1e-6)}
        label = names[index] if index < len(names) else str(index)
        channels.append({"label": label, "color": "FFFFFF", "active": index == 0, "window": window})
    update_ome_metadata(group_path, {"omero": {"channels": channels}})


def write_image_label(group_path: str, classes: Sequence[str] = (), source: str = "../../") -> None:
    """Mark a group as a label image, with the names and colors of its classes.

    Args:
        group_path: path or URL of the multiscale group.
        classes: names of the classes with the ids 1, 2, ...; empty for ids of objects.
        source: path of the image that the labels belong to, relative to the group.

    >>> write_image_label("memory://classes.zarr/labels/cells", ["nucleus", "membrane"])
    >>> label = open_node(open_store("memory://classes.zarr/labels/cells"), "").attrs["ome"]["image-label"]
    >>> label["properties"][1], label["colors"][0]
    ({'label-value': 2, 'name': 'membrane'}, {'label-value': 1, 'rgba': [0, 114, 178, 255]})
    """
    label: dict[str, Any] = {"version": "0.5" if zarr_format() == 3 else "0.4", "source": {"image": source}}
    if classes:
        ids = range(1, len(classes) + 1)
        colors = [CLASS_COLORS[index % len(CLASS_COLORS)] for index in range(len(classes))]
        label["colors"] = [
            {"label-value": value, "rgba": [*bytes.fromhex(color), 255]} for value, color in zip(ids, colors)
        ]
        label["properties"] = [{"label-value": value, "name": name} for value, name in zip(ids, classes)]
    update_ome_metadata(group_path, {"image-label": label})


def write_root_metadata(container: str, labels: Sequence[str] = ()) -> None:
    """Make a container an OME-Zarr image as a whole: its image, and the list of its label images.

    The scales of ``raw``, or of ``prediction``, become those of the container; label images are in ``labels/NAME``. A
    container whose image is a link has label images only.

    Args:
        container: path or URL.
        labels: names of label images below ``labels``; those that do not exist are left out.

    >>> from funlib.geometry import Roi
    >>> s0 = LocalArrayIdentifier("memory://root.zarr", "raw/s0")
    >>> array = ZarrArray.create_from_array_identifier(s0, "zyx", Roi((0, 0, 0), (80, 8, 8)), None, (40, 4, 4), "u1")
    >>> from attacca.arrays.ome_zarr import write_multiscale_metadata
    >>> write_multiscale_metadata("memory://root.zarr/raw", ["s0"])
    >>> write_root_metadata("memory://root.zarr")
    >>> multiscales(open_node(open_store("memory://root.zarr"), "").attrs)[0]["datasets"][0]["path"]
    'raw/s0'
    """
    store = open_store(container, "r")
    for name in _IMAGES:
        node = open_node(store, name)
        attributes = node.attrs if isinstance(node, zarr.Group) else {}
        images = multiscales(attributes)
        if images:
            datasets = [{**dataset, "path": f"{name}/{dataset['path']}"} for dataset in images[0]["datasets"]]
            values: dict[str, Any] = {"multiscales": [{**images[0], "datasets": datasets}]}
            omero = ome_attributes(attributes).get("omero")
            update_ome_metadata(container, values | ({"omero": omero} if omero else {}))
            break
    existing = [name for name in labels if _is_multiscale(store, f"{_LABELS}/{name}")]
    if existing:
        update_ome_metadata(join_path(container, _LABELS), {"labels": existing})


def _is_multiscale(store: Store, path: str) -> bool:
    node = open_node(store, path)
    return isinstance(node, zarr.Group) and bool(multiscales(node.attrs))
