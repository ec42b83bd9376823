"""Step 3 of the segmentation: one agglomeration of the whole graph.

1. Cluster the fragments, by one of four methods.
2. Merge or delete the clusters that are debris (``debris``).
3. Number the remaining clusters 1, 2, ... by first fragment.
"""

import numpy as np

from attacca.config.segmentation import AgglomerationSettings
from attacca.segmentation.debris import filter_debris
from attacca.segmentation.graph import Graph
from attacca.segmentation.index_range import check_range
from attacca.segmentation.look_up_table import LookUpTable
from attacca.segmentation.mean_affinity import Merges, cut_merges, merge_by_mean_affinity
from attacca.segmentation.mutex_clusters import cluster_graph, make_sort_keys
from attacca.segmentation.union_find import join_pairs, number_clusters

MUTEX_NUMBER = np.int32
"""Type of the numbers of mutexes. Two edges of each pair, nearest-neighbor and long-range, set two of them each."""


def agglomerate(graph: Graph, settings: AgglomerationSettings, merges: Merges | None = None) -> LookUpTable:
    """Join the fragments of a graph to segments.

    Args:
        graph: the whole graph.
        settings: method, thresholds and filters.
        merges: result of ``merge_by_mean_affinity`` down to the settings' threshold or lower, if it is
            known already.

    Returns:
        The look-up table from fragments to segments.

    Three fragments in a row; the contact of the first two has a mean affinity of 0.8, that of the others of
    0.4. The threshold decides which contacts are merged:

    >>> from attacca.segmentation.block_graph import make_example_graph
    >>> graph = make_example_graph()
    >>> agglomerate(graph, AgglomerationSettings(threshold=0.5)).segments.tolist()
    [1, 1, 2]
    >>> agglomerate(graph, AgglomerationSettings(threshold=0.3)).segments.tolist()
    [1, 1, 1]

    Segments of fewer than ``min_size`` voxels are merged into the neighbor with the highest mean affinity:

    >>> agglomerate(graph, AgglomerationSettings(threshold=0.9, min_size=3)).segments.tolist()
    [1, 1, 1]
    >>> agglomerate(graph, AgglomerationSettings(threshold=0.9, min_size=2, debris="delete")).segments.tolist()
    [1, 2, 0]
    """
    clusters = _cluster(graph, settings, merges)
    return LookUpTable(graph.ids, _number_segments(filter_debris(graph, clusters, settings)))


def _cluster(graph: Graph, settings: AgglomerationSettings, merges: Merges | None) -> np.ndarray:
    """Step 1: return int64 (nodes,), index of each node's cluster."""
    if settings.method == "mean_affinity":
        if merges is None:
            merges = merge_by_mean_affinity(graph, settings.threshold)
        return cut_merges(merges, len(graph.ids), settings.threshold)
    if settings.method == "mutex_watershed":
        return cluster_by_mutexes(graph, settings.threshold, settings.long_bias)
    if settings.method == "contact":
        return cluster_by_contact(graph, settings.threshold)
    if settings.cell_voxels:
        return cluster_across_cells(graph, settings.cell_voxels, settings.threshold)
    return np.arange(len(graph.ids), dtype=np.int64)


def cluster_by_mutexes(graph: Graph, direct_bias: float, long_bias: float) -> np.ndarray:
    """Cluster fragments by mutex watershed on the graph.

    Two fragments that touch have an edge with their mean nearest-neighbor affinity minus ``direct_bias``.
    Two fragments that long-range offsets connect have an edge with the mean long-range affinity minus
    ``long_bias``.

    Returns:
        int64 (nodes,): index of each node's cluster, 0, 1, ... by first node.

    Raises:
        ResourceError: there are 2^29 edges or more: each may need four numbers of 31 bits.

    >>> from attacca.segmentation.block_graph import make_example_graph
    >>> cluster_by_mutexes(make_example_graph(), direct_bias=0.5, long_bias=0.5)
    array([0, 0, 1])
    """
    check_range(
        len(graph.u),
        MUTEX_NUMBER,
        "edges for a mutex watershed on the graph, which takes one job for the volume",
        "set segmentation.agglomeration: mean_affinity, or make larger fragments (segmentation.min_fragment_size)",
        factor=4,
    )
    keys = []
    for number, (kind, bias) in enumerate((("direct", direct_bias), ("long", long_bias))):
        count = graph.read_column(f"{kind}_count")
        edges = np.flatnonzero(count)
        scores = graph.read_column(f"{kind}_sum")[edges] / (255.0 * count[edges]) - bias
        keys.append(make_sort_keys(scores.astype(np.float32), edges + number * len(count)))
        del count, scores, edges
    order = np.concatenate(keys)
    del keys
    order.sort()
    return cluster_graph(graph.read_column("u"), graph.read_column("v"), order, len(graph.ids))


def cluster_by_contact(graph: Graph, threshold: float) -> np.ndarray:
    """Cluster fragments with any nearest-neighbor affinity above ``threshold`` (0 to 1) between them.

    Returns:
        int64 (nodes,): index of each node's cluster, 0, 1, ... by first node.

    >>> from attacca.segmentation.block_graph import make_example_graph
    >>> cluster_by_contact(make_example_graph(), threshold=0.3)
    array([0, 0, 0])
    """
    parents = np.arange(len(graph.ids), dtype=np.int32)
    for u, v, count, highest in graph.read_edges("u", "v", "direct_count", "direct_max"):
        joined = (count > 0) & (highest > threshold * 255.0)
        join_pairs(parents, u[joined], v[joined])
    return number_clusters(parents)


def cluster_across_cells(graph: Graph, cell_voxels: int, threshold: float) -> np.ndarray:
    """Cluster fragments of different cells whose contact has a mean affinity above a threshold.

    Args:
        graph: of fragments whose ids contain the number of their cell: ``(id - 1) // cell_voxels``.
        cell_voxels: voxels per cell.
        threshold: 0 to 1.

    Returns:
        int64 (nodes,): index of each node's cluster, 0, 1, ... by first node.

    Ids 11, 12 and 13 are in the cells 0, 1 and 1:

    >>> from attacca.segmentation.block_graph import make_example_graph
    >>> cluster_across_cells(make_example_graph(), cell_voxels=11, threshold=0.3)
    array([0, 0, 1])
    """
    cells = (graph.ids - np.uint64(1)) // np.uint64(cell_voxels)
    parents = np.arange(len(graph.ids), dtype=np.int32)
    for u, v, total, count in graph.read_edges("u", "v", "direct_sum", "direct_count"):
        joined = (cells[u] != cells[v]) & (total > threshold * 255.0 * count)
        join_pairs(parents, u[joined], v[joined])
    return number_clusters(parents)


def _number_segments(clusters: np.ndarray) -> np.ndarray:
    """Step 3: return uint64 (nodes,), 1, 2, ... by first fragment; 0 for clusters of -1, which are deleted."""
    kept = clusters >= 0
    values, first, inverse = np.unique(clusters[kept], return_index=True, return_inverse=True)
    names = np.empty(len(values), np.uint64)
    names[np.argsort(first, kind="stable")] = np.arange(1, len(values) + 1, dtype=np.uint64)
    segments = np.zeros(len(clusters), np.uint64)
    segments[kept] = names[inverse]
    return segments
