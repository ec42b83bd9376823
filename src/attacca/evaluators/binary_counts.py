"""Tables of binary scores from a prediction, the ground truth and distances."""

import math
from collections.abc import Sequence

import numba
import numpy as np

from attacca.evaluators.binary_scores import DISTANCE_FRACTION_BITS, BinaryTable
from attacca.evaluators.distance_transform import NOWHERE, compute_distance_unit, compute_squared_distances


def binary_table(
    prediction: np.ndarray,
    ground_truth: np.ndarray,
    voxel_size: Sequence[int],
    clip_distance: float,
    tol_distance: float,
    mask: np.ndarray | None = None,
) -> BinaryTable:
    """Return the table of two whole volumes in memory.

    Args:
        prediction: bool, or numbers, of which positive ones are foreground.
        ground_truth: same shape.
        voxel_size: world units, integer, one per axis.
        clip_distance: upper limit of clipped distances, in world units.
        tol_distance: errors up to this distance are tolerated, in world units.
        mask: voxels that count, bool, same shape; all voxels count by default.

    Raises:
        ValueError: shapes differ.

    Examples:
        >>> prediction, ground_truth = np.array([[1, 1, 0, 0]]), np.array([[0, 1, 1, 1]])
        >>> table = binary_table(prediction, ground_truth, (8, 8), clip_distance=40, tol_distance=8)
        >>> table.true_positives, table.false_positives, table.false_negatives, table.far_negatives
        (1, 1, 2, 1)
    """
    if prediction.shape != ground_truth.shape:
        raise ValueError(
            f"prediction and ground truth: found the shapes {prediction.shape}, {ground_truth.shape}, expected equal shapes"
        )
    predicted, true = prediction > 0, ground_truth > 0
    if mask is not None:
        predicted, true = predicted & mask, true & mask
    voxels = int(ground_truth.size if mask is None else np.count_nonzero(mask))
    unit = compute_distance_unit(voxel_size)
    positives = sum_positive_side(
        predicted, true, compute_squared_distances(true, voxel_size), unit, clip_distance, tol_distance
    )
    negatives = sum_negative_side(
        predicted, true, compute_squared_distances(predicted, voxel_size), unit, clip_distance, tol_distance
    )
    return positives + negatives + count_true_negatives(predicted, true, voxels)


def sum_positive_side(
    predicted: np.ndarray, true: np.ndarray, distances: np.ndarray, unit: int, clip: float, tolerance: float
) -> BinaryTable:
    """Return the part of the table that concerns predicted voxels.

    Args:
        predicted: predicted foreground, bool.
        true: true foreground, bool, same shape.
        distances: squared distances to the nearest true voxel, int64, same shape, in units of ``unit`` squared.
        unit: length unit of ``distances``, in world units.
        clip: upper limit of clipped distances, in world units.
        tolerance: errors up to this distance are tolerated, in world units.

    Examples:
        >>> predicted, true = np.array([[True, True, False]]), np.array([[False, True, True]])
        >>> distances = compute_squared_distances(true, (8, 8))
        >>> table = sum_positive_side(predicted, true, distances, unit=8, clip=40, tolerance=0)
        >>> table.true_positives, table.false_positives, table.far_positives
        (1, 1, 1)
    """
    both, alone, far, whole, part, whole_clipped, part_clipped, largest = _sum_side(
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


def sum_negative_side(
    predicted: np.ndarray, true: np.ndarray, distances: np.ndarray, unit: int, clip: float, tolerance: float
) -> BinaryTable:
    """Return the part of the table that concerns true voxels, with distances to the nearest predicted one.

    Examples:
        >>> predicted, true = np.array([[True, True, False]]), np.array([[False, True, True]])
        >>> distances = compute_squared_distances(predicted, (8, 8))
        >>> table = sum_negative_side(predicted, true, distances, unit=8, clip=40, tolerance=8)
        >>> table.false_negatives, table.far_negatives
        (1, 0)
    """
    _, alone, far, whole, part, whole_clipped, part_clipped, largest = _sum_side(
        true.ravel(), predicted.ravel(), distances.ravel(), unit, clip, tolerance
    )
    return BinaryTable(
        false_negatives=alone,
        far_negatives=far,
        negative_distance=(whole << DISTANCE_FRACTION_BITS) + part,
        negative_distance_clipped=(whole_clipped << DISTANCE_FRACTION_BITS) + part_clipped,
        largest_negative=largest * unit * unit,
    )


def count_true_negatives(predicted: np.ndarray, true: np.ndarray, voxels: int) -> BinaryTable:
    """Return the part of the table that concerns voxels on neither side, of ``voxels`` that count.

    Examples:
        >>> count_true_negatives(np.array([True, False]), np.array([False, False]), voxels=2).true_negatives
        1
    """
    return BinaryTable(true_negatives=voxels - int(np.count_nonzero(predicted | true)))


def _sum_side(
    side: np.ndarray, other: np.ndarray, distances: np.ndarray, unit: int, clip: float, tolerance: float
) -> tuple[int, ...]:
    return tuple(
        int(value)
        for value in _sum_distances(side, other, distances, float(unit), float(clip), float(tolerance))
    )


@numba.njit(cache=True, nogil=True)
def _sum_distances(
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
