"""Sample of the values of a planned array, for checks before the import."""

import math

import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.config.volumes import VolumeConfig
from attacca.volumes.import_volume import import_block
from attacca.volumes.volume_plan import PlannedArray, VolumePlan

_SECTIONS = 5
_EDGE = 128
_FULL_BYTES = 64 << 20


def sample_values(config: VolumeConfig, plan: VolumePlan, array: PlannedArray) -> np.ndarray:
    """Return all voxels of a small array that is used in place, otherwise those of some sections.

    Voxels are from the center of five sections, evenly spaced from the first to the last.

    Returns:
        One-dimensional array with the dtype of the planned array; always the same voxels.

    Raises:
        VolumeError: a voxel cannot be imported, such as a negative label.
    """
    shape = array.roi.shape / plan.voxel_size
    if array.link is not None and math.prod(shape) * array.dtype.itemsize <= _FULL_BYTES:
        return import_block(config, plan, array, array.roi).ravel()
    edges = Coordinate(min(size, _EDGE) for size in shape)
    begin = (shape - edges) / 2
    numbers = [0]
    if len(shape) == 3:
        edges = Coordinate((1, *edges[1:]))
        count = min(_SECTIONS, shape[0])
        numbers = [round(index * (shape[0] - 1) / max(1, count - 1)) for index in range(count)]
    parts = []
    for number in numbers:
        corner = Coordinate((number, *begin[1:])) if len(shape) == 3 else begin
        roi = Roi(array.roi.begin + corner * plan.voxel_size, edges * plan.voxel_size)
        parts.append(import_block(config, plan, array, roi).ravel())
    return np.concatenate(parts)
