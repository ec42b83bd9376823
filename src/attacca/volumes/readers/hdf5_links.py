"""Data sets of an HDF5 file, found through soft and external links.

HDF5 reports a broken link as a missing object. The functions here follow each link and name the file or object that
is missing.
"""

import os
from pathlib import Path
from typing import Any

from attacca.errors import AttaccaError, MissingInputError, VolumeError, summarize_error

_MOST_LINKS = 32
_MOST_OBJECTS = 20_000


def find_object(file: Any, path: Path, name: str, links: int = 0) -> Any:
    """Return the object of a name in an ``h5py.File``; None if the name does not exist.

    Args:
        file: the open file.
        path: path of the file.
        name: name from the root group.
        links: number of links followed so far.

    Raises:
        MissingInputError: a link on the way leads nowhere; the message names the missing file or object.
        VolumeError: links lead in a circle, or another file cannot be opened.
    """
    # deferred: h5py takes 0.1 s to import
    import h5py

    node: Any = file
    parts = [part for part in name.split("/") if part not in ("", ".")]
    for index, part in enumerate(parts):
        if not isinstance(node, h5py.Group):
            return None
        try:
            link = node.get(part, getlink=True)
        except (RuntimeError, OSError, ValueError) as error:
            raise VolumeError(
                f"{path}: the group {node.name} is damaged: {summarize_error(error)}",
                fix="copy the file again",
            ) from error
        if link is None:
            return None
        here = f"{node.name.rstrip('/')}/{part}"
        if isinstance(link, h5py.HardLink):
            node = read_member(node, part, path)
            continue
        if links >= _MOST_LINKS:
            raise VolumeError(f"{path}: the link {here} leads in a circle", fix="remove the link")
        rest = "/".join(parts[index + 1 :])
        if isinstance(link, h5py.SoftLink):
            target = link.path if link.path.startswith("/") else f"{node.name}/{link.path}"
            found = find_object(node.file, path, target, links + 1)
            where = f"{target}, to which the link {here} of {path} leads"
        else:
            other, found = open_linked(path, link.filename, f"the link {here} of {path}"), None
            found = find_object(other, Path(other.filename), link.path, links + 1)
            path = Path(other.filename)
            where = f"{link.path} in {path}, to which the link {here} leads"
        if found is None:
            raise MissingInputError(f"{where}, does not exist", fix="restore it, or correct the link")
        return find_object(found, path, rest, links + 1) if rest else found
    return node


def locate_linked(path: Path, name: str) -> Path | None:
    """Return the file that ``path`` refers to by ``name``, as HDF5 finds it; None if it does not exist."""
    candidates = [path.parent / name, Path(name), path.parent / Path(name).name]
    return next((candidate for candidate in candidates if os.path.exists(candidate)), None)


def open_linked(path: Path, name: str, what: str) -> Any:
    """Open the file to which a link or a virtual data set of ``path`` refers.

    Raises:
        MissingInputError: it does not exist.
        VolumeError: it is not HDF5.
    """
    # deferred: h5py takes 0.1 s to import
    import h5py

    located = locate_linked(path, name)
    if located is None:
        raise MissingInputError(
            f"{path.parent / name}, to which {what} leads, does not exist",
            fix="copy it to this place, beside the file",
        )
    if not located.is_file() or not h5py.is_hdf5(located):
        raise VolumeError(
            f"{located}, to which {what} leads, is not an HDF5 file",
            fix="copy the file again, or correct the link",
        )
    try:
        return h5py.File(located, "r", locking=False)
    except OSError as error:
        raise VolumeError(
            f"{located}, to which {what} leads, cannot be read: {summarize_error(error)}",
            fix="copy the file again",
        ) from error


def list_datasets(file: Any, path: Path) -> tuple[dict[str, Any], list[AttaccaError]]:
    """Return the data sets of a file by name, each once, with those behind links; and the errors of broken links.

    Raises:
        VolumeError: a group is damaged, or there are too many objects to list.
    """
    # deferred: h5py takes 0.1 s to import
    import h5py

    found: dict[str, Any] = {}
    broken: list[AttaccaError] = []
    # The address of an object: a file may hold it under several names, and links may lead in a circle.
    seen: set[tuple[int, int]] = set()
    groups: list[tuple[str, Any]] = [("", file)]
    while groups:
        prefix, group = groups.pop(0)
        for name in list_names(group, path):
            if len(seen) >= _MOST_OBJECTS:
                raise VolumeError(f"{path} holds more than {_MOST_OBJECTS} objects", fix="set 'dataset'")
            full = f"{prefix}{name}"
            try:
                item = find_object(group, Path(group.file.filename), name)
            except AttaccaError as error:
                broken.append(error)
                continue
            if not isinstance(item, h5py.Dataset | h5py.Group):
                continue
            info = h5py.h5o.get_info(item.id)
            if (info.fileno, info.addr) in seen:
                continue
            seen.add((info.fileno, info.addr))
            if isinstance(item, h5py.Dataset):
                found[full] = item
            else:
                groups.append((f"{full}/", item))
    return found, broken


def list_names(group: Any, path: Path) -> list[str]:
    """Return the names of the members of a group.

    Raises:
        VolumeError: the group is damaged.
    """
    try:
        return list(group)
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        raise VolumeError(
            f"{path}: the group {group.name} is damaged: {summarize_error(error)}", fix="copy the file again"
        ) from error


def read_member(group: Any, name: str, path: Path) -> Any:
    """Return a member of a group.

    Raises:
        VolumeError: the member is damaged.
    """
    try:
        return group[name]
    except (RuntimeError, OSError, ValueError, KeyError, TypeError) as error:
        raise VolumeError(
            f"{path}: {group.name.rstrip('/')}/{name} is damaged or of an unknown type: {summarize_error(error)}",
            fix="copy the file again, or choose another data set",
        ) from error
