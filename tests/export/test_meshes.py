"""Meshes of segments, read as Neuroglancer and cloud-volume read them."""

import json
import sys

import numpy as np
import pytest

from attacca.config.export import MeshExport, PrecomputedExport
from attacca.export.labels import Labels
from attacca.export.meshes import write_meshes
from attacca.export.segment_table import count_segments
from attacca.export.writers import SegmentationWriter

pytest.importorskip("zmesh")

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
    settings = MeshExport(reduction=reduction)
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
        write_meshes(tmp_path / str(reduction), labels, table, MeshExport(reduction=reduction, segments=[7]))
        counts.append(len(decode(tmp_path / str(reduction) / "7:0:0")[1]))
    assert counts[1] < counts[0] / 2


def test_surfaces_are_closed_at_the_border_of_the_volume(store, ball, tmp_path):
    labels = Labels(store(ball))
    write_meshes(tmp_path / "mesh", labels, count_segments(labels), MeshExport(reduction=0, segments=[9]))
    vertices, faces = decode(tmp_path / "mesh" / "9:0:0")
    assert faces_per_edge(faces) == [2]
    assert volume_of(vertices, faces) == pytest.approx((ball == 9).sum() * VOXEL.prod(), rel=0.1)


def test_only_chosen_segments_have_meshes(store, ball, tmp_path):
    labels = Labels(store(ball))
    assert write_meshes(tmp_path / "mesh", labels, count_segments(labels), MeshExport(largest=1)) == 1
    assert {path.name for path in (tmp_path / "mesh").iterdir()} == {"info", "7:0", "7:0:0"}
    assert json.loads((tmp_path / "mesh" / "7:0").read_text()) == {"fragments": ["7:0:0"]}


def test_meshes_do_not_depend_on_the_blocks(store, ball, tmp_path):
    class Whole(Labels):
        block_shape = SHAPE

    array = store(ball)
    for name, labels in (("blocks", Labels(array)), ("whole", Whole(array))):
        write_meshes(tmp_path / name, labels, count_segments(labels), MeshExport(reduction=0))
    for name in ("7:0:0", "9:0:0"):
        (a, faces_a), (b, faces_b) = (decode(tmp_path / kind / name) for kind in ("blocks", "whole"))
        assert np.array_equal(a, b)
        assert np.array_equal(
            np.unique(np.sort(faces_a, axis=1), axis=0), np.unique(np.sort(faces_b, axis=1), axis=0)
        )


def test_equal_segmentations_give_equal_meshes(store, ball, tmp_path):
    labels = Labels(store(ball))
    table = count_segments(labels)
    for name in ("a", "b"):
        write_meshes(tmp_path / name, labels, table, MeshExport())
    assert (tmp_path / "a" / "7:0:0").read_bytes() == (tmp_path / "b" / "7:0:0").read_bytes()


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="cloud-volume does not resolve on Python 3.14")
def test_cloud_volume_reads_a_mesh_in_nanometers(store, ball, tmp_path):
    cloudvolume = pytest.importorskip("cloudvolume")
    SegmentationWriter(store(ball), "run").write(tmp_path / "precomputed", PrecomputedExport(meshes=True))
    volume = cloudvolume.CloudVolume(f"file://{tmp_path}/precomputed", progress=False)
    mesh = volume.mesh.get(7)
    mesh = mesh[7] if isinstance(mesh, dict) else mesh
    assert volume_of(mesh.vertices, mesh.faces) == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.15)
    center = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
    assert np.allclose(center, (CENTER + OFFSET)[::-1], atol=VOXEL[::-1])
