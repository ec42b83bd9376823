"""The graph of a volume: tables of its blocks, and one table out of all of them.

Each block writes its own two files, so blocks may come in any order, twice, and from any number of jobs. The
whole is put
together afterwards, a range of fragment ids at a time, so that memory does not grow with the volume: tables
of blocks are sorted, and a range of ids is one slice of each.
"""

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from attacca.atomic import write_bytes
from attacca.errors import MissingInputError, ResourceError
from attacca.segmentation.agglomerate import Graph
from attacca.segmentation.frame import Box, Frame, read_affinities, triple
from attacca.segmentation.graph import EDGE_TYPE, NODE_TYPE, Region, block_graph
from attacca.segmentation.offsets import Offsets

_EDGE_COLUMNS = ("direct_sum", "direct_count", "direct_max", "long_sum", "long_count")
_NODE_COLUMNS = ("size", "lower", "upper", "inner_sum", "inner_count")
_DIRECT = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def block_path(directory: str | os.PathLike[str], table: str, index: int) -> Path:
    """Where a block's table (``"nodes"`` or ``"edges"``) stands; a thousand blocks share a folder."""
    return Path(directory) / f"{index // 1000:06d}" / f"{index:09d}.{table}.npy"


@dataclass(frozen=True)
class GraphBlocks:
    """Block function that counts a block's share of the graph and writes it below ``directory``.

    Args:
        prediction: affinities, channels first.
        fragments: uint64 array without channels; its ROI is the volume.
        directory: where tables go.
        neighborhood: offset of each channel, in voxels. Empty: every contact of fragments counts as an
            affinity of 1.
        strides: strides of long-range offsets; see ``Offsets.create``.
        long_range: whether long-range offsets are counted.
    """

    prediction: Any
    fragments: Any
    directory: str
    neighborhood: tuple[tuple[int, ...], ...]
    strides: Any = None
    long_range: bool = True

    def open(self) -> None:
        from attacca.segmentation.compiled import warm

        warm("graph")

    def __call__(self, block: Any) -> None:
        frame = Frame(self.fragments.roi, self.fragments.voxel_size)
        nodes, edges = self.tables(frame, frame.to_box(block.write_roi))
        for name, table in (("nodes", nodes), ("edges", edges)):
            buffer = io.BytesIO()
            np.save(buffer, table)
            write_bytes(block_path(self.directory, name, block.index), buffer.getvalue())

    def tables(self, frame: Frame, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and edges that the voxels of a box are responsible for."""
        offsets, channels = graph_offsets(self.neighborhood, self.strides, self.long_range)
        seen = box.grow(*offsets.reach()).intersect(frame.box)
        fragments = np.asarray(self.fragments[frame.to_roi(seen)]).reshape(seen.shape)
        if self.neighborhood:
            affinities = read_affinities(self.prediction, frame, seen, len(self.neighborhood))[channels]
        else:
            affinities = np.full((3, *seen.shape), 255, np.uint8)
        begin = triple([b - s for b, s in zip(box.begin, seen.begin)])
        region = Region(begin, triple([b + e for b, e in zip(begin, box.shape)]))
        return block_graph(fragments, affinities, offsets, region, seen.begin)


def graph_offsets(
    neighborhood: Sequence[Sequence[int]], strides: Any, long_range: bool
) -> tuple[Offsets, np.ndarray]:
    """Offsets that are counted, and which channels they are."""
    if not neighborhood:
        return Offsets.create(_DIRECT), np.arange(3)
    offsets = Offsets.create(neighborhood, strides=strides)
    kept = np.flatnonzero(offsets.direct) if not long_range else np.arange(len(offsets))
    return Offsets(offsets.vectors[kept], offsets.biases[kept], offsets.strides[kept]), kept


def load_graph(directory: str | os.PathLike[str], num_blocks: int, part_rows: int = 500_000) -> Graph:
    """The whole graph of a volume, from the tables of its blocks.

    Columns of edges are written below ``directory/whole`` and memory-mapped.

    Args:
        directory: as for ``GraphBlocks``.
        num_blocks: number of blocks of the grid; the tables of all of them must be there.
        part_rows: rows of blocks' tables that are sorted at once (about 150 bytes each).

    Raises:
        MissingInputError: a block's table is missing.
        ResourceError: 2^31 or more fragments.
    """
    paths = {kind: [block_path(directory, kind, i) for i in range(num_blocks)] for kind in ("nodes", "edges")}
    missing = [path for kind in paths for path in paths[kind] if not path.exists()]
    if missing:
        raise MissingInputError(
            f"{len(missing)} tables of the graph are missing below {directory}, the first is "
            f"{missing[0].name}; "
            "run the graph stage for all blocks first"
        )
    nodes = _node_columns(paths["nodes"], part_rows)
    ids = nodes.pop("id")
    if len(ids) >= 2**31:
        raise ResourceError(f"{len(ids)} fragments are more than 2^31; make larger fragments")
    whole = Path(directory) / "whole"
    whole.mkdir(parents=True, exist_ok=True)
    columns = ("u", "v", *_EDGE_COLUMNS)
    files = {name: open(whole / f"{name}.bin", "wb") for name in columns}  # noqa: SIM115
    rows = 0
    try:
        for part in _parts(paths["edges"], "u", EDGE_TYPE, part_rows):
            table = _reduce_edges(part)
            rows += len(table)
            for name in columns:
                column = table[name]
                if name in ("u", "v"):
                    column = np.searchsorted(ids, column).astype(np.int32)
                np.ascontiguousarray(column).tofile(files[name])
    finally:
        for file in files.values():
            file.close()
    mapped = {}
    for name in columns:
        kind = np.dtype(np.int32) if name in ("u", "v") else EDGE_TYPE[name]
        mapped[name] = np.memmap(whole / f"{name}.bin", kind, "r") if rows else np.zeros(0, kind)
    return Graph(ids=ids, sizes=nodes.pop("size"), **nodes, **mapped)


def _node_columns(paths: list[Path], part_rows: int) -> dict[str, np.ndarray]:
    """Columns of all nodes, sorted by id."""
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in ("id", *_NODE_COLUMNS)}
    for part in _parts(paths, "id", NODE_TYPE, part_rows):
        table = _reduce_nodes(part)
        for name, column in pieces.items():
            column.append(np.ascontiguousarray(table[name]))
    empty = np.zeros(0, NODE_TYPE)
    return {name: np.concatenate(pieces.pop(name) or [empty[name]]) for name in list(pieces)}


def graph_of_tables(nodes: np.ndarray, edges: np.ndarray) -> Graph:
    """A graph in memory from tables of one or several blocks, concatenated in any order."""
    nodes, edges = _reduce_nodes(nodes), _reduce_edges(edges)
    ids = np.ascontiguousarray(nodes["id"])
    return Graph(
        ids=ids,
        sizes=np.ascontiguousarray(nodes["size"]),
        lower=np.ascontiguousarray(nodes["lower"]),
        upper=np.ascontiguousarray(nodes["upper"]),
        inner_sum=np.ascontiguousarray(nodes["inner_sum"]),
        inner_count=np.ascontiguousarray(nodes["inner_count"]),
        u=np.searchsorted(ids, edges["u"]).astype(np.int32),
        v=np.searchsorted(ids, edges["v"]).astype(np.int32),
        **{name: np.ascontiguousarray(edges[name]) for name in _EDGE_COLUMNS},
    )


@dataclass(frozen=True)
class _Table:
    """A block's sorted table on disk: its rows, and the keys of the first and the last."""

    path: Path
    rows: int
    first: np.uint64
    last: np.uint64


def _parts(paths: list[Path], key: str, kind: np.dtype, part_rows: int) -> Iterator[np.ndarray]:
    """All rows of sorted tables, in parts of rising, disjoint ranges of ``key``."""
    tables = []
    for path in paths:
        keys = np.load(path, mmap_mode="r")[key]
        if len(keys):
            tables.append(_Table(path, len(keys), keys[0], keys[-1]))
    total = sum(table.rows for table in tables)
    if not total:
        return
    count = -(-total // part_rows)
    cuts: list[int] = []
    if count > 1:
        step = max(1, total // (1000 * count))
        sample = np.sort(
            np.concatenate([np.load(table.path, mmap_mode="r")[key][::step] for table in tables])
        )
        cuts = sorted({int(sample[len(sample) * i // count]) for i in range(1, count)})
    bounds = [0, *cuts, None]
    for low, high in pairwise(bounds):
        pieces = []
        for table in tables:
            if (low and table.last < low) or (high is not None and table.first >= high):
                continue
            rows = np.load(table.path, mmap_mode="r")
            start = int(np.searchsorted(rows[key], np.uint64(low))) if low else 0
            stop = len(rows) if high is None else int(np.searchsorted(rows[key], np.uint64(high)))
            if stop > start:
                pieces.append((table.path, start, stop))
        if pieces:
            part = np.empty(sum(stop - start for _, start, stop in pieces), kind)
            filled = 0
            for path, start, stop in pieces:
                part[filled : filled + stop - start] = np.load(path, mmap_mode="r")[start:stop]
                filled += stop - start
            yield part


def _reduce_nodes(table: np.ndarray) -> np.ndarray:
    """Rows of one id become one: sums, and the box around both."""
    table = table[np.argsort(table["id"], kind="stable")]
    first = (
        np.flatnonzero(np.diff(table["id"], prepend=np.uint64(0)) != 0)
        if len(table)
        else np.zeros(0, np.int64)
    )
    result = np.zeros(len(first), NODE_TYPE)
    if len(first):
        result["id"] = table["id"][first]
        for name in ("size", "inner_sum", "inner_count"):
            result[name] = np.add.reduceat(table[name], first)
        result["lower"] = np.minimum.reduceat(table["lower"], first, axis=0)
        result["upper"] = np.maximum.reduceat(table["upper"], first, axis=0)
    return result


def _reduce_edges(table: np.ndarray) -> np.ndarray:
    """Rows of one pair become one: sums, and the maximum of maxima."""
    if not len(table):
        return table
    table = table[np.lexsort((table["v"], table["u"]))]
    changed = np.ones(len(table), bool)
    changed[1:] = (table["u"][1:] != table["u"][:-1]) | (table["v"][1:] != table["v"][:-1])
    first = np.flatnonzero(changed)
    result = np.zeros(len(first), EDGE_TYPE)
    result["u"], result["v"] = table["u"][first], table["v"][first]
    for name in ("direct_sum", "direct_count", "long_sum", "long_count"):
        result[name] = np.add.reduceat(table[name], first)
    result["direct_max"] = np.maximum.reduceat(table["direct_max"], first)
    return result
