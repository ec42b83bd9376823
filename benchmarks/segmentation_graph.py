"""Time and memory of the agglomeration of a large synthetic graph, with its columns on disk like those of a volume.

python benchmarks/segmentation_graph.py --edges 100000000 > benchmarks/segmentation_graph.txt
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

from attacca.segmentation.agglomerate import cluster_by_mutexes  # noqa: E402
from attacca.segmentation.compiled import compile_kernels  # noqa: E402
from attacca.segmentation.graph import Graph  # noqa: E402
from attacca.segmentation.mean_affinity import cut_merges, merge_by_mean_affinity  # noqa: E402


def agglomerate(edges: int) -> None:
    """Agglomerate the graph of a box of fragments with seven neighbors each."""
    compile_kernels("graph")
    side = round((edges / 7) ** (1 / 3))
    nodes = side**3
    steps = np.array([1, side, side + 1, side**2, side**2 + 1, side**2 + side, side**2 + side + 1])
    with tempfile.TemporaryDirectory() as folder:
        kinds = {
            "u": np.int32,
            "v": np.int32,
            "direct_sum": np.int64,
            "direct_count": np.int32,
            "direct_max": np.uint8,
            "long_sum": np.int64,
            "long_count": np.int32,
        }
        files = {name: open(Path(folder) / name, "wb") for name in kinds}  # noqa: SIM115
        rng = np.random.default_rng(0)
        total = 0
        for begin in range(0, nodes, 1_000_000):
            u = np.repeat(np.arange(begin, min(nodes, begin + 1_000_000)), 7)
            v = u + np.tile(steps, len(u) // 7)
            u, v = u[v < nodes], v[v < nodes]
            count = rng.integers(1, 200, len(u))
            mean = np.where(rng.random(len(u)) < 0.3, 220, 60) + rng.normal(0, 30, len(u))
            direct = (np.clip(mean, 0, 255) * count).astype(np.int64)
            columns = {
                "u": u,
                "v": v,
                "direct_sum": direct,
                "direct_count": count,
                "direct_max": count * 0,
                "long_sum": direct // 3,
                "long_count": count // 3,
            }
            for name, values in columns.items():
                files[name].write(values.astype(kinds[name]).tobytes())
            total += len(u)
        for file in files.values():
            file.close()
        mapped = {name: np.memmap(Path(folder) / name, kind, "r") for name, kind in kinds.items()}
        ones = np.ones(nodes, np.int64)
        box = np.zeros((nodes, 3), np.int32)
        graph = Graph(np.arange(1, nodes + 1, dtype=np.uint64), ones, box, box, ones, ones, **mapped)
        print(f"{nodes} fragments, {total} edges")
        start = time.perf_counter()
        merges = merge_by_mean_affinity(graph, 0.3)
        clusters = int(cut_merges(merges, nodes, 0.5).max()) + 1
        print(
            f"mean affinity: {clusters} segments at 0.5, {time.perf_counter() - start:.0f} s, {_peak()}",
            flush=True,
        )
        del merges
        start = time.perf_counter()
        clusters = int(cluster_by_mutexes(graph, 0.5, 0.7).max()) + 1
        print(f"mutex watershed: {clusters} segments, {time.perf_counter() - start:.0f} s, {_peak()}")


def _peak() -> str:
    return f"peak of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--edges", type=int, default=100_000_000)
    agglomerate(parser.parse_args().edges)
