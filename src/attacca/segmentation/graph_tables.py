"""Tables of the region adjacency graph: those of blocks, on disk, and their sum, the graph of the volume.

Each block writes two files of its own, so blocks may be computed in any order, repeatedly, and by any number
of jobs. The graph is assembled afterwards, one range of fragment ids at a time, so that memory does not grow
with the volume: tables of blocks are sorted, and a range of ids is one slice of each.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from attacca.atomic import replace_file
from attacca.errors import MissingInputError, VolumeError
from attacca.segmentation.graph import Graph
from attacca.segmentation.index_range import check_range

NODE_TYPE = np.dtype(
    [
        ("id", "<u8"),
        ("size", "<i8"),
        ("lower", "<i4", (3,)),
        ("upper", "<i4", (3,)),
        ("inner_sum", "<i8"),
        ("inner_count", "<i8"),
    ]
)
"""Rows of a block's table of nodes; columns as in ``Graph``."""

EDGE_TYPE = np.dtype(
    [
        ("u", "<u8"),
        ("v", "<u8"),
        ("direct_sum", "<i8"),
        ("direct_count", "<i4"),
        ("direct_max", "u1"),
        ("long_sum", "<i8"),
        ("long_count", "<i4"),
    ]
)
"""Rows of a block's table of edges; ``u < v`` are fragment ids, other columns as in ``Graph``."""

COUNT = np.int32
"""Type of the counts of affinities in tables."""

NUMBER = np.int32
"""Type of the numbers of nodes and edges in a graph that is in memory."""

_EDGE_COLUMNS = ("direct_sum", "direct_count", "direct_max", "long_sum", "long_count")
_BLOCKS_PER_FOLDER = 1000
_COLUMNS = "whole"


def locate_table(directory: str | os.PathLike[str], table: str, index: int) -> Path:
    """Return the path of a block's table, ``"nodes"`` or ``"edges"``.

    >>> locate_table("graph", "nodes", 1234).as_posix()
    'graph/000001/000001234.nodes.npy'
    """
    return Path(directory) / f"{index // _BLOCKS_PER_FOLDER:06d}" / f"{index:09d}.{table}.npy"


