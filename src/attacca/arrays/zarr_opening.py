"""From names to zarr arrays: first scales of multiscale groups, and data sets that stand for an array
elsewhere."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zarr
from funlib.geometry import Coordinate, Roi

from attacca.arrays.identifier import is_url, join
from attacca.arrays.storage import answering, open_store
from attacca.errors import MissingInputError, VolumeError

# First scales of multiscale groups, where the group has no OME metadata.
_FIRST_SCALES = ("s0", "0", "scale0")
# Attribute of a group that stands for an array elsewhere.
_LINK = "attacca_link"


@dataclass(frozen=True)
class ZarrArrayConfig:
    """Which array to open, and what to say about it instead of what its attributes say.

    Args:
        file_name: the container.
        dataset: name of the array, or of a multiscale group, in the container.
        snap_to_grid: world units; the ROI is shrunk to multiples of it.
        axes: names of all axes.
        mode: ``"r"`` or ``"a"``.
        unit: unit of world coordinates; the file's numbers are converted to it.
        voxel_size, offset: in ``unit``; overrule the file.
        roi: the part of the array to show, on its voxel grid.
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
    """The zarr or N5 array of a name, or the first scale of the multiscale group of that name, and its own
    name.

    Raises:
        MissingInputError: there is none; the message lists what is there.
        VolumeError: it is of Zarr format 3, or its server does not answer as it should.
    """
    store = open_store(container, mode)
    path = str(dataset).strip("/")
    with answering(container):
        try:
            return _opened(store, container, path, mode)
        except (zarr.errors.PathNotFoundError, KeyError, FileNotFoundError) as error:
            if is_url(container):
                _ask(store)
            _check_format(store, container, path)
            if isinstance(error, MissingInputError):
                raise
            raise MissingInputError(
                f"{join(container, path)}: no such array{_what_is_there(store, path)}"
            ) from error


def _opened(store: Any, container: Path | str, path: str, mode: str) -> tuple[zarr.Array, str]:
    found = zarr.open(store, mode="r" if mode == "r" else "r+", path=path)
    if isinstance(found, zarr.Array):
        return found, path
    multiscales = found.attrs.get("multiscales")
    first = multiscales[0]["datasets"][0]["path"] if multiscales else None
    arrays = list(found.array_keys()) if not first else []
    for candidate in [first] if first else [*_FIRST_SCALES, *(arrays if len(arrays) == 1 else [])]:
        if candidate in found and isinstance(found[candidate], zarr.Array):
            return found[candidate], f"{path}/{candidate}".strip("/")
    key = "another 'dataset'" if path else "'dataset'"
    raise MissingInputError(
        f"{join(container, path)} is a group, not an array{_what_is_there(store, path)}; name an array with {key}"
    )


def _ask(store: Any) -> None:
    """Raise what is wrong with a server, which the store takes for a missing file."""
    with suppress(FileNotFoundError):
        store.fs.cat_file(f"{store.path}/.zgroup")


def _check_format(store: Any, container: Path | str, path: str) -> None:
    parts = path.split("/")
    places = ["/".join(parts[:count]) for count in range(len(parts), -1, -1)]
    if any(f"{place}/zarr.json".lstrip("/") in store for place in places):
        array = join(container, path or "ARRAY")
        raise VolumeError(
            f"{join(container, path)} is Zarr format 3, but only format 2 can be read here; convert it with a Python "
            f"that has zarr 3: zarr.from_array('copy.zarr', name='{path or 'ARRAY'}', "
            f"data=zarr.open_array('{array}'), zarr_format=2)"
        )


def write_link(container: Path | str, dataset: str, target: ZarrArrayConfig) -> None:
    """Make ``dataset`` stand for an array elsewhere: whoever opens it, or a scale in it, gets that array."""
    store = open_store(container, "a")
    link = {
        "container": str(target.file_name),
        "dataset": target.dataset,
        "axes": list(target.axes) if target.axes is not None else None,
        "unit": target.unit,
        "voxel_size": [int(v) for v in target.voxel_size] if target.voxel_size is not None else None,
        "offset": [int(v) for v in target.offset] if target.offset is not None else None,
        "roi": [list(map(int, target.roi.begin)), list(map(int, target.roi.shape))] if target.roi else None,
    }
    group = zarr.open_group(store, mode="a", path=str(dataset).strip("/"))
    group.attrs.put({_LINK: link})


def read_link(container: Path | str, dataset: str) -> dict[str, Any] | None:
    """What ``write_link`` wrote for a data set or for the group that it is a scale of; None without a
    link."""
    path = str(dataset).strip("/")
    try:
        store = open_store(container, "r")
    except MissingInputError:
        return None
    for candidate in dict.fromkeys([path, path.rpartition("/")[0]]):
        if zarr.storage.contains_group(store, candidate):
            link = zarr.open_group(store, mode="r", path=candidate).attrs.get(_LINK)
            return dict(link) if link else None
    return None


def members_of_group(store: Any, path: str) -> list[str]:
    """Names of what stands in a group; empty where there is no group."""
    if not zarr.storage.contains_group(store, path):
        return []
    try:
        names = sorted(zarr.storage.listdir(store, path))
    except (KeyError, FileNotFoundError, NotADirectoryError):
        return []
    return [name for name in names if not name.startswith(".") and name != "attributes.json"]


def _what_is_there(store: Any, path: str) -> str:
    while path and not zarr.storage.contains_group(store, path):
        path = path.rpartition("/")[0]
    names = members_of_group(store, path)
    return f"; {path or 'the container'} holds {', '.join(names[:20]) or 'nothing'}"
