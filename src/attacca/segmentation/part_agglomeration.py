"""Exact agglomeration of a part of a volume, without the rest.

1. Freeze the regions with edges to the outside, and merge the others as long as no frozen region could change a decision
   (``mean_affinity``). Methods without an order join all contacts that they join.
2. Regions that are not frozen are complete: no part of a higher level changes them, except that debris is merged into them.
3. Debris is connected to debris. Where such a connected set has no contact to a frozen region, all contacts of its
   debris are known, and it is merged as in the whole graph (``debris``).
4. Keep what later decisions depend on: frozen regions with their contacts, debris that is left, and contacts of
   complete regions with debris or with a region that may become debris.

The tables of a part are read a piece at a time. In memory are the ends, sum and count of each contact (24 bytes), and about
as much again or more while regions are merged by mean affinity; rows that name contacts are read again when they are kept.

Sizes and bounding boxes only grow, so that a region which is not debris never becomes debris. This does not hold for
``min_affinity``: with it, debris is merged by the last part, which has all contacts of the volume.
"""

from typing import NamedTuple

import numpy as np

from attacca.blockwise.row_tables import Table, read_all, read_pieces
from attacca.config.segmentation import AgglomerationSettings
from attacca.segmentation.debris import Contacts, Limits, Regions, find_debris, merge_debris
from attacca.segmentation.index_range import check_range
from attacca.segmentation.mean_affinity import merge_edges
from attacca.segmentation.part_contacts import REGION_NUMBER, PartContacts, read_edges, rename_ends
from attacca.segmentation.parts import (
    DEBRIS_TYPE,
    FINISHED_TYPE,
    REGION_TYPE,
    Outcome,
    Part,
    sum_contacts,
)
from attacca.segmentation.union_find import find_roots, join_pairs, number_clusters


class _State(NamedTuple):
    """A part after step 1.

    Attributes:
        regions: ``REGION_TYPE``, by ascending id.
        contacts: contacts of different regions, each pair once.
        is_frozen: bool (regions,).
    """

    regions: np.ndarray
    contacts: PartContacts
    is_frozen: np.ndarray


def agglomerate_part(part: Part, settings: AgglomerationSettings, level: int) -> tuple[Part, Outcome]:
    """Agglomerate a part as far as the rest of the volume cannot change a decision.

    Args:
        part: a part; fragments at its boundary with a ``level`` above that of the part have edges to the outside.
        settings: method, thresholds and filters; not the mutex watershed, whose decisions depend on the whole graph.
        level: level of the part in the octree, 0 for a leaf.

    Returns:
        What is left of the part, and what was decided.
    """
    state, moves = _merge_regions(part, settings, level)
    limits = Limits.create(settings)
    debris = moves[:, :0]
    rows = np.zeros(0, DEBRIS_TYPE)
    is_open = np.zeros(len(state.regions), bool)
    if limits is not None:
        debris, rows, is_open = _merge_debris(state, limits, settings.debris == "merge")
    kept, contacts = _select_rest(state, limits, settings, is_open)
    is_debris = np.isin(state.regions["id"], debris[0])
    finished = np.zeros(np.count_nonzero(~kept & ~is_debris), FINISHED_TYPE)
    for name in ("id", "size"):
        finished[name] = state.regions[name][~kept & ~is_debris]
    boundary = part.boundary[part.boundary["level"] > level]
    boundary["region"] = follow_moves(boundary["region"], moves)
    rest = Part(state.regions[kept], contacts, boundary, part.crossing)
    moves = np.concatenate([np.stack([moves[0], follow_moves(moves[1], debris)]), debris], axis=1)
    return rest, Outcome(moves[:, np.argsort(moves[0])], finished, rows)


