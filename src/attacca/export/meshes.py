"""Surface meshes of segments in the formats of Neuroglancer Precomputed: with several levels of detail, or with one."""

import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from attacca.config.export import MeshExport
from attacca.export.labels import Labels
from attacca.export.multiresolution import encode_levels, make_info
from attacca.export.segment_table import SegmentTable

_LARGEST_RANGE = (1 << 20) - 1
"""Largest range of coordinates that the simplification of zmesh represents."""

_COARSEST_FACES = 4000
"""Triangles below which a level of detail is the coarsest one."""

_MOST_LEVELS = 6


@dataclass(frozen=True)
class Mesh:
    """Triangles of a surface.

    Args:
        vertices: x, y, z in nanometers, float32, shape (n, 3).
        faces: positions of three vertices each, uint32, shape (m, 3).
    """

    vertices: np.ndarray
    faces: np.ndarray

    def encode(self) -> bytes:
        """Return the mesh as Neuroglancer reads it: number of vertices, vertices, faces; little endian."""
        count = np.array([len(self.vertices)], "<u4")
        return count.tobytes() + self.vertices.astype("<f4").tobytes() + self.faces.astype("<u4").tobytes()


@dataclass
class _Parts:
    """Parts of meshes in a temporary file, so that one segment at a time is in memory."""

    file: IO[bytes]
    # Segment -> (offset, vertices, faces) of each part.
    index: dict[int, list[tuple[int, int, int]]] = field(default_factory=dict)

    def add(self, segment: int, vertices: np.ndarray, faces: np.ndarray) -> None:
        self.index.setdefault(segment, []).append((self.file.tell(), len(vertices), len(faces)))
        self.file.write(vertices.astype(np.int64).tobytes() + faces.astype(np.int64).tobytes())

    def read(self, segment: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for offset, vertices, faces in self.index[segment]:
            self.file.seek(offset)
            data = np.frombuffer(self.file.read((vertices + faces) * 24), np.int64).reshape(-1, 3)
            yield data[:vertices], data[vertices:]


def write_meshes(directory: Path, labels: Labels, table: SegmentTable, settings: MeshExport) -> int:
    """Write the meshes of the chosen segments.

    Marching cubes run block by block over the volume, with one voxel of overlap. The parts of a segment are stored in a
    temporary file beside the meshes, joined at their equal vertices, and then simplified. Surfaces are closed at the
    border of the volume. Memory: one block, and the mesh of one segment.

    With several levels of detail, each has about a quarter of the triangles of the next finer one, up to a level of a few
    thousand triangles.

    Args:
        directory: new directory.
        labels: the segmentation, 3D.
        table: its segments.
        settings: choice of segments, and simplification.

    Returns:
        Number of meshes.
    """
    directory.mkdir(parents=True)
    is_legacy = settings.format == "legacy"
    info = {"@type": "neuroglancer_legacy_mesh"} if is_legacy else make_info()
    (directory / "info").write_text(json.dumps(info) + "\n")
    chosen = table.ids[table.choose(settings)]
    with tempfile.TemporaryFile(dir=directory) as file:
        parts = _Parts(file)
        for block, start in _read_blocks(labels):
            _mesh_block(block, start, chosen, parts)
        for segment in chosen.tolist():
            mesh = _simplify(_join(parts, segment), labels, settings)
            if is_legacy:
                (directory / f"{segment}:0:0").write_bytes(mesh.encode())
                (directory / f"{segment}:0").write_text(json.dumps({"fragments": [f"{segment}:0:0"]}) + "\n")
                continue
            levels = [mesh, *_coarsen(mesh)]
            scales = [max(labels.voxel_size) * 2**level for level in range(len(levels))]
            index, data = encode_levels([(level.vertices, level.faces) for level in levels], scales)
            (directory / f"{segment}.index").write_bytes(index)
            (directory / str(segment)).write_bytes(data)
    return len(chosen)


def _read_blocks(labels: Labels) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the blocks and their first voxels (z, y, x): each pair of neighbors, those outside included, is in one block."""
    for box in labels.divide(labels.block_shape):
        start = [axis.start - 1 for axis in box]
        stop = [axis.stop + (axis.stop == n) for axis, n in zip(box, labels.shape)]
        z, y, x = (slice(a, b) for a, b in zip(start, stop))
        yield labels.read((z, y, x), margin=True), np.array(start)


def _mesh_block(block: np.ndarray, start: np.ndarray, chosen: np.ndarray, parts: _Parts) -> None:
    # deferred: a package of the extra 'export'
    import zmesh

    dense = np.searchsorted(chosen, block).clip(max=max(0, len(chosen) - 1)).astype(np.uint32)
    dense = np.where(chosen[dense] == block, dense + 1, 0).astype(np.uint32) if len(chosen) else dense * 0
    if not dense.any():
        return
    mesher = zmesh.Mesher((1, 1, 1))
    # The transposed block has the axes x, y, z, in the order of memory that zmesh expects.
    mesher.mesh(dense.T, close=False)
    for label in sorted(mesher.ids()):
        mesh = mesher.get(label, normals=False)
        # Vertices are halfway between the centers of voxels: twice their positions are whole numbers.
        doubled = np.rint(mesh.vertices * 2).astype(np.int64) + 2 * start[::-1]
        parts.add(int(chosen[label - 1]), doubled, mesh.faces)
        mesher.erase(label)


def _join(parts: _Parts, segment: int) -> Mesh:
    """Join the parts of a segment at equal vertices; positions are doubled voxels, x, y, z."""
    vertices, faces, count = [], [], 0
    for part_vertices, part_faces in parts.read(segment):
        vertices.append(part_vertices)
        faces.append(part_faces + count)
        count += len(part_vertices)
    joined, inverse = np.unique(np.concatenate(vertices), axis=0, return_inverse=True)
    return Mesh(joined, inverse.reshape(-1)[np.concatenate(faces)].astype(np.uint32))


def _coarsen(mesh: Mesh) -> Iterator[Mesh]:
    """Yield the coarser levels of detail of a mesh, each with a quarter of the triangles of the last one."""
    # deferred: a package of the extra 'export'
    import zmesh

    for _ in range(_MOST_LEVELS - 1):
        count = len(mesh.faces)
        if count <= _COARSEST_FACES:
            return
        corner = mesh.vertices.min(axis=0)
        coarse = zmesh.simplify_fqmr(
            zmesh.Mesh(mesh.vertices - corner, mesh.faces, None), target_count=count // 4
        )
        if not 0 < len(coarse.faces) < count:
            return
        mesh = Mesh((coarse.vertices + corner).astype(np.float32), coarse.faces.astype(np.uint32))
        yield mesh


def _simplify(mesh: Mesh, labels: Labels, settings: MeshExport) -> Mesh:
    """Return a mesh with fewer triangles in nanometers, from positions in doubled voxels."""
    # deferred: a package of the extra 'export'
    import zmesh

    size, offset = np.array(labels.voxel_size[::-1]), np.array(labels.offset[::-1])
    # The corner of a segment's box is subtracted: float32 has seven digits.
    corner = mesh.vertices.min(axis=0)
    vertices = ((mesh.vertices - corner) / 2 * size).astype(np.float32)
    # zmesh puts vertices at the indices of voxels; in Neuroglancer a voxel's center is half a voxel further.
    origin = offset + (corner / 2 + 0.5) * size
    faces = mesh.faces
    if settings.reduction > 1:
        # A power of two, so that no digit is lost.
        unit = 2.0 ** max(0, math.ceil(math.log2(max(1.0, float(vertices.max()) / _LARGEST_RANGE))))
        mesher: Any = zmesh.Mesher(tuple(size / unit))
        simple = mesher.simplify(
            zmesh.Mesh((vertices / unit).astype(np.float32), faces, None),
            reduction_factor=settings.reduction,
            max_error=settings.max_error / unit,
        )
        vertices, faces = simple.vertices * unit, simple.faces
    return Mesh((vertices + origin).astype(np.float32), faces)
