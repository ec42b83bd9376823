"""Copies of masks under a second key."""

import gunpowder as gp
import numpy as np


class CopyMask(gp.BatchFilter):
    """Copy an array to a second key; the original stays unchanged.

    Args:
        array_key: the array, (channels, *spatial), any dtype.
        copy_key: key of the copy.
        drop_channels: replace the axes before the spatial ones by their maximum; the copy is then (*spatial).
    """

    def __init__(self, array_key: gp.ArrayKey, copy_key: gp.ArrayKey, drop_channels: bool = False) -> None:
        self.array_key = array_key
        self.copy_key = copy_key
        self.drop_channels = drop_channels

    def setup(self) -> None:
        self.enable_autoskip()
        self.provides(self.copy_key, self.spec[self.array_key].copy())

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        dependencies = gp.BatchRequest()
        dependencies[self.array_key] = gp.ArraySpec(roi=request[self.copy_key].roi)
        return dependencies

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        source = batch[self.array_key]
        data = np.array(source.data)
        if self.drop_channels:
            lead = tuple(range(data.ndim - source.spec.roi.dims))
            data = data.max(axis=lead)
        spec = source.spec.copy()
        spec.roi = request[self.copy_key].roi
        result = gp.Batch()
        result[self.copy_key] = gp.Array(data, source.spec.copy()).crop(spec.roi)
        return result
