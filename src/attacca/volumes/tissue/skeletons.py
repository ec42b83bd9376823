# mypy: allow-untyped-defs, allow-untyped-calls
"""Skeletons of synthetic neurites: branching curves of varied caliber that keep a distance from each other.

Curves are grown one after another in a box, thick ones first, thin ones in the gaps. A curve is a sequence of points,
each with a radius. A point is accepted if, for every point q of another neurite,

    |p - q| >= CLEARANCE (radius_p + radius_q).

The power diagram of all points (Aurenhammer, "Power diagrams", SIAM J. Comput. 16, 1987) then gives every point a convex
cell that contains the point, and, with steps of at most STEP radii, consecutive cells share a face. The cells of a
neurite are therefore one connected object, independent of its neighbors, and together all neurites fill the box.
"""

from typing import NamedTuple

import numba
import numpy as np

CLEARANCE = 0.85
STEP = 0.45
# Radii in units of the typical radius: thick curves first, then smaller ones for the gaps.
_CLASSES = ((1.25, 1.9), (0.95, 1.25), (0.72, 0.95))
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Skeletons(NamedTuple):
    """Points of all neurites of a box.

    Args:
        points: float64 (n, 3), nanometers from the volume's corner.
        radius: float64 (n,), nanometers.
        neurite: int64 (n,), id from 1.
        mitochondrion: int64 (n,), id of the mitochondrion around the point, 0 for none.
        mitochondrion_radius: float64 (n,), nanometers.
    """

    points: np.ndarray
    radius: np.ndarray
    neurite: np.ndarray
    mitochondrion: np.ndarray
    mitochondrion_radius: np.ndarray


class _Surroundings(NamedTuple):
    """Box that neurites grow in, and all points in it.

    Args:
        box, margin, dims: see ``grow_skeletons``.
        size: edge length of a cell, nanometers.
        shape: int64 (3,), number of cells per axis.
        head: int64 (cells,), number of the newest point of each cell, or -1.
        following: int64 (capacity,), number of the next older point in the same cell, or -1.
        points, radius, neurite: see ``Skeletons``, with room for more points.
    """

    box: np.ndarray
    margin: np.ndarray
    dims: int
    size: float
    shape: np.ndarray
    head: np.ndarray
    following: np.ndarray
    points: np.ndarray
    radius: np.ndarray
    neurite: np.ndarray


@numba.njit(cache=True)
def mix(value):
    """Scramble 64 bits (the finalizer of splitmix64, Steele et al., OOPSLA 2014)."""
    value = np.uint64(value)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@numba.njit(cache=True)
