"""From a truth, a prediction and distances to the table of binary scores."""

import math
from collections.abc import Sequence

import numba
import numpy as np

from attacca.evaluators.binary_scores import DISTANCE_FRACTION_BITS, BinaryTable
from attacca.evaluators.distance_transform import NOWHERE, distance_unit, squared_distances


def binary_table(
    prediction: np.ndarray,
    ground_truth: np.ndarray,
    voxel_size: Sequence[int],
    clip_distance: float,
    tol_distance: float,
    mask: np.ndarray | None = None,
) -> BinaryTable:
    """The table of two whole volumes in memory.

    Args:
        prediction: bool, or any numbers: positive ones are predicted.
        ground_truth: the same for the true voxels.
        voxel_size: whole world units, one for each axis.
        clip_distance: distances are clipped here, world units.
        tol_distance: errors up to this distance are forgiven, world units.
        mask: voxels that count, bool; others belong to neither side.
    """
    if prediction.shape != ground_truth.shape:
        raise ValueError(
            f"prediction and truth must have the same shape, not {prediction.shape}, {ground_truth.shape}"
        )
    predicted, true = prediction > 0, ground_truth > 0
    if mask is not None:
        predicted, true = predicted & mask, true & mask
    voxels = int(ground_truth.size if mask is None else np.count_nonzero(mask))
    unit = distance_unit(voxel_size)
    positives = positive_side(
        predicted, true, squared_distances(true, voxel_size), unit, clip_distance, tol_distance
    )
    negatives = negative_side(
        predicted, true, squared_distances(predicted, voxel_size), unit, clip_distance, tol_distance
    )
    return positives + negatives + rest(predicted, true, voxels)


def positive_side(
    predicted: np.ndarray, true: np.ndarray, distances: np.ndarray, unit: int, clip: float, tolerance: float
) -> BinaryTable:
    """The part of the table that looks at predicted voxels.

    Args:
        predicted, true: the two sides, bool.
        distances: squared distances to the nearest true voxel, int64, in units of ``unit`` squared.
        unit: world units in which ``distances`` are measured.
        clip: distances are clipped here, world units.
        tolerance: errors up to this distance are forgiven, world units.
    """
    both, alone, far, whole, part, whole_clipped, part_clipped, largest = _side(
        predicted.ravel(), true.ravel(), distances.ravel(), unit, clip, tolerance
    )
    return BinaryTable(
        true_positives=both,
        false_positives=alone,
        far_positives=far,
        positive_distance=(whole << DISTANCE_FRACTION_BITS) + part,
        positive_distance_clipped=(whole_clipped << DISTANCE_FRACTION_BITS) + part_clipped,
        largest_positive=largest * unit * unit,
    )


def negative_side(
    predicted: np.ndarray, true: np.ndarray, distances: np.ndarray, unit: int, clip: float, tolerance: float
) -> BinaryTable:
    """The part of the table that looks at true voxels; ``distances`` are to the nearest predicted voxel."""
    _, alone, far, whole, part, whole_clipped, part_clipped, largest = _side(
        true.ravel(), predicted.ravel(), distances.ravel(), unit, clip, tolerance
    )
    return BinaryTable(
        false_negatives=alone,
        far_negatives=far,
        negative_distance=(whole << DISTANCE_FRACTION_BITS) + part,
        negative_distance_clipped=(whole_clipped << DISTANCE_FRACTION_BITS) + part_clipped,
        largest_negative=largest * unit * unit,
    )


def rest(predicted: np.ndarray, true: np.ndarray, voxels: int) -> BinaryTable:
    """The voxels that are on neither side, of ``voxels`` that count."""
    return BinaryTable(true_negatives=voxels - int(np.count_nonzero(predicted | true)))


def _side(
    side: np.ndarray, other: np.ndarray, distances: np.ndarray, unit: int, clip: float, tolerance: float
) -> tuple[int, ...]:
    return tuple(
        int(value) for value in _sums(side, other, distances, float(unit), float(clip), float(tolerance))
    )


@numba.njit(cache=True, nogil=True)
def _sums(
    side: np.ndarray, other: np.ndarray, distances: np.ndarray, unit: float, clip: float, tolerance: float
) -> tuple[int, int, int, int, int, int, int, int]:
    fraction = float(1 << DISTANCE_FRACTION_BITS)
    both = alone = far = whole = part = whole_clipped = part_clipped = largest = 0
    for i in range(side.size):
        if not side[i]:
            continue
        if other[i]:
            both += 1
            continue
        alone += 1
        square = distances[i]
        if square == NOWHERE:
            distance = math.inf
        else:
            distance = unit * math.sqrt(float(square))
            largest = max(largest, square)
            floor = int(distance)
            whole += floor
            part += math.floor((distance - floor) * fraction + 0.5)
        if distance > tolerance:
            far += 1
        clipped = min(distance, clip)
        floor = int(clipped)
        whole_clipped += floor
        part_clipped += math.floor((clipped - floor) * fraction + 0.5)
    return both, alone, far, whole, part, whole_clipped, part_clipped, largest
