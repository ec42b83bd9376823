"""Blockwise segmentation and relabeling against the reference."""

from pathlib import Path

import mwatershed
import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.blockwise import segment_blockwise
from attacca.blockwise.stitching import find_components, relabel_volume

FUNCTION = """
import mwatershed
import numpy as np


def segment_function(input_array, block, offsets, bias):
    affinities = input_array[block.read_roi].astype(np.float64) - bias
    labels = mwatershed.agglom(affinities, offsets)
    # mwatershed gives the segment of voxel 0 the label of the background.
    seeds = np.zeros(labels.shape, dtype=np.uint64)
    if (labels == 0).any() and labels.flat[0] == 0:
        seeds.flat[0] = labels.max() + 1
        labels = np.where(labels == 0, mwatershed.agglom(affinities, offsets, seeds), labels)
    return labels
"""


@pytest.fixture
def blocks_of(tmp_path: Path, case):
    """Segments the middle 24^3 of affinities that are stored with a margin of 4 voxels."""
    file = tmp_path / "watershed.py"
    file.write_text(FUNCTION)

    def run(affinities: np.ndarray, voxel: int, context: int, bias: float) -> np.ndarray:
        container = tmp_path / f"{voxel}-{context}-{bias}-{affinities.sum()}.zarr"
        size = Coordinate((voxel,) * 3)
        source, target = LocalArrayIdentifier(container, "in"), LocalArrayIdentifier(container, "out")
        array = ZarrArray.create_from_array_identifier(
            source, ["c", "z", "y", "x"], Roi(size * -4, size * 32), 6, size, np.float32
        )
        array[array.roi] = affinities
        write = Roi(size * 0, size * case.params["write_block_voxels"])
        offsets = [tuple(offset) for offset in case.params["offsets"]]
        assert segment_blockwise(
            file,
            size * context,
            Roi(size * 0, size * 24),
            write.grow(size * context, size * context),
            write,
            num_workers=1,
            input_array_identifier=source,
            output_array_identifier=target,
            parameters={"offsets": offsets, "bias": bias},
        )
        return ZarrArray.open_from_array_identifier(target).data[:]

    return run


def same_where(ours: np.ndarray, reference: np.ndarray, where: np.ndarray) -> bool:
    """Return whether two label arrays divide the voxels of the mask ``where`` into the same segments."""
    pairs = np.unique(np.stack([ours[where], reference[where]]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def whole_volume(case, name: str, bias: float) -> np.ndarray:
    """Return the central part of one watershed of the whole volume."""
    affinities = case.inputs[name].astype(np.float64) - bias
    return mwatershed.agglom(affinities, [tuple(o) for o in case.params["offsets"]])[4:-4, 4:-4, 4:-4]


@pytest.mark.golden_case("blockwise_watershed")
def test_segments_are_joined_by_evidence_and_their_ids_are_unique(case, blocks_of):
    cells = blocks_of(case.inputs["in_affs_cells"], 8, 4, 0.5)
    case.compare("out_cells_vs8_ctx4", cells)

    apart = blocks_of(case.inputs["in_affs_cells"], 8, 0, 0.5)

    def nothing_is_lost(reference: np.ndarray) -> None:
        # Without context neither joins anything; the reference loses what holds a block's first voxel.
        assert same_where(apart, reference, reference > 0)
        assert ((apart > 0) >= (reference > 0)).all()

    case.depart("out_cells_vs8_ctx0", "B19", nothing_is_lost)

    walls = blocks_of(case.inputs["in_affs_walls"], 8, 4, 0.5)

    def as_one_watershed(reference: np.ndarray) -> None:
        whole = whole_volume(case, "in_affs_walls", 0.5)
        assert same_where(walls, whole, whole >= 0)
        assert len(np.unique(reference)) <= len(np.unique(walls))

    case.depart("out_walls_vs8_ctx4", "B20", as_one_watershed)

    many = blocks_of(case.inputs["in_affs_many"], 8, 4, 0.5)

    def noise_does_not_collapse(reference: np.ndarray) -> None:
        whole = whole_volume(case, "in_affs_many", 0.5)
        # Nothing is right about noise; but contact alone joins nearly all of it, and evidence does not.
        assert len(np.unique(many)) > 0.5 * len(np.unique(whole))
        assert len(np.unique(reference)) < 0.5 * len(np.unique(many))

    case.depart("out_many_vs8_ctx4", "B20", noise_does_not_collapse)

    grid = case.inputs["in_affs_grid"]
    case.compare("out_grid_vs8_ctx4", blocks_of(grid, 8, 4, 0.1))
    objects = case.inputs["in_labels_grid"]
    small_voxels = blocks_of(grid, 1, 4, 0.1)
    case.depart("out_grid_vs1_ctx4", "B22", value=small_voxels, expected=objects)
    # Sound objects of two voxels are not deleted for their mean affinity.
    case.depart("out_grid_vs8_ctx4_bias0.5", "B21", value=blocks_of(grid, 8, 4, 0.5), expected=objects)


@pytest.mark.golden_case("relabel_components")
def test_ids_of_one_component_become_one(case):
    ids, components = find_components(case.inputs["in_edges"], case.inputs["in_nodes"])
    nodes = case.inputs["in_nodes"]
    case.compare("out_components", components[np.searchsorted(ids, nodes)])
    case.compare("out_volume", relabel_volume(case.inputs["in_volume"], ids, components))
