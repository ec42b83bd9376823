"""Neuroglancer: which layers show a volume, where its arrays are served, and links that open a place."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np

from attacca.arrays import ZarrArray
from attacca.errors import ConfigurationError, MissingInputError
from attacca.report.deleted import describe_lost_images
from attacca.report.results import Image, Results

ADDRESS = "http://127.0.0.1:8765"
"""Where ``attacca view`` serves results; links in the report lead there."""

HOSTED = "https://neuroglancer-demo.appspot.com"
"""A public Neuroglancer; it reads arrays from the reader's own machine, or from an object store."""

_UNITS = {
    "nanometer": ("m", 1e-9),
    "angstrom": ("m", 1e-10),
    "micrometer": ("m", 1e-6),
    "picometer": ("m", 1e-12),
}

_AFFINITY_SHADER = """void main() {
  emitRGB(vec3(toNormalized(getDataValue(2)), toNormalized(getDataValue(1)), toNormalized(getDataValue(0))));
}"""
_GREY_SHADER = "#uicontrol invlerp normalized\nvoid main() { emitGrayscale(normalized()); }"


def open_link(
    run: str,
    volume: str,
    position: Sequence[int] | None = None,
    segments: Sequence[int] = (),
    objects: Sequence[int] = (),
) -> str:
    """An address that ``attacca view`` answers with a viewer at a place.

    Args:
        run, volume: what is shown.
        position: world coordinates (z, y, x).
        segments, objects: ids that are selected in the segmentation and in the truth.
    """
    query: dict[str, str] = {"run": run, "volume": volume}
    if position is not None:
        query["position"] = ",".join(str(int(value)) for value in position)
    if segments:
        query["segments"] = ",".join(str(int(value)) for value in segments)
    if objects:
        query["objects"] = ",".join(str(int(value)) for value in objects)
    return f"{ADDRESS}/open?{urlencode(query, safe=',')}"


def viewer_state(
    results: Results,
    run: str,
    volume: str,
    address: str = ADDRESS,
    position: Sequence[int] | None = None,
    segments: Sequence[int] = (),
    objects: Sequence[int] = (),
) -> dict[str, Any]:
    """The state of a Neuroglancer that shows raw, prediction, segmentation and truth of a volume.

    Args:
        results: where the arrays are.
        run: empty for the volume alone.
        volume: name of the volume.
        address: where ``attacca view`` serves the results.
        position: world coordinates; the middle without it.
        segments, objects: ids that are selected in the segmentation and in the truth.

    Raises:
        MissingInputError: there is nothing to show.
        ConfigurationError: the position has another number of axes.
    """
    raw = results.volume_image(volume, "raw")
    layers: list[dict[str, Any]] = []
    images: list[Image] = []
    for name, image, chosen in (
        ("raw", raw, ()),
        ("prediction", results.result_image(run, volume, "prediction") if run else None, ()),
        ("fragments", results.result_image(run, volume, "fragments") if run else None, ()),
        ("segmentation", results.result_image(run, volume, "segmentation") if run else None, segments),
        ("truth", results.volume_image(volume, "labels"), objects),
    ):
        if image is not None:
            layers.append(_layer(name, image, address, results, chosen))
            images.append(image)
    if not images:
        lost = describe_lost_images(results, run, volume, ())
        if lost:
            raise MissingInputError(
                f"{results.directory}: {lost}, so that there is nothing to show of the volume '{volume}'; "
                "start the workflow again, and it is computed anew where results need it"
            )
        known = ", ".join(results.list_volumes(run)) or "nothing"
        raise MissingInputError(
            f"found no arrays of the volume '{volume}'"
            + (f" in the run '{run}'" if run else "")
            + f" below {results.directory}; "
            f"there is: {known}"
        )
    array = (raw or images[0]).finest
    if position is not None and len(position) != array.dims:
        raise ConfigurationError(
            f"position: found {len(position)} number{'s' * (len(position) != 1)}, expected {array.dims}: "
            f"{', '.join(array.spatial_axes)} of the volume '{volume}', in {array.unit}s"
        )
    unit, factor = _UNITS.get(array.unit, ("m", 1e-9))
    names = array.spatial_axes
    place = [int(value) for value in (position if position is not None else array.roi.center)]
    state: dict[str, Any] = {
        "dimensions": {name: [_length(size, factor), unit] for name, size in zip(names, array.voxel_size)},
        "position": [
            value / size + 0.5 if position is not None else value / size
            for value, size in zip(place, array.voxel_size)
        ],
        # Neuroglancer calls the first dimension x unless it is told; the xy panel must show y and x.
        "displayDimensions": names[::-1],
        # Voxels a screen pixel: small volumes fill a panel, of large ones voxels are seen as they are.
        "crossSectionScale": min(1.0, max(int(n) for n in array.roi.shape / array.voxel_size) / 400),
        "projectionScale": max(int(size) for size in array.roi.shape / array.voxel_size) * 1.5,
        "layers": layers,
        "layout": "4panel-alt" if array.dims == 3 else "xy",
        "showSlices": False,
        "selectedLayer": {"visible": True, "layer": "segmentation" if len(layers) > 1 else "raw"},
    }
    return state


