"""Skeletons of segments, as SWC files and as cloud-volume reads them."""

import sys

import numpy as np
import pytest

from attacca.config.export import PrecomputedExport, SkeletonExport
from attacca.errors import ResourceError
from attacca.export import skeletons
from attacca.export.labels import Labels
from attacca.export.segment_table import count_segments
from attacca.export.skeletons import Skeleton, write_skeletons
from attacca.export.writers import SegmentationWriter

VOXEL, OFFSET = np.array([8, 8, 8]), np.array([80, 16, 32])


@pytest.fixture
def tube() -> np.ndarray:
    """A straight tube of 9 x 9 x 90 voxels with the id 5, along x, and a single voxel with the id 6."""
    ids = np.zeros((20, 30, 100), np.uint64)
    ids[6:15, 10:19, 5:95] = 5
    ids[1, 1, 1] = 6
    return ids


def parse_swc(path):
    rows = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
    return np.array(rows, dtype=np.float64)


def test_an_swc_file_is_a_tree_inside_the_segment_from_end_to_end(store, tube, tmp_path):
    labels = Labels(store(tube, voxel_size=VOXEL, offset=OFFSET))
    counts = write_skeletons(tmp_path / "skeletons", labels, count_segments(labels), SkeletonExport())
    assert counts == {"skeletons": 1, "without_skeleton": 0}
    rows = parse_swc(tmp_path / "skeletons" / "swc" / "5.swc")
    numbers, parents = rows[:, 0], rows[:, 6]
    assert numbers.tolist() == list(range(1, len(rows) + 1))
    assert (parents == -1).sum() == 1
    assert (parents < numbers).all()
    voxels = np.floor((rows[:, [4, 3, 2]] - OFFSET) / VOXEL).astype(int)
    assert (tube[tuple(voxels.T)] == 5).all()
    assert np.allclose((rows[:, [4, 3, 2]] - OFFSET) / VOXEL % 1, 0.5)
    assert np.ptp(rows[:, 2]) > 85 * 8
    assert 0 < rows[:, 5].max() <= 5 * 8


def test_small_segments_are_left_out(store, tube, tmp_path):
    labels = Labels(store(tube, voxel_size=VOXEL, offset=OFFSET))
    write_skeletons(tmp_path / "skeletons", labels, count_segments(labels), SkeletonExport(swc=False))
    assert {path.name for path in (tmp_path / "skeletons").iterdir()} == {"info", "5"}


def test_components_of_a_skeleton_are_trees_of_their_own():
    vertices = np.arange(15, dtype=np.float32).reshape(5, 3)
    skeleton = Skeleton(vertices, np.array([[3, 1], [4, 2], [2, 0]]), np.ones(5))
    lines = [line.split() for line in skeleton.format_swc().splitlines()[2:]]
    assert [(int(line[0]), float(line[2]), int(line[6])) for line in lines] == [
        (1, 0, -1),
        (2, 6, 1),
        (3, 12, 2),
        (4, 3, -1),
        (5, 9, 4),
    ]


def test_a_bounding_box_beyond_the_memory_is_refused(store, tube, tmp_path, monkeypatch):
    labels = Labels(store(tube, voxel_size=VOXEL, offset=OFFSET))
    monkeypatch.setattr(skeletons, "available_memory", lambda: 100_000)
    with pytest.raises(ResourceError, match="segment 5 has 9 x 9 x 90 voxels"):
        write_skeletons(tmp_path / "skeletons", labels, count_segments(labels), SkeletonExport())
    assert not (tmp_path / "skeletons").exists()


def test_equal_segmentations_give_equal_skeletons(store, tube, tmp_path):
    labels = Labels(store(tube, voxel_size=VOXEL, offset=OFFSET))
    table = count_segments(labels)
    for name in ("a", "b"):
        write_skeletons(tmp_path / name, labels, table, SkeletonExport())
    for file in ("5", "swc/5.swc"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="cloud-volume does not resolve on Python 3.14")
def test_cloud_volume_reads_a_skeleton_in_nanometers(store, tube, tmp_path):
    cloudvolume = pytest.importorskip("cloudvolume")
    array = store(tube, voxel_size=VOXEL, offset=OFFSET)
    SegmentationWriter(array, "run").write(tmp_path / "precomputed", PrecomputedExport(skeletons=True))
    volume = cloudvolume.CloudVolume(f"file://{tmp_path}/precomputed", progress=False)
    skeleton = volume.skeleton.get(5)
    rows = parse_swc(tmp_path / "precomputed" / "skeletons" / "swc" / "5.swc")
    assert len(skeleton.vertices) == len(rows)
    assert len(skeleton.edges) == len(rows) - 1
    assert np.allclose(np.sort(skeleton.vertices, axis=0), np.sort(rows[:, 2:5], axis=0))
    assert np.allclose(np.sort(skeleton.radius), np.sort(rows[:, 5]))
