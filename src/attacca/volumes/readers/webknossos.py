"""Data sets of webKnossos: layers and magnifications in ``datasource-properties.json``.

Reference: https://docs.webknossos.org/webknossos/data/concepts.html
"""

import json
import math
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attacca.arrays.metadata import GridMetadata, set_lengths
from attacca.config.volumes import ArraySource
from attacca.errors import MissingInputError, VolumeError, summarize_error
from attacca.volumes.readers.described_array import DescribedArray
from attacca.volumes.readers.image_header import RESTORE
from attacca.volumes.readers.wkw_cubes import HEADER_NAME, is_wkw_directory

PROPERTIES = "datasource-properties.json"
_CONTAINERS = ("zarr", "zarr3", "n5")
_TYPES = {
    "uint8": "u1", "uint16": "u2", "uint24": "u1", "uint32": "u4", "uint64": "u8", "int8": "i1", "int16": "i2",
    "int32": "i4", "int64": "i8", "float": "f4", "double": "f8",
}  # fmt: skip
_MOST_NAMES = 20


class _Magnification(NamedTuple):
    """A scale of a layer; lists are along z, y, x."""

    factors: tuple[int, ...]
    path: str | None
    axis_order: dict[str, Any] | None

    @property
    def names(self) -> list[str]:
        """Names of its directory: 2-2-1 along x, y, z; also 2 if all factors are equal."""
        long = "-".join(map(str, self.factors[::-1]))
        return [str(self.factors[0]), long] if len(set(self.factors)) == 1 else [long]


def describe_layer(source: ArraySource) -> DescribedArray | None:
    """Return the scale of a layer that is located in, or named below, a data set of webKnossos.

    The parts of ``path`` below the data set and ``dataset`` name the layer, and optionally the magnification: ``color/1``.

    Returns:
        The array; None if the path is not in a data set, or not that of a layer.

    Raises:
        MissingInputError: there are several layers, or none of this name.
        VolumeError: the description is damaged, or the layer has a format that is not read.
    """
    path = Path(source.path)
    path = path.parent if path.name in (PROPERTIES, HEADER_NAME) else path
    root = next((item for item in (path, *path.parents[:2]) if os.path.isfile(item / PROPERTIES)), None)
    if root is None:
        return None
    file = root / PROPERTIES
    parts = [*path.relative_to(root).parts, *(part for part in (source.dataset or "").split("/") if part)]
    values = _parse(file)
    layers = _name_layers(values, file)
    if path != root and parts[0] not in layers:
        return None
    name = parts[0] if parts else next(iter(layers)) if len(layers) == 1 else None
    if name not in layers:
        names = sorted(layers)
        names[_MOST_NAMES:] = ["..."] * (len(names) > _MOST_NAMES)
        problem = "has several layers" if name is None else f"has no layer {name!r}"
        raise MissingInputError(
            f"{file} {problem}; it has {', '.join(names) or 'none'}",
            fix="set 'dataset' to the name of a layer",
        )
    return _describe(source, root, values, name, layers[name], parts[1:])


def list_layers(directory: Path) -> list[str]:
    """Return the names of the layers of a data set; an empty list for other directories.

    Raises:
        VolumeError: the description is damaged.
    """
    file = directory / PROPERTIES
    return list(_name_layers(_parse(file), file)) if os.path.isfile(file) else []


def _name_layers(values: dict[str, Any], file: Path) -> dict[str, dict[str, Any]]:
    layers = _as_list(values, "dataLayers", file)
    return {str(layer.get("name")): layer for layer in layers if isinstance(layer, dict)}


def _describe(
    source: ArraySource,
    root: Path,
    values: dict[str, Any],
    name: str,
    layer: dict[str, Any],
    parts: list[str],
) -> DescribedArray:
    file = root / PROPERTIES
    scale = _choose_scale(_read_scales(layer, name, file), name, "/".join(parts), file)
    kind = layer.get("dataFormat")
    if kind != "wkw" and kind not in _CONTAINERS:
        raise VolumeError(
            f"{file}: the layer {name!r} has the format {str(kind)[:60]!r}, expected wkw, {' or '.join(_CONTAINERS)}",
            fix="give the path of the array itself",
        )
    dtype = _TYPES.get(str(layer.get("elementClass")))
    if dtype is None:
        raise VolumeError(
            f"{file}: found the elementClass {str(layer.get('elementClass'))[:60]!r} of the layer {name!r}, expected one of "
            f"{', '.join(_TYPES)}",
            fix="correct it",
        )
    begin, shape = _read_box(layer, name, scale.factors, file)
    if scale.path is not None:
        location: str | Path = scale.path if "://" in scale.path else root / scale.path
    else:
        below = [root / name / text for text in scale.names]
        location = next((item for item in below if item.exists()), below[0])
    if isinstance(location, Path) and not location.exists():
        raise MissingInputError(
            f"{file} describes an array in {location}, which does not exist", fix="restore or copy it"
        )
    if isinstance(location, Path) and (kind == "wkw") != is_wkw_directory(location):
        raise VolumeError(
            f"{file} describes an array of the format {kind!r} in {location}, which holds {'no ' if kind == 'wkw' else ''}"
            f"{HEADER_NAME}",
            fix="copy the data set again",
        )
    return DescribedArray(
        source.model_copy(update={"path": location, "dataset": None}),
        (file,),
        _read_metadata(values, scale.factors, begin, file),
        axes=None if kind == "wkw" else _read_axes(scale, kind, name, file),
        box=(begin, shape),
        dtype=np.dtype(dtype),
    )


