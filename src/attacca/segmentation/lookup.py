"""From a graph and settings to the look-up table of fragments, filters included."""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

import io
import os
from dataclasses import dataclass

import numpy as np
from numba import njit

from attacca.atomic import write_bytes
from attacca.config.segmentation import AgglomerationSettings
from attacca.errors import MissingInputError
from attacca.segmentation.agglomerate import (
    Graph,
    Merges,
    cell_clusters,
    clusters_at,
    contact_clusters,
    edge_parts,
    mean_affinity_merges,
    mutex_clusters,
)
from attacca.segmentation.mutex_clusters import find


@dataclass(frozen=True)
class LookUpTable:
    """Which segment each fragment belongs to.

    Args:
        ids: uint64 (fragments,), rising.
        segments: uint64 (fragments,), 1, 2, ... by first fragment; 0 where a fragment is deleted.
    """

    ids: np.ndarray
    segments: np.ndarray

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one ``.npy`` file with both columns, whole or not at all."""
        buffer = io.BytesIO()
        np.save(buffer, np.stack([self.ids, self.segments]))
        write_bytes(path, buffer.getvalue())  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "LookUpTable":
        """Read what ``save`` wrote, memory-mapped.

        Raises:
            MissingInputError: there is no such file.
        """
        if not os.path.exists(path):
            raise MissingInputError(f"{path}: there is no look-up table; run the agglomeration first")
        table = np.load(path, mmap_mode="r")
        return cls(table[0], table[1])


def agglomerate(graph: Graph, settings: AgglomerationSettings, merges: Merges | None = None) -> LookUpTable:
    """Segments of a graph.

    Args:
        graph: the whole graph.
        settings: how.
        merges: those of ``mean_affinity_merges`` down to the settings' threshold or below, where they are
            known.
    """
    clusters = _clusters(graph, settings, merges)
    return LookUpTable(graph.ids, _consecutive(filter_debris(graph, clusters, settings)))


def _clusters(graph: Graph, settings: AgglomerationSettings, merges: Merges | None) -> np.ndarray:
    if settings.method == "mean_affinity":
        found = mean_affinity_merges(graph, settings.threshold) if merges is None else merges
        return clusters_at(found, len(graph.ids), settings.threshold)
    if settings.method == "mutex_watershed":
        return mutex_clusters(graph, settings.threshold, settings.long_bias)
    if settings.method == "contact":
        return contact_clusters(graph, settings.threshold)
    if settings.cell_voxels:
        return cell_clusters(graph, settings.cell_voxels, settings.threshold)
    return np.arange(len(graph.ids), dtype=np.int64)


def _consecutive(clusters: np.ndarray) -> np.ndarray:
    """Clusters (-1 is deleted) as uint64 segments, 1, 2, ... by first fragment; 0 is deleted."""
    kept = clusters >= 0
    values, first, inverse = np.unique(clusters[kept], return_index=True, return_inverse=True)
    names = np.empty(len(values), np.uint64)
    names[np.argsort(first, kind="stable")] = np.arange(1, len(values) + 1, dtype=np.uint64)
    segments = np.zeros(len(clusters), np.uint64)
    segments[kept] = names[inverse]
    return segments


def filter_debris(graph: Graph, clusters: np.ndarray, settings: AgglomerationSettings) -> np.ndarray:
    """Merge or delete the clusters that are debris by the settings.

    Merging takes the contacts of debris by falling mean direct affinity, until what came of it is no debris
    any more; debris that touches nothing is deleted.

    Returns:
        int64 (nodes,): clusters, -1 for deleted nodes.
    """
    extent = [0] * (3 - len(settings.min_extent)) + list(settings.min_extent)
    limits = np.array([settings.min_size, *extent], dtype=np.int64)
    if limits.max() <= 1 and settings.min_affinity <= 0:
        return clusters
    count = int(clusters.max(initial=-1)) + 1
    sizes = np.zeros(count, np.int64)
    np.add.at(sizes, clusters, graph.sizes)
    lower = np.full((count, 3), np.iinfo(np.int32).max, np.int32)
    upper = np.full((count, 3), np.iinfo(np.int32).min, np.int32)
    np.minimum.at(lower, clusters, graph.lower)
    np.maximum.at(upper, clusters, graph.upper)
    inner = np.zeros((count, 2), np.int64)
    np.add.at(inner[:, 0], clusters, graph.inner_sum)
    np.add.at(inner[:, 1], clusters, graph.inner_count)
    weakest = settings.min_affinity * 255.0
    # Joining makes regions larger, so only contacts of what is debris now can matter; but a mean may fall.
    small = None if weakest > 0 else _debris(sizes, lower, upper, inner, limits, weakest)
    merging = settings.debris == "merge"
    contacts = [_contacts(*[np.zeros(0, np.int64)] * 4)]
    for u, v, sums, counts in edge_parts(graph, "u", "v", "direct_sum", "direct_count"):
        u, v = clusters[u], clusters[v]
        within = u == v
        np.add.at(inner[:, 0], u[within], sums[within])
        np.add.at(inner[:, 1], u[within], counts[within])
        if merging:
            between = ~within & (counts > 0)
            if small is not None:
                between &= small[u] | small[v]
            contacts.append(
                _contacts(u[between], v[between], sums[between], counts[between].astype(np.int64))
            )
    if not merging:
        bad = _debris(sizes, lower, upper, inner, limits, weakest)
        return np.where(bad[clusters], -1, clusters)
    a, b, total, number = _contacts(*map(np.concatenate, zip(*contacts)))
    order = np.lexsort((b, a, -(total / number)))
    roots = _merge_debris(
        a[order], b[order], total[order], number[order], sizes, lower, upper, inner, limits, weakest
    )
    bad = _debris(sizes, lower, upper, inner, limits, weakest)
    return np.where(bad[roots[clusters]], -1, roots[clusters])


def _contacts(
    u: np.ndarray, v: np.ndarray, sums: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Edges between clusters: each pair once, with the sum and count of all edges between the two."""
    keys = (np.minimum(u, v).astype(np.uint64) << np.uint64(32)) | np.maximum(u, v).astype(np.uint64)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=np.uint64(0xFFFFFFFFFFFFFFFF)) != 0)
    if not len(first):
        empty = np.zeros(0, np.int64)
        return empty, empty, empty, empty
    keys = keys[first]
    total = np.add.reduceat(sums[order], first)
    number = np.add.reduceat(counts[order], first)
    return (
        (keys >> np.uint64(32)).astype(np.int64),
        (keys & np.uint64(0xFFFFFFFF)).astype(np.int64),
        total,
        number,
    )


