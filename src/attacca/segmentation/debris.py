"""Debris among clusters of fragments: too small, too short, or with too low affinities inside.

1. Add up size, bounding box and inner affinity of the fragments of each cluster.
2. Add up the contacts between clusters, and add affinities between fragments of one cluster to its own.
3. Take the contacts by descending mean affinity, and merge the two clusters if one of them is debris.
4. Delete the debris that remains.
"""

# Kernels take the types that numba infers.
# mypy: disable-error-code="no-untyped-def"

from typing import NamedTuple

import numpy as np
from numba import njit

from attacca.config.segmentation import AgglomerationSettings
from attacca.segmentation.box import triple
from attacca.segmentation.graph import Graph
from attacca.segmentation.union_find import find_root, find_roots


class Regions(NamedTuple):
    """Properties of clusters.

    Attributes:
        sizes: int64 (clusters,), voxels.
        lower: int32 (clusters, 3), first voxel of the bounding box.
        upper: int32 (clusters, 3), last voxel plus one.
        inner: int64 (clusters, 2), sum and count of the nearest-neighbor affinities inside.
    """

    sizes: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    inner: np.ndarray


class Limits(NamedTuple):
    """A region below any of these limits is debris.

    Attributes:
        size: voxels.
        extent: voxels along z, y, x.
        affinity: mean stored affinity inside, 0 to 255.
    """

    size: int
    extent: tuple[int, int, int]
    affinity: float

    @classmethod
    def create(cls, settings: AgglomerationSettings) -> "Limits | None":
        """Return the limits of settings; None if nothing is debris.

        >>> Limits.create(AgglomerationSettings(min_size=2)).size, Limits.create(AgglomerationSettings())
        (2, None)
        """
        limits = cls(settings.min_size, triple(settings.min_extent), settings.min_affinity * 255.0)
        return None if max(limits.size, *limits.extent) <= 1 and limits.affinity <= 0 else limits


class Contacts(NamedTuple):
    """Contacts between clusters, each pair once.

    Attributes:
        u: int (contacts,), the cluster with the smaller index.
        v: int (contacts,).
        sums: int64 (contacts,), stored nearest-neighbor affinities.
        counts: int64 (contacts,).
    """

    u: np.ndarray
    v: np.ndarray
    sums: np.ndarray
    counts: np.ndarray


def filter_debris(graph: Graph, clusters: np.ndarray, settings: AgglomerationSettings) -> np.ndarray:
    """Merge or delete the clusters that are debris by the settings.

    Merging takes the contacts of debris by descending mean nearest-neighbor affinity, until the merged region
    is not debris any more. Debris without a neighbor is deleted.

    Args:
        graph: the whole graph.
        clusters: int64 (nodes,), 0, 1, ...
        settings: ``min_size``, ``min_extent``, ``min_affinity`` and ``debris``.

    Returns:
        int64 (nodes,): clusters, -1 for deleted nodes.

    Three fragments of two, three and one voxels in a row; the last one is debris:

    >>> from attacca.segmentation.block_graph import make_example_graph
    >>> graph = make_example_graph()
    >>> filter_debris(graph, np.arange(3), AgglomerationSettings(min_size=2, debris="merge"))
    array([0, 1, 1])
    >>> filter_debris(graph, np.arange(3), AgglomerationSettings(min_size=2, debris="delete"))
    array([ 0,  1, -1])
    """
    limits = Limits.create(settings)
    if limits is None:
        return clusters
    regions = _sum_regions(graph, clusters)
    is_merging = settings.debris == "merge"
    contacts = _sum_contacts(graph, clusters, regions, limits, is_merging)
    if is_merging:
        clusters = merge_debris(contacts, regions, limits)[clusters]
    return np.where(find_debris(regions, limits)[clusters], -1, clusters)


def merge_debris(contacts: Contacts, regions: Regions, limits: Limits) -> np.ndarray:
    """Step 3: merge debris along contacts.

    Args:
        contacts: contacts of debris, each pair once. Equal means are taken in the order of ``(u, v)``.
        regions: properties of the clusters; changed for the clusters that are returned.
        limits: limits of debris.

    Returns:
        int64 (clusters,): the cluster that stands for each merged region.

    >>> sizes, corners, inner = np.array([5, 1, 9]), np.zeros((3, 3), np.int32), np.zeros((3, 2), np.int64)
    >>> contacts = Contacts(*map(np.array, ([0, 1], [1, 2], [100, 200], [1, 1])))
    >>> merge_debris(contacts, Regions(sizes, corners, corners, inner), Limits(2, (0, 0, 0), 0.0))
    array([0, 2, 2])
    """
    order = np.lexsort((contacts.v, contacts.u, -(contacts.sums / contacts.counts)))
    return _merge_debris(contacts, order, regions, limits)


