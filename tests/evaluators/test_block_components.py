import cc3d
import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attacca.blockwise import BlockGrid
from attacca.evaluators.block_components import BlockFaces, join_components, label_block, make_global_ids

quick = settings(max_examples=25, deadline=None, derandomize=True)


def label_by_blocks(values, block, touch):
    grid = BlockGrid(Roi((0,) * values.ndim, values.shape), Coordinate(block), (1,) * values.ndim)
    faces, result = {}, np.zeros(values.shape, np.uint64)
    for one in grid:
        slices = one.write_roi.to_slices()
        local, found = label_block(values[slices], touch)
        faces[one.index] = BlockFaces.from_arrays(found.to_arrays())
        result[slices] = make_global_ids(one.index, local)
    ids, roots = join_components(grid, faces.__getitem__, touch)
    return np.vectorize(dict(zip(ids.tolist(), roots.tolist())).get, otypes=[object])(result, result).astype(
        np.uint64
    )


def same_partition(one, two):
    pairs = np.unique(np.stack([one.ravel(), two.ravel()]), axis=1)
    return all(len(np.unique(side)) == pairs.shape[1] for side in pairs)


def test_a_short_line_of_bool_values_has_its_components():
    labels, faces = label_block(np.array([[[True, False, True]]]))
    assert labels.tolist() == [[[1, 0, 2]]]
    assert faces.values.tolist() == [0, 1, 1]


@quick
@given(
    arrays(np.uint8, (5, 6, 7), elements=st.integers(0, 2)),
    st.tuples(st.integers(2, 5), st.integers(2, 6), st.integers(1, 7)),
    st.sampled_from(["corner", "face"]),
)
def test_components_by_blocks_are_those_of_the_whole(values, block, touch):
    whole = cc3d.connected_components(values, connectivity=26 if touch == "corner" else 6)
    assert same_partition(label_by_blocks(values, block, touch), whole.astype(np.uint64))


@quick
@given(arrays(np.uint8, (8, 9), elements=st.integers(0, 2)), st.sampled_from(["corner", "face"]))
def test_components_in_two_dimensions(values, touch):
    whole = cc3d.connected_components(values, connectivity=8 if touch == "corner" else 4)
    assert same_partition(label_by_blocks(values, (3, 2), touch), whole.astype(np.uint64))


@pytest.mark.parametrize("dtype", [bool, np.uint64])
def test_a_diagonal_joins_across_a_corner_only_where_corners_touch(dtype):
    values = np.zeros((4, 4, 4), dtype)
    values[1, 1, 1] = values[2, 2, 2] = True
    assert len(np.unique(label_by_blocks(values, (2, 2, 2), "corner"))) == 2
    assert len(np.unique(label_by_blocks(values, (2, 2, 2), "face"))) == 3


def test_joined_components_get_their_smallest_id():
    values = np.ones((1, 9), np.uint8)
    assert np.unique(label_by_blocks(values, (1, 2), "face")) == make_global_ids(0, np.array([1]))
