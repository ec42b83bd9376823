"""Opening of Zarr and N5 arrays by name, including the first scale of a multiscale group."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zarr
from funlib.geometry import Coordinate, Roi
from zarr.abc.store import Store

from attacca.arrays.identifier import join_path
from attacca.arrays.n5 import N5Array, StoredArray, is_n5_container, list_n5_members, read_attributes_file
from attacca.arrays.storage import explain_server_errors, open_store
from attacca.errors import MissingInputError, VolumeError, summarize_error

FIRST_SCALES = ("s0", "0", "scale0")
"""Names of the first scale, for multiscale groups without OME metadata."""


@dataclass(frozen=True)
class ZarrArrayConfig:
    """Location of an array, and values that replace the metadata in its attributes.

    Args:
        file_name: path or URL of the container.
        dataset: name of the array, or of a multiscale group, in the container.
        name: display name; by default the data set.
        snap_to_grid: world units; the ROI is shrunk to multiples of it.
        axes: names of all axes.
        mode: ``"r"`` to read, ``"a"`` to read and write.
        unit: unit of world coordinates; stored numbers are converted to it.
        voxel_size, offset: in ``unit``.
        roi: the part of the array to use, in world units and on the voxel grid.
        contents: ``raw`` or ``labels`` if each block is checked for values that such data must not hold when it is
            read; empty for no check.
        missing_chunks: ``error`` if a missing chunk is an error when it is read, ``zero`` if it holds fill values.
    """

    file_name: Path | str
    dataset: str
    name: str = ""
    snap_to_grid: Coordinate | None = None
    axes: Sequence[str] | None = None
    mode: str = "r"
    unit: str | None = None
    voxel_size: Coordinate | None = None
    offset: Coordinate | None = None
    roi: Roi | None = None
    contents: str = ""
    missing_chunks: str = "zero"


def open_zarr(container: Path | str, dataset: str, mode: str) -> tuple[StoredArray, str]:
    """Open a Zarr (format 2 or 3) or N5 array, or the first scale of a multiscale group.

    Args:
        container: path or URL.
        dataset: name of the array or group in the container.
        mode: ``"r"`` to read, ``"a"`` to read and write.

    Returns:
        The array, and its own name in the container.

    Raises:
        MissingInputError: the array does not exist; the message lists the members of the nearest group.
        VolumeError: the metadata cannot be read, or the server cannot be reached.

    >>> group = zarr.open_group(open_store("memory://opening.zarr", "a"), path="raw")
    >>> array = group.create_array("s0", shape=(2, 4, 4), dtype="u1")
    >>> array, name = open_zarr("memory://opening.zarr", "raw", "r")
    >>> array.shape, name
    ((2, 4, 4), 'raw/s0')
    """
    path = str(dataset).strip("/")
    if is_n5_container(container):
        with explain_server_errors(container):
            return _open_n5(container, path, mode)
    store = open_store(container, mode)
    with explain_server_errors(container):
        node = open_node(store, path, writable=mode != "r")
        if isinstance(node, zarr.Array):
            return node, path
        if node is None:
            raise MissingInputError(
                f"{join_path(container, path)}: no such array{_list_members(store, path)}"
            )
        first = first_scale(node.attrs)
        arrays = [] if first else list_group(store, path)
        for candidate in [first] if first else [*FIRST_SCALES, *(arrays if len(arrays) == 1 else [])]:
            name = f"{path}/{candidate}".strip("/")
            array = open_node(store, name, writable=mode != "r")
            if isinstance(array, zarr.Array):
                return array, name
        key = "another 'dataset'" if path else "'dataset'"
        raise MissingInputError(
            f"{join_path(container, path)} is a group, not an array{_list_members(store, path)}; "
            f"name an array with {key}"
        )


def open_node(store: Store, path: str, writable: bool = False) -> zarr.Array[Any] | zarr.Group | None:
    """Open an array or group of Zarr format 2 or 3; None if neither exists.

    Consolidated metadata are not used: they may be older than the array.

    Raises:
        VolumeError: the metadata are damaged, or name a codec or dtype that is not installed.

    >>> store = zarr.storage.MemoryStore()
    >>> array = zarr.open_group(store, path="raw").create_array("s0", shape=(4,), dtype="u1")
    >>> [type(open_node(store, path)).__name__ for path in ("raw", "raw/s0", "labels")]
    ['Group', 'Array', 'NoneType']
    """
    mode: Any = "r+" if writable else "r"
    try:
        return zarr.open_array(store, path=path, mode=mode)
    except (FileNotFoundError, zarr.errors.ContainsGroupError, zarr.errors.NodeTypeValidationError):
        pass
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise VolumeError(_describe_damaged_metadata(store, path, error)) from error
    try:
        return zarr.open_group(store, path=path, mode=mode, use_consolidated=False)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise VolumeError(_describe_damaged_metadata(store, path, error)) from error


def first_scale(attributes: Mapping[str, Any]) -> str | None:
    """Return the name of the finest scale in OME metadata of version 0.1 to 0.5; None without them.

    >>> first_scale({"ome": {"multiscales": [{"datasets": [{"path": "s0"}, {"path": "s1"}]}]}})
    's0'
    """
    images = multiscales(attributes)
    datasets = images[0].get("datasets") if images else None
    return str(datasets[0]["path"]) if datasets else None


def ome_attributes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the OME metadata in the attributes of a group: below ``ome`` since OME-Zarr 0.5, on their own before.

    >>> ome_attributes({"ome": {"version": "0.5"}, "attacca": {}}), ome_attributes({"omero": {}})
    ({'version': '0.5'}, {'omero': {}})
    """
    ome = attributes.get("ome")
    return ome if isinstance(ome, Mapping) else attributes


