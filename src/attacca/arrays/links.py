"""Links: groups whose attributes refer to an array in another container."""

import os
from pathlib import Path
from typing import Any

import zarr
from funlib.geometry import Roi

from attacca.arrays.identifier import is_url
from attacca.arrays.n5 import is_n5_container
from attacca.arrays.precomputed import is_precomputed
from attacca.arrays.storage import open_store, zarr_format
from attacca.arrays.zarr_opening import ZarrArrayConfig, open_node
from attacca.errors import MissingInputError

_LINK = "attacca_link"
_RELATIVE = "relative_container"


def write_link(container: Path | str, dataset: str, target: ZarrArrayConfig) -> None:
    """Make ``dataset`` a link: opening it, or a scale in it, opens the target read-only.

    Args:
        container: path or URL.
        dataset: name of the link in the container.
        target: the array, and the metadata that replace its own.

    >>> write_link("memory://links.zarr", "raw", ZarrArrayConfig("s3://bucket/volume.zarr", "em", axes=["y", "x"]))
    >>> link = read_link("memory://links.zarr", "raw/s0")
    >>> link.file_name, link.dataset, link.axes
    ('s3://bucket/volume.zarr', 'em', ['y', 'x'])
    """
    store = open_store(container, "a")
    link = {
        "container": str(target.file_name),
        _RELATIVE: _find_relative_path(container, target.file_name),
        "dataset": target.dataset,
        "axes": list(target.axes) if target.axes is not None else None,
        "unit": target.unit,
        "voxel_size": [int(v) for v in target.voxel_size] if target.voxel_size is not None else None,
        "offset": [int(v) for v in target.offset] if target.offset is not None else None,
        "roi": [list(map(int, target.roi.begin)), list(map(int, target.roi.shape))] if target.roi else None,
        "contents": target.contents,
        "missing_chunks": target.missing_chunks,
        "stored_axes": list(target.stored_axes) if target.stored_axes is not None else None,
        "points": dict(target.points),
    }
    group = zarr.open_group(store, mode="a", path=str(dataset).strip("/"), zarr_format=zarr_format())
    group.attrs.put({_LINK: link})


def read_link(container: Path | str, dataset: str) -> ZarrArrayConfig | None:
    """Return the target of the link of a data set, or of the group of which it is a scale; None without a link.

    >>> write_link("memory://links.zarr", "labels", ZarrArrayConfig("/data/labels.n5", "neurons"))
    >>> read_link("memory://links.zarr", "labels").dataset, read_link("memory://links.zarr", "mask")
    ('neurons', None)
    """
    path = str(dataset).strip("/")
    if is_n5_container(container) or is_precomputed(container):
        return None
    try:
        store = open_store(container, "r")
    except MissingInputError:
        return None
    for candidate in dict.fromkeys([path, path.rpartition("/")[0]]):
        node = open_node(store, candidate)
        if isinstance(node, zarr.Group):
            link: Any = node.attrs.get(_LINK)
            return _read_target(container, link) if link else None
    return None


def _find_relative_path(container: Path | str, target: Path | str) -> str | None:
    """Return the path of a target from the container of its link; None if one of them is an address."""
    if is_url(container) or is_url(target):
        return None
    return os.path.relpath(os.path.abspath(target), os.path.abspath(container))


def _read_target(container: Path | str, link: dict[str, Any]) -> ZarrArrayConfig:
    """Return the target of a link; it is the one beside the container, if a project was moved or copied with its inputs."""
    target, relative = link["container"], link.get(_RELATIVE)
    if relative is not None:
        moved = os.path.normpath(os.path.join(os.path.abspath(container), relative))
        target = moved if os.path.exists(moved) else target
    return ZarrArrayConfig(
        target,
        link["dataset"],
        axes=link["axes"],
        unit=link["unit"],
        voxel_size=link["voxel_size"],
        offset=link["offset"],
        roi=Roi(*link["roi"]) if link["roi"] else None,
        contents=link.get("contents", ""),
        missing_chunks=link.get("missing_chunks", "zero"),
        stored_axes=link.get("stored_axes"),
        points=link.get("points", {}),
    )
