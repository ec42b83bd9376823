# mypy: allow-untyped-defs, allow-untyped-calls
"""Voxels of synthetic tissue: each value depends only on the position of the voxel and on the skeletons.

For a voxel at x, bent by a smooth displacement, the power distance to a skeleton point p of radius r is |x -
p|^2 - r^2. The neurite of the least one owns the voxel. With the least one of any other neurite it gives the
distance to the face between both, ((|x-q|^2 - r_q^2) - (|x-p|^2 - r_p^2)) / (2 |p - q|), and so the membrane.
No value depends on how the volume is cut into blocks.
"""

from typing import NamedTuple

import numba
import numpy as np

from attacca.volumes.tissue.skeletons import mix

# Voxels of a cell share one list of skeleton points that can matter in it.
CELL = 64.0
WARP = 9.0
_WARP_PERIOD = 130.0


class PointCells(NamedTuple):
    """Skeleton points sorted into a regular grid of cells: cell ``c`` holds ``order[start[c]:start[c + 1]]``.

    Args:
        start: int64 (cells + 1,).
        order: int64 (n,), numbers of the points.
        low: float64 (3,), lower corner of the grid, nanometers.
        size: edge length of a cell, nanometers.
        shape: int64 (3,), number of cells per axis.
    """

    start: np.ndarray
    order: np.ndarray
    low: np.ndarray
    size: float
    shape: np.ndarray


class BlockVoxels(NamedTuple):
    """Voxels of a block, each array (z, y, x).

    Args:
        labels, mitochondria: ids.
        organelles: uint8: 0 cytoplasm, 1 membrane, 2 mitochondrion.
        raw: float32, gray values without blur and noise.
    """

    labels: np.ndarray
    organelles: np.ndarray
    mitochondria: np.ndarray
    raw: np.ndarray


@numba.njit(cache=True)
def _hash(i, j, k, seed):
    value = np.uint64(seed)
    value += np.uint64(np.int64(i)) * np.uint64(0x9E3779B97F4A7C15)
    value += np.uint64(np.int64(j)) * np.uint64(0xC2B2AE3D27D4EB4F)
    return mix(value + np.uint64(np.int64(k)) * np.uint64(0x165667B19E3779F9))


@numba.njit(cache=True)
def unit(value, shift):
    """Return 21 bits of a hash as a number in [0, 1)."""
    return np.float64((value >> np.uint64(shift)) & np.uint64(0x1FFFFF)) * (1.0 / 2097152.0)


@numba.njit(cache=True)
def _noise3(z, y, x, period, seed, out):
    """Compute three independent smooth fields in about [-1, 1], interpolated from random values on a lattice."""
    z, y, x = z / period, y / period, x / period
    fz, fy, fx = np.floor(z), np.floor(y), np.floor(x)
    iz, iy, ix = np.int64(fz), np.int64(fy), np.int64(fx)
    tz, ty, tx = z - fz, y - fy, x - fx
    tz, ty, tx = tz * tz * (3 - 2 * tz), ty * ty * (3 - 2 * ty), tx * tx * (3 - 2 * tx)
    a, b, c = 0.0, 0.0, 0.0
    for dz in range(2):
        wz = tz if dz else 1 - tz
        for dy in range(2):
            wy = wz * (ty if dy else 1 - ty)
            for dx in range(2):
                w = wy * (tx if dx else 1 - tx)
                h = _hash(iz + dz, iy + dy, ix + dx, seed)
                a += w * unit(h, 0)
                b += w * unit(h, 21)
                c += w * unit(h, 42)
    out[0], out[1], out[2] = 2 * a - 1, 2 * b - 1, 2 * c - 1


