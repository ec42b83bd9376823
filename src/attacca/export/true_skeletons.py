"""Run lengths of a segmentation along skeletons of the ground truth, or along given ones."""

from collections.abc import Iterator, Sequence

import numpy as np

from attacca.arrays import Array
from attacca.config.export import SkeletonExport
from attacca.errors import VolumeError
from attacca.evaluators.run_lengths import RunLengths, join_run_lengths, measure_runs
from attacca.export.labels import Labels
from attacca.export.segment_table import count_segments
from attacca.export.skeletons import Skeleton, check_skeleton_memory, skeletonize
from attacca.progress import Progress


def measure_run_lengths(
    segmentation: Array,
    ground_truth: Array,
    unlabelled: int | None = None,
    mask: Array | None = None,
    progress: Progress | None = None,
) -> RunLengths:
    """Return the table of run lengths of all objects of the ground truth.

    An object is read with its bounding box, one after the other. Nodes outside the segmentation, or where the mask is 0,
    do not count.

    Args:
        segmentation: predicted ids, 3D.
        ground_truth: true ids, 3D; 0 is background.
        unlabelled: label value of voxels without annotation.
        mask: voxels of value 0 do not count.
        progress: counts the objects.

    Raises:
        ResourceError: a bounding box does not fit into memory.
    """
    labels, settings = Labels(ground_truth), SkeletonExport()
    table = count_segments(labels)
    chosen = [
        position for position in table.choose(settings).tolist() if table.ids[position] != (unlabelled or 0)
    ]
    check_skeleton_memory(
        np.array(chosen, np.int64), table, "evaluation.run_length", "execution.memory_mb.evaluate"
    )
    if progress is not None:
        progress.expect(len(chosen))

    def measure() -> Iterator[RunLengths]:
        for position in chosen:
            skeleton = skeletonize(labels, table, position, settings)
            if progress is not None:
                progress.advance()
            if skeleton is not None:
                yield _measure_skeleton(int(table.ids[position]), skeleton, segmentation, mask)

    return join_run_lengths(measure())


def measure_given_run_lengths(
    skeletons: Sequence[Skeleton], segmentation: Array, mask: Array | None = None
) -> RunLengths:
    """Return the table of run lengths of given skeletons, one per object.

    Nodes outside the segmentation, or where the mask is 0, do not count.

    Args:
        skeletons: one per object.
        segmentation: predicted ids, 3D.
        mask: voxels of value 0 do not count.

    Raises:
        VolumeError: no node counts.
    """
    tables = [
        _measure_skeleton(number, skeleton, segmentation, mask)
        for number, skeleton in enumerate(skeletons, start=1)
    ]
    table = join_run_lengths(tables)
    if not table.nodes.sum():
        count = sum(len(skeleton.vertices) for skeleton in skeletons)
        region = "the segmentation" if mask is None else "the segmentation and the mask"
        raise VolumeError(
            f"none of the {count} nodes of the skeletons is inside {region}",
            fix="check the unit and the order x, y, z of the coordinates, and the offset of the volume",
        )
    return table


def _measure_skeleton(
    object_id: int, skeleton: Skeleton, segmentation: Array, mask: Array | None
) -> RunLengths:
    is_inside = _find_inside(skeleton, segmentation)
    if mask is not None:
        is_inside &= _find_inside(skeleton, mask)
        is_inside[is_inside] = _look_up(skeleton.vertices[is_inside], mask) != 0
    number = np.cumsum(is_inside) - 1
    edges = skeleton.edges[is_inside[skeleton.edges].all(axis=1)]
    vertices = skeleton.vertices[is_inside]
    return measure_runs(object_id, vertices, number[edges], _look_up(vertices, segmentation))


def _find_voxels(vertices: np.ndarray, array: Array) -> np.ndarray:
    """Return the voxel along z, y, x of each vertex (x, y, z in nanometers), int64, shape (n, 3)."""
    labels = Labels(array)
    offset, size = np.array(labels.offset), np.array(labels.voxel_size)
    return np.floor((vertices[:, ::-1].astype(np.float64) - offset) / size + 1e-6).astype(np.int64)


def _find_inside(skeleton: Skeleton, array: Array) -> np.ndarray:
    voxels = _find_voxels(skeleton.vertices, array)
    is_inside: np.ndarray = ((voxels >= 0) & (voxels < np.array(Labels(array).shape))).all(axis=1)
    return is_inside


def _look_up(vertices: np.ndarray, array: Array) -> np.ndarray:
    """Return the value of an array at each vertex, which is inside the array."""
    if not len(vertices):
        return np.zeros(0, np.uint64)
    voxels = _find_voxels(vertices, array)
    lower, upper = voxels.min(axis=0), voxels.max(axis=0) + 1
    z, y, x = (slice(int(a), int(b)) for a, b in zip(lower, upper))
    box = Labels(array).read((z, y, x))
    found: np.ndarray = box[tuple((voxels - lower).T)]
    return found