def _length(size: int, factor: float) -> float:
    # 8 * 1e-9 is 8.000000000000001e-09: the decimal text is what was meant.
    return float(f"{int(size) * factor:.12g}")


def _layer(name: str, image: Image, address: str, results: Results, chosen: Sequence[int]) -> dict[str, Any]:
    array = image.finest
    layer: dict[str, Any] = {"name": name, "source": _source(image, address, results)}
    if np.dtype(array.dtype).kind in "ui" and np.dtype(array.dtype).itemsize >= 4:
        layer["type"] = "segmentation"
        layer["visible"] = name in ("segmentation", "truth")
        if name == "truth":
            layer["visible"] = bool(chosen)
        if chosen:
            layer["segments"] = [str(int(value)) for value in chosen]
            layer["notSelectedAlpha"] = 0.12
        else:
            layer["notSelectedAlpha"] = 0.35
        return layer
    layer["type"] = "image"
    layer["visible"] = name == "raw"
    channels = array.num_channels or 0
    layer["shader"] = _AFFINITY_SHADER if channels >= 3 else _GREY_SHADER
    if channels:
        layer["opacity"] = 0.6
    return layer


def _source(image: Image, address: str, results: Results) -> Any:
    array = image.finest
    url = _url(array, address, results, multiscale=len(image.scales) > 1)
    if not array.num_channels:
        return url
    # Channels are read together in the shader.
    unit, factor = _UNITS.get(array.unit, ("m", 1e-9))
    dimensions: dict[str, Any] = {"c^": [1, ""]}
    dimensions.update({n: [_length(s, factor), unit] for n, s in zip(array.spatial_axes, array.voxel_size)})
    return {"url": url, "transform": {"outputDimensions": dimensions}}


def _url(array: ZarrArray, address: str, results: Results, multiscale: bool) -> str:
    group = (
        array.directory.rsplit("/", 1)[0]
        if multiscale or array.dataset.rsplit("/", 1)[-1] == "s0"
        else array.directory
    )
    if "://" in group:
        return f"zarr://{group}"
    for name, directory in served_directories(results).items():
        path = Path(group)
        if path.is_relative_to(directory):
            return f"zarr://{address}/{name}/{quote(path.relative_to(directory).as_posix())}"
    return f"zarr://{address}/results/{quote(group.lstrip('/'))}"


def served_directories(results: Results) -> dict[str, Path]:
    """What ``attacca view`` serves: the first part of an address, and the directory that it stands for.

    These are the results, the arrays where they stand apart, and the volumes that are used where they lie.
    """
    served = {"results": results.directory}
    if results.storage and "://" not in results.storage:
        served["arrays"] = Path(results.storage)
    for volume in [path.stem for path in results.layout.volume_manifests()]:
        for name in ("raw", "labels", "mask"):
            image = results.volume_image(volume, name)
            container = str(image.finest.file_name) if image else ""
            if (
                container
                and "://" not in container
                and not any(Path(container).is_relative_to(p) for p in served.values())
            ):
                served[f"volume-{volume}-{name}"] = Path(container)
    return served


def hosted_link(state: dict[str, Any], neuroglancer: str = HOSTED) -> str:
    """A link that opens a state in a Neuroglancer on the web."""
    return f"{neuroglancer}/#!{quote(json.dumps(state, separators=(',', ':')))}"
