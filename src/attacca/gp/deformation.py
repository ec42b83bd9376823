"""Smooth random deformations with a rotation, evaluated on any regular grid, and sampling along them.

A deformation is a rotation about a centre plus displacements, interpolated from control points. Both are
separable: the displacement of a whole grid is a product of the control points with one small matrix for each
    axis.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from funlib.geometry import Coordinate, Roi
from scipy import ndimage
from scipy.spatial.transform import Rotation


@dataclass
class Deformation:
    """Where each point of the result comes from.

    Args:
        roi: region that the control points span, in world units.
        voxel_size: of the finest array.
        displacements: (axis, control points along each axis), world units; None for none.
        rotation: matrix that turns offsets from the centre, in world units.
        subsample: see ``ElasticAugment``.
    """

    roi: Roi
    voxel_size: Coordinate
    displacements: np.ndarray | None
    rotation: np.ndarray
    subsample: int

    @classmethod
    def draw(
        cls,
        roi: Roi,
        voxel_size: Coordinate,
        spacing: Sequence[float],
        sigma: Sequence[float],
        rotation: np.ndarray,
        subsample: int,
        random: Any,
    ) -> "Deformation":
        """Random displacements from the generator ``random``, one draw for each control point and axis."""
        displacements = None
        if any(value > 0 for value in sigma):
            shape = roi.shape / voxel_size
            points = tuple(max(2, round(size / step) + 1) for size, step in zip(shape, spacing))
            normal = random.standard_normal((roi.dims, *points))
            displacements = normal * np.reshape(np.asarray(sigma, dtype=float), (-1, *(1,) * roi.dims))
        return cls(roi, voxel_size, displacements, rotation, subsample)

    def positions(self, roi: Roi, voxel_size: Coordinate) -> np.ndarray:
        """For each voxel of ``roi``, the point that moves there, as global voxel indices: (axis, spatial)
        float32.

        An integer is the centre of a voxel.
        """
        dims = roi.dims
        shape = roi.shape / voxel_size
        begin = np.array(roi.begin, dtype=float)
        size = np.array(voxel_size, dtype=float)
        centre = np.array(self.roi.begin, dtype=float) + np.array(self.roi.shape, dtype=float) / 2
        axes = [begin[a] + (np.arange(shape[a]) + 0.5) * size[a] - centre[a] for a in range(dims)]
        displaced = self._displacement(axes, shape, centre)
        result = np.empty((dims, *shape), dtype=np.float32)
        for target in range(dims):
            total = np.full((1,) * dims, centre[target] / size[target] - 0.5)
            for source in range(dims):
                factor = self.rotation[target, source] / size[target]
                if factor:
                    line = [1] * dims
                    line[source] = -1
                    total = total + (axes[source] * factor).reshape(line)
            if displaced is None:
                result[target] = total
            else:
                np.add(
                    total.astype(np.float32),
                    displaced[target] * np.float32(1 / size[target]),
                    out=result[target],
                )
        return result

    def _displacement(
        self, axes: list[np.ndarray], shape: Coordinate, centre: np.ndarray
    ) -> np.ndarray | None:
        if self.displacements is None:
            return None
        extent = np.array(self.roi.shape, dtype=float)
        field = self.displacements
        for axis, offsets in enumerate(axes):
            matrix = self._interpolation(axis, (offsets + extent[axis] / 2) / extent[axis])
            field = np.moveaxis(np.tensordot(matrix, field, axes=(1, axis + 1)), 0, axis + 1)
        return field.astype(np.float32)

    def _interpolation(self, axis: int, fraction: np.ndarray) -> np.ndarray:
        """Matrix from control points to places, given as fractions of the region along ``axis``."""
        assert self.displacements is not None
        points = self.displacements.shape[axis + 1]
        voxels = self.roi.shape[axis] // self.voxel_size[axis]
        nodes = max(2, -(-voxels // self.subsample) + 1) if self.subsample > 1 else voxels + 1
        cubic = ndimage.zoom(np.eye(points), (nodes / points, 1), order=3, mode="nearest")
        place = np.clip(fraction, 0, 1) * (nodes - 1)
        lower = np.minimum(place.astype(int), nodes - 2)
        share = (place - lower)[:, np.newaxis]
        return cubic[lower] * (1 - share) + cubic[lower + 1] * share


def rotation_of_last_axes(angle: float, dims: int) -> np.ndarray:
    """Matrix that turns the last two axes by ``angle`` (radians) and leaves others."""
    matrix = np.eye(dims)
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix[-2:, -2:] = [[cosine, sine], [-sine, cosine]]
    matrix[np.abs(matrix) < 1e-12] = 0
    return matrix


def random_rotation(random: Any) -> np.ndarray:
    """A rotation in three dimensions, all equally likely (a normalised normal quaternion; Shoemake 1992)."""
    return Rotation.from_quat(random.standard_normal(4)).as_matrix()


def sample(data: np.ndarray, positions: np.ndarray, interpolate: bool) -> np.ndarray:
    """Values of ``data`` ([channels,] spatial) at ``positions`` (axis, spatial), linear or nearest."""
    dims = positions.shape[0]
    lead = data.shape[: data.ndim - dims]
    shape = positions.shape[1:]
    channels = data.reshape((-1, *data.shape[data.ndim - dims :]))
    result = np.empty((channels.shape[0], *shape), dtype=data.dtype)
    if interpolate:
        for channel in range(channels.shape[0]):
            ndimage.map_coordinates(
                channels[channel], positions, output=result[channel], order=1, mode="nearest", prefilter=False
            )
    else:
        # By index, not by interpolation of order 0, which goes through floats and rounds large label ids.
        flat = np.zeros(shape, dtype=np.intp)
        for axis in range(dims):
            extent = channels.shape[axis + 1]
            index = np.floor(positions[axis] + np.float32(0.5)).astype(np.intp)
            np.clip(index, 0, extent - 1, out=index)
            flat *= extent
            flat += index
        for channel in range(channels.shape[0]):
            np.take(channels[channel].reshape(-1), flat, out=result[channel])
    return result.reshape((*lead, *shape))
