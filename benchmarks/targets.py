"""Time and memory of target generation, compared with other implementations.

    python benchmarks/targets.py [--rounds 5] > benchmarks/targets.txt

Both sides of each row run alternately in this process, on one thread; times are medians of CPU seconds. Memory is the
peak of traced allocations beyond input and output in one further run, in bytes per voxel. Buffers of compiled code, less
than 1 byte per voxel, are not traced.

* Local shape descriptors: the PyPI package ``lsds``, and the error of both compared with Attacca's result in float64.
* Distances: scipy's Euclidean distance transform on a grid of twice the resolution, on which the midpoints of faces are
  marked.
* Affinities: filling a new array of the size of the result.
"""

import argparse
import os
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

# Set before the import of numpy, which reads them.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
from funlib.geometry import Coordinate, Roi  # noqa: E402
from lsd.train.local_shape_descriptor import get_local_shape_descriptors  # noqa: E402
from scipy import ndimage  # noqa: E402

from attacca.arrays import NumpyArray  # noqa: E402
from attacca.predictors import AffinitiesPredictor, DistancePredictor, HotDistancePredictor, OneHotPredictor  # noqa: E402
from attacca.predictors.affinity_targets import affinities  # noqa: E402
from attacca.predictors.distances import compute_signed_distances  # noqa: E402
from attacca.predictors.lsd import compute_local_shape_descriptors  # noqa: E402

