"""Positions of objects in sparse labels, at which samples are taken.

Where objects are sparse, most samples at uniform positions hold background only, or no annotation. The labels are divided
into boxes of the size of a sample. If more than half of the boxes contain no object, most samples are placed such that
they contain one (``training.object_samples``).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.arrays import Array, ZarrArray
from attacca.config.training import TrainingConfig
from attacca.training.job import TrainingVolume

SPARSE_ABOVE = 0.5
"""Share of boxes without an object above which ``auto`` places samples at objects."""
AUTO_SHARE = 0.75
"""Share of the samples that ``auto`` places at objects; the others are at uniform positions and show background."""

_MOST_BOXES = 4096
_POINTS_PER_BOX = 16


@dataclass(frozen=True)
class ObjectPoints:
    """Positions of objects in one volume.

    Attributes:
        volume: name of the volume.
        points: (number, axes), world units: up to 16 voxels of objects in each box.
        empty_share: share of the boxes without an object.
        probability: probability that a sample contains one of the points; 0 for uniform positions.
    """

    volume: str
    points: np.ndarray
    empty_share: float
    probability: float

    def __str__(self) -> str:
        found = f"{self.volume}: {self.empty_share:.0%} of the samples at uniform positions contain no object"
        if not self.probability:
            return found
        return (
            f"{found}; {self.probability:.0%} of the samples are placed at objects (training.object_samples)"
        )


def find_object_points(
    volumes: Sequence[TrainingVolume], training: TrainingConfig, window: Coordinate
) -> tuple[ObjectPoints, ...]:
    """Return the positions of objects for volumes in which samples are placed at objects.

    Volumes with points or a probability of their own (``training.sampling``), and volumes without an object, have none.
    Results depend on the labels only.

    Args:
        volumes: volumes from which samples are taken.
        training: ``object_samples`` and ``sampling``.
        window: shape of a sample's target, in voxels.
    """
    found = []
    for volume in volumes:
        sampling = training.sampling.get(volume.name)
        if training.object_samples == 0 or (sampling is not None and sampling.points is not None):
            continue
        labels = ZarrArray.open_from_array_identifier(volume.labels)
        mask = None if volume.mask is None else ZarrArray.open_from_array_identifier(volume.mask)
        region = labels.roi.intersect(ZarrArray.open_from_array_identifier(volume.raw).roi)
        if sampling is not None and sampling.roi is not None:
            configured = Roi(sampling.roi.offset, sampling.roi.shape)
            region = region.intersect(configured.snap_to_grid(labels.voxel_size, "grow"))
        points, empty_share = locate_objects(labels, mask, region, window, volume.unlabelled)
        probability = training.object_samples
        if probability == "auto":
            probability = AUTO_SHARE if empty_share > SPARSE_ABOVE else 0.0
        if len(points):
            found.append(ObjectPoints(volume.name, points, empty_share, probability))
    return tuple(found)


def locate_objects(
    labels: Array, mask: Array | None, region: Roi, window: Coordinate, unlabelled: int | None = None
) -> tuple[np.ndarray, float]:
    """Return voxels of objects, and the share of the boxes that contain none.

    Args:
        labels: ids or classes, ([channels,] *spatial); 0 is background.
        mask: 0 where labels do not count; None if all count.
        region: part of the labels, in world units.
        window: shape of a box in voxels. Of more than 4096 boxes, as many evenly spaced ones are read.
        unlabelled: value of voxels without annotation, which are not objects.

    Returns:
        Points, (number, axes), float64, world units, and the share.

    >>> from attacca.arrays import NumpyArray
    >>> ids = np.array([[0, 0, 0, 0, 0, 0, 0, 5]], np.uint8)
    >>> array = NumpyArray.from_np_array(ids, Roi((0, 0), (4, 32)), Coordinate((4, 4)), ["y", "x"])
    >>> locate_objects(array, None, array.roi, Coordinate((1, 2)))
    (array([[ 0., 28.]]), 0.75)
    """
    voxel_size = labels.voxel_size
    boxes = list(_divide(region, window * voxel_size))
    if len(boxes) > _MOST_BOXES:
        boxes = [boxes[index * len(boxes) // _MOST_BOXES] for index in range(_MOST_BOXES)]
    points, empty = [], 0
    for box in boxes:
        values = labels[box]
        is_object = values != 0
        if unlabelled is not None:
            is_object &= values != values.dtype.type(unlabelled)
        if is_object.ndim > region.dims:
            is_object = is_object.any(axis=0)
        if mask is not None:
            kept = mask.read(box, 0)
            is_object &= (kept if kept.ndim == region.dims else kept[0]) != 0
        indices = np.flatnonzero(is_object)
        if not len(indices):
            empty += 1
            continue
        chosen = indices[np.unique(np.linspace(0, len(indices) - 1, _POINTS_PER_BOX).astype(np.int64))]
        voxels = np.stack(np.unravel_index(chosen, is_object.shape), axis=1)
        points.append(voxels * np.array(voxel_size) + np.array(box.begin))
    table = np.concatenate(points).astype(float) if points else np.zeros((0, region.dims))
    return table, empty / max(1, len(boxes))


def _divide(region: Roi, size: Coordinate) -> Iterator[Roi]:
    """Yield boxes that cover a region; the last ones along each axis may be smaller."""
    counts = [math.ceil(extent / edge) for extent, edge in zip(region.shape, size)]
    for index in product(*(range(count) for count in counts)):
        yield Roi(region.begin + Coordinate(index) * size, size).intersect(region)
