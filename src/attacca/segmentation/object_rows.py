"""Measurements of objects in physical units, as rows of a table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from funlib.geometry import Coordinate

from attacca.arrays import Array
from attacca.config.units import SYMBOLS, UNITS, convert_length
from attacca.segmentation.index_range import check_range
from attacca.segmentation.object_table import ObjectTable


@dataclass(frozen=True)
class ObjectRows:
    """Conversion of sums over voxels to physical units.

    Args:
        axes: names of the axes.
        shape: voxels of the volume along the axes.
        voxel_size, offset: in the unit of the volume.
        unit: name of the unit.
    """

    axes: tuple[str, ...]
    shape: tuple[int, ...]
    voxel_size: tuple[int, ...]
    offset: tuple[int, ...]
    unit: str

    @classmethod
    def of_array(cls, array: Array) -> "ObjectRows":
        """Take the geometry of an array of ids."""
        shape: Coordinate = array.roi.shape / array.voxel_size
        return cls(
            tuple(array.spatial_axes),
            tuple(shape),
            tuple(array.voxel_size),
            tuple(array.roi.begin),
            array.unit,
        )

    @property
    def length(self) -> str:
        """Name of the unit of volumes and surfaces: micrometers, or the unit of the volume if that is not a length."""
        return "um" if self.unit in UNITS else self.unit

    @property
    def columns(self) -> list[str]:
        """Names of the columns, with their units."""
        symbol = SYMBOLS.get(self.unit, self.unit).replace("µ", "u").replace("Å", "A")
        power = len(self.axes)
        extents = [f"{axis}_{side}_{symbol}" for axis in self.axes for side in ("min", "max")]
        return [
            "id",
            "voxels",
            f"{'volume' if power == 3 else 'area'}_{self.length}{power}",
            f"{'surface' if power == 3 else 'perimeter'}_{self.length}{power - 1 if power > 2 else ''}",
            *(f"{axis}_{symbol}" for axis in self.axes),
            *extents,
            "touches_border",
        ]

    def make(self, table: ObjectTable) -> list[list[Any]]:
        """Return the rows of a table, in the order of ``columns``.

        Raises:
            ResourceError: a sum of coordinates may exceed 63 bits.

        >>> from attacca.segmentation.object_table import measure_objects
        >>> rows = ObjectRows(("z", "y", "x"), (1, 1, 3), (40, 8, 8), (0, 0, 80), "nanometer")
        >>> row = rows.make(measure_objects(np.array([[[7, 7, 9]]]), (0, 0, 0), (1, 1, 3)))[0]
        >>> dict(zip(rows.columns, row))["x_nm"], dict(zip(rows.columns, row))["surface_um2"]
        (88.0, 0.00032)
        """
        dims = len(self.axes)
        if len(table):
            # No sum of coordinates is larger, so none has overflowed.
            bound = int(table.voxels.max()) * int(table.upper.max())
            check_range(bound, np.int64, "voxels times coordinates in an object", "divide the volume")
        size, offset = np.array(self.voxel_size), np.array(self.offset)
        scale = float(convert_length([1], self.unit, "micrometer")[0]) if self.unit in UNITS else 1.0
        voxel = math.prod(self.voxel_size) * scale**dims
        face = [math.prod(self.voxel_size) / side * scale ** (dims - 1) for side in self.voxel_size]
        lower, upper = table.lower[:, -dims:], table.upper[:, -dims:]
        centers = (table.sums[:, -dims:] / table.voxels[:, None] + 0.5) * size + offset
        is_cut = ((lower == 0) | (upper == np.array(self.shape))).any(axis=1)
        surfaces = table.faces[:, -dims:] @ np.array(face)
        rows = []
        for index in range(len(table)):
            bounds = zip(lower[index] * size + offset, upper[index] * size + offset)
            rows.append(
                [
                    int(table.ids[index]),
                    int(table.voxels[index]),
                    _round(table.voxels[index] * voxel),
                    _round(surfaces[index]),
                    *(round(float(value), 2) for value in centers[index]),
                    *(int(value) for pair in bounds for value in pair),
                    int(is_cut[index]),
                ]
            )
        return rows


def _round(value: float) -> float:
    return float(f"{value:.6g}")


def format_rows(rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as tab-separated lines.

    >>> format_rows([[7, 0.5], [9, 2]])
    '7\\t0.5\\n9\\t2\\n'
    """
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)