def follow_moves(ids: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Return the regions to which regions have moved; those that have not moved are returned as they are.

    Args:
        ids: uint64 (n,), names of regions.
        moves: uint64 (2, m), regions by ascending id, and those to which they have moved.

    >>> follow_moves(np.array([7, 8], np.uint64), np.array([[8], [3]], np.uint64))
    array([7, 3], dtype=uint64)
    """
    if not moves.shape[1]:
        return ids
    rows = np.minimum(np.searchsorted(moves[0], ids), moves.shape[1] - 1)
    return np.where(moves[0][rows] == ids, moves[1][rows], ids)


def _merge_regions(part: Part, settings: AgglomerationSettings, level: int) -> tuple[_State, np.ndarray]:
    """Step 1: return the merged regions, and the moves (uint64 (2, n), ids and regions)."""
    ids = _read_ids(part.regions)
    outside = part.boundary["region"][part.boundary["level"] > level]
    is_frozen = np.zeros(len(ids), bool)
    is_frozen[np.searchsorted(ids, outside)] = True
    edges, joins = read_edges(part.contacts, ids)
    parents = np.arange(len(ids), dtype=REGION_NUMBER)
    if settings.method == "mean_affinity":
        merges = merge_edges(edges, is_frozen, settings.threshold)
        join_pairs(parents, merges.a, merges.b)
        del merges
    else:
        join_pairs(parents, edges.u[joins], edges.v[joins])
    clusters = number_clusters(parents).astype(REGION_NUMBER)
    del parents
    regions = _sum_regions(part.regions, ids, clusters)
    if settings.method != "mean_affinity":
        edges.counts[clusters[edges.u] == clusters[edges.v]] *= -1
    inner = np.flatnonzero(edges.counts < 0)
    own = clusters[edges.u[inner]]
    np.add.at(regions["inner_sum"], own, edges.sums[inner])
    np.add.at(regions["inner_count"], own, -edges.counts[inner])
    frozen = np.zeros(len(regions), bool)
    frozen[clusters[is_frozen]] = True
    contacts = rename_ends(part.contacts, edges, clusters, regions["id"])
    if settings.method != "mean_affinity":
        rows = sum_contacts(read_all(contacts))
        ends, _ = read_edges(rows, regions["id"])
        contacts = PartContacts(rows, np.ones(len(rows), bool), contacts.names, *ends)
    names = regions["id"][clusters]
    moved = names != ids
    return _State(regions, contacts, frozen), np.stack([ids[moved], names[moved]])


def _read_ids(regions: Table) -> np.ndarray:
    """Return the names of all regions."""
    check_range(len(regions), REGION_NUMBER, "regions of a part of the volume")
    ids, row = np.empty(len(regions), np.uint64), 0
    for piece in read_pieces(regions):
        ids[row : row + len(piece)] = piece["id"]
        row += len(piece)
    return ids


def _sum_regions(regions: Table, ids: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Add up the regions of each cluster; clusters are numbered by first region, so that ids ascend."""
    first = np.flatnonzero(np.diff(np.maximum.accumulate(clusters), prepend=-1))
    result = np.zeros(len(first), REGION_TYPE)
    result["id"] = ids[first]
    limits = np.iinfo(result["lower"].dtype)
    result["lower"], result["upper"] = limits.max, limits.min
    row = 0
    for piece in read_pieces(regions):
        own = clusters[row : row + len(piece)]
        row += len(piece)
        order = np.argsort(own, kind="stable")
        start = np.flatnonzero(np.diff(own[order], prepend=-1))
        rows, own = piece[order], own[order][start]
        for name in ("size", "inner_sum", "inner_count"):
            result[name][own] += np.add.reduceat(rows[name], start)
        lower, upper = (
            np.minimum.reduceat(rows["lower"], start, axis=0),
            np.maximum.reduceat(rows["upper"], start, axis=0),
        )
        result["lower"][own] = np.minimum(result["lower"][own], lower)
        result["upper"][own] = np.maximum(result["upper"][own], upper)
    return result


def _merge_debris(
    state: _State, limits: Limits, is_merging: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Step 3.

    Returns:
        The moves of debris (uint64 (2, n), by ascending id), the debris that was merged (``DEBRIS_TYPE``), and bool
        (regions,), the debris that is left for later levels.
    """
    regions, contacts, is_frozen = state
    u, v = contacts.u, contacts.v
    properties = Regions(
        regions["size"].copy(),
        regions["lower"].copy(),
        regions["upper"].copy(),
        np.stack([regions["inner_sum"], regions["inner_count"]], axis=1),
    )
    none = np.zeros((2, 0), np.uint64), np.zeros(0, DEBRIS_TYPE)
    could_be = find_debris(properties, limits)
    is_debris = could_be & ~is_frozen
    if is_merging and limits.affinity > 0 and is_frozen.any():
        return *none, ~is_frozen
    is_open = np.zeros(len(regions), bool)
    roots = np.arange(len(regions))
    if is_merging:
        is_open = _find_open(u, v, is_debris, is_frozen)
        closed = is_debris & ~is_open
        used = contacts if limits.affinity > 0 else contacts.select(closed[u] | closed[v])
        table = Contacts(used.u, used.v, used.sums, used.counts)
        roots = merge_debris(table, properties, limits)
    else:
        closed = is_debris
    remains = find_debris(properties, limits)[roots] & ~is_frozen & ~is_open
    # A region that was no debris keeps its name, which decides between equal means later.
    targets = _choose_targets(roots, could_be & ~is_frozen)
    moved = np.flatnonzero(remains | (targets != np.arange(len(regions))))
    names = np.where(remains[moved], np.uint64(0), regions["id"][targets[moved]])
    moves = np.stack([regions["id"][moved], names])
    joined = moved[~remains[moved]]
    rows = np.empty(len(joined), DEBRIS_TYPE)
    rows["id"], rows["region"], rows["size"] = (
        regions["id"][joined],
        regions["id"][targets[joined]],
        regions["size"][joined],
    )
    return moves, rows, is_open


def _find_open(u: np.ndarray, v: np.ndarray, is_debris: np.ndarray, is_frozen: np.ndarray) -> np.ndarray:
    """Return the debris that is connected through debris to a frozen region, bool (regions,)."""
    parents = np.arange(len(is_debris), dtype=REGION_NUMBER)
    both = is_debris[u] & is_debris[v]
    join_pairs(parents, u[both], v[both])
    roots = find_roots(parents)
    is_open = np.zeros(len(is_debris), bool)
    for a, b in ((u, v), (v, u)):
        is_open[roots[a[is_debris[a] & is_frozen[b]]]] = True
    return is_open[roots] & is_debris


def _choose_targets(roots: np.ndarray, is_debris: np.ndarray) -> np.ndarray:
    """Return the region to which each region belongs after the merges: the first that was no debris, or else the first."""
    order = np.lexsort((np.arange(len(roots)), is_debris, roots))
    first = np.flatnonzero(np.diff(roots[order], prepend=-1))
    targets = np.empty(len(roots), np.int64)
    targets[order] = np.repeat(order[first], np.diff(np.append(first, len(order))))
    return targets


def _select_rest(
    state: _State, limits: Limits | None, settings: AgglomerationSettings, is_open: np.ndarray
) -> tuple[np.ndarray, PartContacts]:
    """Step 4: return which regions are kept, bool (regions,), and the contacts that are kept."""
    regions, contacts, is_frozen = state
    u, v = contacts.u, contacts.v
    kept = is_frozen | is_open
    needed = np.zeros(len(u), bool)
    # Frozen regions may be joined, or become one region through others: then their contact counts as its affinity.
    if settings.method == "mean_affinity" or (limits is not None and limits.affinity > 0):
        needed = is_frozen[u] & is_frozen[v]
    if limits is not None and settings.debris == "merge":
        properties = Regions(
            regions["size"],
            regions["lower"],
            regions["upper"],
            np.stack([regions["inner_sum"], regions["inner_count"]], axis=1),
        )
        could_be = is_open | (is_frozen & find_debris(properties, limits))
        if limits.affinity > 0:
            could_be = is_open | is_frozen
        needed |= could_be[u] | could_be[v]
    kept = kept.copy()
    kept[u[needed]] = kept[v[needed]] = True
    return kept, contacts.select(needed)
