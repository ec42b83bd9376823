"""Targets and weights from labels, in the pipeline."""

import copy
from typing import Any

import gunpowder as gp
import numpy as np

from attacca.arrays import NumpyArray


class DaCapoTargetFilter(gp.BatchFilter):
    """Makes a predictor's target and weights from ground truth.

    For a target, ground truth and mask are requested with the context that the predictor asks for; weights
    are balanced over that region, then cut. Weights alone are balanced over the requested region.

    Args:
        predictor: anything with the interface of ``attacca.predictors.Predictor``.
        gt_key: the labels.
        target_key: under which the target is provided.
        weights_key: under which the weights are provided.
        mask_key: where labels are valid; everywhere without it.
        class_counts: counts that the weights start from at every request, so that weights do not depend on
            earlier requests; without it, the node's own running counts.

    Raises:
        ValueError: neither target nor weights are wanted.
    """

    def __init__(
        self,
        predictor: Any,
        gt_key: gp.ArrayKey,
        target_key: gp.ArrayKey | None = None,
        weights_key: gp.ArrayKey | None = None,
        mask_key: gp.ArrayKey | None = None,
        *,
        class_counts: Any = None,
    ) -> None:
        if target_key is None and weights_key is None:
            raise ValueError("give a target_key, a weights_key, or both: there is nothing to make otherwise")
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
        region = self._region(request)
        if region is not None:
            dependencies[self.gt_key] = gp.ArraySpec(roi=region)
            if self.mask_key is not None:
                dependencies[self.mask_key] = gp.ArraySpec(roi=region.copy())
        return dependencies

    def _region(self, request: gp.BatchRequest) -> Any:
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
        region = self._region(request)
        if region is None:
            return result
        gt = NumpyArray.from_gp_array(batch[self.gt_key].crop(region))
        target = self._create_target(gt, request)
        if self.target_key is not None and self.target_key in request:
            result[self.target_key] = self._cut(target, self.target_key, request)
        if self.weights_key is not None and self.weights_key in request:
            if self.fixed_class_counts is not None:
                gt, target = self._around_weights(gt, target, request[self.weights_key].roi)
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
            result[self.weights_key] = self._cut(weights, self.weights_key, request)
        return result

    def _around_weights(self, gt: NumpyArray, target: Any, roi: Any) -> tuple[NumpyArray, Any]:
        # With counts that do not come from this request, weights need no larger region than they look at.
        look = getattr(self.predictor, "weight_context", None)
        if look is None:
            return gt, target
        wanted = roi.grow(*look(gt.voxel_size)).intersect(gt.roi)
        parts = []
        for array in (gt, target):
            parts.append(NumpyArray.from_np_array(array[wanted], wanted, gt.voxel_size, array.axes))
        return parts[0], parts[1]

    def _create_target(self, gt: Any, request: gp.BatchRequest) -> Any:
        # Only the requested part is kept, but for balancing weights; a predictor may leave out what that does
        # not need.
        partly = getattr(self.predictor, "create_target_within", None)
        if partly is None or self.target_key is None or self.target_key not in request:
            return self.predictor.create_target(gt)
        return partly(gt, request[self.target_key].roi)

    def _cut(self, array: Any, key: gp.ArrayKey, request: gp.BatchRequest) -> gp.Array:
        spec = self.spec[key].copy()
        spec.roi = request[key].roi
        return gp.Array(np.ascontiguousarray(array[spec.roi]), spec)


TargetFilter = DaCapoTargetFilter
