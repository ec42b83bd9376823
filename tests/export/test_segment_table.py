"""Sizes, bounding boxes and choice of segments."""

import numpy as np
import pytest
from funlib.geometry import Roi
from hypothesis import given
from hypothesis import strategies as st

from attacca.arrays import NumpyArray
from attacca.config.export import SegmentChoice
from attacca.errors import ConfigurationError
from attacca.export.labels import Labels
from attacca.export.segment_table import count_segments


class SmallBlocks(Labels):
    """Labels in blocks of 2 x 3 x 4 voxels."""

    block_shape = (2, 3, 4)


def table_of(ids):
    array = NumpyArray.from_np_array(ids, Roi((0, 0, 0), ids.shape), (1, 1, 1), ["z", "y", "x"])
    return count_segments(SmallBlocks(array))


@given(st.integers(0, 2**32), st.tuples(*[st.integers(1, 7)] * 3))
def test_sizes_and_boxes_are_those_of_the_whole_volume(seed, shape):
    rng = np.random.default_rng(seed)
    ids = rng.choice(np.array([0, 1, 5, 2**40, 2**63], np.uint64), shape)
    table = table_of(ids)
    assert table.ids.tolist() == [name for name in np.unique(ids).tolist() if name]
    for name, size, lower, upper in zip(table.ids, table.sizes, table.lower, table.upper):
        where = np.argwhere(ids == name)
        assert size == len(where)
        assert lower.tolist() == where.min(axis=0).tolist()
        assert upper.tolist() == (where.max(axis=0) + 1).tolist()


def test_segments_are_chosen_by_id_size_and_rank():
    table = table_of(np.repeat(np.array([3, 8, 9, 4], np.uint64), [2, 5, 5, 1]).reshape(1, 1, -1))
    chosen = {
        name: table.ids[table.choose(SegmentChoice(**settings))].tolist()
        for name, settings in {
            "all": {},
            "size": {"min_size": 2},
            "largest": {"largest": 1},
            "ids": {"segments": [9, 4]},
            "both": {"segments": [9, 4, 3], "min_size": 2, "largest": 1},
        }.items()
    }
    expected = {"all": [3, 4, 8, 9], "size": [3, 8, 9], "largest": [8], "ids": [4, 9], "both": [9]}
    assert chosen == expected


def test_an_unknown_segment_is_an_error():
    with pytest.raises(ConfigurationError, match="no segment 7 "):
        table_of(np.ones((1, 1, 2), np.uint64)).choose(SegmentChoice(segments=[1, 7]))
