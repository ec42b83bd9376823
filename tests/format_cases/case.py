"""Type of the cases in this folder, and the voxels that their files hold."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

Use = Literal["raw", "labels"]
Ranges = dict[Path, list[tuple[int, int]]]

_RANDOM = np.random.default_rng(0)
VOXELS = _RANDOM.integers(1, 255, (6, 20, 16), dtype=np.uint8)
"""Gray values of most cases; all axes differ in length, and no value is 0."""
WIDE = VOXELS.astype(np.uint16) * 257 - _RANDOM.integers(0, 200, VOXELS.shape, dtype=np.uint16)
"""Gray values of 16 bits."""
IDS = _RANDOM.integers(1, 9, VOXELS.shape).astype(np.uint32) * 70_000
"""Labels beyond 16 bits."""
COLOR = np.stack([VOXELS, 255 - VOXELS, VOXELS // 2])
"""Three channels ``[c, z, y, x]``."""


@dataclass(frozen=True)
class FormatCase:
    """A file of one variant of a format, and the voxels that it means or the reason why it is refused.

    Attributes:
        format: name of the format.
        variant: what distinguishes the file from others of the format, as a short phrase.
        library: package that decodes the voxels; empty if the file is refused.
        write: writes the file into an empty directory and returns the keys of its source, with a relative ``path``.
        expected: voxels ``[c,] [z,] y, x``; None if the file is refused.
        refused: part of the message of a refusal.
        reason: reason of the refusal, or a remark, for the table.
        use: use of the voxels.
        voxel_size: stored voxel size and its unit.
        tolerance: largest difference of a value, for lossy compression.
        payload: returns the ranges of bytes that hold voxels without a checksum, by file; the damage of such a byte
            cannot be noticed. None if a checksum protects all voxels.
        is_compressed: whether the bytes of ``payload`` are compressed, and the format does not store their number.
    """

    format: str
    variant: str
    library: str
    write: Callable[[Path], dict[str, Any]]
    expected: np.ndarray | None = None
    refused: str = ""
    reason: str = ""
    use: Use = "raw"
    voxel_size: tuple[tuple[float, ...], str] | None = None
    tolerance: int = 0
    payload: Callable[[Path], Ranges] | None = field(default=None, repr=False)
    is_compressed: bool = False

    def __str__(self) -> str:
        return f"{self.format}, {self.variant}"


def list_files(directory: Path) -> list[Path]:
    """Return all files below a directory in order."""
    return sorted(path for path in directory.rglob("*") if path.is_file())


def take_files(pattern: str, skip: int = 0) -> Callable[[Path], Ranges]:
    """Return a function that finds files of voxels without a checksum, by a pattern.

    Args:
        pattern: pattern of the paths below the directory of the case.
        skip: bytes of a header.
    """

    def find(directory: Path) -> Ranges:
        return {
            path: [(skip, path.stat().st_size)] for path in sorted(directory.glob(pattern)) if path.is_file()
        }

    return find
