"""Data sets of webKnossos: cubes in WKW, and layers in Zarr and N5."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import wkw
import zarr

from format_cases.case import COLOR, IDS, VOXELS, WIDE, FormatCase, take_files
from format_cases.containers import write_n5

_WEBKNOSSOS = "webKnossos"
BEGIN = (3, 9, 5)
"""First voxel of the bounding box along z, y, x."""
ELEMENTS = {"u1": "uint8", "u2": "uint16", "u4": "uint32", "f4": "float"}
RAW, LZ4 = 1, 3
_EDGE = 16


def write_cubes(
    directory: Path, data: np.ndarray, begin: Sequence[int] = BEGIN, compression: int = RAW
) -> None:
    """Write voxels ``[[c,] z, y, x]`` in cubes of 16 voxels, which are padded with zeros."""
    voxels = data if data.ndim == 4 else data[None]
    ends = [-(-(b + n) // _EDGE) * _EDGE for b, n in zip(begin, voxels.shape[1:])]
    padded = np.zeros((len(voxels), *ends), data.dtype)
    padded[(slice(None), *(slice(b, b + n) for b, n in zip(begin, voxels.shape[1:])))] = voxels
    directory.mkdir(parents=True)
    header = wkw.Header(data.dtype.type, len(voxels), block_len=8, file_len=2, block_type=compression)
    with wkw.Dataset.create(str(directory), header) as dataset:
        dataset.write((0, 0, 0), np.asfortranarray(padded.transpose(0, 3, 2, 1)))


def describe_layer(
    data: np.ndarray, begin: Sequence[int] = BEGIN, kind: str = "wkw", **mag: Any
) -> dict[str, Any]:
    """Return a layer with one magnification for the description of a data set."""
    sizes = dict(zip(("depth", "height", "width"), data.shape[-3:]))
    element = "uint24" if data.ndim == 4 else ELEMENTS[data.dtype.str[1:]]
    key, name = ("wkwResolutions", "resolution") if kind == "wkw" else ("mags", "mag")
    return {
        "name": "color", "category": "color", "elementClass": element, "dataFormat": kind,
        "boundingBox": {"topLeft": list(begin[::-1]), **sizes}, key: [{name: [1, 1, 1], **mag}],
    }  # fmt: skip


def write_description(directory: Path, *layers: dict[str, Any], **values: Any) -> None:
    """Write the description of a data set of 4 x 4 x 40 nm."""
    values = {"scale": {"factor": [4.0, 4.0, 40.0], "unit": "nanometer"}, **values}
    text = json.dumps({"id": {"name": "a"}, "dataLayers": layers, **values})
    (directory / "datasource-properties.json").write_text(text)


def dataset(
    data: np.ndarray, compression: int = RAW, begin: Sequence[int] = BEGIN, path: str = "a"
) -> Callable[[Path], dict[str, Any]]:
    """Return a function that writes a data set with one layer of cubes."""

    def write(directory: Path) -> dict[str, Any]:
        write_cubes(directory / "a" / "color" / "1", data, begin, compression)
        write_description(directory / "a", describe_layer(data, begin))
        return {"path": path}

    return write


def _cubes(directory: Path) -> dict[str, Any]:
    write_cubes(directory / "1", np.pad(VOXELS, ((5, 5), (6, 6), (8, 8)), constant_values=9), (0, 0, 0))
    return {"path": "1"}


def write_zarr(directory: Path) -> dict[str, Any]:
    """Write a layer in Zarr with the axes c, x, y, z and voxels around the bounding box."""
    padded = np.pad(WIDE, [(b, 2) for b in BEGIN], constant_values=1)
    array = zarr.create_array(
        directory / "a" / "color" / "1",
        shape=(1, *padded.shape[::-1]),
        chunks=(1, 8, 8, 8),
        dtype="u2",
        zarr_format=3,
    )
    array[0] = padded.T
    order = {"c": 0, "x": 1, "y": 2, "z": 3}
    write_description(directory / "a", describe_layer(WIDE, kind="zarr3", path="./color/1", axisOrder=order))
    return {"path": "a"}


def _n5(directory: Path) -> dict[str, Any]:
    write_n5(VOXELS, {"type": "gzip"}, gzip.compress, name="1")(directory)
    (directory / "a").mkdir()
    (directory / "a.n5").rename(directory / "a" / "color")
    order = {"x": 0, "y": 1, "z": 2}
    layer = describe_layer(VOXELS, (0, 0, 0), "n5", path="color/1", axisOrder=order)
    write_description(directory / "a", layer)
    return {"path": "a"}


_SIZE = ((40.0, 4.0, 4.0), "nanometer")
_PADDED = np.pad(VOXELS, ((5, 5), (6, 6), (8, 8)), constant_values=9)
_PAYLOAD = take_files("**/x*.wkw", 16)

CASES = [
    FormatCase(_WEBKNOSSOS, "WKW, uncompressed", "wkw", dataset(VOXELS), VOXELS, voxel_size=_SIZE, payload=_PAYLOAD),
    FormatCase(_WEBKNOSSOS, "WKW, LZ4, 16 bits", "wkw", dataset(WIDE, LZ4), WIDE, voxel_size=_SIZE, payload=_PAYLOAD),
    FormatCase(_WEBKNOSSOS, "WKW, three channels", "wkw", dataset(COLOR), COLOR, voxel_size=_SIZE, payload=_PAYLOAD),
    FormatCase(_WEBKNOSSOS, "WKW, labels, 32 bits", "wkw", dataset(IDS, LZ4, (0, 0, 0)), IDS, use="labels", voxel_size=_SIZE, payload=_PAYLOAD),
    FormatCase(_WEBKNOSSOS, "WKW without the description of the data set", "wkw", _cubes, _PADDED, payload=_PAYLOAD,
        reason="'voxel_size' has to be configured"),
    FormatCase(_WEBKNOSSOS, "layer in Zarr 3", "zarr", write_zarr, WIDE, voxel_size=_SIZE, payload=take_files("a/color/1/c/**/*")),
    FormatCase(_WEBKNOSSOS, "layer in N5", "tensorstore", _n5, VOXELS, voxel_size=_SIZE),
]  # fmt: skip