def _parse(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_bytes())
        if not isinstance(values, dict):
            raise ValueError(f"found {type(values).__name__}, expected an object")
    except (ValueError, RecursionError) as error:
        raise VolumeError(f"{file} cannot be read as JSON: {summarize_error(error)}", fix=RESTORE) from error
    return values


def _as_list(values: dict[str, Any], key: str, file: Path) -> list[Any]:
    found = values.get(key)
    if not isinstance(found, list):
        raise VolumeError(f"{file} has no list {key!r}", fix=RESTORE)
    return found


def _read_scales(layer: dict[str, Any], name: str, file: Path) -> list[_Magnification]:
    key = next((key for key in ("mags", "wkwResolutions", "resolutions") if key in layer), "mags")
    scales = []
    for item in _as_list(layer, key, file):
        mag = item.get("mag", item.get("resolution")) if isinstance(item, dict) else item
        factors = [mag] * 3 if isinstance(mag, int) else mag
        factors = _take_numbers(factors)
        if min(factors, default=0) < 1:
            raise VolumeError(
                f"{file}: found the magnification {str(mag)[:60]} of the layer {name!r}, expected positive numbers along x, "
                "y, z",
                fix="correct it",
            )
        details = item if isinstance(item, dict) else {}
        path, order = details.get("path"), details.get("axisOrder")
        scales.append(
            _Magnification(
                tuple(factors[::-1]),
                path if isinstance(path, str) else None,
                order if isinstance(order, dict) else None,
            )
        )
    return scales


def _take_numbers(values: Any, are_whole: bool = True) -> list[Any]:
    """Return a list of three numbers; an empty list for anything else."""
    if not isinstance(values, list) or len(values) != 3:
        return []
    kinds = (int,) if are_whole else (int, float)
    return values if all(type(value) in kinds and -(2**53) < value < 2**53 for value in values) else []


def _choose_scale(scales: list[_Magnification], layer: str, name: str, file: Path) -> _Magnification:
    """Return the named magnification, or the finest."""
    found = [scale for scale in scales if not name or name in scale.names]
    if not found:
        names = ", ".join(scale.names[0] for scale in scales[:_MOST_NAMES])
        problem = f"has no magnification {name!r}" if name else "has no magnification"
        raise MissingInputError(
            f"{file}: the layer {layer!r} {problem}; it has {names or 'none'}", fix="correct 'dataset'"
        )
    return min(found, key=lambda scale: math.prod(scale.factors))


def _read_box(
    layer: dict[str, Any], name: str, factors: tuple[int, ...], file: Path
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the first voxel and the number of voxels of a scale along z, y, x."""
    box = layer.get("boundingBox")
    box = box if isinstance(box, dict) else {}
    corner = _take_numbers(box.get("topLeft"))
    size = _take_numbers([box.get(key) for key in ("width", "height", "depth")])
    if min(corner, default=-1) < 0 or min(size, default=0) < 1:
        raise VolumeError(
            f"{file}: found the boundingBox {str(box)[:100]} of the layer {name!r}, expected topLeft, width, height and "
            "depth",
            fix="correct it",
        )
    begin = tuple(b // factor for b, factor in zip(corner[::-1], factors))
    end = tuple(-(-(b + n) // factor) for b, n, factor in zip(corner[::-1], size[::-1], factors))
    return begin, tuple(e - b for b, e in zip(begin, end))


def _read_metadata(
    values: dict[str, Any], factors: tuple[int, ...], begin: tuple[int, ...], file: Path
) -> GridMetadata:
    """Return voxel size and offset. Scales without a unit are nanometers."""
    known = GridMetadata(["z", "y", "x"], None, None, None, f"the scale in {file.name}")
    scale = values.get("scale")
    size, unit = (scale.get("factor"), scale.get("unit")) if isinstance(scale, dict) else (scale, "nanometer")
    size = _take_numbers(size, are_whole=False)
    if not size:
        return known.reject(f"{known.origin} is {str(scale)[:60]}, expected three numbers")
    finest = [float(value) for value in size[::-1]]
    voxel_size = [float(f"{value * factor:.12g}") for value, factor in zip(finest, factors)]
    offset = [float(f"{b * value:.12g}") for b, value in zip(begin, voxel_size)]
    return set_lengths(known, voxel_size, offset, [unit])


def _read_axes(scale: _Magnification, kind: str, name: str, file: Path) -> list[str]:
    """Return the axes of an array in the order in which its reader shows them: N5 stores x first."""
    order = scale.axis_order or {}
    if not {"x", "y", "z"} <= set(order) or sorted(map(str, order.values())) != sorted(
        map(str, range(len(order)))
    ):
        raise VolumeError(
            f"{file}: found the axisOrder {str(order)[:80]} of the layer {name!r}, expected the positions of x, y, z and c",
            fix="correct it",
        )
    names = sorted(order, key=lambda axis: int(order[axis]))
    return names[::-1] if kind == "n5" else names
