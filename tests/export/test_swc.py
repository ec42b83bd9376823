"""Skeletons in SWC files: what is written is read, damage is reported with its line, and runs are measured along them."""

from pathlib import Path

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import NumpyArray
from attacca.errors import MissingInputError, VolumeError
from attacca.evaluators.run_lengths import GIVEN, score_run_lengths
from attacca.export.skeletons import Skeleton
from attacca.export.swc import read_skeletons, read_swc
from attacca.export.swc_files import digest_swc_files
from attacca.export.true_skeletons import measure_given_run_lengths

VOXEL = Coordinate(16, 8, 8)


def write(directory: Path, name: str, nodes: list[str]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text("\n".join(nodes))
    return path


def make_line(y: int, offset: tuple[int, int, int] = (160, 80, 80)) -> Skeleton:
    """Nodes at the centers of 20 voxels along x, in nanometers."""
    x = offset[2] + (np.arange(20) + 0.5) * 8
    vertices = np.stack([x, np.full(20, offset[1] + (y + 0.5) * 8), np.full(20, offset[0] + 8.0)], axis=1)
    return Skeleton(vertices, np.stack([np.arange(19), np.arange(1, 20)], axis=1), np.ones(20))


def place(ids: np.ndarray) -> NumpyArray:
    roi = Roi((160, 80, 80), Coordinate(ids.shape) * VOXEL)
    return NumpyArray.from_np_array(ids, roi, VOXEL, ["z", "y", "x"])


def test_a_written_skeleton_is_read_again(tmp_path: Path) -> None:
    line = make_line(3)
    pieces = Skeleton(line.vertices, line.edges[[0, 1, 5, 6, 7]], line.radius)
    found = read_swc(write(tmp_path, "a.swc", [pieces.format_swc()]))

    def list_edges(skeleton: Skeleton) -> set[frozenset[tuple[float, ...]]]:
        return {frozenset(tuple(node) for node in skeleton.vertices[edge]) for edge in skeleton.edges}

    assert list_edges(found) == list_edges(pieces)
    assert {tuple(node) for node in found.vertices} == {tuple(node) for node in pieces.vertices}


def test_micrometers_become_nanometers(tmp_path: Path) -> None:
    path = write(tmp_path, "a.swc", ["1 0 0.5 1 2 0.1 -1", "", "# comment", "2 3 0.5 1 3 0.1 1"])
    assert read_swc(path, "micrometer").vertices.tolist() == [[500, 1000, 2000], [500, 1000, 3000]]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (["1 0 0 0 0 1 -1", "2 0 0 0 0 1"], "line 2: found '2 0 0 0 0 1', expected id, type, x, y, z"),
        (["1 0 a 0 0 1 -1"], "line 1: found '1 0 a"),
        (["1 0 0 0 0 1 -1", "1 0 0 0 8 1 -1"], "line 2: .* id that occurs once"),
        (["1 0 0 0 nan 1 -1"], "finite coordinates"),
        (["4 0 0 0 0 1 4"], "another node as the parent"),
        (["1 0 0 0 0 1 -1", "2 0 0 0 0 1 7"], "line 2: the parent 7 is not a node"),
        (["# empty"], "holds no node"),
    ],
)
def test_damage_is_reported_with_its_line(tmp_path: Path, nodes: list[str], message: str) -> None:
    with pytest.raises(VolumeError, match=message):
        read_swc(write(tmp_path, "a.swc", nodes))


def test_files_of_a_volume_are_its_objects_and_their_content_decides_the_digest(tmp_path: Path) -> None:
    for name, y in (("b.swc", 2), ("a.SWC", 1)):
        write(tmp_path / "cube", name, [make_line(y).format_swc()])
    write(tmp_path / "cube", "notes.txt", ["mine"])
    assert [skeleton.vertices[0, 1] for skeleton in read_skeletons(tmp_path, "cube")] == [92, 100]
    before = digest_swc_files(tmp_path, "cube")
    (tmp_path / "cube").rename(tmp_path / "other")
    assert digest_swc_files(tmp_path, "other") == before
    write(tmp_path / "other", "b.swc", [make_line(5).format_swc()])
    assert digest_swc_files(tmp_path, "other") != before
    with pytest.raises(MissingInputError, match=r"found no SWC files in .*cube"):
        read_skeletons(tmp_path, "cube")


def test_runs_are_measured_along_given_skeletons() -> None:
    ids = np.zeros((3, 10, 20), np.uint64)
    ids[:, 2], ids[:, 6, :10], ids[:, 6, 10:] = 5, 7, 8
    table = measure_given_run_lengths([make_line(2), make_line(6)], place(ids))
    scores = score_run_lengths(table, GIVEN)
    # Edges of 8 nm: 19 of the first object, and 9 on each side of the split of the second one.
    assert scores.erl == pytest.approx((152**2 + 2 * 72**2) / (2 * 152))
    assert scores.nerl == pytest.approx((152**2 + 2 * 72**2) / (2 * 152**2))
    assert all("SWC files" in scores.criterion(name).convention for name in scores.criteria)
    merged = score_run_lengths(measure_given_run_lengths([make_line(2), make_line(6)], place(ids * 0 + 1)))
    assert merged.nerl == 0


def test_nodes_outside_the_segmentation_and_the_mask_do_not_count() -> None:
    ids = np.full((3, 10, 20), 4, np.uint64)
    mask = np.ones(ids.shape, np.uint8)
    mask[:, :, 10:] = 0
    outside = make_line(2, offset=(160, 80, 800))
    table = measure_given_run_lengths([make_line(2), outside], place(ids), place(mask))
    assert table.pieces.tolist() == [72]
    with pytest.raises(VolumeError, match="none of the 20 nodes of the skeletons is inside the segmentation"):
        measure_given_run_lengths([outside], place(ids))
