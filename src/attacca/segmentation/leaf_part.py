"""The graph of a leaf of the octree, from tables of fragments and edges."""

from collections.abc import Callable

import numpy as np

from attacca.config.segmentation import AgglomerationSettings
from attacca.segmentation.octree import Octree
from attacca.segmentation.parts import (
    BOUNDARY_TYPE,
    CROSSING_TYPE,
    REGION_TYPE,
    Part,
    to_contacts,
)

FindLeaves = Callable[[np.ndarray], np.ndarray]
"""Returns the leaf of each fragment, int64 (n,), from the ids."""


def make_leaf_part(
    nodes: np.ndarray,
    edges: np.ndarray,
    leaf: int,
    octree: Octree,
    find_leaves: FindLeaves,
    settings: AgglomerationSettings,
) -> Part:
    """Return the part of a leaf, in which each fragment is a region.

    Args:
        nodes: ``NODE_TYPE``, the leaf's fragments, by ascending id.
        edges: ``EDGE_TYPE``, the edges with at least one end in the leaf, each once, by ascending ``(u, v)`` with
            ``u < v``.
        leaf: number of the leaf.
        octree: the leaves of the volume.
        find_leaves: function of fragment ids.
        settings: method and thresholds.
    """
    edges = edges[edges["direct_count"] > 0]
    regions = np.empty(len(nodes), REGION_TYPE)
    for name in REGION_TYPE.names or ():
        regions[name] = nodes[name]
    rows = np.empty(len(edges), CROSSING_TYPE)
    rows["u"], rows["v"] = edges["u"], edges["v"]
    rows["sum"], rows["count"] = edges["direct_sum"], edges["direct_count"]
    rows["joins"] = _find_joins(edges, settings)
    leaf_u, leaf_v = find_leaves(rows["u"]), find_leaves(rows["v"])
    inner = (leaf_u == leaf) & (leaf_v == leaf)
    crossing, leaf_u, leaf_v = rows[~inner], leaf_u[~inner], leaf_v[~inner]
    contacts = to_contacts(rows[inner])
    levels = octree.find_common_levels(leaf_u, leaf_v)
    ends = [
        (crossing[name][own], levels[own]) for name, own in (("u", leaf_u == leaf), ("v", leaf_v == leaf))
    ]
    return Part(
        regions,
        contacts,
        _list_boundary(
            np.concatenate([ids for ids, _ in ends]), np.concatenate([level for _, level in ends])
        ),
        crossing[leaf_u == leaf],
    )


def _find_joins(edges: np.ndarray, settings: AgglomerationSettings) -> np.ndarray:
    """Return whether a method without an order joins the fragments of each edge."""
    if settings.method == "contact":
        return np.asarray(edges["direct_max"] > settings.threshold * 255.0)
    if settings.method == "none" and settings.cell_voxels:
        cells = [(edges[name] - np.uint64(1)) // np.uint64(settings.cell_voxels) for name in ("u", "v")]
        above = edges["direct_sum"] > settings.threshold * 255.0 * edges["direct_count"]
        return np.asarray((cells[0] != cells[1]) & above)
    return np.zeros(len(edges), bool)


def _list_boundary(ids: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return ``BOUNDARY_TYPE``, each fragment once with its highest level."""
    order = np.lexsort((levels, ids))
    ids, levels = ids[order], levels[order]
    is_last = np.ones(len(ids), bool)
    is_last[:-1] = ids[1:] != ids[:-1]
    boundary = np.empty(int(is_last.sum()), BOUNDARY_TYPE)
    boundary["id"] = boundary["region"] = ids[is_last]
    boundary["level"] = levels[is_last]
    return boundary
