"""Targets and weights from labels, in the pipeline."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import gunpowder as gp
import numpy as np
from funlib.geometry import Roi

from attacca.arrays import Array, NumpyArray

if TYPE_CHECKING:
    from attacca.predictors import Predictor


class DaCapoTargetFilter(gp.BatchFilter):
    """Compute a predictor's target and weights from ground truth.

    For a target, ground truth and mask are requested with the predictor's context. Weights are balanced over that
    larger region and then cropped; weights without a target are balanced over the requested region.

    Args:
        predictor: creates target and weights.
        gt_key: labels, ([channels,] *spatial), any integer dtype.
        target_key: key of the target, (channels, *spatial).
        weights_key: key of the weights, float32, shape of the target.
        mask_key: mask of valid labels, 0 where they are invalid; without it, all labels are valid.
        class_counts: counts from which the weights of each request are balanced, so that weights do not depend on
            earlier requests; without it, the node's running counts over all requests.

    Raises:
        ValueError: neither a target nor weights are requested.
    """

    def __init__(
        self,
        predictor: Predictor,
        gt_key: gp.ArrayKey,
        target_key: gp.ArrayKey | None = None,
        weights_key: gp.ArrayKey | None = None,
        mask_key: gp.ArrayKey | None = None,
        *,
        class_counts: Any = None,
    ) -> None:
        if target_key is None and weights_key is None:
            raise ValueError("found neither target_key nor weights_key, expected at least one of them")
        self.predictor = predictor
        self.gt_key = gt_key
        self.target_key = target_key
        self.weights_key = weights_key
        self.mask_key = mask_key
        self.fixed_class_counts = class_counts
        self.moving_class_counts: Any = None

    def setup(self) -> None:
        for key in (self.target_key, self.weights_key):
            if key is not None:
                spec = self.spec[self.gt_key].copy()
                spec.dtype = None
                spec.interpolatable = True
                self.provides(key, spec)

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        dependencies = gp.BatchRequest()
        region = self._find_region(request)
        if region is not None:
            dependencies[self.gt_key] = gp.ArraySpec(roi=region)
            if self.mask_key is not None:
                dependencies[self.mask_key] = gp.ArraySpec(roi=region.copy())
        return dependencies

    def _find_region(self, request: gp.BatchRequest) -> Roi | None:
        """Return the region of ground truth that a request needs, in world units."""
        region = None
        if self.target_key is not None and self.target_key in request:
            spec = request[self.target_key].copy()
            spec.voxel_size = self.spec[self.gt_key].voxel_size
            region = self.predictor.gt_region_for_roi(spec).roi
        if self.weights_key is not None and self.weights_key in request:
            roi = request[self.weights_key].roi.copy()
            region = roi if region is None else region.union(roi)
        return region

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch | None:
        result = gp.Batch()
        region = self._find_region(request)
        if region is None:
            return result
        gt = NumpyArray.from_gp_array(batch[self.gt_key].crop(region))
        target = self._create_target(gt, request)
        if self.target_key is not None and self.target_key in request:
            result[self.target_key] = self._crop(target, self.target_key, request)
        if self.weights_key is not None and self.weights_key in request:
            if self.fixed_class_counts is not None:
                gt, target = self._crop_around_weights(gt, target, request[self.weights_key].roi)
                region = gt.roi
            if self.mask_key is not None:
                mask = NumpyArray.from_gp_array(batch[self.mask_key].crop(region))
            else:
                ones = np.ones(gt.data.shape, dtype=np.uint8)
                mask = NumpyArray.from_np_array(ones, gt.roi, gt.voxel_size, gt.axes)
            if self.fixed_class_counts is not None:
                counts = copy.deepcopy(self.fixed_class_counts)
                weights, _ = self.predictor.create_weight(gt, target, mask, counts)
            else:
                weights, self.moving_class_counts = self.predictor.create_weight(
                    gt, target, mask, self.moving_class_counts
                )
            result[self.weights_key] = self._crop(weights, self.weights_key, request)
        return result

    def _crop_around_weights(self, gt: NumpyArray, target: Array, roi: Roi) -> tuple[NumpyArray, Array]:
        # If counts do not come from this request, weights need no larger region than their context.
        context = self.predictor.weight_context(gt.voxel_size)
        if context is None:
            return gt, target
        cropped = roi.grow(*context).intersect(gt.roi)
        parts = []
        for array in (gt, target):
            parts.append(NumpyArray.from_np_array(array[cropped], cropped, gt.voxel_size, array.axes))
        return parts[0], parts[1]

    def _create_target(self, gt: NumpyArray, request: gp.BatchRequest) -> Array:
        # Weights that are requested without the target need the whole target for their balance.
        if self.target_key is None or self.target_key not in request:
            return self.predictor.create_target(gt)
        return self.predictor.create_target_within(gt, request[self.target_key].roi)

    def _crop(self, array: Array, key: gp.ArrayKey, request: gp.BatchRequest) -> gp.Array:
        spec = self.spec[key].copy()
        spec.roi = request[key].roi
        return gp.Array(np.ascontiguousarray(array[spec.roi]), spec)


TargetFilter = DaCapoTargetFilter
