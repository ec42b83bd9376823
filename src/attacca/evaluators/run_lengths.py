"""Expected run length: the length of a skeleton that lies in one segment, from tables that add up over skeletons.

References:
    Januszewski et al., High-precision automated reconstruction of neurons with flood-filling networks, Nature Methods 15,
    2018: the expected run length, in which runs of merged segments have length 0.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from attacca.evaluators.scores import UNBOUNDED, Criterion, EvaluationScores

DERIVED = "skeletons of the ground truth by kimimaro"
GIVEN = "skeletons in SWC files"
"""Origins of skeletons."""

MERGED_NODES = 3
"""A segment with at least this number of nodes of each of two objects is a merge error."""


@dataclass(frozen=True)
class RunLengths:
    """Nodes and lengths of skeletons by segment. Tables of different objects are concatenated.

    Attributes:
        objects: object of each row of ``nodes``, uint64, shape (n,).
        segments: segment of each row, uint64, shape (n,).
        nodes: nodes of the object in the segment, int64, shape (n,).
        pieces: total length of each connected piece of a skeleton, float64, shape (m,).
        run_pieces: piece of each run, int64, shape (k,).
        run_segments: segment of each run, uint64, shape (k,).
        runs: length of the piece inside the segment, float64, shape (k,).
    """

    objects: np.ndarray
    segments: np.ndarray
    nodes: np.ndarray
    pieces: np.ndarray
    run_pieces: np.ndarray
    run_segments: np.ndarray
    runs: np.ndarray


def measure_runs(object_id: int, vertices: np.ndarray, edges: np.ndarray, segments: np.ndarray) -> RunLengths:
    """Return the table of one object's skeleton. Edges between different segments, or in segment 0, are in no run.

    Args:
        object_id: id of the object.
        vertices: positions of nodes, shape (n, 3).
        edges: pairs of nodes, shape (m, 2).
        segments: segment of each node, shape (n,).

    >>> line = np.array([[0, 0, 0], [0, 0, 4], [0, 0, 8], [0, 0, 12]])
    >>> table = measure_runs(1, line, np.array([[0, 1], [1, 2], [2, 3]]), np.array([7, 7, 9, 9]))
    >>> table.pieces.tolist(), table.runs.tolist()
    ([12.0], [4.0, 4.0])
    """
    segments, edges = segments.astype(np.uint64), edges.astype(np.int64).reshape(-1, 2)
    found, nodes = np.unique(segments, return_counts=True)
    first, second = edges[:, 0], edges[:, 1]
    lengths = np.linalg.norm(vertices[first].astype(np.float64) - vertices[second], axis=1)
    graph = coo_array((np.ones(len(edges)), (first, second)), shape=(len(vertices), len(vertices)))
    _, piece = connected_components(graph, directed=False)
    pieces = np.bincount(piece[first], weights=lengths, minlength=int(piece.max(initial=-1)) + 1)
    is_inside = (segments[first] == segments[second]) & (segments[first] != 0)
    keys = np.stack([piece[first][is_inside].astype(np.uint64), segments[first][is_inside]])
    runs, row = np.unique(keys, axis=1, return_inverse=True)
    return RunLengths(
        np.full(len(found), object_id, np.uint64),
        found,
        nodes.astype(np.int64),
        pieces,
        runs[0].astype(np.int64),
        runs[1],
        np.bincount(row.ravel(), weights=lengths[is_inside], minlength=runs.shape[1]),
    )


def join_run_lengths(tables: Iterable[RunLengths]) -> RunLengths:
    """Return the table of all objects.

    >>> line, edges = np.array([[0, 0, 0], [0, 0, 4]]), np.array([[0, 1]])
    >>> tables = [measure_runs(object_, line, edges, np.array([7, 7])) for object_ in (1, 2)]
    >>> join_run_lengths(tables).objects.tolist()
    [1, 2]
    """
    listed = list(tables)
    starts = np.cumsum([0, *(len(table.pieces) for table in listed)])

    def join(arrays: list[np.ndarray], dtype: type) -> np.ndarray:
        return np.concatenate([np.zeros(0, dtype), *arrays])

    return RunLengths(
        join([table.objects for table in listed], np.uint64),
        join([table.segments for table in listed], np.uint64),
        join([table.nodes for table in listed], np.int64),
        join([table.pieces for table in listed], np.float64),
        join([table.run_pieces + start for table, start in zip(listed, starts)], np.int64),
        join([table.run_segments for table in listed], np.uint64),
        join([table.runs for table in listed], np.float64),
    )


def list_run_length_criteria(origin: str = DERIVED) -> list[Criterion]:
    """Return the criteria of run lengths, with their conventions.

    Args:
        origin: origin of the skeletons.

    >>> [criterion.name for criterion in list_run_length_criteria()]
    ['erl', 'nerl']
    """
    merged = f"runs in a segment with {MERGED_NODES} or more nodes of each of two objects count 0"
    note = f"{origin}, each connected piece by itself; {merged}"
    return [
        Criterion(
            "erl", True, (0.0, UNBOUNDED), "nanometer", convention=f"sum of run^2 / sum of lengths; {note}"
        ),
        Criterion("nerl", True, convention=f"erl / erl of the ground truth; {note}"),
    ]


def score_run_lengths(table: RunLengths, origin: str = DERIVED) -> EvaluationScores:
    """Return the expected run length ``erl`` and the normalized one, ``nerl``; nan without skeletons.

    A random point of all skeletons lies, in expectation, on a run of length ``erl``.

    Args:
        table: nodes and lengths of all objects.
        origin: origin of the skeletons.

    >>> line = np.array([[0, 0, 0], [0, 0, 4], [0, 0, 8], [0, 0, 12]])
    >>> edges = np.array([[0, 1], [1, 2], [2, 3]])
    >>> scores = score_run_lengths(measure_runs(1, line, edges, np.array([7, 7, 9, 9])))
    >>> round(scores.erl, 3), round(scores.nerl, 3)
    (2.667, 0.222)
    """
    criteria = list_run_length_criteria(origin)
    total = float(table.pieces.sum())
    if not total:
        return EvaluationScores(criteria)
    many = table.segments[(table.nodes >= MERGED_NODES) & (table.segments != 0)]
    segments, objects = np.unique(many, return_counts=True)
    runs = table.runs[~np.isin(table.run_segments, segments[objects > 1])]
    erl = float(np.square(runs).sum()) / total
    return EvaluationScores(
        criteria, {"erl": erl, "nerl": erl * total / float(np.square(table.pieces).sum())}
    )