def multiscales(attributes: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the multiscale images in the attributes of a group, of OME-Zarr 0.5 or earlier.

    >>> multiscales({"ome": {"multiscales": [{"name": "raw"}]}}), multiscales({"multiscales": [{"name": "raw"}]})
    ([{'name': 'raw'}], [{'name': 'raw'}])
    """
    images = ome_attributes(attributes).get("multiscales") or []
    return [image for image in images if isinstance(image, Mapping)] if isinstance(images, list) else []


def list_group(store: Store, path: str) -> list[str]:
    """Return the sorted names of a group's members; empty without such a group.

    >>> store = zarr.storage.MemoryStore()
    >>> array = zarr.open_group(store, path="raw").create_array("s0", shape=(4,), dtype="u1")
    >>> list_group(store, "raw"), list_group(store, "labels")
    (['s0'], [])
    """
    node = open_node(store, path)
    if not isinstance(node, zarr.Group):
        return []
    try:
        return sorted(node.keys())
    except (FileNotFoundError, NotADirectoryError, NotImplementedError):
        # Web servers do not list directories.
        return []


def _open_n5(container: Path | str, path: str, mode: str) -> tuple[N5Array, str]:
    attributes = (
        read_attributes_file(join_path(container, path)) if path else read_attributes_file(str(container))
    )
    if attributes is not None and "dimensions" in attributes:
        return N5Array(container, path, writable=mode != "r"), path
    first = first_scale(attributes or {})
    for candidate in [first] if first else FIRST_SCALES:
        name = f"{path}/{candidate}".strip("/")
        scale = read_attributes_file(join_path(container, name))
        if scale is not None and "dimensions" in scale:
            return N5Array(container, name, writable=mode != "r"), name
    group = path
    while group and read_attributes_file(join_path(container, group)) is None:
        group = group.rpartition("/")[0]
    members = ", ".join(list_n5_members(container, group)[:20]) or "nothing"
    raise MissingInputError(
        f"{join_path(container, path)}: no such array; {group or 'the container'} holds {members}"
    )


def _describe_damaged_metadata(store: Store, path: str, error: Exception) -> str:
    where = f"{store}/{path}".removeprefix("file://")
    return f"{where}: the metadata cannot be read ({type(error).__name__}: {summarize_error(error)})"


def _list_members(store: Store, path: str) -> str:
    """Return the end of a message that lists the members of the nearest existing group."""
    while path and not isinstance(open_node(store, path), zarr.Group):
        path = path.rpartition("/")[0]
    names = list_group(store, path)
    return f"; {path or 'the container'} holds {', '.join(names[:20]) or 'nothing'}"
