"""Random locations of samples in a volume."""

from collections.abc import Sequence

import gunpowder as gp
import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.gp.random_state import get_generator


class SampleLocation(gp.BatchFilter):
    """Move requests to a random location, such that a window is inside one of several regions.

    Unlike gunpowder's ``RandomLocation``, the node does not need a bounded array upstream: the context around the
    window may extend beyond the regions, and beyond the volume. Arrays smaller than a sample with its context are
    therefore sampled too.

    Args:
        regions: regions for the window, in world units, each chosen in proportion to its number of locations. Along
            axes where a region is smaller than the window, the window is centered on it.
        window: part of a request that has to be inside a region, in the coordinates of requests: the ROI of the
            target, for example.
        voxel_size: locations are multiples of it from the lower corner of a region, in world units.
        points: (number, axes), world units; if given, each window contains one of these points, at a random
            position.
        point_probability: probability that a window is placed by ``points``.
        keep_inside: move windows that are placed by ``points`` into the first region.

    Raises:
        ValueError: the list of regions is empty.
    """

    def __init__(
        self,
        regions: Sequence[Roi],
        window: Roi,
        voxel_size: Coordinate,
        points: np.ndarray | None = None,
        point_probability: float = 1.0,
        keep_inside: bool = False,
    ) -> None:
        if not regions:
            raise ValueError("found no region to sample from, expected at least one")
        self.regions = list(regions)
        self.window = window
        self.voxel_size = voxel_size
        self.points = points
        self.point_probability = point_probability
        self.keep_inside = keep_inside
        self._locations = [self._count_locations(region) for region in self.regions]
        numbers = np.array([float(np.prod([float(n) for n in counts])) for counts in self._locations])
        self._cumulative = np.cumsum(numbers / numbers.sum())

    def _count_locations(self, region: Roi) -> list[int]:
        room = (region.shape - self.window.shape) / self.voxel_size
        return [max(1, steps + 1) for steps in room]

    def setup(self) -> None:
        for key, spec in self.spec.items():
            if spec.roi is not None:
                unbounded = spec.copy()
                unbounded.roi = Roi(spec.roi.offset, Coordinate((None,) * spec.roi.dims))
                self.updates(key, unbounded)

    def draw(self) -> Coordinate:
        """Draw the lower corner of a window, in world units."""
        random = get_generator()
        if self.points is not None and len(self.points) and random.random_sample() < self.point_probability:
            return self._draw_around(self.points[random.randint(len(self.points))], random)
        index = int(np.searchsorted(self._cumulative, random.random_sample(), side="right"))
        index = min(index, len(self.regions) - 1)
        region = self.regions[index]
        corner = []
        for axis, count in enumerate(self._locations[index]):
            size, window = self.voxel_size[axis], self.window.shape[axis]
            if region.shape[axis] >= window:
                corner.append(region.begin[axis] + random.randint(count) * size)
            else:
                corner.append(region.begin[axis] - (window - region.shape[axis]) // (2 * size) * size)
        return Coordinate(corner)

    def _draw_around(self, point: np.ndarray, random: np.random.RandomState) -> Coordinate:
        corner = []
        first = self.regions[0].begin
        for axis in range(self.window.dims):
            size = self.voxel_size[axis]
            within = random.randint(self.window.shape[axis] // size)
            voxel = int(np.floor((point[axis] - first[axis]) / size))
            offset = voxel - within
            if self.keep_inside:
                offset = max(0, min(offset, self._locations[0][axis] - 1))
            corner.append(first[axis] + offset * size)
        return Coordinate(corner)

    def provide(self, request: gp.BatchRequest) -> gp.Batch:
        shift = self.draw() - self.window.begin
        upstream = request.copy()
        for _, spec in upstream.items():
            if spec.roi is not None:
                spec.roi = spec.roi.shift(shift)
        batch = self.get_upstream_provider().request_batch(upstream)
        for key, spec in request.items():
            if spec.roi is not None:
                batch[key].spec.roi = spec.roi.copy()
        for key in request.graph_specs:
            batch[key].shift(-shift)
        return batch
