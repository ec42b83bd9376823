"""Smooth random deformations with a rotation, on any regular grid, and sampling along them.

A deformation is a rotation about a center, followed by displacements that are interpolated from control points.
Both are separable: the displacements on a grid are the product of the control points and one small matrix per
axis.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from funlib.geometry import Coordinate, Roi
from scipy import ndimage
from scipy.spatial.transform import Rotation


@dataclass
class Deformation:
    """Map from the points of a deformed volume to the points of its source.

    Args:
        roi: region that the control points span, in world units.
        voxel_size: of the finest array, in world units.
        displacements: (axis, *control points), world units; None for a rotation alone.
        rotation: (axis, axis), applied to offsets from the center of ``roi`` in world units.
        subsample: interpolate the displacements linearly between each n-th voxel.
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
        random: np.random.RandomState,
    ) -> "Deformation":
        """Return a deformation with random displacements.

        Args:
            roi, voxel_size, rotation, subsample: as in the constructor.
            spacing: distance between control points along each axis, in voxels.
            sigma: standard deviation of the displacements along each axis, in world units.
            random: source of one draw per control point and axis.
        """
        displacements = None
        if any(value > 0 for value in sigma):
            shape = roi.shape / voxel_size
            points = tuple(max(2, round(size / step) + 1) for size, step in zip(shape, spacing))
            normal = random.standard_normal((roi.dims, *points))
            displacements = normal * np.reshape(np.asarray(sigma, dtype=float), (-1, *(1,) * roi.dims))
        return cls(roi, voxel_size, displacements, rotation, subsample)

    def compute_positions(self, roi: Roi, voxel_size: Coordinate) -> np.ndarray:
        """Return the source of each voxel of ``roi``.

        Args:
            roi: region of the deformed volume, in world units.
            voxel_size: of the array to sample, in world units.

        Returns:
            (axis, *spatial), float32: indices of voxels, counted from the origin; integers are centers of voxels.
        """
        dims = roi.dims
        shape = roi.shape / voxel_size
        offset = np.array(roi.begin, dtype=float)
        size = np.array(voxel_size, dtype=float)
        center = np.array(self.roi.begin, dtype=float) + np.array(self.roi.shape, dtype=float) / 2
        axes = [offset[a] + (np.arange(shape[a]) + 0.5) * size[a] - center[a] for a in range(dims)]
        displaced = self._compute_displacements(axes, shape, center)
        result = np.empty((dims, *shape), dtype=np.float32)
        for target in range(dims):
            total = np.full((1,) * dims, center[target] / size[target] - 0.5)
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

    def _compute_displacements(
        self, axes: list[np.ndarray], shape: Coordinate, center: np.ndarray
    ) -> np.ndarray | None:
        if self.displacements is None:
            return None
        extent = np.array(self.roi.shape, dtype=float)
        field = self.displacements
        for axis, offsets in enumerate(axes):
            matrix = self._create_interpolation(axis, (offsets + extent[axis] / 2) / extent[axis])
            field = np.moveaxis(np.tensordot(matrix, field, axes=(1, axis + 1)), 0, axis + 1)
        return field.astype(np.float32)

    def _create_interpolation(self, axis: int, fraction: np.ndarray) -> np.ndarray:
        """Return the matrix from control points to positions, given as fractions of the region along ``axis``."""
        assert self.displacements is not None
        points = self.displacements.shape[axis + 1]
        voxels = self.roi.shape[axis] // self.voxel_size[axis]
        nodes = max(2, -(-voxels // self.subsample) + 1) if self.subsample > 1 else voxels + 1
        cubic = ndimage.zoom(np.eye(points), (nodes / points, 1), order=3, mode="nearest")
        position = np.clip(fraction, 0, 1) * (nodes - 1)
        lower = np.minimum(position.astype(int), nodes - 2)
        share = (position - lower)[:, np.newaxis]
        return cubic[lower] * (1 - share) + cubic[lower + 1] * share


def create_rotation(angle: float, dims: int) -> np.ndarray:
    """Return the matrix (axis, axis) of a rotation in the plane of the last two axes.

    Args:
        angle: in radians.
        dims: number of axes; axes before the last two stay unchanged.

    >>> create_rotation(np.pi / 2, 3)
    array([[ 1.,  0.,  0.],
           [ 0.,  0.,  1.],
           [ 0., -1.,  0.]])
    """
    matrix = np.eye(dims)
    cosine, sine = np.cos(angle), np.sin(angle)
    matrix[-2:, -2:] = [[cosine, sine], [-sine, cosine]]
    matrix[np.abs(matrix) < 1e-12] = 0
    return matrix


def draw_rotation(random: np.random.RandomState) -> np.ndarray:
    """Draw a rotation matrix (3, 3) from the uniform distribution.

    A normalized quaternion of normal numbers gives it (Shoemake, "Uniform random rotations", Graphics Gems III,
    1992).
    """
    return Rotation.from_quat(random.standard_normal(4)).as_matrix()


def sample(data: np.ndarray, positions: np.ndarray, interpolate: bool) -> np.ndarray:
    """Return the values of an array at positions between its voxels.

    Args:
        data: ([channels,] *spatial), any dtype.
        positions: (axis, *output shape), voxel indices; positions outside take the value of the nearest voxel.
        interpolate: linearly; otherwise the nearest voxel, which keeps label ids exact.

    Returns:
        ([channels,] *output shape), dtype of ``data``.

    >>> sample(np.array([0.0, 10.0, 20.0]), np.array([[0.5, 1.75, 9.0]]), interpolate=True)
    array([ 5. , 17.5, 20. ])
    """
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
        # Interpolation of order 0 goes through floats and would round large label ids.
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
