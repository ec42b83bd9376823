"""The writer of each format by its settings."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.config.base import StrictModel
from attacca.config.export import (
    Hdf5Export,
    PrecomputedExport,
    TiffExport,
    WebKnossosExport,
)
from attacca.errors import MissingInputError
from attacca.export.hdf5 import write_hdf5
from attacca.export.id_numbers import IdNumbers
from attacca.export.labels import Labels
from attacca.export.meshes import write_meshes
from attacca.export.precomputed import MESH_DIRECTORY, SKELETON_DIRECTORY, add_to_info, write_precomputed
from attacca.export.segment_table import SegmentTable, count_segments
from attacca.export.skeletons import write_skeletons
from attacca.export.tiff import write_tiff
from attacca.export.webknossos import write_webknossos


class SegmentationWriter:
    """Writer of a segmentation in other formats. The segments are counted once, if a format needs it.

    Args:
        array: the segmentation at full resolution, ``.../s0``.
        name: name of the segmentation, for formats that store one.
    """

    def __init__(self, array: ZarrArray, name: str) -> None:
        self.scales = [Labels(scale) for scale in open_scales(array)]
        self.name = name

    @cached_property
    def table(self) -> SegmentTable:
        """Sizes and bounding boxes of all segments."""
        return count_segments(self.scales[0])

    def write(self, path: Path, settings: StrictModel) -> dict[str, Any]:
        """Write a format.

        Args:
            path: file or directory to create.
            settings: settings of the format.

        Returns:
            Facts for the manifest.
        """
        match settings:
            case TiffExport():
                write_tiff(path, self.scales[0], self._number(settings, "export.tiff"))
                return {}
            case Hdf5Export():
                write_hdf5(path, self.scales[0], self._number(settings, "export.hdf5"))
                return {}
            case PrecomputedExport():
                return self._write_precomputed(path, settings)
            case WebKnossosExport():
                largest = int(self.table.ids.max(initial=0))
                return {"scales": write_webknossos(path, self.scales, largest, self.name)}
            case _:
                raise TypeError(f"{type(settings).__name__} is not a format of an export")

    def needs_table(self, formats: Iterable[StrictModel]) -> bool:
        """Return whether a format stores other ids than the segmentation."""
        return any(getattr(settings, "ids", "") == "consecutive" for settings in formats)

    def format_table(self) -> str:
        """Return the table of consecutive and original ids."""
        return IdNumbers(self.table.ids, np.dtype("uint64"), "consecutive", "export").format_table()

    def _number(self, settings: TiffExport | Hdf5Export, key: str) -> IdNumbers:
        return IdNumbers(self.table.ids, np.dtype(settings.dtype), settings.ids, key)

    def _write_precomputed(self, path: Path, settings: PrecomputedExport) -> dict[str, Any]:
        result: dict[str, Any] = {"scales": write_precomputed(path, self.scales, settings.sharded)}
        meshes, skeletons = settings.mesh_settings, settings.skeleton_settings
        labels = self.scales[0]
        if meshes is not None:
            result["meshes"] = write_meshes(path / MESH_DIRECTORY, labels, self.table, meshes)
            add_to_info(path, mesh=MESH_DIRECTORY)
        if skeletons is not None:
            result |= write_skeletons(path / SKELETON_DIRECTORY, labels, self.table, skeletons)
            add_to_info(path, skeletons=SKELETON_DIRECTORY)
        return result


def open_scales(array: ZarrArray) -> list[ZarrArray]:
    """Open all scales of an image, from its finest one ``.../s0`` on."""
    scales = [array]
    location, _, first = array.dataset.rpartition("/")
    while first == "s0":
        try:
            dataset = f"{location}/s{len(scales)}".lstrip("/")
            scales.append(
                ZarrArray.open_from_array_identifier(LocalArrayIdentifier(array.file_name, dataset))
            )
        except MissingInputError:
            break
    return scales
