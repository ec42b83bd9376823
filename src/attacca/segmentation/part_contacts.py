"""Contacts of a part during its agglomeration, as narrow columns: 24 bytes per contact.

Rows that name a contact are read again from the tables of the part when the contact is stored.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from attacca.blockwise.row_tables import Table, read_pieces
from attacca.segmentation.mean_affinity import Edges
from attacca.segmentation.parts import CONTACT_TYPE

REGION_NUMBER = np.int32
"""Type of the numbers of regions in a part."""


@dataclass(frozen=True)
class PartContacts:
    """Some contacts of a table, with regions and sums of their own.

    Args:
        rows: ``CONTACT_TYPE``.
        is_used: bool (rows,), the contacts.
        names: uint64 (regions,), names of regions.
        u: int32 (contacts,), row of the region with the smaller name in ``names``.
        v: int32 (contacts,).
        sums: int64 (contacts,).
        counts: int64 (contacts,).
    """

    rows: Table
    is_used: np.ndarray
    names: np.ndarray
    u: np.ndarray
    v: np.ndarray
    sums: np.ndarray
    counts: np.ndarray

    @property
    def dtype(self) -> np.dtype:
        """Type of a row."""
        return CONTACT_TYPE

    def __len__(self) -> int:
        return len(self.u)

    def read(self) -> Iterator[np.ndarray]:
        """Yield the contacts as ``CONTACT_TYPE``, in pieces."""
        start = row = 0
        for piece in read_pieces(self.rows):
            rows = piece[self.is_used[row : row + len(piece)]]
            row += len(piece)
            own = slice(start, start + len(rows))
            start += len(rows)
            rows["u"], rows["v"] = self.names[self.u[own]], self.names[self.v[own]]
            rows["sum"], rows["count"] = self.sums[own], self.counts[own]
            if len(rows):
                yield rows

    def select(self, is_kept: np.ndarray) -> "PartContacts":
        """Return some of the contacts, bool (contacts,)."""
        is_used = self.is_used.copy()
        is_used[is_used] = is_kept
        columns = (column[is_kept] for column in (self.u, self.v, self.sums, self.counts))
        return PartContacts(self.rows, is_used, self.names, *columns)


def read_edges(contacts: Table, ids: np.ndarray) -> tuple[Edges, np.ndarray]:
    """Return contacts as edges between rows of regions, and which of them a method without an order joins."""
    count = len(contacts)
    ends = np.empty(count, REGION_NUMBER), np.empty(count, REGION_NUMBER)
    edges = Edges(*ends, np.empty(count, np.int64), np.empty(count, np.int64))
    joins, row = np.empty(count, bool), 0
    for piece in read_pieces(contacts):
        own = slice(row, row + len(piece))
        row += len(piece)
        for column, name in ((edges.u, "u"), (edges.v, "v")):
            column[own] = np.searchsorted(ids, piece[name])
        edges.sums[own], edges.counts[own], joins[own] = piece["sum"], piece["count"], piece["joins"]
    return edges, joins


def rename_ends(rows: Table, edges: Edges, clusters: np.ndarray, names: np.ndarray) -> PartContacts:
    """Return the edges that are left, between clusters, in the memory of the edges.

    Args:
        rows: ``CONTACT_TYPE``, of the edges.
        edges: edges after the merges.
        clusters: int32 (nodes,), clusters numbered by first region, so that their names ascend.
        names: uint64 (clusters,).
    """
    is_left = edges.counts > 0
    u, v, sums, counts = (_compress(column, is_left) for column in edges)
    ends = clusters[u]
    v[:] = clusters[v]
    np.minimum(ends, v, out=u)
    np.maximum(ends, v, out=v)
    return PartContacts(rows, is_left, np.ascontiguousarray(names), u, v, sums, counts)


def _compress(column: np.ndarray, is_kept: np.ndarray) -> np.ndarray:
    """Move some rows to the start of a column; return them."""
    kept = column[is_kept]
    column[: len(kept)] = kept
    return column[: len(kept)]
