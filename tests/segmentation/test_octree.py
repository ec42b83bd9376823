import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacca.segmentation.octree import Octree

SHAPES = st.tuples(*[st.integers(1, 12)] * 3)


@given(SHAPES, st.integers(1, 20))
def test_shards_are_whole_boxes_of_similar_size_and_have_each_leaf_once(shape, count):
    octree = Octree(shape)
    level, shards = octree.divide(count)
    assert len(shards) == np.prod(shape)
    assert shards.min() >= 0 and shards.max() < count
    boxes = octree.find_boxes(np.arange(len(shards)), level)
    assert len(set(zip(boxes.tolist(), shards.tolist()))) == len(set(boxes.tolist()))
    sizes = np.bincount(shards, minlength=count)
    if level:
        assert sizes.max() <= 1.25 * len(shards) / count
    else:
        assert sizes.max() <= -(-len(shards) // count)


@pytest.mark.parametrize("edge, count, largest", [(8, 8, 64), (8, 4, 128), (11, 4, 416)])
def test_any_number_of_leaves_gives_shards_of_similar_size(edge, count, largest):
    _, shards = Octree((edge,) * 3).divide(count)
    assert np.bincount(shards).max() <= largest
