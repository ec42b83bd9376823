"""Arrays in a Zarr or N5 container, by name."""

from pathlib import Path

import zarr

from attacca.arrays.identifier import join_path
from attacca.arrays.n5 import is_n5_container, list_n5_members, read_attributes_file
from attacca.arrays.server_errors import explain_server_errors
from attacca.arrays.storage import open_store
from attacca.arrays.zarr_opening import FIRST_SCALES, first_scale, list_group, open_node

_MOST_ARRAYS = 1000


def list_arrays(container: Path | str, group: str = "") -> list[str]:
    """Return the sorted names of the arrays below a group; a multiscale group counts as one array of its own name.

    Args:
        container: path or URL.
        group: name of a group or array in the container; the root by default.

    >>> store = zarr.open_group(open_store("memory://listed.zarr", "a"))
    >>> names = ["raw/s0", "raw/s1", "labels/nuclei"]
    >>> arrays = [store.create_array(name, shape=(4, 4), dtype="u1") for name in names]
    >>> list_arrays("memory://listed.zarr")
    ['labels/nuclei', 'raw']
    """
    is_n5 = is_n5_container(container)
    found: list[str] = []
    groups = [group.strip("/")]
    with explain_server_errors(container):
        while groups and len(found) < _MOST_ARRAYS:
            path = groups.pop()
            is_array, members = _look_up_n5(container, path) if is_n5 else _look_up_zarr(container, path)
            if is_array or any(name in FIRST_SCALES for name in members):
                found.append(path)
                members = [name for name in members if name == "labels"]
            groups += [f"{path}/{name}".strip("/") for name in members]
    return sorted(found)


def _look_up_zarr(container: Path | str, path: str) -> tuple[bool, list[str]]:
    """Return whether a name is an array or a multiscale image, and the members of a group."""
    store = open_store(container, "r")
    node = open_node(store, path)
    if not isinstance(node, zarr.Group):
        return node is not None, []
    # The labels of an OME-Zarr image are a group in that of the image.
    return first_scale(node.attrs) is not None, list_group(store, path)


def _look_up_n5(container: Path | str, path: str) -> tuple[bool, list[str]]:
    attributes = read_attributes_file(join_path(container, path) if path else str(container)) or {}
    if "dimensions" in attributes or first_scale(attributes):
        return True, []
    return False, list_n5_members(container, path)
