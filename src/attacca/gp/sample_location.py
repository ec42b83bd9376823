"""Where in a volume a sample is taken."""

from collections.abc import Sequence

import gunpowder as gp
import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.gp.randomness import generator


class SampleLocation(gp.BatchFilter):
    """Moves requests to a random place, so that a window lies inside one of some regions.

    Other than gunpowder's ``RandomLocation``, it needs no bounded array upstream: what is requested around
    the window may reach beyond the regions, and beyond the volume. It therefore works on arrays that are
    smaller than a sample with its context.

    Args:
        regions: where samples may lie, in world units; each is chosen in proportion to its number of places.
            Along
            axes where a region is smaller than the window, the window is centred on it.
        window: the part of a request that counts, in the coordinates of requests: the target, say.
        voxel_size: places are multiples of it, counted from the begin of a region.
        points: (number, axes), world units; if given, each window holds one of these points, somewhere.
        point_probability: probability that a window is placed by ``points``.
    """

    def __init__(
        self,
        regions: Sequence[Roi],
        window: Roi,
        voxel_size: Coordinate,
        points: np.ndarray | None = None,
        point_probability: float = 1.0,
    ) -> None:
        if not regions:
            raise ValueError("there is no region to sample from")
        self.regions = list(regions)
        self.window = window
        self.voxel_size = voxel_size
        self.points = points
        self.point_probability = point_probability
        self._places = [self._number_of_places(region) for region in self.regions]
        numbers = np.array([float(np.prod([float(n) for n in places])) for places in self._places])
        self._chances = np.cumsum(numbers / numbers.sum())

    def _number_of_places(self, region: Roi) -> list[int]:
        room = (region.shape - self.window.shape) / self.voxel_size
        return [max(1, places + 1) for places in room]

    def setup(self) -> None:
        for key, spec in self.spec.items():
            if spec.roi is not None:
                unbounded = spec.copy()
                unbounded.roi = Roi(spec.roi.offset, Coordinate((None,) * spec.roi.dims))
                self.updates(key, unbounded)

    def draw(self) -> Coordinate:
        """Begin of a random window, in world units."""
        random = generator()
        if self.points is not None and len(self.points) and random.random_sample() < self.point_probability:
            return self._around(self.points[random.randint(len(self.points))], random)
        index = int(np.searchsorted(self._chances, random.random_sample(), side="right"))
        index = min(index, len(self.regions) - 1)
        region = self.regions[index]
        begin = []
        for axis, places in enumerate(self._places[index]):
            size, window = self.voxel_size[axis], self.window.shape[axis]
            if region.shape[axis] >= window:
                begin.append(region.begin[axis] + random.randint(places) * size)
            else:
                begin.append(region.begin[axis] - (window - region.shape[axis]) // (2 * size) * size)
        return Coordinate(begin)

    def _around(self, point: np.ndarray, random: np.random.RandomState) -> Coordinate:
        begin = []
        first = self.regions[0].begin
        for axis in range(self.window.dims):
            size = self.voxel_size[axis]
            within = random.randint(self.window.shape[axis] // size)
            voxel = int(np.floor((point[axis] - first[axis]) / size))
            begin.append(first[axis] + (voxel - within) * size)
        return Coordinate(begin)

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
