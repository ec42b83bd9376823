"""Time and memory of target generation, against what is done elsewhere.

    python benchmarks/targets.py [--rounds 5] > benchmarks/targets.txt

Both sides of each row run in this process, in turns, on one thread; times are medians of CPU seconds. Memory
is the peak of traced allocations beyond input and output, in bytes a voxel, of one further run; a few lines and
planes that compiled code holds, less than 1 byte a voxel, are not traced.

* local shape descriptors: the PyPI package ``lsds``, and the error of both against this evaluation in
float64;
* distances: scipy's Euclidean distance transform on a grid of twice the resolution with face midpoints
marked;
* affinities: filling an array of the size of the result, newly allocated, as the result is.
"""

import argparse
import os
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

# before numpy is imported, which reads them then
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


def cells(edge: int, number: int, background: bool) -> np.ndarray:
    """Labels (uint64) in cells around random points; with background, walls of a few voxels between them."""
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


def doubled_grid_distances(labels: np.ndarray, voxel_size: tuple[int, ...]) -> np.ndarray:
    """Signed distances to face midpoints by a distance transform on a grid of 2 n - 1 points along each
    axis."""
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


def cpu_seconds(function: Callable[[], Any]) -> float:
    started = time.process_time()
    function()
    return time.process_time() - started


def in_turns(rounds: int, *functions: Callable[[], Any]) -> list[float]:
    """Median CPU seconds of each function, run alternately after one run to warm up."""
    for function in functions[:1]:
        function()
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for of_function, function in zip(times, functions):
            of_function.append(cpu_seconds(function))
    return [statistics.median(of_function) for of_function in times]


def scratch_bytes(function: Callable[[], Any]) -> float:
    """Peak of memory beyond the result, which is what ``function`` returns."""
    tracemalloc.start()
    result = function()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    parts = result if isinstance(result, tuple) else (result,)
    return peak - sum(part.nbytes for part in parts)


def volume(data: np.ndarray, voxel_size: tuple[int, ...]) -> NumpyArray:
    axes = ["c"] * (data.ndim - 3) + ["z", "y", "x"]
    return NumpyArray.from_np_array(
        data, Roi((0, 0, 0), Coordinate(data.shape[-3:]) * Coordinate(voxel_size)), voxel_size, axes
    )


def row(what: str, ours: float, other: float, limit: str, *more: str) -> None:
    print(
        f"{what:46s} {ours * 1e3:10.1f} {other * 1e3:10.1f} {other / ours:8.2f}  {limit:8s} {' '.join(more)}",
        flush=True,
    )


def time_descriptors(rounds: int) -> None:
    sigma, voxel_size = (80.0,) * 3, (10, 10, 10)
    for edge, number, limit in ((64, 26, "> 50"), (96, 37, "> 90")):
        labels = cells(edge, number, background=False)
        assert len(np.unique(labels)) >= 24
        signed = labels.astype(np.int64)
        ours, other = in_turns(
            rounds,
            lambda labels=labels: compute_local_shape_descriptors(labels, sigma, voxel_size),
            lambda signed=signed: get_local_shape_descriptors(signed, sigma, voxel_size=voxel_size),
        )
        exact = compute_local_shape_descriptors(labels, sigma, voxel_size, dtype="float64")
        error = np.abs(compute_local_shape_descriptors(labels, sigma, voxel_size) - exact).max()
        theirs = np.abs(get_local_shape_descriptors(signed, sigma, voxel_size=voxel_size) - exact).max()
        row(
            f"descriptors {edge}^3, {len(np.unique(labels))} labels / lsds",
            ours,
            other,
            limit,
            f"largest error {error:.1e} (lsds {theirs:.1e})",
        )


def time_distances(rounds: int) -> None:
    for voxel_size in ((8, 8, 8), (40, 4, 4)):
        for background in (False, True):
            labels = cells(128, 228, background)
            ours, other = in_turns(
                rounds,
                lambda labels=labels, size=voxel_size: compute_signed_distances(labels, size),
                lambda labels=labels, size=voxel_size: doubled_grid_distances(labels, size),
            )
            difference = np.abs(
                compute_signed_distances(labels, voxel_size) - doubled_grid_distances(labels, voxel_size)
            ).max()
            kind = "walls" if background else "dense"
            row(
                f"distances 128^3, {kind}, {'x'.join(map(str, voxel_size))} / doubled grid",
                ours,
                other,
                "> 8",
                f"largest difference {difference:.1e}",
            )


def time_affinities(rounds: int) -> None:
    labels = cells(192, 400, background=True)
    for neighborhood in (NEAREST, LONG):
        shape = (len(neighborhood), *labels.shape)
        ours, other = in_turns(
            3 * rounds,
            lambda offsets=neighborhood: affinities(labels, offsets),
            lambda shape=shape: np.full(shape, 1, dtype=np.float32),
        )
        row(f"affinities 192^3, {len(neighborhood)} offsets / filling", ours, other, "> 0.5")


def weigh_targets() -> None:
    labels = cells(96, 80, background=True)
    gt = volume(labels, (8, 8, 8))
    mask = volume(np.ones(labels.shape, dtype=np.uint8), (8, 8, 8))
    three = volume((labels % 3).astype(np.uint8), (8, 8, 8))
    predictors = {
        "distance": (DistancePredictor(["a"], 40, True), gt),
        "hot distance": (HotDistancePredictor(["a"], 40, True), gt),
        "one hot, 3 classes": (OneHotPredictor(["a", "b", "c"]), three),
        "affinities, 3 offsets": (AffinitiesPredictor(NEAREST, lsds=False, mask_partners=True), gt),
        "affinities, 9 offsets": (AffinitiesPredictor(LONG, lsds=False, mask_partners=True), gt),
        "affinities and descriptors": (AffinitiesPredictor(NEAREST, lsds=True, num_voxels=8), gt),
    }
    print("\nmemory beyond input and output, 96^3         bytes a voxel: target, weight (limit 40)")
    for name, (predictor, of_predictor) in predictors.items():
        target = predictor.create_target(of_predictor)

        def make_weight(
            predictor: Any = predictor, gt: Any = of_predictor, target: Any = target
        ) -> np.ndarray:
            return predictor.create_weight(gt, target, mask)[0].data

        make_weight()
        for_target = scratch_bytes(lambda p=predictor, g=of_predictor: p.create_target(g).data)
        print(f"{name:46s} {for_target / labels.size:10.1f} {scratch_bytes(make_weight) / labels.size:10.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}")
    print(f"load of the machine at the start: {load:.1f} for each core")
    print(f"\n{'CPU milliseconds, one thread':46s} {'ours':>10s} {'other':>10s} {'ratio':>8s}  wanted")
    time_descriptors(rounds)
    time_distances(rounds)
    time_affinities(rounds)
    weigh_targets()


if __name__ == "__main__":
    main()
