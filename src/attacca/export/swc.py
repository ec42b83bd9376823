"""Skeletons of neurites in SWC files."""

import math
from pathlib import Path

import numpy as np

from attacca.errors import MissingInputError, VolumeError, summarize_error
from attacca.export.skeletons import Skeleton
from attacca.export.swc_files import list_swc_files

NANOMETERS = {"nanometer": 1.0, "micrometer": 1000.0}
"""Length of the units of SWC files."""

_EXPECTED = "expected id, type, x, y, z, radius, parent"


def read_skeletons(directory: Path, volume: str, unit: str = "nanometer") -> list[Skeleton]:
    """Return the skeletons of a volume, one per file.

    Raises:
        MissingInputError: the volume has no files.
        VolumeError: a file is damaged.
    """
    files = list_swc_files(directory, volume)
    if not files:
        raise MissingInputError(
            f"found no SWC files in {directory / volume}, expected one per object of {volume}"
        )
    return [read_swc(path, unit) for path in files]


def read_swc(path: Path, unit: str = "nanometer") -> Skeleton:
    """Return the skeleton in an SWC file: one or several trees, or pieces of one object.

    Args:
        path: the file.
        unit: unit of its coordinates.

    Raises:
        VolumeError: a line is damaged, or names a parent that does not exist.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "1.swc"
    >>> _ = path.write_text("# id type x y z radius parent" + chr(10) + "1 0 8 16 40 2 -1" + chr(10) + "2 0 8 16 80 2 1")
    >>> skeleton = read_swc(path)
    >>> skeleton.vertices.tolist(), skeleton.edges.tolist()
    ([[8.0, 16.0, 40.0], [8.0, 16.0, 80.0]], [[1, 0]])
    """
    numbers: dict[int, int] = {}
    parents: list[tuple[int, int, int]] = []
    positions: list[list[float]] = []
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise VolumeError(f"{path} cannot be read: {summarize_error(error)}") from None
    for line, text in enumerate(lines, start=1):
        fields = text.split()
        if not fields or fields[0].startswith("#"):
            continue
        try:
            node, parent, values = int(fields[0]), int(fields[6]), [float(value) for value in fields[2:6]]
        except (ValueError, IndexError):
            raise VolumeError(f"{path}, line {line}: found '{text.strip()[:80]}', {_EXPECTED}") from None
        if node in numbers or node == parent or not all(map(math.isfinite, values[:3])):
            raise VolumeError(
                f"{path}, line {line}: found '{text.strip()[:80]}', expected an id that occurs once, another node as the "
                "parent, and finite coordinates"
            )
        numbers[node] = len(positions)
        positions.append(values)
        if parent >= 0:
            parents.append((line, node, parent))
    for line, _, parent in parents:
        if parent not in numbers:
            raise VolumeError(f"{path}, line {line}: the parent {parent} is not a node of the file")
    if not positions:
        raise VolumeError(f"{path} holds no node, {_EXPECTED} in each line")
    data = np.array(positions, np.float64) * NANOMETERS[unit]
    edges = np.array([(numbers[node], numbers[parent]) for _, node, parent in parents], np.uint32)
    return Skeleton(data[:, :3], edges.reshape(-1, 2), data[:, 3])
