"""Graphs of parts of a volume: the boxes of an octree.

A part has *regions*, sets of fragments that are named by the smallest id. Fragments with an edge to a fragment outside the
part are at its *boundary*; these edges *cross* it and are kept as they are until both ends are in one part.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from attacca.blockwise.row_tables import MergedRows, StoredRows, Table, load_array, save_tables
from attacca.errors import VolumeError

REGION_TYPE = np.dtype(
    [
        ("id", "<u8"),
        ("size", "<i8"),
        ("lower", "<i4", (3,)),
        ("upper", "<i4", (3,)),
        ("inner_sum", "<i8"),
        ("inner_count", "<i8"),
    ]
)
"""Rows of regions: smallest fragment, voxels, bounding box, nearest-neighbor affinities between voxels inside."""

CONTACT_TYPE = np.dtype(
    [
        ("u", "<u8"),
        ("v", "<u8"),
        ("first", "<u8"),
        ("second", "<u8"),
        ("sum", "<i8"),
        ("count", "<i8"),
        ("joins", "?"),
    ]
)
"""Rows of contacts of two regions: their names; the last of the edges between fragments that are part of the contact, which
decides between equal means; sum and count of affinities; whether a method without an order joins the two."""

BOUNDARY_TYPE = np.dtype([("id", "<u8"), ("region", "<u8"), ("level", "u1")])
"""Rows of fragments at the boundary: their region, and the lowest level at which all their edges are inside a part."""

CROSSING_TYPE = np.dtype([("u", "<u8"), ("v", "<u8"), ("sum", "<i8"), ("count", "<i8"), ("joins", "?")])
"""Rows of edges between fragments of two parts, ``u < v``; kept in the part of ``u``."""

FINISHED_TYPE = np.dtype([("id", "<u8"), ("size", "<i8")])
"""Rows of regions that are segments."""

SEGMENT_TYPE = np.dtype([("id", "<u8"), ("segment", "<u8"), ("size", "<i8")])
"""Rows of regions that are segments: name, number of the segment, voxels."""

DEBRIS_TYPE = np.dtype([("id", "<u8"), ("region", "<u8"), ("size", "<i8")])
"""Rows of debris that was merged into a region, which keeps its name."""

Stored = TypeVar("Stored", bound="StoredTables")


@dataclass(frozen=True)
class StoredTables:
    """Tables that are stored in one file."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all tables to one ``.npz`` file, which appears whole or not at all."""
        save_tables(path, {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def load(cls: type[Stored], path: str | os.PathLike[str]) -> Stored:
        """Read what ``save`` wrote.

        Raises:
            MissingInputError: the file is missing.
            VolumeError: the file is damaged.
        """
        return cls(**{field.name: load_array(path, field.name) for field in fields(cls)})


@dataclass(frozen=True)
class Part(StoredTables):
    """Regions of a part whose agglomeration is not finished, and what their agglomeration depends on.

    Args:
        regions: ``REGION_TYPE``, by ascending id.
        contacts: ``CONTACT_TYPE``, each pair of regions once, by ascending ``(first, second)``.
        boundary: ``BOUNDARY_TYPE``, by ascending id.
        crossing: ``CROSSING_TYPE``.
    """

    regions: Table
    contacts: Table
    boundary: np.ndarray
    crossing: np.ndarray

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Part":
        """Return a stored part whose regions and contacts are read later.

        Raises:
            MissingInputError: the file is missing.
            VolumeError: the file is damaged.
        """
        regions, contacts = (StoredRows.open(path, name) for name in ("regions", "contacts"))
        boundary, crossing = (load_array(path, name) for name in ("boundary", "crossing"))
        return cls(regions, contacts, boundary, crossing)


@dataclass(frozen=True)
class Outcome(StoredTables):
    """Decisions of the agglomeration of a part.

    Args:
        moves: uint64 (2, n), regions that became part of another one, by ascending id, and these; 0 for regions that were
            deleted.
        finished: ``FINISHED_TYPE``, regions that no later level sees.
        debris: ``DEBRIS_TYPE``.
    """

    moves: np.ndarray
    finished: np.ndarray
    debris: np.ndarray


def sum_contacts(rows: np.ndarray) -> np.ndarray:
    """Add up the contacts of the same two regions.

    Args:
        rows: ``CONTACT_TYPE``, in any order; ``u`` and ``v`` of one pair may be exchanged.

    Returns:
        ``CONTACT_TYPE``, by ascending ``(first, second)``, with ``u < v``.

    >>> rows = np.zeros(2, CONTACT_TYPE)
    >>> rows["u"], rows["v"], rows["first"], rows["second"] = [5, 8], [8, 5], [5, 6], [9, 8]
    >>> rows["sum"], rows["count"] = [10, 20], [1, 2]
    >>> sum_contacts(rows).tolist()
    [(5, 8, 6, 8, 30, 3, False)]
    """
    u, v = np.minimum(rows["u"], rows["v"]), np.maximum(rows["u"], rows["v"])
    order = np.lexsort((rows["second"], rows["first"], v, u))
    u, v, rows = u[order], v[order], rows[order]
    is_last = np.ones(len(rows), bool)
    is_last[:-1] = (u[1:] != u[:-1]) | (v[1:] != v[:-1])
    last = np.flatnonzero(is_last)
    if not len(last):
        return rows
    begin = np.concatenate([np.zeros(1, np.int64), last[:-1] + 1])
    result = rows[last]
    result["u"], result["v"] = u[last], v[last]
    result["sum"] = np.add.reduceat(rows["sum"], begin)
    result["count"] = np.add.reduceat(rows["count"], begin)
    result["joins"] = np.logical_or.reduceat(rows["joins"], begin)
    return result[np.lexsort((result["second"], result["first"]))]


def join_parts(parts: Sequence[Part], is_inside: np.ndarray) -> Part:
    """Join the parts of neighboring boxes to the part of one box.

    Args:
        parts: all parts of the box.
        is_inside: bool, for each row of the concatenated ``crossing`` of the parts, whether both ends are in the box.

    Returns:
        The joined part, which reads its regions and contacts from the parts. Crossing edges inside are contacts of the
        regions to which their fragments belong now.

    Raises:
        VolumeError: a leaf did not see all edges of its fragments.
    """
    boundary = np.concatenate([part.boundary for part in parts])
    boundary = boundary[np.argsort(boundary["id"])]
    crossing = np.concatenate([part.crossing for part in parts])
    new = to_contacts(crossing[is_inside])
    for name in ("u", "v"):
        rows = np.minimum(np.searchsorted(boundary["id"], new[name]), max(0, len(boundary) - 1))
        if (not len(boundary) and len(new)) or (boundary["id"][rows] != new[name]).any():
            raise VolumeError(
                "fragments at the faces of leaves are missing in the graph: they extend farther beyond their cells than "
                "segmentation.context; set a larger segmentation.context, or a larger execution.agglomeration_blocks"
            )
        new[name] = boundary["region"][rows]
    # Regions of two parts had no contact before, so only new rows can be of the same two regions.
    contacts = MergedRows([*(part.contacts for part in parts), sum_contacts(new)], ("first", "second"))
    regions = MergedRows([part.regions for part in parts], ("id",))
    return Part(regions, contacts, boundary, crossing[~is_inside])


def to_contacts(edges: np.ndarray) -> np.ndarray:
    """Return edges of fragments as contacts of regions of one fragment.

    Args:
        edges: ``CROSSING_TYPE``.

    >>> to_contacts(np.array([(5, 8, 10, 1, False)], CROSSING_TYPE)).tolist()
    [(5, 8, 5, 8, 10, 1, False)]
    """
    contacts = np.empty(len(edges), CONTACT_TYPE)
    for name in ("u", "v", "sum", "count", "joins"):
        contacts[name] = edges[name]
    contacts["first"], contacts["second"] = edges["u"], edges["v"]
    return contacts


def number_segments(finished: np.ndarray, debris: np.ndarray) -> np.ndarray:
    """Number the segments of a volume 1, 2, ... by first fragment.

    Args:
        finished: ``FINISHED_TYPE``, of all parts.
        debris: ``DEBRIS_TYPE``, of all parts.

    Returns:
        ``SEGMENT_TYPE``, by ascending id.

    The fragment 3, which was debris, is the first fragment of the segment of region 9:

    >>> finished = np.array([(5, 100), (9, 200)], FINISHED_TYPE)
    >>> number_segments(finished, np.array([(3, 9, 1)], DEBRIS_TYPE)).tolist()
    [(5, 2, 100), (9, 1, 201)]
    """
    segments = np.empty(len(finished), SEGMENT_TYPE)
    finished = finished[np.argsort(finished["id"])]
    segments["id"], segments["size"] = finished["id"], finished["size"]
    first = finished["id"].copy()
    rows = np.searchsorted(finished["id"], debris["region"])
    np.minimum.at(first, rows, debris["id"])
    np.add.at(segments["size"], rows, debris["size"])
    segments["segment"][np.argsort(first)] = np.arange(1, len(first) + 1, dtype=np.uint64)
    return segments
