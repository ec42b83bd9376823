"""Opening of zarr and N5 arrays by name, including the first scale of a multiscale group."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zarr
from funlib.geometry import Coordinate, Roi
from zarr.storage import BaseStore

from attacca.arrays.identifier import is_url, join_path
from attacca.arrays.storage import explain_server_errors, open_store
from attacca.errors import MissingInputError, VolumeError

# Names of the first scale, for multiscale groups without OME metadata.
_FIRST_SCALES = ("s0", "0", "scale0")


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


def open_zarr(container: Path | str, dataset: str, mode: str) -> tuple[zarr.Array, str]:
    """Open a zarr or N5 array, or the first scale of a multiscale group.

    Args:
        container: path or URL.
        dataset: name of the array or group in the container.
        mode: ``"r"`` to read, ``"a"`` to read and write.

    Returns:
        The array, and its own name in the container.

    Raises:
        MissingInputError: the array does not exist; the message lists the members of the nearest group.
        VolumeError: the array has Zarr format 3, or the server cannot be reached.
    """
    store = open_store(container, mode)
    path = str(dataset).strip("/")
    with explain_server_errors(container):
        try:
            return _open_array_or_scale(store, container, path, mode)
        except (zarr.errors.PathNotFoundError, KeyError, FileNotFoundError) as error:
            if is_url(container):
                _raise_server_error(store)
            _check_format(store, container, path)
            if isinstance(error, MissingInputError):
                raise
            raise MissingInputError(
                f"{join_path(container, path)}: no such array{_list_members(store, path)}"
            ) from error


def _open_array_or_scale(
    store: BaseStore, container: Path | str, path: str, mode: str
) -> tuple[zarr.Array, str]:
    node = zarr.open(store, mode="r" if mode == "r" else "r+", path=path)
    if isinstance(node, zarr.Array):
        return node, path
    multiscales = node.attrs.get("multiscales")
    first = multiscales[0]["datasets"][0]["path"] if multiscales else None
    arrays = list(node.array_keys()) if not first else []
    for candidate in [first] if first else [*_FIRST_SCALES, *(arrays if len(arrays) == 1 else [])]:
        if candidate in node and isinstance(node[candidate], zarr.Array):
            return node[candidate], f"{path}/{candidate}".strip("/")
    key = "another 'dataset'" if path else "'dataset'"
    raise MissingInputError(
        f"{join_path(container, path)} is a group, not an array{_list_members(store, path)}; "
        f"name an array with {key}"
    )


def _raise_server_error(store: Any) -> None:
    """Raise the error of a server that the store reports as a missing file."""
    with suppress(FileNotFoundError):
        store.fs.cat_file(f"{store.path}/.zgroup")


def _check_format(store: BaseStore, container: Path | str, path: str) -> None:
    parts = path.split("/")
    parents = ["/".join(parts[:count]) for count in range(len(parts), -1, -1)]
    if any(f"{parent}/zarr.json".lstrip("/") in store for parent in parents):
        array = join_path(container, path or "ARRAY")
        raise VolumeError(
            f"{join_path(container, path)} is Zarr format 3, but only format 2 can be read here; convert it with a "
            f"Python that has zarr 3: zarr.from_array('copy.zarr', name='{path or 'ARRAY'}', "
            f"data=zarr.open_array('{array}'), zarr_format=2)"
        )


def list_group(store: BaseStore, path: str) -> list[str]:
    """Return the sorted names of a group's members; empty without such a group.

    >>> store = zarr.storage.MemoryStore()
    >>> array = zarr.open_group(store, path="raw").create_dataset("s0", shape=4)
    >>> list_group(store, "raw"), list_group(store, "labels")
    (['s0'], [])
    """
    if not zarr.storage.contains_group(store, path):
        return []
    try:
        names = sorted(zarr.storage.listdir(store, path))
    except (KeyError, FileNotFoundError, NotADirectoryError):
        return []
    return [name for name in names if not name.startswith(".") and name != "attributes.json"]


def _list_members(store: BaseStore, path: str) -> str:
    """Return the end of a message that lists the members of the nearest existing group."""
    while path and not zarr.storage.contains_group(store, path):
        path = path.rpartition("/")[0]
    names = list_group(store, path)
    return f"; {path or 'the container'} holds {', '.join(names[:20]) or 'nothing'}"