@njit(cache=True, nogil=True, inline="always")
def _is_debris(i, sizes, lower, upper, inner, limits, weakest):
    if sizes[i] < limits[0] or inner[i, 0] < weakest * inner[i, 1]:
        return True
    for axis in range(3):  # noqa: SIM110 (a generator costs a closure in numba)
        if upper[i, axis] - lower[i, axis] < limits[axis + 1]:
            return True
    return False


@njit(cache=True, nogil=True)
def _debris(sizes, lower, upper, inner, limits, weakest):
    result = np.empty(len(sizes), np.bool_)
    for i in range(len(sizes)):
        result[i] = _is_debris(i, sizes, lower, upper, inner, limits, weakest)
    return result


@njit(cache=True, nogil=True)
def _merge_debris(a, b, sums, counts, sizes, lower, upper, inner, limits, weakest):
    parents = np.arange(len(sizes))
    for e in range(len(a)):
        x = find(parents, a[e])
        y = find(parents, b[e])
        if x == y:
            continue
        first = _is_debris(x, sizes, lower, upper, inner, limits, weakest)
        if not first and not _is_debris(y, sizes, lower, upper, inner, limits, weakest):
            continue
        if sizes[x] < sizes[y]:
            x, y = y, x
        parents[y] = x
        sizes[x] += sizes[y]
        inner[x, 0] += inner[y, 0] + sums[e]
        inner[x, 1] += inner[y, 1] + counts[e]
        for axis in range(3):
            lower[x, axis] = min(lower[x, axis], lower[y, axis])
            upper[x, axis] = max(upper[x, axis], upper[y, axis])
    roots = np.empty(len(sizes), np.int64)
    for i in range(len(sizes)):
        roots[i] = find(parents, i)
    return roots
