"""The whole workflow on volumes that blocks do not divide: one voxel more than a block, flat, anisotropic, off the origin."""

import json

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.blockwise import BlockGrid, run_blocks
from attacca.config.prediction import PredictionConfig
from attacca.prediction import PredictBlocks, create_prediction_array, load_network, make_prediction_grid

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CONFIGURATION = """
results: results
volumes:
  deep-taught: {synthetic: {shape: [24, 48, 48], seed: 1}, voxel_size: [40, 10, 10]}
  deep-chosen: {synthetic: {shape: [16, 40, 40], seed: 2}, voxel_size: [40, 10, 10]}
  deep: {synthetic: {shape: [129, 129, 129], seed: 3}, voxel_size: [40, 10, 10], offset: [400, -70, 30]}
  flat-taught: {synthetic: {shape: [80, 80], seed: 4}, voxel_size: [10, 10]}
  flat-chosen: {synthetic: {shape: [64, 64], seed: 5}, voxel_size: [10, 10]}
  flat: {synthetic: {shape: [129, 129], seed: 6}, voxel_size: [10, 10], offset: [-70, 1290]}
x-training: &training {iterations: 30, checkpoint: {interval: 30}, torch_threads: 1}
x-segmentation: &segmentation
  chain: mutex_watershed
  checks: {max_segment_share: null, max_seam_excess: null, min_segmented_share: null, max_saturated_share: null}
runs:
  deep:
    task: {type: affinities, neighborhood: [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 3, 0], [0, 0, 3]]}
    architecture: {input_shape: [8, 24, 24], channels: [4, 8], downsample_factors: [[1, 2, 2]]}
    training: *training
    volumes: {train: [deep-taught], validate: [deep-chosen], test: [deep]}
    prediction: {block_size: [128, 128, 128]}
    segmentation: {<<: *segmentation, block_size: [128, 128, 128], bias: [0.2, 0.5]}
  flat:
    task: {type: affinities, neighborhood: [[1, 0], [0, 1], [3, 0], [0, 3]]}
    architecture: {input_shape: [32, 32], channels: [4, 8], downsample_factors: [[2, 2]]}
    training: *training
    volumes: {train: [flat-taught], validate: [flat-chosen], test: [flat]}
    prediction: {block_size: [128, 128]}
    segmentation: {<<: *segmentation, block_size: [128, 128], bias: [0.2, 0.5]}
execution: {threads: 1}
"""


@pytest.fixture(scope="module")
def awkward(checkout_of):
    """Both runs, finished."""
    checkout = checkout_of("awkward", CONFIGURATION)
    checkout.snakemake(
        "--", *(str(checkout.results / name / name / "scores.json") for name in ("deep", "flat"))
    )
    return checkout


def opened(checkout, *parts: str) -> ZarrArray:
    return ZarrArray.open_from_array_identifier(
        LocalArrayIdentifier(checkout.results.joinpath(*parts[:-1]), parts[-1])
    )


@pytest.fixture(params=["deep", "flat"])
def name(request):
    return request.param


def test_every_stage_covers_the_volume_with_blocks_to_the_last_voxel(awkward, name):
    raw = opened(awkward, "volumes", f"{name}.zarr", "raw/s0")
    dims = 3 if name == "deep" else 2
    assert tuple(raw.roi.shape / raw.voxel_size) == (129,) * dims
    assert tuple(raw.roi.begin) == ((400, -70, 30) if name == "deep" else (-70, 1290))
    for stage, group in (
        ("prediction", "prediction"), ("fragments", "labels/fragments"), ("segmentation", "labels/segmentation"),
    ):  # fmt: skip
        assert opened(awkward, name, f"{name}.zarr", f"{group}/s0").roi == raw.roi
        plan = json.loads((awkward.results / name / name / f"{stage}.plan.json").read_text())
        grid = BlockGrid.from_json(json.dumps(plan["grid"]))
        assert len(grid) == plan["blocks"] == 2**dims
        assert grid[len(grid) - 1].write_roi == Roi(raw.roi.end - raw.voxel_size, raw.voxel_size)


def test_around_the_corner_of_all_blocks_the_prediction_is_that_of_one_block(awkward, name, tmp_path):
    raw = opened(awkward, "volumes", f"{name}.zarr", "raw/s0")
    network = load_network(awkward.results / name / "training" / "checkpoints" / "iteration_00000030.pt")
    size = raw.voxel_size * Coordinate((9,) * raw.dims)
    corner = Roi(raw.roi.end - size, size)
    config = PredictionConfig(block_size=[16] * raw.dims)
    source = LocalArrayIdentifier(raw.file_name, raw.dataset)
    target = LocalArrayIdentifier(tmp_path / "corner.zarr", "s0")
    array = create_prediction_array(target, raw, network, config, corner)
    run_blocks(
        PredictBlocks(lambda: network, source, target, config),
        make_prediction_grid(raw, network, config, corner),
    )
    stored = opened(awkward, name, f"{name}.zarr", "prediction/s0")[corner].astype(int)
    assert np.abs(stored - array[corner]).max() <= 1
    assert stored.std() > 1


def test_segments_continue_across_the_faces_of_blocks(awkward, name):
    labels = opened(awkward, name, f"{name}.zarr", "labels/segmentation/s0")
    labels = labels[labels.roi]
    for axis in range(labels.ndim):
        before, last, beyond = (np.take(labels, index, axis) for index in (126, 127, 128))
        assert (beyond > 0).mean() > 0.9 * (last > 0).mean() > 0
        assert (last == beyond)[last > 0].mean() > 0.8 * (before == last)[last > 0].mean() > 0


def test_the_volume_is_scored(awkward, name):
    scores = json.loads((awkward.results / name / name / "scores.json").read_text())["scores"]
    assert all(np.isfinite(score["value"]) for score in scores if score["name"].startswith("voi"))
    assert any(score["name"] == "voi" for score in scores)
