"""Coarser scales that the shards of a stage build."""

import shutil

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.arrays.pyramid import build_pyramid, downsample_box
from attacca.blockwise import BlockGrid, Ledger
from attacca.jobs import pyramids
from attacca.jobs.pyramids import Image, ShardedPyramid
from attacca.provenance.content_digest import digest_content

VOXEL = Coordinate(4, 4)


def make_image(path, shape, block, seed=0):
    group = path / "run.zarr" / "image"
    array = ZarrArray.create_from_array_identifier(
        LocalArrayIdentifier(group, "s0"),
        ["y", "x"],
        Roi((8, 16), Coordinate(shape) * VOXEL),
        None,
        VOXEL,
        np.uint64,
        write_size=Coordinate(block) * VOXEL,
    )
    array[array.roi] = np.random.default_rng(seed).integers(0, 3, shape, dtype=np.uint64)
    return group, BlockGrid(array.roi, Coordinate(block) * VOXEL, VOXEL)


def pyramid_of(group, grid, key=None):
    ledger = Ledger(str(group / "s0"), key or {"seed": 0}, len(grid))
    return ShardedPyramid(Image(str(group), "labels", "image"), grid, ledger), ledger


def missing_blocks(group, pyramid):
    return {scale.coarse.name: len(scale.ledger.missing()) for scale in pyramid._scales}


def expected_digests(group, tmp_path):
    copy = tmp_path / "expected"
    shutil.copytree(group / "s0", copy / "s0")
    scales = build_pyramid(str(copy), kind="labels")
    return {scale: digest_content(str(copy / scale)).to_json() for scale in scales}


@pytest.mark.parametrize("seed", range(6))
def test_shards_in_any_order_build_the_scales_that_one_process_builds(tmp_path, seed):
    random = np.random.default_rng(seed)
    shape, block = random.integers(70, 400, 2), random.integers(9, 50, 2)
    group, grid = make_image(tmp_path, shape.tolist(), block.tolist(), seed)
    expected = expected_digests(group, tmp_path)
    pyramid, ledger = pyramid_of(group, grid)
    pyramid.create()
    count = int(random.integers(1, 7))
    for shard in random.permutation(count).tolist():
        with ledger.shard_writer(shard, count) as writer:
            writer.record(*grid.shard(shard, count))
        pyramid.build((shard, count), num_workers=2)
    # The last shard leaves nothing to the job that finishes the stage.
    assert set(missing_blocks(group, pyramid).values()) == {0}
    assert pyramid.finish(1) == list(expected)
    assert {scale: digest_content(str(group / scale)).to_json() for scale in expected} == expected


def test_a_block_of_a_coarser_scale_waits_for_all_of_its_voxels(tmp_path):
    group, grid = make_image(tmp_path, (160, 160), (40, 40))
    pyramid, ledger = pyramid_of(group, grid)
    pyramid.create()
    with ledger.shard_writer(0, 2) as writer:
        # The first row of blocks and half of the second.
        writer.record(*range(6))
    pyramid.build((0, 2), num_workers=1)
    scale = next(iter(pyramid._scales))
    assert scale.ledger.done().tolist() == [True, False, False, False]


def test_a_killed_job_repeats_no_block_of_a_coarser_scale(tmp_path, monkeypatch):
    group, grid = make_image(tmp_path, (300, 300), (30, 30))
    pyramid, ledger = pyramid_of(group, grid)
    pyramid.create()
    with ledger.shard_writer() as writer:
        writer.record(*range(len(grid)))
    computed, most = [], 7

    def compute(fine, coarse, box, kind):
        if len(computed) == most:
            raise RuntimeError("killed")
        downsample_box(fine, coarse, box, kind)
        computed.append((str(coarse), str(box)))

    monkeypatch.setattr(pyramids, "downsample_box", compute)
    with pytest.raises(RuntimeError, match="killed"):
        pyramid.build((0, 1), num_workers=1)
    most = None
    expected = expected_digests(group, tmp_path)
    pyramid.build((0, 1), num_workers=1)
    pyramid.finish(1)
    assert len(computed) > 7 and len(set(computed)) == len(computed)
    assert {scale: digest_content(str(group / scale)).to_json() for scale in expected} == expected


def test_scales_of_other_voxels_are_computed_again(tmp_path):
    group, grid = make_image(tmp_path, (160, 160), (40, 40))
    pyramid, ledger = pyramid_of(group, grid)
    pyramid.create()
    with ledger.shard_writer() as writer:
        writer.record(*range(len(grid)))
    pyramid.finish(1)
    changed, _ = pyramid_of(group, grid, {"seed": 1})
    assert set(missing_blocks(group, changed).values()) != {0}
    shutil.rmtree(group / "s0" / ".attacca")
    pyramid.create()
    assert set(missing_blocks(group, pyramid).values()) != {0}