def read_table(path: Path) -> np.ndarray:
    """Read a block's table.

    Raises:
        MissingInputError: the table is missing.
        VolumeError: the table is damaged.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp(), "table.npy")
    >>> write_array(path, np.arange(3))
    >>> read_table(path)
    array([0, 1, 2])
    """
    try:
        return np.load(path)
    except FileNotFoundError:
        raise MissingInputError(
            f"{path}: the table of the graph is missing; run the graph stage for all blocks first"
        ) from None
    except (ValueError, EOFError) as error:
        raise VolumeError(
            f"{path}: the table of the graph is damaged ({error}); delete its directory and run the workflow again"
        ) from error


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an array to a ``.npy`` file, which appears whole or not at all; see ``read_table``.

    >>> from tempfile import mkdtemp
    >>> write_array(Path(mkdtemp(), "table.npy"), np.arange(3))
    """
    with replace_file(path) as file:
        np.save(file, array)


def join_tables(nodes: np.ndarray, edges: np.ndarray) -> Graph:
    """Return the graph in memory from the tables of blocks, concatenated in any order.

    Args:
        nodes: ``NODE_TYPE`` (rows,).
        edges: ``EDGE_TYPE`` (rows,).

    Raises:
        ResourceError: there are 2^31 or more fragments, or a contact has 2^31 or more affinities.

    A fragment with two voxels in one block and three in another:

    >>> nodes = np.zeros(2, NODE_TYPE)
    >>> nodes["id"], nodes["size"] = 7, [2, 3]
    >>> nodes["lower"], nodes["upper"] = [[0, 0, 0], [0, 0, 2]], [[1, 1, 2], [1, 1, 5]]
    >>> graph = join_tables(nodes, np.zeros(0, EDGE_TYPE))
    >>> graph.ids, graph.sizes, graph.upper
    (array([7], dtype=uint64), array([5]), array([[1, 1, 5]], dtype=int32))
    """
    columns = _node_columns([reduce_nodes(nodes)])
    check_range(len(columns["ids"]), NUMBER, "fragments of a graph")
    edges = reduce_edges(edges)
    return Graph(
        **columns,
        u=np.searchsorted(columns["ids"], edges["u"]).astype(NUMBER),
        v=np.searchsorted(columns["ids"], edges["v"]).astype(NUMBER),
        **{name: np.ascontiguousarray(edges[name]) for name in _EDGE_COLUMNS},
    )


def load_graph(directory: str | os.PathLike[str], num_blocks: int, part_rows: int = 500_000) -> Graph:
    """Assemble the graph of a volume from the tables of its blocks.

    Columns of edges are written below ``directory/whole`` and memory-mapped.

    Args:
        directory: as for ``GraphBlocks``.
        num_blocks: number of blocks of the grid; the tables of all of them are read.
        part_rows: number of rows that are sorted at once (about 150 bytes each).

    Raises:
        MissingInputError: a block's table is missing.
        ResourceError: there are more fragments than 31 bits can number.

    The tables of a single block, with one fragment of two voxels:

    >>> from tempfile import mkdtemp
    >>> directory, nodes = mkdtemp(), np.zeros(1, NODE_TYPE)
    >>> nodes["id"], nodes["size"] = 7, 2
    >>> for name, table in (("nodes", nodes), ("edges", np.zeros(0, EDGE_TYPE))):
    ...     path = locate_table(directory, name, 0)
    ...     path.parent.mkdir(exist_ok=True)
    ...     np.save(path, table)
    >>> graph = load_graph(directory, num_blocks=1)
    >>> graph.ids, graph.sizes
    (array([7], dtype=uint64), array([2]))
    """
    paths = {
        kind: [locate_table(directory, kind, i) for i in range(num_blocks)] for kind in ("nodes", "edges")
    }
    missing = [path for kind in paths for path in paths[kind] if not path.exists()]
    if missing:
        raise MissingInputError(
            f"{len(missing)} tables of the graph are missing below {directory}, the first is "
            f"{missing[0].name}; run the graph stage for all blocks first"
        )
    parts = _read_parts(paths["nodes"], "id", part_rows)
    nodes = _node_columns(map(reduce_nodes, parts))
    ids = nodes["ids"]
    check_range(len(ids), NUMBER, "fragments of a graph")
    whole = Path(directory) / _COLUMNS
    whole.mkdir(parents=True, exist_ok=True)
    columns = ("u", "v", *_EDGE_COLUMNS)
    files = {name: open(whole / f"{name}.bin", "wb") for name in columns}  # noqa: SIM115
    num_rows = 0
    try:
        for part in _read_parts(paths["edges"], "u", part_rows):
            table = reduce_edges(part)
            num_rows += len(table)
            for name in columns:
                column = table[name]
                if name in ("u", "v"):
                    column = np.searchsorted(ids, column).astype(NUMBER)
                # ndarray.tofile does not say that a disk is full.
                files[name].write(np.ascontiguousarray(column).data)
    finally:
        for file in files.values():
            file.close()
    mapped = {}
    for name in columns:
        kind = np.dtype(NUMBER) if name in ("u", "v") else EDGE_TYPE[name]
        mapped[name] = np.memmap(whole / f"{name}.bin", kind, "r") if num_rows else np.zeros(0, kind)
    return Graph(**nodes, **mapped)


def remove_columns(directory: str | os.PathLike[str]) -> None:
    """Remove the files that ``load_graph`` wrote; a graph in memory stays valid.

    >>> remove_columns("graph")
    """
    shutil.rmtree(Path(directory) / _COLUMNS, ignore_errors=True)


def _node_columns(parts: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Return the columns of ``Graph`` that describe nodes, from reduced tables of ascending ids."""
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in NODE_TYPE.names or ()}
    for part in parts:
        for name, column in pieces.items():
            column.append(np.ascontiguousarray(part[name]))
    columns = {"id": "ids", "size": "sizes"}
    empty = np.zeros(0, NODE_TYPE)
    # One column at a time, so that no two copies of the whole table are in memory.
    return {
        columns.get(name, name): np.concatenate(pieces.pop(name) or [empty[name]]) for name in list(pieces)
    }


