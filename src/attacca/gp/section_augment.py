"""Augmentations with defects of serial sections: missing, low-contrast and shifted sections."""

from typing import Any

import gunpowder as gp
import numpy as np
from funlib.geometry import Coordinate

from attacca.gp.random_state import get_generator


class SectionDefects(gp.BatchFilter):
    """Set random sections to 0, and reduce the contrast of others.

    Args:
        array: floating point data between 0 and 1, ([channels,] *spatial).
        prob_missing: probability that a section is missing (all 0).
        prob_low_contrast: probability that a section that is not missing has low contrast.
        contrast_scale: factor of the contrast of such a section.
        axis: spatial axis along which sections are cut.
    """

    def __init__(
        self,
        array: gp.ArrayKey,
        prob_missing: float = 0.02,
        prob_low_contrast: float = 0.02,
        contrast_scale: float = 0.1,
        axis: int = 0,
    ) -> None:
        self.array = array
        self.prob_missing = prob_missing
        self.prob_low_contrast = prob_low_contrast
        self.contrast_scale = contrast_scale
        self.axis = axis

    def setup(self) -> None:
        self.enable_autoskip()
        self.updates(self.array, self.spec[self.array])

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        array = batch[self.array]
        data = np.array(array.data)
        sections = np.moveaxis(data, data.ndim - array.spec.roi.dims + self.axis, 0)
        draws = get_generator().random_sample((len(sections), 2))
        for section, (missing, low_contrast) in zip(sections, draws):
            if missing < self.prob_missing:
                section[...] = 0
            elif low_contrast < self.prob_low_contrast:
                mean = section.mean()
                section[...] = mean + (section - mean) * self.contrast_scale
        result = gp.Batch()
        result[self.array] = gp.Array(data, array.spec.copy())
        return result


class SectionShift(gp.BatchFilter):
    """Move sections sideways: a single section (a slip), or a section and all later ones (a shift).

    All arrays of a batch move by the same distance.

    Args:
        prob_slip: probability that a section slips.
        prob_shift: probability that a section and all later ones shift.
        max_shift: largest displacement along each axis in the plane of the section, in voxels of the largest voxel size.
        axis: spatial axis along which sections are cut.
    """

    def __init__(
        self, prob_slip: float = 0.05, prob_shift: float = 0.05, max_shift: int = 5, axis: int = 0
    ) -> None:
        self.prob_slip = prob_slip
        self.prob_shift = prob_shift
        self.max_shift = max_shift
        self.axis = axis
        self._begin = 0
        self._thickness = 1
        self._offsets = np.zeros((0, 0), dtype=int)

    def setup(self) -> None:
        for key, spec in self.spec.array_specs.items():
            self.updates(key, spec)

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        keys = [key for key, spec in request.array_specs.items() if spec.roi is not None]
        step = self.spec.get_lcm_voxel_size(keys)
        total = request.get_total_roi()
        self._begin = total.begin[self.axis]
        self._thickness = min(self.spec[key].voxel_size[self.axis] for key in keys)
        sections = -(-total.shape[self.axis] // self._thickness)
        random = get_generator()
        slip = random.random_sample(sections) < self.prob_slip
        shift = random.random_sample(sections) < self.prob_shift
        moves = random.randint(-self.max_shift, self.max_shift + 1, size=(2, sections, total.dims))
        offsets = np.cumsum(moves[1] * shift[:, np.newaxis], axis=0)
        np.clip(offsets, -self.max_shift, self.max_shift, out=offsets)
        offsets = np.where(slip[:, np.newaxis], moves[0], offsets)
        offsets[:, self.axis] = 0
        self._offsets = offsets * np.array(step)
        reach = Coordinate(
            0 if axis == self.axis else int(np.abs(self._offsets[:, axis]).max())
            for axis in range(total.dims)
        )
        dependencies = gp.BatchRequest()
        for key in keys:
            dependencies[key] = gp.ArraySpec(roi=request[key].roi.grow(reach, reach))
        return dependencies

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        result = gp.Batch()
        for key, array in batch.arrays.items():
            if key not in request or request[key].roi is None:
                continue
            roi = request[key].roi
            voxel_size = array.spec.voxel_size
            shape = roi.shape / voxel_size
            lead = array.data.ndim - roi.dims
            moved = np.empty((*array.data.shape[:lead], *shape), dtype=array.data.dtype)
            for section in range(shape[self.axis]):
                place = roi.begin[self.axis] + section * voxel_size[self.axis]
                index = min(max((place - self._begin) // self._thickness, 0), len(self._offsets) - 1)
                first = (roi.begin + Coordinate(self._offsets[index]) - array.spec.roi.begin) / voxel_size
                source: list[Any] = [slice(b, b + s) for b, s in zip(first, shape)]
                source[self.axis] = slice(first[self.axis] + section, first[self.axis] + section + 1)
                target: list[Any] = [slice(None)] * roi.dims
                target[self.axis] = slice(section, section + 1)
                moved[(Ellipsis, *target)] = array.data[(Ellipsis, *source)]
            spec = array.spec.copy()
            spec.roi = roi
            result[key] = gp.Array(moved, spec, array.attrs)
        return result