def _sum_regions(graph: Graph, clusters: np.ndarray) -> Regions:
    """Step 1."""
    count = int(clusters.max(initial=-1)) + 1
    regions = Regions(
        np.zeros(count, np.int64),
        np.full((count, 3), np.iinfo(np.int32).max, np.int32),
        np.full((count, 3), np.iinfo(np.int32).min, np.int32),
        np.zeros((count, 2), np.int64),
    )
    np.add.at(regions.sizes, clusters, graph.sizes)
    np.minimum.at(regions.lower, clusters, graph.lower)
    np.maximum.at(regions.upper, clusters, graph.upper)
    np.add.at(regions.inner[:, 0], clusters, graph.inner_sum)
    np.add.at(regions.inner[:, 1], clusters, graph.inner_count)
    return regions


def _sum_contacts(
    graph: Graph, clusters: np.ndarray, regions: Regions, limits: Limits, is_merging: bool
) -> Contacts:
    """Step 2; contacts are returned only if debris is merged. Changes ``regions.inner``."""
    # Merging makes regions larger, so only contacts of present debris matter; but a mean affinity may decrease.
    is_debris = None if limits.affinity > 0 else find_debris(regions, limits)
    parts = [_reduce_contacts(Contacts(*[np.zeros(0, np.int64)] * 4))]
    for u, v, sums, counts in graph.read_edges("u", "v", "direct_sum", "direct_count"):
        u, v = clusters[u], clusters[v]
        is_inner = u == v
        np.add.at(regions.inner[:, 0], u[is_inner], sums[is_inner])
        np.add.at(regions.inner[:, 1], u[is_inner], counts[is_inner])
        if is_merging:
            kept = ~is_inner & (counts > 0)
            if is_debris is not None:
                kept &= is_debris[u] | is_debris[v]
            part = Contacts(u[kept], v[kept], sums[kept], counts[kept].astype(np.int64))
            parts.append(_reduce_contacts(part))
    return _reduce_contacts(Contacts(*map(np.concatenate, zip(*parts))))


def _reduce_contacts(edges: Contacts) -> Contacts:
    """Add up all edges between the same two clusters."""
    keys = np.minimum(edges.u, edges.v).astype(np.uint64) << np.uint64(32)
    keys |= np.maximum(edges.u, edges.v).astype(np.uint64)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.diff(keys, prepend=np.uint64(0xFFFFFFFFFFFFFFFF)) != 0)
    if not len(first):
        return Contacts(*[np.zeros(0, np.int64)] * 4)
    keys = keys[first]
    return Contacts(
        (keys >> np.uint64(32)).astype(np.int64),
        (keys & np.uint64(0xFFFFFFFF)).astype(np.int64),
        np.add.reduceat(edges.sums[order], first),
        np.add.reduceat(edges.counts[order], first),
    )


@njit(cache=True, nogil=True, inline="always")
def _is_debris(i, regions, limits):
    if regions.sizes[i] < limits.size or regions.inner[i, 0] < limits.affinity * regions.inner[i, 1]:
        return True
    for axis in range(3):  # noqa: SIM110 (a generator costs a closure in numba)
        if regions.upper[i, axis] - regions.lower[i, axis] < limits.extent[axis]:
            return True
    return False


@njit(cache=True, nogil=True)
def find_debris(regions, limits):
    """Return whether each cluster is debris, bool (clusters,).

    >>> corners, inner = np.zeros((2, 3), np.int32), np.zeros((2, 2), np.int64)
    >>> find_debris(Regions(np.array([1, 3]), corners, corners, inner), Limits(2, (0, 0, 0), 0.0))
    array([ True, False])
    """
    result = np.empty(len(regions.sizes), np.bool_)
    for i in range(len(regions.sizes)):
        result[i] = _is_debris(i, regions, limits)
    return result


@njit(cache=True, nogil=True)
def _merge_debris(contacts, order, regions, limits):
    """Take the contacts in an order; return the root of each cluster. Changes ``regions`` at the roots."""
    sizes, lower, upper, inner = regions
    parents = np.arange(len(sizes))
    for e in order:
        x = find_root(parents, contacts.u[e])
        y = find_root(parents, contacts.v[e])
        if x == y:
            continue
        if not _is_debris(x, regions, limits) and not _is_debris(y, regions, limits):
            continue
        if sizes[x] < sizes[y]:
            x, y = y, x
        parents[y] = x
        sizes[x] += sizes[y]
        inner[x, 0] += inner[y, 0] + contacts.sums[e]
        inner[x, 1] += inner[y, 1] + contacts.counts[e]
        for axis in range(3):
            lower[x, axis] = min(lower[x, axis], lower[y, axis])
            upper[x, axis] = max(upper[x, axis], upper[y, axis])
    return find_roots(parents)
