"""Elastic deformation and rotation."""

import math
import warnings
from collections.abc import Sequence

import gunpowder as gp
import numpy as np
from funlib.geometry import Coordinate, Roi

from attacca.gp.deformation import Deformation, create_rotation, draw_rotation, sample
from attacca.gp.random_state import get_generator


class ElasticAugment(gp.BatchFilter):
    """Deform and rotate all arrays of a batch by the same transformation, from larger regions that are requested upstream.

    The rotation is about the center of all requested arrays, by a random angle in the plane of the last two axes,
    in world units: anisotropic voxels are not distorted. Arrays may have different voxel sizes. Interpolatable arrays
    are interpolated linearly, others take the nearest voxel. Graphs pass unchanged. Random elastic deformations of
    training samples follow Ronneberger, Fischer and Brox, "U-Net" (MICCAI 2015).

    Args:
        control_point_spacing: distance between control points along each axis, in voxels of the finest array.
        control_point_displacement_sigma: standard deviation of the displacement of a control point along each axis,
            in world units.
        rotation_interval: smallest and largest angle, in radians.
        subsample: interpolate the deformation linearly between each n-th voxel.
        augmentation_probability: probability that a batch is augmented.
        seed: of random numbers for requests without a seed; None takes gunpowder's random numbers.
        uniform_3d_rotation: draw a rotation from all rotations in 3D, instead of an angle from
            ``rotation_interval``.

    Raises:
        ValueError: ``subsample``, a spacing or a displacement is out of range.
    """

    def __init__(
        self,
        control_point_spacing: Sequence[float],
        control_point_displacement_sigma: Sequence[float],
        rotation_interval: Sequence[float],
        subsample: int = 1,
        augmentation_probability: float = 1.0,
        seed: int | None = None,
        uniform_3d_rotation: bool = False,
    ) -> None:
        if subsample < 1:
            raise ValueError(f"found subsample {subsample}, expected 1 (each voxel) or more")
        if min(control_point_spacing) <= 0 or min(control_point_displacement_sigma) < 0:
            raise ValueError(
                f"found control points {tuple(control_point_spacing)} voxels apart with displacements of "
                f"{tuple(control_point_displacement_sigma)}, expected spacings above 0 and displacements of 0 or more"
            )
        self.control_point_spacing = tuple(control_point_spacing)
        self.control_point_displacement_sigma = tuple(control_point_displacement_sigma)
        self.rotation_interval = (float(rotation_interval[0]), float(rotation_interval[1]))
        self.subsample = subsample
        self.augmentation_probability = augmentation_probability
        self.uniform_3d_rotation = uniform_3d_rotation
        self._own_random = None if seed is None else np.random.RandomState(seed)
        self._positions: dict[gp.ArrayKey, np.ndarray] = {}

    def setup(self) -> None:
        for key, spec in self.spec.items():
            if isinstance(key, gp.ArrayKey):
                self.updates(key, spec)
            else:
                warnings.warn(f"ElasticAugment leaves the graph {key} unchanged", stacklevel=2)

    def skip_node(self, request: gp.BatchRequest) -> bool:
        p = self.augmentation_probability
        return p < 1 and self._random(request).random_sample() >= p

    def _random(self, request: gp.BatchRequest) -> np.random.RandomState:
        if self._own_random is not None and not request.is_deterministic():
            return self._own_random
        return get_generator()

    def prepare(self, request: gp.BatchRequest) -> gp.BatchRequest:
        self._positions = {}
        dependencies = gp.BatchRequest()
        specs = {key: spec for key, spec in request.array_specs.items() if spec.roi is not None}
        if not specs:
            return dependencies
        sizes = [self.spec[key].voxel_size for key in specs]
        master = Coordinate(min(size[axis] for size in sizes) for axis in range(sizes[0].dims))
        rois = [spec.roi for spec in specs.values()]
        total = rois[0]
        for roi in rois[1:]:
            total = total.union(roi)
        deformation = self._draw_deformation(total, master, self._random(request))
        for key, spec in specs.items():
            voxel_size = self.spec[key].voxel_size
            positions = deformation.compute_positions(spec.roi, voxel_size)
            source = _find_bounding_box(positions, voxel_size)
            first = (source.begin / voxel_size) if source.dims else source.begin
            for axis in range(voxel_size.dims):
                positions[axis] -= first[axis]
            self._positions[key] = positions
            dependencies[key] = gp.ArraySpec(roi=source)
        return dependencies

    def _draw_deformation(
        self, total: Roi, voxel_size: Coordinate, random: np.random.RandomState
    ) -> Deformation:
        if self.uniform_3d_rotation and total.dims == 3:
            rotation = draw_rotation(random)
        else:
            low, high = self.rotation_interval
            rotation = create_rotation(low + (high - low) * random.random_sample(), total.dims)
        return Deformation.draw(
            total,
            voxel_size,
            self.control_point_spacing,
            self.control_point_displacement_sigma,
            rotation,
            self.subsample,
            random,
        )

    def process(self, batch: gp.Batch, request: gp.BatchRequest) -> gp.Batch:
        result = gp.Batch()
        for key, positions in self._positions.items():
            array = batch[key]
            interpolate = self.spec[key].interpolatable
            if interpolate is None:
                interpolate = array.data.dtype.kind == "f"
            spec = array.spec.copy()
            spec.roi = request[key].roi
            result[key] = gp.Array(sample(array.data, positions, bool(interpolate)), spec, array.attrs)
        return result


def _find_bounding_box(positions: np.ndarray, voxel_size: Coordinate) -> Roi:
    """Return the ROI of the voxels from which ``positions`` (axis, *spatial; voxel indices) interpolate."""
    # Rounded: an angle of 90 degrees must not request one more voxel because of its last digit.
    low = [math.floor(round(float(positions[axis].min()), 4)) for axis in range(voxel_size.dims)]
    high = [math.ceil(round(float(positions[axis].max()), 4)) + 1 for axis in range(voxel_size.dims)]
    return Roi(Coordinate(low) * voxel_size, (Coordinate(high) - Coordinate(low)) * voxel_size)
