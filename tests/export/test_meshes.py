"""Meshes of segments, read as Neuroglancer and cloud-volume read them."""

import itertools
import json
import sys

import numpy as np
import pytest

from attacca.config.export import MeshExport, PrecomputedExport
from attacca.export.labels import Labels
from attacca.export.meshes import write_meshes
from attacca.export.segment_table import count_segments
from attacca.export.writers import SegmentationWriter

VOXEL, OFFSET, SHAPE, RADIUS = np.array([40, 8, 8]), np.array([80, 16, 32]), (40, 90, 90), 250.0
CENTER = np.array([20.5, 45, 45]) * VOXEL


@pytest.fixture
def ball() -> np.ndarray:
    """A ball of 250 nm with the id 7 across many blocks, and a plate with the id 9 at the border of the volume."""
    positions = (np.moveaxis(np.indices(SHAPE), 0, -1) + 0.5) * VOXEL
    ids = np.where(((positions - CENTER) ** 2).sum(axis=-1) < RADIUS**2, 7, 0).astype(np.uint64)
    ids[10:14, :3] = 9
    return ids


def volume_of(vertices, faces):
    a, b, c = (vertices[faces[:, axis]].astype(np.float64) - vertices[0] for axis in range(3))
    return np.einsum("ij,ij->", a, np.cross(b, c)) / 6


def faces_per_edge(faces):
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(np.unique(edges, axis=0, return_counts=True)[1]).tolist()


def decode(path):
    data = path.read_bytes()
    count = int(np.frombuffer(data, "<u4", 1)[0])
    vertices = np.frombuffer(data, "<f4", count * 3, offset=4).reshape(-1, 3)
    return vertices, np.frombuffer(data, "<u4", offset=4 + count * 12).reshape(-1, 3)


@pytest.mark.parametrize("reduction", [0, 100])
def test_the_mesh_of_a_ball_is_closed_and_has_its_volume_and_place(store, ball, tmp_path, reduction):
    labels = Labels(store(ball))
    settings = MeshExport(format="legacy", reduction=reduction)
    assert write_meshes(tmp_path / "mesh", labels, count_segments(labels), settings) == 2
    vertices, faces = decode(tmp_path / "mesh" / "7:0:0")
    assert faces_per_edge(faces) == [2]
    assert volume_of(vertices, faces) == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.05)
    ball_voxels = np.argwhere(ball == 7)
    lower, upper = ball_voxels.min(axis=0) * VOXEL + OFFSET, (ball_voxels.max(axis=0) + 1) * VOXEL + OFFSET
    assert np.allclose(vertices.min(axis=0), lower[::-1], atol=1)
    assert np.allclose(vertices.max(axis=0), upper[::-1], atol=1)


def test_simplification_leaves_fewer_triangles(store, ball, tmp_path):
    labels = Labels(store(ball))
    table = count_segments(labels)
    counts = []
    for reduction in (0, 100):
        write_meshes(
            tmp_path / str(reduction),
            labels,
            table,
            MeshExport(format="legacy", reduction=reduction, segments=[7]),
        )
        counts.append(len(decode(tmp_path / str(reduction) / "7:0:0")[1]))
    assert counts[1] < counts[0] / 2


def test_surfaces_are_closed_at_the_border_of_the_volume(store, ball, tmp_path):
    labels = Labels(store(ball))
    write_meshes(
        tmp_path / "mesh",
        labels,
        count_segments(labels),
        MeshExport(format="legacy", reduction=0, segments=[9]),
    )
    vertices, faces = decode(tmp_path / "mesh" / "9:0:0")
    assert faces_per_edge(faces) == [2]
    assert volume_of(vertices, faces) == pytest.approx((ball == 9).sum() * VOXEL.prod(), rel=0.1)


def test_only_chosen_segments_have_meshes(store, ball, tmp_path):
    labels = Labels(store(ball))
    assert (
        write_meshes(
            tmp_path / "mesh", labels, count_segments(labels), MeshExport(format="legacy", largest=1)
        )
        == 1
    )
    assert {path.name for path in (tmp_path / "mesh").iterdir()} == {"info", "7:0", "7:0:0"}
    assert json.loads((tmp_path / "mesh" / "7:0").read_text()) == {"fragments": ["7:0:0"]}


def test_meshes_do_not_depend_on_the_blocks(store, ball, tmp_path):
    class Whole(Labels):
        block_shape = SHAPE

    array = store(ball)
    for name, labels in (("blocks", Labels(array)), ("whole", Whole(array))):
        write_meshes(
            tmp_path / name, labels, count_segments(labels), MeshExport(format="legacy", reduction=0)
        )
    for name in ("7:0:0", "9:0:0"):
        (a, faces_a), (b, faces_b) = (decode(tmp_path / kind / name) for kind in ("blocks", "whole"))
        assert np.array_equal(a, b)
        assert np.array_equal(
            np.unique(np.sort(faces_a, axis=1), axis=0), np.unique(np.sort(faces_b, axis=1), axis=0)
        )


