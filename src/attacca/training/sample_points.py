"""Points at which samples are taken, from text files."""

from pathlib import Path

import numpy as np
from funlib.geometry import Roi

from attacca.errors import ConfigurationError, MissingInputError


def read_points(path: Path, region: Roi, volume: str) -> np.ndarray:
    """Return the points of a file that are inside ``region``.

    Args:
        path: text file with one point per line, in world units, separated by tabs, spaces or commas; text after # is
            ignored.
        region: world units.
        volume: name of the volume, for messages.

    Returns:
        (number, axes), float64, world units.

    Raises:
        MissingInputError: the file does not exist.
        ConfigurationError: the file is not a table of points, or no point is inside the region.
    """
    if not path.is_file():
        raise MissingInputError(
            f"training.sampling.{volume}.points: the file {path} does not exist; correct the path, or remove the key"
        )
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.split("#")[0].replace(",", " ").split()
        if not text:
            continue
        try:
            row = [float(value) for value in text]
        except ValueError:
            row = []
        if len(row) != region.dims:
            raise ConfigurationError(
                f"{path}, line {number}: found '{line.strip()}', expected {region.dims} numbers in world units "
                f"({', '.join('zyx'[-region.dims :])})"
            )
        rows.append(row)
    points = np.array(rows, dtype=float).reshape(-1, region.dims)
    is_inside = ((points >= np.array(region.begin)) & (points < np.array(region.end))).all(axis=1)
    if not is_inside.any():
        raise ConfigurationError(
            f"{path}: none of its {len(points)} points is inside the labels of volume {volume} at {region}; points are "
            "in world units, not voxels"
        )
    return points[is_inside]
