"""The grid of blocks."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from hypothesis import given, settings
from hypothesis import strategies as st

from attacca.blockwise import BlockGrid, check_alignment
from attacca.errors import ConfigurationError


@st.composite
def grids(draw: st.DrawFn) -> BlockGrid:
    """Small grids of one to three axes, with any offset, voxel size, context and origin."""
    dims = draw(st.integers(1, 3))

    def several(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=dims, max_size=dims))

    voxel = several(1, 4)
    begin = [b * v for b, v in zip(several(-7, 7), voxel)]
    shape = [s * v for s, v in zip(several(1, 9), voxel)]
    block = [b * v for b, v in zip(several(1, 5), voxel)]
    origin = [b + o * v for b, o, v in zip(begin, several(-6, 6), voxel)]
    lower = Coordinate(c * v for c, v in zip(several(0, 3), voxel))
    upper = Coordinate(c * v for c, v in zip(several(0, 3), voxel))
    return BlockGrid(Roi(begin, shape), block, voxel, (lower, upper), draw(st.sampled_from([None, origin])))


def counts(grid: BlockGrid) -> np.ndarray:
    """Count the writes of each voxel of the region."""
    written = np.zeros(grid.roi.shape / grid.voxel_size, dtype=int)
    for block in grid:
        written[((block.write_roi - grid.roi.begin) / grid.voxel_size).to_slices()] += 1
    return written


@settings(max_examples=60, deadline=None, derandomize=True)
@given(grids())
def test_every_voxel_is_written_exactly_once(grid):
    assert (counts(grid) == 1).all()
    assert all(grid.roi.contains(block.write_roi) for block in grid)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(grids())
def test_blocks_are_computed_from_their_number_alone(grid):
    walked = list(grid)
    assert [block.index for block in walked] == list(range(len(grid)))
    assert walked == [grid[index] for index in range(len(grid))]
    assert all(grid.index(grid.position(index)) == index for index in range(len(grid)))
    assert BlockGrid.from_json(grid.to_json()) == grid


@settings(max_examples=40, deadline=None, derandomize=True)
@given(grids())
def test_a_block_reads_its_context_on_each_side(grid):
    lower, upper = grid.context
    for block in grid:
        assert block.read_roi == block.write_roi.grow(lower, upper)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(grids(), st.integers(1, 9))
def test_shards_are_contiguous_and_cover_all_blocks(grid, count):
    parts = [grid.shard(index, count) for index in range(count)]
    assert [index for part in parts for index in part] == list(range(len(grid)))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


@settings(max_examples=40, deadline=None, derandomize=True)
@given(grids())
def test_upper_neighbors_share_a_face(grid):
    for block in grid:
        for axis, number in grid.upper_neighbors(block.index):
            other = grid[number].write_roi
            assert other.begin[axis] == block.write_roi.end[axis]
            rest = [a for a in range(grid.dims) if a != axis]
            assert all(other.begin[a] == block.write_roi.begin[a] for a in rest)


def test_a_sliver_of_one_voxel_is_a_block():
    grid = BlockGrid(Roi((0, 0, 0), (129, 129, 129)), (128, 128, 128), (1, 1, 1))
    assert grid.shape == (2, 2, 2)
    assert grid[7].write_roi == Roi((128, 128, 128), (1, 1, 1))
    assert grid[1].write_roi == Roi((0, 0, 128), (128, 128, 1))


def test_a_volume_smaller_than_a_block_is_one_block():
    grid = BlockGrid(Roi((80, -40, 8), (40, 16, 12)), (4000, 256, 256), (40, 4, 4), context=(400, 32, 32))
    assert len(grid) == 1
    assert grid[0].write_roi == Roi((80, -40, 8), (40, 16, 12))
    assert grid[0].read_roi == Roi((-320, -72, -24), (840, 80, 76))


def test_two_dimensions_and_an_offset():
    grid = BlockGrid(Roi((100, -20), (50, 30)), (20, 20), (10, 10))
    assert grid.shape == (3, 2)
    assert grid[0].write_roi == Roi((100, -20), (20, 20))
    assert grid[5].write_roi == Roi((140, 0), (10, 10))


def test_an_empty_region_has_no_blocks():
    grid = BlockGrid(Roi((None, None), (0, 0)), (4, 4), (1, 1))
    assert len(grid) == 0
    assert list(grid) == []
    assert grid.shard(0, 3) == range(0)


def test_cuts_follow_the_array_when_the_region_starts_inside_it():
    array = SimpleNamespace(
        roi=Roi((0, 0), (1000, 1000)), chunk_size=Coordinate(100, 100), voxel_size=Coordinate(10, 10)
    )
    grid = BlockGrid.for_array(array, (200, 100), Roi((130, 50), (400, 200)))
    assert [tuple(block.write_roi.begin) for block in grid][:4] == [
        (130, 50),
        (130, 100),
        (130, 200),
        (200, 50),
    ]
    begins, ends = grid.bounds(np.arange(len(grid)))
    assert set(begins[:, 0]) == {130, 200, 400}
    assert set(ends[:, 0]) == {200, 400, 530}
    assert (counts(grid) == 1).all()


def test_a_grid_whose_blocks_share_chunks_is_refused():
    array = SimpleNamespace(
        roi=Roi((0, 0), (1000, 1000)), chunk_size=Coordinate(64, 64), directory="a.zarr/s0"
    )
    with pytest.raises(ConfigurationError, match=r"would share chunks of \(64, 64\) of a.zarr/s0.*axis 1"):
        check_alignment(BlockGrid(array.roi, (128, 100), (1, 1)), array)
    with pytest.raises(ConfigurationError, match="axis 0"):
        check_alignment(BlockGrid(Roi((10, 0), (500, 500)), (128, 128), (1, 1)), array)
    check_alignment(BlockGrid(array.roi, (128, 1000), (1, 1)), array)


@pytest.mark.parametrize(
    ("block", "voxel", "context", "message"),
    [
        ((10, 10), (4, 4), 0, "block size"),
        ((0, 8), (4, 4), 0, "block size"),
        ((8, 8), (4, 4), (3, 0), "context"),
        ((8, 8, 8), (4, 4), 0, "3 axes, expected 2"),
    ],
)
def test_sizes_that_are_not_whole_voxels_are_refused(block, voxel, context, message):
    with pytest.raises(ConfigurationError, match=message):
        BlockGrid(Roi((0, 0), (40, 40)), block, voxel, context)


def test_a_region_off_the_voxel_grid_is_refused():
    with pytest.raises(ConfigurationError, match="voxel grid"):
        BlockGrid(Roi((0, 0), (41, 40)), (8, 8), (4, 4))


def test_a_shard_that_does_not_exist_is_refused():
    grid = BlockGrid(Roi((0, 0), (40, 40)), (8, 8), (4, 4))
    with pytest.raises(ConfigurationError, match="shard 3 of 3, expected 0 to 2"):
        grid.shard(3, 3)


def test_a_million_blocks_are_walked_in_seconds():
    grid = BlockGrid(
        Roi((0, 0, 0), (100 * 512, 100 * 512, 100 * 512)), (512, 512, 512), (4, 4, 4), context=64
    )
    start = time.process_time()
    assert sum(block.index for block in grid) == len(grid) * (len(grid) - 1) // 2 == 499999500000
    assert time.process_time() - start < 10