NEAREST = [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
LONG = [*NEAREST, (3, 0, 0), (0, 3, 0), (0, 0, 3), (9, 0, 0), (0, 9, 0), (0, 0, 9)]


def create_cells(edge: int, number: int, background: bool) -> np.ndarray:
    """Return labels (uint64) of cells around random points; with background, walls of a few voxels separate them."""
    rng = np.random.default_rng(edge)
    labels = np.zeros((edge,) * 3, dtype=np.uint64)
    labels[tuple(rng.integers(0, edge, (3, number)))] = np.arange(1, number + 1)
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    labels = labels[tuple(nearest)]
    if background:
        walls = np.zeros(labels.shape, dtype=bool)
        for axis in range(3):
            walls |= np.roll(labels, 2, axis) != labels
        labels[walls] = 0
    return labels


def compute_distances_on_doubled_grid(labels: np.ndarray, voxel_size: tuple[int, ...]) -> np.ndarray:
    """Return signed distances to the midpoints of faces, by a distance transform on a grid of 2 n - 1 points per axis."""
    doubled = np.ones([2 * size - 1 for size in labels.shape], dtype=bool)
    for axis in range(labels.ndim):
        faces = [slice(None, None, 2)] * labels.ndim
        faces[axis] = slice(1, None, 2)
        low = tuple(slice(None, -1) if a == axis else slice(None) for a in range(labels.ndim))
        high = tuple(slice(1, None) if a == axis else slice(None) for a in range(labels.ndim))
        doubled[tuple(faces)] = labels[low] == labels[high]
    distances = ndimage.distance_transform_edt(doubled, sampling=[size / 2 for size in voxel_size])
    inner = distances[(slice(None, None, 2),) * labels.ndim].astype(np.float32)
    inner[labels == 0] *= -1
    return inner


def measure_cpu_seconds(function: Callable[[], Any]) -> float:
    started = time.process_time()
    function()
    return time.process_time() - started


def time_alternately(rounds: int, *functions: Callable[[], Any]) -> list[float]:
    """Return the median CPU seconds of each function, run alternately after one warm-up."""
    for function in functions[:1]:
        function()
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for seconds, function in zip(times, functions):
            seconds.append(measure_cpu_seconds(function))
    return [statistics.median(seconds) for seconds in times]


def measure_scratch_bytes(function: Callable[[], Any]) -> float:
    """Return the peak of memory beyond the result that ``function`` returns, in bytes."""
    tracemalloc.start()
    result = function()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    parts = result if isinstance(result, tuple) else (result,)
    return peak - sum(part.nbytes for part in parts)


def create_array(data: np.ndarray, voxel_size: tuple[int, ...]) -> NumpyArray:
    axes = ["c"] * (data.ndim - 3) + ["z", "y", "x"]
    return NumpyArray.from_np_array(
        data, Roi((0, 0, 0), Coordinate(data.shape[-3:]) * Coordinate(voxel_size)), voxel_size, axes
    )


def print_row(name: str, ours: float, other: float, limit: str, *more: str) -> None:
    print(
        f"{name:46s} {ours * 1e3:10.1f} {other * 1e3:10.1f} {other / ours:8.2f}  {limit:8s} {' '.join(more)}",
        flush=True,
    )


def time_descriptors(rounds: int) -> None:
    sigma, voxel_size = (80.0,) * 3, (10, 10, 10)
    for edge, number, limit in ((64, 26, "> 50"), (96, 37, "> 90")):
        labels = create_cells(edge, number, background=False)
        assert len(np.unique(labels)) >= 24
        signed = labels.astype(np.int64)
        ours, other = time_alternately(
            rounds,
            lambda labels=labels: compute_local_shape_descriptors(labels, sigma, voxel_size),
            lambda signed=signed: get_local_shape_descriptors(signed, sigma, voxel_size=voxel_size),
        )
        exact = compute_local_shape_descriptors(labels, sigma, voxel_size, dtype="float64")
        error = np.abs(compute_local_shape_descriptors(labels, sigma, voxel_size) - exact).max()
        theirs = np.abs(get_local_shape_descriptors(signed, sigma, voxel_size=voxel_size) - exact).max()
        print_row(
            f"descriptors {edge}^3, {len(np.unique(labels))} labels / lsds",
            ours,
            other,
            limit,
            f"largest error {error:.1e} (lsds {theirs:.1e})",
        )


def time_distances(rounds: int) -> None:
    for voxel_size in ((8, 8, 8), (40, 4, 4)):
        for background in (False, True):
            labels = create_cells(128, 228, background)
            ours, other = time_alternately(
                rounds,
                lambda labels=labels, size=voxel_size: compute_signed_distances(labels, size),
                lambda labels=labels, size=voxel_size: compute_distances_on_doubled_grid(labels, size),
            )
            difference = np.abs(
                compute_signed_distances(labels, voxel_size)
                - compute_distances_on_doubled_grid(labels, voxel_size)
            ).max()
            kind = "walls" if background else "dense"
            print_row(
                f"distances 128^3, {kind}, {'x'.join(map(str, voxel_size))} / doubled grid",
                ours,
                other,
                "> 8",
                f"largest difference {difference:.1e}",
            )


def time_affinities(rounds: int) -> None:
    labels = create_cells(192, 400, background=True)
    for neighborhood in (NEAREST, LONG):
        shape = (len(neighborhood), *labels.shape)
        ours, other = time_alternately(
            3 * rounds,
            lambda offsets=neighborhood: affinities(labels, offsets),
            lambda shape=shape: np.full(shape, 1, dtype=np.float32),
        )
        print_row(f"affinities 192^3, {len(neighborhood)} offsets / filling", ours, other, "> 0.5")


def measure_memory() -> None:
    labels = create_cells(96, 80, background=True)
    gt = create_array(labels, (8, 8, 8))
    mask = create_array(np.ones(labels.shape, dtype=np.uint8), (8, 8, 8))
    three = create_array((labels % 3).astype(np.uint8), (8, 8, 8))
    predictors = {
        "distance": (DistancePredictor(["a"], 40, True), gt),
        "hot distance": (HotDistancePredictor(["a"], 40, True), gt),
        "one hot, 3 classes": (OneHotPredictor(["a", "b", "c"]), three),
        "affinities, 3 offsets": (AffinitiesPredictor(NEAREST, lsds=False, mask_partners=True), gt),
        "affinities, 9 offsets": (AffinitiesPredictor(LONG, lsds=False, mask_partners=True), gt),
        "affinities and descriptors": (AffinitiesPredictor(NEAREST, lsds=True, num_voxels=8), gt),
    }
    print("\nmemory beyond input and output, 96^3         bytes per voxel: target, weight (limit 40)")
    for name, (predictor, gt_of_predictor) in predictors.items():
        target = predictor.create_target(gt_of_predictor)

        def make_weight(
            predictor: Any = predictor, gt: Any = gt_of_predictor, target: Any = target
        ) -> np.ndarray:
            return predictor.create_weight(gt, target, mask)[0].data

        make_weight()
        for_target = measure_scratch_bytes(lambda p=predictor, g=gt_of_predictor: p.create_target(g).data)
        print(
            f"{name:46s} {for_target / labels.size:10.1f} {measure_scratch_bytes(make_weight) / labels.size:10.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}")
    print(f"load of the machine at the start: {load:.1f} per core")
    print(f"\n{'CPU milliseconds, one thread':46s} {'ours':>10s} {'other':>10s} {'ratio':>8s}  limit")
    time_descriptors(rounds)
    time_distances(rounds)
    time_affinities(rounds)
    measure_memory()


if __name__ == "__main__":
    main()
