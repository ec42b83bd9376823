"""Offsets of affinity channels: which voxel each channel connects a voxel to, and on which grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attacca.errors import ConfigurationError

LEVELS = 256
"""Number of values of a stored affinity: 0 is an affinity of 0, 255 is 1."""

Triple = tuple[int, int, int]


def as_triples(rows: Sequence[Sequence[int]], fill: int = 0) -> np.ndarray:
    """Rows of two or three whole numbers as an int64 array (n, 3); two dimensions get ``fill`` as their z.

    Raises:
        ConfigurationError: a row has another length, or the rows differ in length.
    """
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or not lengths <= {2, 3}:
        raise ConfigurationError(
            f"offsets {[tuple(row) for row in rows]} must all have two or all have three numbers "
            "(y, x or z, y, x)"
        )
    return np.array(
        [[fill] * (3 - len(row)) + [int(number) for number in row] for row in rows], dtype=np.int64
    )


@dataclass(frozen=True)
class Offsets:
    """The affinity channels of a prediction as edges between voxels.

    Channel ``k`` at voxel ``v`` is the affinity between ``v`` and ``v + vectors[k]``. An edge exists where
    the global coordinate of ``v`` is a multiple of ``strides[k]`` in every axis, so that the choice is the
    same in every block.

    Args:
        vectors: int64 (channels, 3), z, y, x in voxels.
        biases: float64 (channels,); an affinity above it attracts, one at or below it repels.
        strides: int64 (channels, 3), at least 1.
    """

    vectors: np.ndarray
    biases: np.ndarray
    strides: np.ndarray

    @classmethod
    def create(
        cls,
        vectors: Sequence[Sequence[int]],
        bias: float | Sequence[float] = 0.5,
        strides: int | Sequence[int] | Sequence[Sequence[int]] | None = None,
    ) -> "Offsets":
        """Offsets with one bias for all, two (direct, long range), or one for each; and strides of long-range
        offsets.

        Args:
            vectors: one offset a channel, in voxels, two or three axes.
            bias: see above.
            strides: ``None`` or 1 takes every edge; a number is the stride of every axis of every long-range
                offset; a vector (as long as an offset) is its stride for each axis; a list of vectors has one
                for each offset.

        Raises:
            ConfigurationError: the numbers do not fit together.
        """
        table = as_triples(vectors)
        if not np.abs(table).sum(axis=1).all():
            raise ConfigurationError(
                "an offset of zero connects a voxel to itself; remove it from the neighborhood"
            )
        direct = is_direct(table)
        return cls(table, _biases(bias, direct), _strides(strides, direct, len(vectors[0])))

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def direct(self) -> np.ndarray:
        """bool (channels,): offsets to one of the nearest neighbors."""
        return is_direct(self.vectors)

    def reach(self) -> tuple[Triple, Triple]:
        """How far offsets reach below and above a voxel, in voxels."""
        lower = np.maximum(0, -self.vectors).max(axis=0)
        upper = np.maximum(0, self.vectors).max(axis=0)
        return _triple(lower), _triple(upper)


def _triple(values: np.ndarray) -> Triple:
    z, y, x = (int(value) for value in values)
    return z, y, x


def is_direct(vectors: np.ndarray) -> np.ndarray:
    """bool (n,): which of the offsets (n, 3) connect nearest neighbors."""
    return np.abs(vectors).sum(axis=1) == 1


def _biases(bias: float | Sequence[float], direct: np.ndarray) -> np.ndarray:
    if isinstance(bias, int | float):
        values = np.full(len(direct), float(bias))
    else:
        given = [float(value) for value in bias]
        if len(given) == len(direct):
            values = np.array(given)
        elif len(given) == 2:
            values = np.where(direct, given[0], given[1])
        else:
            raise ConfigurationError(
                f"bias has {len(given)} numbers; give one, two (direct and long-range offsets), or "
                "one for each of "
                f"the {len(direct)} offsets"
            )
    if not ((values >= 0) & (values <= 1)).all():
        raise ConfigurationError(f"bias {values.tolist()} must lie between 0 and 1, the range of affinities")
    return values


def _strides(
    strides: int | Sequence[int] | Sequence[Sequence[int]] | None, direct: np.ndarray, dims: int
) -> np.ndarray:
    table = np.ones((len(direct), 3), dtype=np.int64)
    if strides is None:
        return table
    if isinstance(strides, int):
        table[~direct] = as_triples([[strides] * dims], fill=1)[0]
    else:
        rows = list(strides)
        if all(isinstance(row, int | np.integer) for row in rows):
            if len(rows) != dims:
                raise ConfigurationError(f"strides {rows} must have {dims} numbers, one for each axis")
            table[~direct] = as_triples([rows], fill=1)[0]  # type: ignore[list-item]
        else:
            if len(rows) != len(direct):
                raise ConfigurationError(f"{len(rows)} strides for {len(direct)} offsets; give one for each")
            table[:] = as_triples(rows, fill=1)  # type: ignore[arg-type]
    if (table < 1).any():
        raise ConfigurationError(f"strides {strides} must be at least 1")
    return table
