"""Attributes of HDF5 data sets as plain values, and the axes that they name."""

import json
from typing import Any

import numpy as np

from attacca.arrays.metadata import parse_attributes
from attacca.errors import VolumeError

_AXES_FIX = "set 'axes' to the order of the axes in the file, such as axes: zyx (or czyx, zyxc, xyz, ...)"
_NUMBERS = ("resolution", "voxel_size", "pixelResolution", "offset", "translate", "element_size_um")


def read_attributes(dataset: Any) -> dict[str, Any]:
    """Return the attributes of a data set: bytes become text, arrays lists. Attributes that cannot be read are left out.

    Lists of numbers may be stored as text (``"[40, 4, 4]"``).
    """
    # deferred: h5py takes 0.1 s to import
    import h5py

    values: dict[str, Any] = {}
    try:
        names = list(dataset.attrs)
    except (OSError, RuntimeError, ValueError):
        return values
    for name in names:
        try:
            value = dataset.attrs[name]
        except (OSError, RuntimeError, ValueError, TypeError, KeyError):
            continue
        if not isinstance(value, h5py.Empty):
            values[name] = _simplify(value)
    for name in _NUMBERS:
        if isinstance(values.get(name), str):
            values[name] = _parse_list(values[name])
    return values


def _simplify(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").rstrip("\0")
    if isinstance(value, list | tuple):
        return [_simplify(item) for item in value]
    return value


def _parse_list(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return [float(part) for part in text.strip("()[] ").replace(",", " ").split()]
    except ValueError:
        return text


def find_axes(attributes: dict[str, Any], dataset: Any, name: str) -> tuple[list[str] | None, str]:
    """Return the names of the axes that a file stores, and the attribute: None and an empty text without one.

    Raises:
        VolumeError: the names do not fit the data set.
    """
    if "axistags" in attributes:
        return _parse_tags(attributes["axistags"], len(dataset.shape), name), "axistags"
    axes = parse_attributes(
        {key: attributes[key] for key in ("axes", "_ARRAY_DIMENSIONS", "axis_names") if key in attributes},
        len(dataset.shape),
    ).axes
    if axes is not None:
        return [axis.lower() for axis in axes], "axes"
    labels = attributes.get("DIMENSION_LABELS")
    if isinstance(labels, list) and len(labels) == len(dataset.shape):
        labels = [str(label).strip().lower() for label in labels]
        if set(labels) <= set("tczyx"):
            return labels, "DIMENSION_LABELS"
    return None, ""


def _parse_tags(value: Any, ndim: int, name: str) -> list[str]:
    """Return the axes in vigra's ``axistags``, which ilastik writes."""
    try:
        axes = [str(axis["key"]).lower() for axis in json.loads(value)["axes"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise VolumeError(
            f"{name}: the attribute 'axistags' is damaged: {str(value)[:80]!r}", fix=_AXES_FIX
        ) from None
    if len(axes) != ndim:
        raise VolumeError(f"{name}: 'axistags' names {len(axes)} axes of {ndim}", fix=_AXES_FIX)
    return axes


def check_axes(axes: list[str], shape: tuple[int, ...], name: str) -> None:
    """Raise an error unless axes are z, y, x or y, x, with at most one channel axis, and others of one voxel.

    Raises:
        VolumeError: the axes are not those of a volume.
    """
    text = "".join(axes) if all(len(axis) == 1 for axis in axes) else ", ".join(axes)
    if len(axes) != len(shape):
        raise VolumeError(
            f"{name} has {len(shape)} axes with {shape} voxels, but found {len(axes)} names for them: {text}",
            fix=_AXES_FIX,
        )
    if len(set(axes)) < len(axes) or not set(axes) <= set("tczyx") or not {"y", "x"} <= set(axes):
        raise VolumeError(
            f"{name}: found the axes {text}, expected y and x, with z, c (channels) and t (time) at most",
            fix=_AXES_FIX,
        )
    if "t" in axes and shape[axes.index("t")] != 1:
        raise VolumeError(
            f"{name} has {shape[axes.index('t')]} points of time (axes {text})", fix="store one of them alone"
        )


def guess_axes(shape: tuple[int, ...], name: str) -> list[str]:
    """Return the axes of a data set without names.

    Two or three axes are (z,) y, x. A fourth one is the channels: the first, or the last if it alone is small. Axes of
    one voxel around three others are left out.

    Raises:
        VolumeError: several orders are possible.

    >>> "".join(guess_axes((2, 40, 50, 60), "raw")), "".join(guess_axes((40, 50, 60, 1), "raw"))
    ('czyx', 'zyxc')
    """
    if len(shape) == 5 and shape[0] == 1:
        inner = guess_axes(shape[1:], name)
        return ["t", *inner]
    first, last = shape[0], shape[-1]
    if len(shape) == 4:
        if last == 1 or (last <= 4 < first):
            return list("zyxc")
        if first == 1 or last > 4:
            return list("czyx")
    elif len(shape) == 3 and not (last <= 4 < min(shape[:-1])):
        return list("zyx")
    elif len(shape) == 2:
        return list("yx")
    raise VolumeError(f"{name}: found {shape} voxels along axes without names", fix=_AXES_FIX)