@pytest.mark.parametrize("form", ["multiresolution", "legacy"])
def test_equal_segmentations_give_equal_meshes(store, ball, tmp_path, form):
    labels = Labels(store(ball))
    table = count_segments(labels)
    for name in ("a", "b"):
        write_meshes(tmp_path / name, labels, table, MeshExport(format=form))
    files = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("a", "b")]
    assert files[0] == files[1] and len(files[0]) == 5


def decode_levels(directory, segment):
    """Vertices and faces of each level, and the fragments' positions, as the format is specified."""
    import DracoPy

    index, data = ((directory / f"{segment}{end}").read_bytes() for end in (".index", ""))
    box, origin = np.frombuffer(index, "<f4", 6).reshape(2, 3).astype(np.float64)
    count = int(np.frombuffer(index, "<u4", 1, 24)[0])
    at = 28 + 16 * count
    numbers = np.frombuffer(index, "<u4", count, at)
    at, start, levels = at + 4 * count, 0, []
    for level, number in enumerate(numbers):
        positions = np.frombuffer(index, "<u4", 3 * number, at).reshape(3, number).T
        sizes = np.frombuffer(index, "<u4", number, at + 12 * number)
        at += 16 * number
        vertices, faces, known = [], [], 0
        for position, size in zip(positions, sizes):
            part = DracoPy.decode(data[start : start + size]) if size else None
            start += size
            if part is None:
                continue
            stored = np.asarray(part.points)
            assert np.array_equal(stored, np.rint(stored)) and 0 <= stored.min() <= stored.max() < 1 << 16
            if level:
                corners = stored[np.asarray(part.faces)]
                assert not ((corners.min(axis=1) < 32767) & (corners.max(axis=1) > 32768)).any()
            vertices.append(origin + box * 2**level * (position + stored / 65535))
            faces.append(np.asarray(part.faces) + known)
            known += len(stored)
        levels.append((np.concatenate(vertices), np.concatenate(faces), positions))
    assert start == len(data) and at == len(index)
    return levels


def test_each_level_of_detail_is_closed_has_the_volume_of_the_ball_and_fewer_triangles(
    store, ball, tmp_path, monkeypatch
):
    monkeypatch.setattr("attacca.export.meshes._COARSEST_FACES", 200)
    labels = Labels(store(ball))
    settings = MeshExport(format="multiresolution", segments=[7], reduction=0)
    write_meshes(tmp_path / "mesh", labels, count_segments(labels), settings)
    levels = decode_levels(tmp_path / "mesh", 7)
    assert len(levels) >= 3
    counts = []
    for vertices, faces, positions in levels:
        error = 0.01 if not counts else 0.1 if len(faces) > 1000 else 0.3
        assert volume_of(vertices, faces) == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=error)
        _, joined = np.unique(np.rint(vertices * 64), axis=0, return_inverse=True)
        # No edge is open; parts of the surface may touch each other.
        assert all(number % 2 == 0 for number in faces_per_edge(joined.reshape(-1)[faces]))
        counts.append(len(faces))
        assert len(positions) <= 8 ** (len(levels) - len(counts))
    assert counts == sorted(counts, reverse=True)
    # The parents of all fragments exist, up to a single one.
    for (_, _, fine), (_, _, coarse) in itertools.pairwise(levels):
        assert {tuple(position // 2) for position in fine} <= set(map(tuple, coarse))
    assert len(levels[-1][2]) == 1


def test_a_small_segment_has_one_level(store, ball, tmp_path):
    labels = Labels(store(ball))
    write_meshes(
        tmp_path / "mesh", labels, count_segments(labels), MeshExport(format="multiresolution", segments=[9])
    )
    ((vertices, faces, _),) = decode_levels(tmp_path / "mesh", 9)
    assert volume_of(vertices, faces) == pytest.approx((ball == 9).sum() * VOXEL.prod(), rel=0.2)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="cloud-volume does not resolve on Python 3.14")
@pytest.mark.parametrize("form", ["multiresolution", "legacy"])
def test_cloud_volume_reads_a_mesh_in_nanometers(store, ball, tmp_path, form, monkeypatch):
    cloudvolume = pytest.importorskip("cloudvolume")
    monkeypatch.setattr("attacca.export.meshes._COARSEST_FACES", 100)
    settings = PrecomputedExport(meshes=MeshExport(format=form, reduction=4, max_error=4))
    SegmentationWriter(store(ball), "run").write(tmp_path / "precomputed", settings)
    volume = cloudvolume.CloudVolume(f"file://{tmp_path}/precomputed", progress=False)
    mesh = volume.mesh.get(7)
    mesh = mesh[7] if isinstance(mesh, dict) else mesh
    assert volume_of(mesh.vertices, mesh.faces) == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.15)
    center = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
    assert np.allclose(center, (CENTER + OFFSET)[::-1], atol=VOXEL[::-1])
