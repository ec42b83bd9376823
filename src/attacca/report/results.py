"""What stages wrote into a directory of results, read so that a missing piece is no error."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.errors import AttaccaError

_NOT_RUNS = {"volumes", "logs", "benchmarks", "report"}


@dataclass(frozen=True)
class Results:
    """A directory of results.

    Args:
        directory: where manifests, tables and scores stand.
        storage: directory or address of the arrays, where it is not ``directory``.
    """

    directory: Path
    storage: str | None = None

    def runs(self) -> list[str]:
        """Names of the runs that have left anything in the directory."""
        if not self.directory.is_dir():
            return []
        found = []
        for path in sorted(self.directory.iterdir()):
            left = any(
                (path / name).exists() for name in ("run.json", "training.json", "training", "tuning.json")
            )
            if path.is_dir() and path.name not in _NOT_RUNS and (left or any(path.glob("*/scores.json"))):
                found.append(path.name)
        return found

    def volumes(self, run: str) -> list[str]:
        """Names of the volumes for which a run has predicted anything."""
        directory = self.directory / run
        if not directory.is_dir():
            return []
        names = (
            "prediction.json",
            "segmentation.json",
            "scores.json",
            "prediction.zarr",
            "segmentation.zarr",
        )
        return sorted(
            path.name for path in directory.iterdir() if any((path / name).exists() for name in names)
        )

    def json(self, *parts: str) -> dict[str, Any]:
        """A JSON file below the directory; empty where it is missing or not whole."""
        try:
            value = json.loads(self.directory.joinpath(*parts).read_text())
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {"table": value}

    def table(self, *parts: str) -> dict[str, np.ndarray]:
        """Columns of a TSV file with a header, text as nan; a last line that is not whole is left out."""
        try:
            lines = self.directory.joinpath(*parts).read_text().split("\n")
        except OSError:
            return {}
        header = lines[0].lstrip("# ").split("\t")
        rows = [line.split("\t") for line in lines[1:-1] if line.count("\t") == len(header) - 1]
        return {
            name: np.array([_number(row[index]) for row in rows], dtype=np.float64)
            for index, name in enumerate(header)
        }

    def volume_image(self, volume: str, name: str) -> "Image | None":
        """``raw``, ``labels`` or ``mask`` of a volume, where it was imported to or where it lies."""
        entry = self.volume_result(volume).get("arrays", {}).get(name)
        if isinstance(entry, Mapping) and entry.get("container"):
            # A volume that was Zarr already is used in place.
            return open_image(str(entry["container"]), str(entry.get("dataset", "")))
        return self._image(f"volumes/{volume}.zarr", name)

    def volume_result(self, volume: str) -> Mapping[str, Any]:
        """What the manifest of a volume tells; empty without one."""
        result = self.json("volumes", f"{volume}.json").get("result")
        return result if isinstance(result, Mapping) else {}

    def target_image(self, run: str, volume: str, name: str) -> "Image | None":
        """``target`` or ``weight`` of a volume that a run learns from."""
        return self._image(f"{run}/targets/{volume}.zarr", name)

    def result_image(self, run: str, volume: str, name: str) -> "Image | None":
        """``prediction``, ``fragments`` or ``segmentation`` of a volume."""
        return self._image(f"{run}/{volume}/{name}.zarr", "")

    def place(self, container: str) -> str:
        """Directory or address of arrays, by their path in the layout of results."""
        return f"{str(self.storage or self.directory).rstrip('/')}/{container}"

    def _image(self, container: str, dataset: str) -> "Image | None":
        return open_image(self.place(container), dataset)

    def validation_curves(self, run: str) -> "dict[str, tuple[np.ndarray, np.ndarray]]":
        """For each score measured while a network learnt: iterations and values."""
        try:
            lines = self.directory.joinpath(run, "training", "validation.tsv").read_text().split("\n")[1:-1]
        except OSError:
            return {}
        found: dict[str, list[tuple[float, float]]] = {}
        for line in lines:
            cells = line.split("\t")
            if len(cells) == 3:
                found.setdefault(cells[1], []).append((_number(cells[0]), _number(cells[2])))
        return {
            name: (np.array([at for at, _ in points]), np.array([value for _, value in points]))
            for name, points in found.items()
        }

    def snapshots(self, run: str) -> list[Path]:
        """Snapshots of batches, oldest first."""
        directory = self.directory / run / "training" / "snapshots"
        return sorted(path for path in directory.glob("*") if path.suffix in (".npz", ".png"))


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
        """The scale that the stages work on."""
        return self.scales[0]

    def scale_for(self, extent: int, axis: int, pixels: int) -> ZarrArray:
        """The coarsest scale that still has ``pixels`` voxels along ``extent``, or the finest.

        Args:
            extent: a length in world units.
            axis: spatial axis along which it is measured.
        """
        chosen = self.finest
        for scale in self.scales[1:]:
            if extent // scale.voxel_size[axis] >= pixels:
                chosen = scale
        return chosen


def open_image(container: str, dataset: str = "") -> Image | None:
    """Open a multiscale image or a single array; None where there is nothing that can be read."""
    scales = []
    for name in _scale_names(container, dataset):
        try:
            scales.append(ZarrArray.open_from_array_identifier(LocalArrayIdentifier(container, name)))
        except (AttaccaError, OSError, ValueError, KeyError):
            break
    return Image(tuple(scales)) if scales else None


def _scale_names(container: str, dataset: str) -> Iterator[str]:
    import zarr

    from attacca.arrays.storage import open_store

    try:
        found = zarr.open(open_store(container, "r"), mode="r", path=dataset)
    except (AttaccaError, OSError, ValueError, KeyError):
        return
    if isinstance(found, zarr.Array):
        group, _, last = dataset.rpartition("/")
        names = list(_scale_names(container, group)) if last else []
        yield from names[names.index(dataset) :] if dataset in names else [dataset]
        return
    multiscales = found.attrs.get("multiscales")
    if multiscales:
        names = [str(entry["path"]) for entry in multiscales[0]["datasets"]]
    else:
        names = [name for name in ("s0", "0", "scale0") if name in found]
    for name in names:
        yield f"{dataset}/{name}".strip("/")
