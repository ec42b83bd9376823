"""Product of two arrays."""

import gunpowder as gp


class Product(gp.BatchFilter):
    """Multiply two arrays voxel by voxel; shapes and dtypes follow numpy's broadcasting and promotion.

    Args:
        x1_key, x2_key: the factors, such as a mask (1, *spatial) and weights (channels, *spatial).
        y_key: key of the product, which has the voxel size of the first factor.
    """

    def __init__(self, x1_key: gp.ArrayKey, x2_key: gp.ArrayKey, y_key: gp.ArrayKey) -> None:
        self.x1_key = x1_key
        self.x2_key = x2_key
        self.y_key = y_key

    def setup(self) -> None:
        self.enable_autoskip()
        spec = self.spec[self.x1_key].copy()
        spec.dtype = None
        self.provides(self.y_key, spec)

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        dependencies = gp.BatchRequest()
        for key in (self.x1_key, self.x2_key):
            dependencies[key] = gp.ArraySpec(roi=request[self.y_key].roi)
        return dependencies

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        spec = self.spec[self.y_key].copy()
        spec.roi = request[self.y_key].roi
        data = batch[self.x1_key].crop(spec.roi).data * batch[self.x2_key].crop(spec.roi).data
        result = gp.Batch()
        result[self.y_key] = gp.Array(data, spec)
        return result
