"""Finished and unfinished results, read so that a missing or broken file is empty instead of an error."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.storage import open_store
from attacca.arrays.zarr_opening import FIRST_SCALES, multiscales, open_node
from attacca.errors import AttaccaError
from attacca.layout import RESERVED_NAMES, VOLUME_IMAGES, Layout

Curve = tuple[np.ndarray, np.ndarray]
"""Iterations and values, float64, shape (n,) each."""


@dataclass(frozen=True)
class Results:
    """A directory of results.

    Args:
        directory: manifests, tables, checkpoints and scores.
        storage: directory or address of the arrays; ``directory`` by default.

    Attributes:
        layout: paths of all results.
    """

    directory: Path
    storage: str | None = None
    layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layout", Layout(self.directory, self.storage))

    def list_runs(self) -> list[str]:
        """Return the names of the runs that have left any result in the directory."""
        if not self.directory.is_dir():
            return []
        return [
            path.name
            for path in sorted(self.directory.iterdir())
            if path.is_dir() and path.name not in RESERVED_NAMES and self._is_run(path.name)
        ]

    def _is_run(self, name: str) -> bool:
        layout = self.layout
        records = (layout.run_record, layout.training_manifest, layout.training, layout.tuning)
        return any(record(name).exists() for record in records) or any(
            layout.scores(name, volume.name).exists() for volume in layout.run(name).iterdir()
        )

    def list_volumes(self, run: str) -> list[str]:
        """Return the names of the volumes of which a run has made a prediction, or anything later."""
        directory = self.layout.run(run)
        if not directory.is_dir():
            return []
        return sorted(path.name for path in directory.iterdir() if self._is_predicted(run, path.name))

    def _is_predicted(self, run: str, volume: str) -> bool:
        layout = self.layout
        names = ("prediction", "segmentation")
        records = [layout.scores(run, volume), *(layout.manifest(run, volume, name) for name in names)]
        return any(path.exists() for path in records) or any(
            Path(layout.image(run, volume, name)).exists() for name in names
        )

    def volume_result(self, volume: str) -> Mapping[str, Any]:
        """Return the result section of a volume's manifest; empty without one."""
        result = read_json(self.layout.volume_manifest(volume)).get("result")
        return result if isinstance(result, Mapping) else {}

    def volume_image(self, volume: str, name: str) -> "Image | None":
        """Open ``raw``, ``labels`` or ``mask`` of a volume; a volume that was Zarr already is used in place."""
        values = self.volume_result(volume).get("arrays", {}).get(name)
        if isinstance(values, Mapping) and values.get("container"):
            return open_image(str(values["container"]), str(values.get("dataset", "")))
        return open_image(self.layout.volume_container(volume), VOLUME_IMAGES[name])

    def target_image(self, run: str, volume: str, name: str) -> "Image | None":
        """Open ``target`` or ``weight`` of a volume that a run is trained on."""
        return open_image(self.layout.targets_container(run, volume), name)

    def result_image(self, run: str, volume: str, name: str) -> "Image | None":
        """Open ``prediction``, ``fragments`` or ``segmentation`` of a volume."""
        return open_image(self.layout.image(run, volume, name))

    def validation_curves(self, run: str) -> dict[str, Curve]:
        """Return the curve of each score that was measured during training."""
        points: dict[str, list[tuple[float, float]]] = {}
        for cells in _read_rows(self.layout.training_files(run).validation, columns=3)[1:]:
            points.setdefault(cells[1], []).append((_number(cells[0]), _number(cells[2])))
        return {
            name: (np.array([at for at, _ in pairs]), np.array([value for _, value in pairs]))
            for name, pairs in points.items()
        }

    def snapshots(self, run: str) -> list[Path]:
        """Return the files with snapshots of training batches, in the order of their iterations."""
        return sorted(self.layout.training_files(run).snapshots.glob("*.npz"))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file; empty if it is missing, incomplete, or does not hold a mapping."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def read_table(path: Path) -> dict[str, np.ndarray]:
    """Read the columns of a TSV file with a header; text becomes nan, an incomplete last line is left out."""
    header, *rows = _read_rows(path) or [[]]
    return {
        name: np.array([_number(row[index]) for row in rows], dtype=np.float64)
        for index, name in enumerate(header)
    }


def _read_rows(path: Path, columns: int | None = None) -> list[list[str]]:
    """Read the complete lines of a TSV file that have the given number of columns, or that of the first line."""
    try:
        # A line that another process has not finished has no line break yet.
        lines = path.read_text().split("\n")[:-1]
    except (OSError, ValueError):
        return []
    rows = [line.lstrip("# ").split("\t") for line in lines]
    return [row for row in rows if len(row) == (columns or len(rows[0]))]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


@dataclass(frozen=True)
class Image:
    """The scales of a multiscale image, finest first."""

    scales: tuple[ZarrArray, ...]

    @property
    def finest(self) -> ZarrArray:
        """The scale that the stages compute on."""
        return self.scales[0]

    def scale_for(self, extent: int, axis: int, pixels: int) -> ZarrArray:
        """Return the coarsest scale that still has ``pixels`` voxels along ``extent``, or the finest.

        Args:
            extent: a length in world units.
            axis: spatial axis along which it is measured.
            pixels: number of voxels that are needed.
        """
        chosen = self.finest
        for scale in self.scales[1:]:
            if extent // scale.voxel_size[axis] >= pixels:
                chosen = scale
        return chosen


def open_image(container: str, dataset: str = "") -> Image | None:
    """Open a multiscale image or a single array; None if nothing readable is stored there.

    Args:
        container: directory or address of a Zarr container.
        dataset: path of a group or an array in it.
    """
    scales = []
    for name in _scale_names(container, dataset):
        try:
            scales.append(ZarrArray.open_from_array_identifier(LocalArrayIdentifier(container, name)))
        except (AttaccaError, OSError, ValueError, KeyError):
            break
    return Image(tuple(scales)) if scales else None


def _scale_names(container: str, dataset: str) -> Iterator[str]:
    try:
        node = open_node(open_store(container, "r"), dataset)
    except (AttaccaError, OSError, ValueError, KeyError):
        return
    if node is None:
        return
    if isinstance(node, zarr.Array):
        group, _, last = dataset.rpartition("/")
        names = list(_scale_names(container, group)) if last else []
        yield from names[names.index(dataset) :] if dataset in names else [dataset]
        return
    images = multiscales(node.attrs)
    if images:
        names = [str(level["path"]) for level in images[0]["datasets"]]
    else:
        names = [name for name in FIRST_SCALES if name in node]
    for name in names:
        yield f"{dataset}/{name}".strip("/")
