"""Skeletons of segments as SWC files and in the format of Neuroglancer Precomputed."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order

from attacca.blockwise.memory import available_memory, format_gibibytes
from attacca.config.export import SKELETON_BYTES_PER_VOXEL, SkeletonExport
from attacca.errors import ResourceError
from attacca.export.labels import Labels
from attacca.export.segment_table import SegmentTable


@dataclass(frozen=True)
class Skeleton:
    """Center lines of a segment.

    Args:
        vertices: x, y, z in nanometers, float32, shape (n, 3).
        edges: positions of two vertices each, uint32, shape (m, 2).
        radius: distance to the boundary of the segment in nanometers, float32, shape (n,).
    """

    vertices: np.ndarray
    edges: np.ndarray
    radius: np.ndarray

    def encode(self) -> bytes:
        """Return the skeleton as Neuroglancer reads it: numbers of vertices and edges, both, radius; little endian."""
        counts = np.array([len(self.vertices), len(self.edges)], "<u4")
        arrays = (self.vertices.astype("<f4"), self.edges.astype("<u4"), self.radius.astype("<f4"))
        return counts.tobytes() + b"".join(array.tobytes() for array in arrays)

    def format_swc(self) -> str:
        """Return the skeleton as SWC text in nanometers, a tree per connected component.

        >>> line = Skeleton(np.array([[0, 0, 4], [0, 0, 8]]), np.array([[0, 1]]), np.array([2.0, 3.0]))
        >>> print(line.format_swc())
        # units: nanometers
        # id type x y z radius parent
        1 0 0 0 4 2 -1
        2 0 0 0 8 3 1
        """
        count = len(self.vertices)
        ones = np.ones(len(self.edges), np.int8)
        graph = coo_array((ones, (self.edges[:, 0], self.edges[:, 1])), shape=(count, count)).tocsr()
        numbers = np.zeros(count, np.int64)
        lines = ["# units: nanometers", "# id type x y z radius parent"]
        for start in range(count):
            if numbers[start]:
                continue
            order, parents = breadth_first_order(graph, start, directed=False)
            for vertex in order:
                numbers[vertex] = len(lines) - 1
                parent = numbers[parents[vertex]] if parents[vertex] >= 0 else -1
                values = [*self.vertices[vertex], self.radius[vertex]]
                text = " ".join(f"{float(value):.10g}" for value in values)
                lines.append(f"{numbers[vertex]} 0 {text} {parent}")
        return "\n".join(lines)


def write_skeletons(
    directory: Path, labels: Labels, table: SegmentTable, settings: SkeletonExport
) -> dict[str, int]:
    """Write the skeletons of the chosen segments.

    Each segment is read with its bounding box, in which kimimaro computes the distance to its boundary.

    Args:
        directory: new directory; SWC files are written to its directory ``swc``.
        labels: the segmentation, 3D.
        table: its segments.
        settings: choice of segments, and of branches.

    Returns:
        Number of ``skeletons``, and of segments ``without_skeleton`` because they are too small.

    Raises:
        ResourceError: a bounding box does not fit into memory.
    """
    chosen = table.choose(settings)
    key = "export.precomputed.skeletons"
    check_skeleton_memory(chosen, table, key, "execution.memory_mb.export")
    directory.mkdir(parents=True)
    info = {
        "@type": "neuroglancer_skeletons",
        "transform": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0],
        "vertex_attributes": [{"id": "radius", "data_type": "float32", "num_components": 1}],
    }
    (directory / "info").write_text(json.dumps(info) + "\n")
    if settings.swc:
        (directory / "swc").mkdir()
    count = 0
    for position in chosen:
        skeleton = skeletonize(labels, table, int(position), settings)
        if skeleton is None:
            continue
        name = str(table.ids[position])
        (directory / name).write_bytes(skeleton.encode())
        if settings.swc:
            (directory / "swc" / f"{name}.swc").write_text(skeleton.format_swc() + "\n")
        count += 1
    return {"skeletons": count, "without_skeleton": len(chosen) - count}


def skeletonize(
    labels: Labels, table: SegmentTable, position: int, settings: SkeletonExport
) -> Skeleton | None:
    """Return the skeleton of a segment; None if it is too small.

    Args:
        labels: the segmentation, 3D.
        table: its segments.
        position: position of the segment in the table.
        settings: parameters of kimimaro.
    """
    # deferred: a package of the extra 'export'
    import kimimaro

    lower, upper = table.lower[position], table.upper[position]
    z, y, x = (slice(int(a), int(b)) for a, b in zip(lower, upper))
    mask = (labels.read((z, y, x)) == table.ids[position]).T
    size = np.array(labels.voxel_size[::-1])
    found = kimimaro.skeletonize(
        mask,
        teasar_params={"scale": settings.scale, "const": settings.const},
        anisotropy=tuple(size.tolist()),
        dust_threshold=0,
        fix_borders=False,
        progress=False,
        parallel=1,
    )
    if not found or not len(found[1].vertices):
        return None
    skeleton = found[1]
    # kimimaro puts vertices at the indices of voxels; the center of a voxel is half a voxel further.
    origin = np.array(labels.offset[::-1]) + (lower[::-1] + 0.5) * size
    vertices = (skeleton.vertices + origin).astype(np.float32)
    return Skeleton(vertices, skeleton.edges.astype(np.uint32), skeleton.radius.astype(np.float32))


def check_skeleton_memory(chosen: np.ndarray, table: SegmentTable, key: str, memory: str) -> None:
    """Raise an error if the bounding box of a segment does not fit into memory.

    Args:
        chosen: positions of the segments in the table.
        table: sizes of all segments.
        key: configuration key of the skeletons.
        memory: configuration key of the memory of the job.

    Raises:
        ResourceError: names the segment and its size.
    """
    if not len(chosen):
        return
    shapes = (table.upper - table.lower)[chosen]
    volumes = [math.prod(shape) for shape in shapes.tolist()]
    largest = int(np.argmax(volumes))
    needed, free = volumes[largest] * SKELETON_BYTES_PER_VOXEL, available_memory()
    if needed > free:
        shape = " x ".join(map(str, shapes[largest].tolist()))
        raise ResourceError(
            f"{key}: the bounding box of segment {table.ids[chosen[largest]]} has {shape} voxels, "
            f"which need {format_gibibytes(needed)} of memory, and {format_gibibytes(free)} are free; use a "
            f"machine or job with more memory ({memory}), or other segments"
        )