@numba.njit(cache=True)
def _gather(low, high, cells, skeletons, largest, found):
    """Find all points that can own a voxel of the box or belong to the next neurite; exact."""
    start, order, grid_low, grid_size, grid_shape = cells
    points, radius, neurite = skeletons.points, skeletons.radius, skeletons.neurite
    reach = 2.5 * largest
    first = np.empty(3, np.int64)
    last = np.empty(3, np.int64)
    while True:
        whole = True
        for axis in range(3):
            k = int(np.floor((low[axis] - reach - grid_low[axis]) / grid_size))
            m = int(np.floor((high[axis] + reach - grid_low[axis]) / grid_size))
            whole = whole and k <= 0 and m >= grid_shape[axis] - 1
            first[axis] = min(max(k, 0), grid_shape[axis] - 1)
            last[axis] = min(max(m, 0), grid_shape[axis] - 1)
        best, best_id, other = np.inf, np.int64(-1), np.inf
        count = 0
        for z in range(first[0], last[0] + 1):
            for y in range(first[1], last[1] + 1):
                for x in range(first[2], last[2] + 1):
                    cell = (z * grid_shape[1] + y) * grid_shape[2] + x
                    for slot in range(start[cell], start[cell + 1]):
                        q = order[slot]
                        far = -(radius[q] ** 2)
                        for axis in range(3):
                            p = points[q, axis]
                            far += max(abs(p - low[axis]), abs(p - high[axis])) ** 2
                        if neurite[q] == best_id:
                            best = min(best, far)
                        elif far < best:
                            other = best
                            best, best_id = far, neurite[q]
                        elif far < other:
                            other = far
        limit = max(other, 0.0)
        if whole or reach * reach - largest * largest > limit:
            break
        reach *= 1.5
    for z in range(first[0], last[0] + 1):
        for y in range(first[1], last[1] + 1):
            for x in range(first[2], last[2] + 1):
                cell = (z * grid_shape[1] + y) * grid_shape[2] + x
                for slot in range(start[cell], start[cell + 1]):
                    q = order[slot]
                    near = -(radius[q] ** 2)
                    for axis in range(3):
                        p = points[q, axis]
                        near += max(low[axis] - p, p - high[axis], 0.0) ** 2
                    if near <= limit and count < found.shape[0]:
                        found[count] = q
                        count += 1
    return count


@numba.njit(cache=True)
def _smooth(t):
    t = min(max(t, 0.0), 1.0)
    return t * t * (3 - 2 * t)


