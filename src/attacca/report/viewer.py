"""Neuroglancer states of volumes, and links that open a location."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np

from attacca.arrays import Array, ZarrArray
from attacca.arrays.identifier import is_url
from attacca.config.intensity import name_percentile
from attacca.errors import ConfigurationError, MissingInputError
from attacca.report.colors import choose_axis_colors
from attacca.report.deleted import describe_lost_images
from attacca.report.results import Image, Results

ADDRESS = "http://127.0.0.1:8765"
"""Address of ``attacca view``, to which the links of the report lead."""

HOSTED = "https://neuroglancer-demo.appspot.com"
"""A public Neuroglancer. It reads arrays from the reader's own machine, or from an object store."""

GROUND_TRUTH = "ground truth"
"""Name of the layer with the labels."""

_LABEL_LAYERS = ("fragments", "segmentation", GROUND_TRUTH)

_UNITS = {
    "nanometer": ("m", 1e-9),
    "angstrom": ("m", 1e-10),
    "micrometer": ("m", 1e-6),
    "picometer": ("m", 1e-12),
}

# The colors of the report, which color-blind readers can distinguish.
_AFFINITY_SHADER = "\n".join(
    [
        "void main() {",
        "  emitRGB("
        + " + ".join(
            f"toNormalized(getDataValue({channel})) * vec3({', '.join(f'{value / 255:.3f}' for value in color)})"
            for channel, color in zip((2, 1, 0), choose_axis_colors(3))
        )
        + ");",
        "}",
    ]
)
_GRAY_SHADER = "#uicontrol invlerp normalized\nvoid main() { emitGrayscale(normalized()); }"


def make_open_link(
    run: str,
    volume: str,
    position: Sequence[int] | None = None,
    segments: Sequence[int] = (),
    objects: Sequence[int] = (),
) -> str:
    """Make a link for which ``attacca view`` opens a viewer.

    Args:
        run, volume: the segmentation.
        position: world coordinates (z, y, x); the center by default.
        segments, objects: ids that are selected in the segmentation and in the ground truth.

    >>> make_open_link("neurites", "test", (400, 0, 80), segments=[7])
    'http://127.0.0.1:8765/open?run=neurites&volume=test&position=400,0,80&segments=7'
    """
    query: dict[str, str] = {"run": run, "volume": volume}
    lists = {"position": position, "segments": segments, "objects": objects}
    query |= {
        name: ",".join(str(int(value)) for value in values)
        for name, values in lists.items()
        if values is not None and len(values)
    }
    return f"{ADDRESS}/open?{urlencode(query, safe=',')}"


def make_viewer_state(
    results: Results,
    run: str,
    volume: str,
    address: str = ADDRESS,
    position: Sequence[int] | None = None,
    segments: Sequence[int] = (),
    objects: Sequence[int] = (),
) -> dict[str, Any]:
    """Make a Neuroglancer state with raw, prediction, fragments, segmentation and ground truth of a volume.

    Args:
        results: location of the arrays.
        run: name of the run; empty for the volume alone.
        volume: name of the volume.
        address: address at which ``attacca view`` serves the results.
        position: world coordinates; the center by default.
        segments, objects: ids that are selected in the segmentation and in the ground truth.

    Raises:
        MissingInputError: the volume has no arrays.
        ConfigurationError: the position has another number of axes than the volume.
    """
    images = _open_layers(results, run, volume)
    if not images:
        raise MissingInputError(_explain_missing_arrays(results, run, volume))
    array = images.get("raw", next(iter(images.values()))).finest
    _check_position(position, array, volume)
    selected = {"segmentation": segments, GROUND_TRUTH: objects}
    served = find_served_directories(results)
    layers = [
        _make_layer(name, image, address, served, selected.get(name, ())) for name, image in images.items()
    ]
    contrast = _find_contrast(results, volume)
    for layer in layers:
        if layer["name"] == "raw" and contrast is not None:
            layer["shaderControls"] = {"normalized": {"range": contrast}}
    shapes = _find_exported_shapes(results, run, volume, address)
    for layer in layers:
        if layer["name"] == "segmentation" and shapes:
            layer["source"] = [layer["source"], *shapes]
    names = array.spatial_axes
    shape = array.roi.shape / array.voxel_size
    center = position if position is not None else array.roi.center
    # A position means the voxel that holds it; Neuroglancer puts integers on the borders of voxels.
    shift = 0.5 if position is not None else 0.0
    return {
        "dimensions": _make_dimensions(array),
        "position": [int(value) / size + shift for value, size in zip(center, array.voxel_size)],
        # Neuroglancer calls the first dimension x by default; the xy panel must show y and x.
        "displayDimensions": names[::-1],
        # Voxels per screen pixel: small volumes fill a panel, large ones are shown at full resolution.
        "crossSectionScale": min(1.0, max(int(n) for n in shape) / 400),
        "projectionScale": max(int(n) for n in shape) * 1.5,
        "layers": layers,
        "layout": "4panel-alt" if array.dims == 3 else "xy",
        "showSlices": False,
        "selectedLayer": {"visible": True, "layer": "segmentation" if len(images) > 1 else "raw"},
    }


def _open_layers(results: Results, run: str, volume: str) -> dict[str, Image]:
    opened = {"raw": results.volume_image(volume, "raw")}
    if run:
        for name in ("prediction", "fragments", "segmentation"):
            opened[name] = results.result_image(run, volume, name)
    opened[GROUND_TRUTH] = results.volume_image(volume, "labels")
    return {name: image for name, image in opened.items() if image is not None}