def _read_parts(paths: list[Path], key: str, part_rows: int) -> Iterator[np.ndarray]:
    """Yield all rows of sorted tables, in parts of ascending, disjoint ranges of ``key``.

    Each table is read twice: for a sample of its keys, and for its rows, which wait until no later table has rows of
    their range. Ids ascend with the blocks, so that the rows of one layer of blocks wait at most.
    """
    firsts, filled, samples, total = [], [], [], 0
    for path in paths:
        keys = read_table(path)[key]
        if len(keys):
            filled.append(path)
            firsts.append(keys[0])
            total += len(keys)
            samples.append(keys[:: max(1, part_rows // 1000)])
    if not filled:
        return
    order = np.argsort(np.array(firsts), kind="stable")
    count = -(-total // part_rows)
    sample = np.sort(np.concatenate(samples))
    cuts = np.unique(sample[[len(sample) * i // count for i in range(1, count)]])
    waiting: list[list[np.ndarray]] = [[] for _ in range(len(cuts) + 1)]
    done = 0
    for table in order.tolist():
        # Rows below the first key of this table are complete.
        ready = int(np.searchsorted(cuts, firsts[table], side="right"))
        yield from _join_waiting(waiting, done, ready)
        done = max(done, ready)
        rows = read_table(filled[table])
        bounds = [0, *np.searchsorted(rows[key], cuts).tolist(), len(rows)]
        for i in range(ready, len(waiting)):
            if bounds[i + 1] > bounds[i]:
                waiting[i].append(rows[bounds[i] : bounds[i + 1]])
    yield from _join_waiting(waiting, done, len(waiting))


def _join_waiting(waiting: list[list[np.ndarray]], start: int, stop: int) -> Iterator[np.ndarray]:
    for i in range(start, stop):
        if waiting[i]:
            yield np.concatenate(waiting[i])
            waiting[i] = []


def reduce_nodes(table: np.ndarray) -> np.ndarray:
    """Return the sum of the rows (``NODE_TYPE``) of each id, with the box around their boxes, by ascending id."""
    if not len(table):
        return table
    table = table[np.argsort(table["id"], kind="stable")]
    first = np.flatnonzero(np.diff(table["id"], prepend=np.uint64(0)) != 0)
    result = np.zeros(len(first), NODE_TYPE)
    result["id"] = table["id"][first]
    for name in ("size", "inner_sum", "inner_count"):
        result[name] = np.add.reduceat(table[name], first)
    result["lower"] = np.minimum.reduceat(table["lower"], first, axis=0)
    result["upper"] = np.maximum.reduceat(table["upper"], first, axis=0)
    return result


def check_counts(counts: np.ndarray) -> None:
    """Raise an error if a table cannot store a count of affinities.

    Raises:
        ResourceError: two fragments touch in too many voxels.

    >>> check_counts(np.array([[3, 2**31]]))
    Traceback (most recent call last):
        ...
    attacca.errors.ResourceError: found 2,147,483,648 affinities between two fragments, expected at most ...
    """
    fix = "make smaller fragments (segmentation.block_size, segmentation.chain)"
    check_range(int(counts.max(initial=0)), COUNT, "affinities between two fragments", fix)


def reduce_edges(table: np.ndarray) -> np.ndarray:
    """Return the sum of the rows (``EDGE_TYPE``) of each pair, with the maximum of their maxima, by ascending pair.

    Raises:
        ResourceError: two fragments touch in more voxels than a count of 31 bits holds.
    """
    if not len(table):
        return table
    table = table[np.lexsort((table["v"], table["u"]))]
    changed = np.ones(len(table), bool)
    changed[1:] = (table["u"][1:] != table["u"][:-1]) | (table["v"][1:] != table["v"][:-1])
    first = np.flatnonzero(changed)
    result = np.zeros(len(first), EDGE_TYPE)
    result["u"], result["v"] = table["u"][first], table["v"][first]
    for name in ("direct_sum", "direct_count", "long_sum", "long_count"):
        total = np.add.reduceat(table[name].astype(np.int64), first)
        if name.endswith("count"):
            check_counts(total)
        result[name] = total
    result["direct_max"] = np.maximum.reduceat(table["direct_max"], first)
    return result
