"""Offsets of affinity channels: the voxels that each channel connects, and the grid on which it does."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attacca.errors import ConfigurationError
from attacca.segmentation.box import Triple, triple

LEVELS = 256
"""Number of values of a stored affinity: 0 is an affinity of 0, 255 is 1."""

Strides = int | Sequence[int] | Sequence[Sequence[int]] | None


@dataclass(frozen=True)
class Offsets:
    """The affinity channels of a prediction as edges between voxels.

    Channel ``k`` at voxel ``v`` is the affinity between ``v`` and ``v + vectors[k]``. An edge exists where
    the global coordinate of ``v`` is a multiple of ``strides[k]`` in every axis, so that the choice is the
    same in every block.

    Args:
        vectors: int64 (channels, 3), z, y, x in voxels.
        biases: float64 (channels,); an affinity above the bias attracts, one at or below it repels.
        strides: int64 (channels, 3), at least 1.
    """

    vectors: np.ndarray
    biases: np.ndarray
    strides: np.ndarray

    @classmethod
    def create(
        cls, vectors: Sequence[Sequence[int]], bias: float | Sequence[float] = 0.5, strides: Strides = None
    ) -> "Offsets":
        """Create offsets from the values that a configuration holds.

        Args:
            vectors: one offset per channel, in voxels, with two or three axes.
            bias: one number for all offsets, two (nearest-neighbor and long-range), or one for each.
            strides: ``None`` uses every edge; a number is the stride along each axis of all long-range
                offsets; a vector (as long as an offset) is their stride per axis; a list of vectors has one
                for each offset.

        Raises:
            ConfigurationError: numbers of axes, biases or strides do not match, or an offset is zero.

        A bias of ``[0.2, 0.8]`` lets weak nearest-neighbor affinities join voxels, and all but the strongest
        long-range affinities keep them apart. A stride of 3 uses every 27th long-range edge and leaves the
        nearest-neighbor edges as they are:

        >>> offsets = Offsets.create([[0, 0, 1], [0, 0, 9]], bias=[0.2, 0.8], strides=3)
        >>> offsets.biases.tolist(), offsets.strides.tolist()
        ([0.2, 0.8], [[1, 1, 1], [3, 3, 3]])
        """
        table = _to_triples(vectors)
        if not np.abs(table).sum(axis=1).all():
            raise ConfigurationError(
                "an offset of zero connects a voxel to itself; remove it from the neighborhood"
            )
        is_nearest = _is_nearest(table)
        return cls(
            table, _expand_biases(bias, is_nearest), _expand_strides(strides, is_nearest, len(vectors[0]))
        )

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, channels: np.ndarray) -> "Offsets":
        """Return the offsets of some channels."""
        return Offsets(self.vectors[channels], self.biases[channels], self.strides[channels])

    @property
    def is_nearest(self) -> np.ndarray:
        """bool (channels,): True for offsets to one of the nearest neighbors."""
        return _is_nearest(self.vectors)

    def reach(self) -> tuple[Triple, Triple]:
        """Return the reach of the offsets below and above a voxel, in voxels.

        >>> Offsets.create([[0, 0, 1], [0, -3, 0]]).reach()
        ((0, 3, 0), (0, 0, 1))
        """
        lower = np.maximum(0, -self.vectors).max(axis=0)
        upper = np.maximum(0, self.vectors).max(axis=0)
        return triple(lower), triple(upper)


def _is_nearest(vectors: np.ndarray) -> np.ndarray:
    return np.abs(vectors).sum(axis=1) == 1


def _to_triples(rows: Sequence[Sequence[int]], fill: int = 0) -> np.ndarray:
    """Return rows of two or three numbers as int64 (n, 3); rows of two get ``fill`` as their z.

    Raises:
        ConfigurationError: a row has another length, or the rows differ in length.
    """
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or not lengths <= {2, 3}:
        raise ConfigurationError(
            f"offsets {[tuple(row) for row in rows]} must all have two or all have three numbers "
            "(y, x or z, y, x)"
        )
    return np.array([triple(row, fill) for row in rows], dtype=np.int64)


def _expand_biases(bias: float | Sequence[float], is_nearest: np.ndarray) -> np.ndarray:
    count = len(is_nearest)
    if isinstance(bias, int | float):
        values = np.full(count, float(bias))
    elif len(bias) == count:
        values = np.array([float(value) for value in bias])
    elif len(bias) == 2:
        values = np.where(is_nearest, float(bias[0]), float(bias[1]))
    else:
        raise ConfigurationError(
            f"bias has {len(bias)} numbers; give one, two (nearest-neighbor and long-range offsets), "
            f"or one for each of the {count} offsets"
        )
    if not ((values >= 0) & (values <= 1)).all():
        raise ConfigurationError(f"bias {values.tolist()} must lie between 0 and 1, the range of affinities")
    return values


def _expand_strides(strides: Strides, is_nearest: np.ndarray, dims: int) -> np.ndarray:
    table = np.ones((len(is_nearest), 3), dtype=np.int64)
    if strides is None:
        return table
    rows = [strides] * dims if isinstance(strides, int) else list(strides)
    if all(isinstance(row, int | np.integer) for row in rows):
        if len(rows) != dims:
            raise ConfigurationError(f"strides {rows} must have {dims} numbers, one for each axis")
        table[~is_nearest] = _to_triples([rows], fill=1)[0]  # type: ignore[list-item]
    else:
        if len(rows) != len(is_nearest):
            raise ConfigurationError(f"{len(rows)} strides for {len(is_nearest)} offsets; give one for each")
        table[:] = _to_triples(rows, fill=1)  # type: ignore[arg-type]
    if (table < 1).any():
        raise ConfigurationError(f"strides {strides} must be at least 1")
    return table