def _find_contrast(results: Results, volume: str) -> list[float] | None:
    """Return the values of black and white of an image: its extreme percentiles; None for an image of one value."""
    arrays = results.volume_result(volume).get("arrays", {})
    measured = arrays.get("raw", {}).get("percentiles", {})
    for low, high in ((0.5, 99.5), (0, 100)):
        limits = [measured.get(name_percentile(value)) for value in (low, high)]
        if None not in limits and limits[0] < limits[1]:
            return limits
    return None


def _find_exported_shapes(results: Results, run: str, volume: str, address: str) -> list[str]:
    """Return the sources of exported meshes and skeletons of a segmentation that is up to date."""
    if not run or not results.layout.manifest(run, volume, "export").is_file():
        return []
    directory = results.layout.export(run, volume) / "precomputed"
    return [
        f"precomputed://{address}/results/{quote((directory / name).relative_to(results.directory).as_posix())}"
        for name in ("mesh", "skeletons")
        if (directory / name / "info").is_file()
    ]


def _explain_missing_arrays(results: Results, run: str, volume: str) -> str:
    lost = describe_lost_images(results, run, volume, ())
    if lost:
        return (
            f"{results.directory}: {lost}, so that no image of the volume '{volume}' is left. Start the workflow "
            "again: it recomputes the arrays that other results need"
        )
    known = ", ".join(results.list_volumes(run)) or "none"
    in_run = f" in the run '{run}'" if run else ""
    return f"found no arrays of the volume '{volume}'{in_run} in {results.directory}. Volumes with results: {known}"


def _check_position(position: Sequence[int] | None, array: Array, volume: str) -> None:
    if position is not None and len(position) != array.dims:
        raise ConfigurationError(
            f"position: found {len(position)} number{'s' * (len(position) != 1)}, expected {array.dims}: "
            f"{', '.join(array.spatial_axes)} of the volume '{volume}', in {array.unit}s"
        )


def _make_dimensions(array: Array) -> dict[str, Any]:
    unit, factor = _UNITS.get(array.unit, ("m", 1e-9))
    # Decimal text, because 8 * 1e-9 is 8.000000000000001e-09.
    return {
        name: [float(f"{int(size) * factor:.12g}"), unit]
        for name, size in zip(array.spatial_axes, array.voxel_size)
    }


def _make_layer(
    name: str, image: Image, address: str, served: Mapping[str, Path], selected: Sequence[int]
) -> dict[str, Any]:
    array = image.finest
    layer: dict[str, Any] = {"name": name, "source": _make_source(image, address, served)}
    if name in _LABEL_LAYERS and np.dtype(array.dtype).kind in "ui" and not array.num_channels:
        layer["type"] = "segmentation"
        layer["visible"] = name == "segmentation" or (name == GROUND_TRUTH and bool(selected))
        layer["notSelectedAlpha"] = 0.12 if selected else 0.35
        if selected:
            layer["segments"] = [str(int(value)) for value in selected]
        return layer
    channels = array.num_channels or 0
    layer["type"] = "image"
    layer["visible"] = name == "raw"
    layer["shader"] = _AFFINITY_SHADER if channels >= 3 else _GRAY_SHADER
    if channels:
        layer["opacity"] = 0.6
    return layer


def _make_source(image: Image, address: str, served: Mapping[str, Path]) -> Any:
    array = image.finest
    url = _make_url(array, address, served, is_multiscale=len(image.scales) > 1)
    if not array.num_channels:
        return url
    # The shader reads all channels of a voxel together.
    return {"url": url, "transform": {"outputDimensions": {"c^": [1, ""], **_make_dimensions(array)}}}


def _make_url(array: ZarrArray, address: str, served: Mapping[str, Path], is_multiscale: bool) -> str:
    is_scale = is_multiscale or array.dataset.rsplit("/", 1)[-1] == "s0"
    group = array.directory.rsplit("/", 1)[0] if is_scale else array.directory
    if is_url(group):
        return f"zarr://{group}"
    for name, directory in served.items():
        path = Path(group)
        if path.is_relative_to(directory):
            return f"zarr://{address}/{name}/{quote(path.relative_to(directory).as_posix())}"
    return f"zarr://{address}/results/{quote(group.lstrip('/'))}"


def find_served_directories(results: Results) -> dict[str, Path]:
    """Return the directories that ``attacca view`` serves, by the first part of their addresses.

    These are the results, the arrays if they are stored elsewhere, and the volumes that are used in place.
    """
    served = {"results": results.directory}
    if results.storage and not is_url(results.storage):
        served["arrays"] = Path(results.storage)
    for volume in [path.stem for path in results.layout.volume_manifests()]:
        for name in ("raw", "labels", "mask"):
            image = results.volume_image(volume, name)
            container = str(image.finest.file_name) if image else ""
            is_local = container and not is_url(container)
            if is_local and not any(Path(container).is_relative_to(path) for path in served.values()):
                served[f"volume-{volume}-{name}"] = Path(container)
    return served


def make_hosted_link(state: dict[str, Any], neuroglancer: str = HOSTED) -> str:
    """Make a link that opens a state in a Neuroglancer on the web."""
    return f"{neuroglancer}/#!{quote(json.dumps(state, separators=(',', ':')))}"