@numba.njit(cache=True)
def fill_block(begin, voxel, dims, skeletons, cells, seed, half_membrane, voxels):
    """Fill a block.

    Args:
        begin: int64 (3,), index of the first voxel.
        voxel: float64 (3,), voxel size in nanometers.
        dims: 2 or 3.
        skeletons: ``Skeletons`` of all neurites that can influence the block.
        cells: ``PointCells`` of the skeletons.
        seed: uint64.
        half_membrane: half of the thickness of a membrane, nanometers.
        voxels: ``BlockVoxels`` to write to.
    """
    points, radius, neurite, mitochondrion, mitochondrion_radius = skeletons
    labels, organelles, mitochondria, raw = voxels
    shape = labels.shape
    largest = radius.max()
    step = np.empty(3, np.int64)
    for axis in range(3):
        step[axis] = max(1, int(CELL / voxel[axis]))
    low, high = np.empty(3), np.empty(3)
    found = np.empty(points.shape[0], np.int64)
    around = np.empty(points.shape[0], np.int64)
    bend, spots, grain, broad = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    x = np.empty(3)
    for z0 in range(0, shape[0], step[0]):
        for y0 in range(0, shape[1], step[1]):
            for x0 in range(0, shape[2], step[2]):
                corner = (z0, y0, x0)
                for axis in range(3):
                    end = min(corner[axis] + step[axis], shape[axis])
                    low[axis] = (begin[axis] + corner[axis] + 0.5) * voxel[axis] - WARP
                    high[axis] = (begin[axis] + end - 0.5) * voxel[axis] + WARP
                if dims == 2:
                    low[0], high[0] = 0.0, 0.0
                count = _gather(low, high, cells, skeletons, largest, found)
                some = 0
                for slot in range(count):
                    if mitochondrion[found[slot]] > 0:
                        around[some] = found[slot]
                        some += 1
                for z in range(z0, min(z0 + step[0], shape[0])):
                    for y in range(y0, min(y0 + step[1], shape[1])):
                        for k in range(x0, min(x0 + step[2], shape[2])):
                            wz = (begin[0] + z + 0.5) * voxel[0] if dims == 3 else 0.0
                            wy = (begin[1] + y + 0.5) * voxel[1]
                            wx = (begin[2] + k + 0.5) * voxel[2]
                            _noise3(wz, wy, wx, _WARP_PERIOD, seed, bend)
                            x[0] = wz + (WARP * bend[0] if dims == 3 else 0.0)
                            x[1], x[2] = wy + WARP * bend[1], wx + WARP * bend[2]
                            best, best_at, best_id = np.inf, np.int64(0), np.int64(-1)
                            other, other_at = np.inf, np.int64(-1)
                            depth, deepest = 0.0, np.int64(0)
                            for slot in range(count):
                                q = found[slot]
                                d2 = (x[0] - points[q, 0]) ** 2 + (x[1] - points[q, 1]) ** 2
                                d2 += (x[2] - points[q, 2]) ** 2
                                power = d2 - radius[q] ** 2
                                if neurite[q] == best_id:
                                    if power < best:
                                        best, best_at = power, q
                                elif power < best:
                                    other, other_at = best, best_at
                                    best, best_at, best_id = power, q, neurite[q]
                                elif power < other:
                                    other, other_at = power, q
                            for slot in range(some):
                                q = around[slot]
                                if neurite[q] == best_id:
                                    d2 = (x[0] - points[q, 0]) ** 2 + (x[1] - points[q, 1]) ** 2
                                    d2 += (x[2] - points[q, 2]) ** 2
                                    d = mitochondrion_radius[q] - d2**0.5
                                    if d > depth:
                                        depth, deepest = d, q
                            face = 1e9
                            if other_at >= 0:
                                d2 = 0.0
                                for axis in range(3):
                                    d2 += (points[best_at, axis] - points[other_at, axis]) ** 2
                                face = (other - best) / (2 * max(d2, 1e-9) ** 0.5)
                            labels[z, y, k] = best_id
                            is_membrane = face < half_membrane
                            is_mitochondrion = depth > 0 and face > half_membrane + 5.0
                            mitochondria[z, y, k] = mitochondrion[deepest] if is_mitochondrion else 0
                            organelles[z, y, k] = 1 if is_membrane else (2 if is_mitochondrion else 0)

                            _noise3(wz, wy, wx, 26.0, seed + 1, grain)
                            _noise3(wz, wy, wx, 95.0, seed + 2, spots)
                            _noise3(wz, wy, wx, 700.0, seed + 3, broad)
                            own = mix(np.uint64(best_id) + np.uint64(seed))
                            gray = 166.0 + 44.0 * (unit(own, 0) - 0.5) + 11.0 * grain[0] + 9.0 * spots[1]
                            if is_mitochondrion:
                                hue = mix(np.uint64(mitochondrion[deepest]) + np.uint64(seed))
                                a, b = unit(hue, 0) - 0.5, unit(hue, 21) - 0.5
                                phase = 6.2831853 * (a * x[0] + b * x[1] + (0.5 - abs(a)) * x[2]) / 11.0
                                matrix = (
                                    112.0
                                    + 16.0 * (unit(hue, 42) - 0.5)
                                    + 17.0 * np.sin(phase)
                                    + 7.0 * grain[1]
                                )
                                edge = _smooth(min(depth, face - half_membrane - 5.0) / 9.0)
                                gray = 84.0 + (matrix - 84.0) * edge
                            else:
                                # Vesicles and microtubules: dark dots in some cells of a jittered lattice.
                                cz, cy, cx = np.floor(wz / 40.0), np.floor(wy / 40.0), np.floor(wx / 40.0)
                                dot = _hash(cz, cy, cx, seed + 4)
                                if unit(dot, 42) < (0.5 if unit(own, 21) < 0.25 else 0.06):
                                    dz = wz - 40.0 * cz - 14.0 - 12.0 * unit(dot, 0) if dims == 3 else 0.0
                                    dy = wy - 40.0 * cy - 14.0 - 12.0 * unit(dot, 21)
                                    dx = wx - 40.0 * cx - 14.0 - 12.0 * unit(dot, 31)
                                    d = (dz * dz + dy * dy + dx * dx) ** 0.5
                                    gray -= 55.0 * _smooth((14.0 - d) / 8.0)
                            # Membranes fade in places, like membranes cut along their surface.
                            fade = 1.0 - 0.65 * _smooth((spots[0] - 0.12) / 0.25)
                            wall = _smooth((half_membrane + 5.0 - face) / 9.0)
                            strength = wall * fade
                            gray += strength * (78.0 + 9.0 * grain[2] - gray)
                            raw[z, y, k] = 128.0 + (gray - 128.0) * (1.0 + 0.12 * broad[1]) + 15.0 * broad[0]


@numba.njit(cache=True)
def white_noise(begin, seed, out):
    """Fill ``out`` with independent noise of variance 1, derived from the global index of each voxel."""
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                h = _hash(begin[0] + z, begin[1] + y, begin[2] + x, seed)
                total = 0.0
                for byte in range(8):
                    total += np.float64((h >> np.uint64(8 * byte)) & np.uint64(0xFF))
                # Eight bytes: mean 8 * 127.5, variance 8 * (256^2 - 1) / 12.
                out[z, y, x] = (total - 1020.0) / 209.0184