def _uniform(state):
    state[0] += _GOLDEN
    return np.float64(mix(state[0]) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@numba.njit(cache=True)
def _normal(state):
    # Irwin-Hall: the sum of twelve uniform numbers is near enough to a normal one.
    total = -6.0
    for _ in range(12):
        total += _uniform(state)
    return total


@numba.njit(cache=True)
def _cell(p, box, size, shape):
    index = 0
    for axis in range(3):
        k = int((p[axis] - box[0, axis]) / size)
        k = min(max(k, 0), shape[axis] - 1)
        index = index * shape[axis] + k
    return index


@numba.njit(cache=True)
def _is_free(p, r, own, at, base, surroundings):
    """Return True if a point of neurite ``own`` can be at ``p``, next on a branch from point ``base`` to ``at``."""
    box, margin, dims, size, shape, head, following, points, radius, neurite = surroundings
    for axis in range(3 - dims, 3):
        if p[axis] < box[0, axis] + margin[0, axis] * r or p[axis] > box[1, axis] - margin[1, axis] * r:
            return False
    low = np.empty(3, np.int64)
    for axis in range(3):
        low[axis] = min(max(int((p[axis] - box[0, axis]) / size), 0), shape[axis] - 1)
    for z in range(max(low[0] - 1, 0), min(low[0] + 2, shape[0])):
        for y in range(max(low[1] - 1, 0), min(low[1] + 2, shape[1])):
            for x in range(max(low[2] - 1, 0), min(low[2] + 2, shape[2])):
                q = head[(z * shape[1] + y) * shape[2] + x]
                while q >= 0:
                    # A neurite avoids itself too, but for the points just before and those where it branched.
                    if neurite[q] != own or (abs(q - at) > 8 and abs(q - base) > 8):
                        gap = CLEARANCE * (r + radius[q])
                        distance = 0.0
                        for axis in range(3):
                            distance += (p[axis] - points[q, axis]) ** 2
                        if distance < gap * gap:
                            return False
                    q = following[q]
    return True


@numba.njit(cache=True)
def _turn(u, bend, dims, state, out):
    length = 0.0
    for axis in range(3):
        out[axis] = u[axis] + (bend * _normal(state) if axis >= 3 - dims else 0.0)
        length += out[axis] ** 2
    length = max(length, 1e-12) ** 0.5
    for axis in range(3):
        out[axis] /= length


@numba.njit(cache=True)
def _grow(box, margin, dims, typical, classes, attempts, longest, state, capacity):
    points = np.empty((capacity, 3))
    radius = np.empty(capacity)
    neurite = np.zeros(capacity, np.int64)
    following = np.full(capacity, -1, np.int64)
    size = 2 * CLEARANCE * classes[0, 1] * typical
    shape = np.empty(3, np.int64)
    for axis in range(3):
        shape[axis] = max(1, int((box[1, axis] - box[0, axis]) / size))
    head = np.full(shape[0] * shape[1] * shape[2], -1, np.int64)
    for axis in range(3):
        size = max(size, (box[1, axis] - box[0, axis]) / shape[axis])
    surroundings = _Surroundings(box, margin, dims, size, shape, head, following, points, radius, neurite)
    count = 0
    trees = 0
    p = np.empty(3)
    u = np.empty(3)
    turned = np.empty(3)
    start_u = np.empty(3)
    # Tips that still have to grow: index of the point they leave, direction, radius.
    tip_point = np.empty(256, np.int64)
    tip_u = np.empty((256, 3))
    tip_radius = np.empty(256)
    for kind in range(classes.shape[0]):
        for _ in range(attempts):
            r0 = typical * (classes[kind, 0] + (classes[kind, 1] - classes[kind, 0]) * _uniform(state))
            for axis in range(3):
                p[axis] = box[0, axis]
                if axis >= 3 - dims:
                    p[axis] += _uniform(state) * (box[1, axis] - box[0, axis])
            own = trees + 1
            if count + 1 >= capacity:
                return points, radius, neurite, count, trees
            if not _is_free(p, r0, own, -99, -99, surroundings):
                continue
            first = count
            for axis in range(3):
                start_u[axis] = 0.0
            _turn(start_u, 1.0, dims, state, u)
            points[count], radius[count], neurite[count] = p, r0, own
            cell = _cell(p, box, size, shape)
            following[count], head[cell] = head[cell], count
            count += 1
            tips = 2
            for side in range(2):
                tip_point[side], tip_radius[side] = first, r0
                for axis in range(3):
                    tip_u[side, axis] = u[axis] if side == 0 else -u[axis]
            length = 0.0
            while tips > 0:
                tips -= 1
                at, r = tip_point[tips], tip_radius[tips]
                base = at
                u[:] = tip_u[tips]
                while length < longest:
                    r_next = r * (1.0 + 0.05 * _normal(state))
                    r_next = min(max(r_next, classes[-1, 0] * typical), classes[0, 1] * typical)
                    step = STEP * min(r, r_next)
                    placed = False
                    bend = 0.12
                    for trial in range(14):
                        _turn(u, bend, dims, state, turned)
                        for axis in range(3):
                            p[axis] = points[at, axis] + step * turned[axis]
                        if _is_free(p, r_next, own, at, base, surroundings):
                            placed = True
                            break
                        bend = min(bend * 1.3, 0.9)
                        if trial == 8:
                            # A narrow place: go through it thinner, or end there.
                            r_next = max(0.8 * r_next, classes[-1, 0] * typical)
                            step = STEP * min(r, r_next)
                    if not placed or count + 1 >= capacity:
                        break
                    points[count], radius[count], neurite[count] = p, r_next, own
                    cell = _cell(p, box, size, shape)
                    following[count], head[cell] = head[cell], count
                    u[:] = turned
                    at, r = count, r_next
                    count += 1
                    length += step
                    if tips < 250 and _uniform(state) < step / (9.0 * typical):
                        for axis in range(3):
                            start_u[axis] = 0.4 * u[axis]
                        _turn(start_u, 0.7, dims, state, tip_u[tips])
                        tip_point[tips] = at
                        tip_radius[tips] = max(r * (0.65 + 0.3 * _uniform(state)), classes[-1, 0] * typical)
                        tips += 1
            if length < 7.0 * typical:
                # Too short for a neurite: take it back; its points are the newest of their cells.
                for q in range(count - 1, first - 1, -1):
                    head[_cell(points[q], box, size, shape)] = following[q]
                count = first
            else:
                trees += 1
    return points, radius, neurite, count, trees


@numba.njit(cache=True)
def _place_mitochondria(points, radius, neurite, typical, state, mitochondrion, mitochondrion_radius):
    """Runs of consecutive points inside thick stretches; ``mitochondrion`` gets ids from 1."""
    number = 0
    i = 0
    n = points.shape[0]
    while i < n:
        if radius[i] > 1.05 * typical and _uniform(state) < 0.06:
            number += 1
            length = typical * (2.0 + 4.0 * _uniform(state))
            share = 0.62 + 0.16 * _uniform(state)
            run = 0.0
            while i < n and run < length:
                mitochondrion[i] = number
                mitochondrion_radius[i] = share * radius[i]
                if i + 1 < n:
                    step = 0.0
                    for axis in range(3):
                        step += (points[i + 1, axis] - points[i, axis]) ** 2
                    step = step**0.5
                    if neurite[i + 1] != neurite[i] or step > 2 * STEP * radius[i]:
                        i += 1
                        break
                    run += step
                i += 1
        i += 1
    return number


def grow_skeletons(
    box: np.ndarray, margin: np.ndarray, dims: int, diameter: float, seed: int, first_neurite: int
) -> Skeletons:
    """Fill a box with neurites.

    Args:
        box: float64 (2, 3), lower and upper corner in nanometers; for 2D the first axis is a single plane.
        margin: float64 (2, 3), distance of curves from each face in radii: 0 for faces of the volume, at which
            neurites are cut, CLEARANCE for faces to other boxes.
        dims: 2 or 3.
        diameter: typical diameter of a neurite, nanometers.
        seed: any integer of 64 bits.
        first_neurite: id of the first neurite, minus one.
    """
    # The power diagram fills the gaps between curves, so curves are thinner than the resulting neurites.
    typical = 0.5 * diameter * 0.8
    extent = (box[1] - box[0])[3 - dims :]
    cells = float(np.prod(extent / diameter))
    attempts = int(60 * cells) + 200
    per_cell = 8.0 / STEP if dims == 3 else 5.0 / STEP
    capacity = int(per_cell * cells * 3) + 2000
    longest = 30.0 * diameter
    state = np.array([seed], dtype=np.uint64)
    classes = np.array(_CLASSES)
    grown = _grow(box, margin, dims, typical, classes, attempts, longest, state, capacity)
    points, radius, neurite, count, _ = grown
    points, radius, neurite = points[:count].copy(), radius[:count].copy(), neurite[:count].copy()
    mitochondrion = np.zeros(count, np.int64)
    mitochondrion_radius = np.zeros(count)
    _place_mitochondria(points, radius, neurite, typical, state, mitochondrion, mitochondrion_radius)
    mitochondrion[mitochondrion > 0] += first_neurite
    return Skeletons(points, radius, neurite + first_neurite, mitochondrion, mitochondrion_radius)
