import cc3d
import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi
from scipy.spatial.distance import cdist

from attacca.arrays import LocalArrayIdentifier, NumpyArray, ZarrArray
from attacca.blockwise import run_blocks
from attacca.errors import BlocksFailedError, MissingInputError, VolumeError
from attacca.evaluators import (
    EvaluateBlocks,
    GroundTruthRules,
    InstanceEvaluator,
    collect_tables,
    contingency_table,
    scores_from_table,
)
from attacca.evaluators.compared_arrays import make_comparison_grid
from attacca.evaluators.ground_truth import find_label_borders
from attacca.progress import Progress

VOXEL = (8, 4, 4)


def volume(seed=0, shape=(9, 14, 11), ids=5):
    # Blobs: random numbers, smoothed by repetition.
    small = np.random.default_rng(seed).integers(0, ids, [-(-n // 3) for n in shape])
    return np.kron(small, np.ones((3, 3, 3), int))[tuple(slice(n) for n in shape)].astype(np.uint64)


def in_memory(data, offset=(80, 40, 40), voxel_size=VOXEL):
    voxel_size, offset = Coordinate(voxel_size[-data.ndim :]), Coordinate(offset[-data.ndim :])
    roi = Roi(offset, Coordinate(data.shape) * voxel_size)
    return NumpyArray.from_np_array(data, roi, voxel_size, ["z", "y", "x"][3 - data.ndim :])


def stored(path, name, data, offset=(80, 40, 40)):
    array = in_memory(data, offset)
    identifier = LocalArrayIdentifier(path, name)
    ZarrArray.create_from_array_identifier(
        identifier, array.axes, array.roi, None, array.voxel_size, data.dtype, write_size=array.voxel_size * 4
    )[array.roi] = data
    return identifier


@pytest.mark.parametrize(
    "rules", [GroundTruthRules(), GroundTruthRules(unlabelled=0, border=5, components=True)]
)
def test_blocks_of_any_size_give_the_scores_of_the_whole(tmp_path, rules):
    segmentation, ground_truth = in_memory(volume(1)), in_memory(volume(2))
    evaluator = InstanceEvaluator(rules=rules)
    whole = evaluator.evaluate(segmentation, ground_truth)
    for block in ((24, 16, 12), (8, 56, 4)):
        parts = evaluator.evaluate_blockwise(
            segmentation, ground_truth, tmp_path / str(block[0]), block_size=block
        )
        for name in whole.criteria:
            assert parts.value(name) == pytest.approx(whole.value(name), abs=1e-12)


def test_rules_of_the_ground_truth_are_applied():
    segmentation, ground_truth = volume(3, (6, 9, 8)), volume(4, (6, 9, 8))
    places = np.argwhere(np.ones_like(ground_truth)) * VOXEL
    near = (cdist(places, places) <= 5) & (ground_truth.ravel()[:, None] != ground_truth.ravel())
    counted = ~near.any(1).reshape(ground_truth.shape) & (ground_truth != 2)
    assert np.array_equal(find_label_borders(ground_truth, VOXEL, 5), near.any(1).reshape(ground_truth.shape))
    split = cc3d.connected_components(ground_truth, connectivity=26)
    expected = scores_from_table(contingency_table(segmentation, split, counted))
    rules = GroundTruthRules(unlabelled=2, border=5, components=True)
    found = InstanceEvaluator(rules=rules).evaluate(in_memory(segmentation), in_memory(ground_truth))
    for name in expected.criteria:
        assert found.value(name) == pytest.approx(expected.value(name), abs=1e-12)
    convention = found.criterion("voi").convention
    assert "ground truth 2 are unlabelled" in convention and "connected components" in convention
    assert "up to 5 nanometer" in convention


def test_two_processes_give_what_one_gives_from_stored_arrays(tmp_path):
    ground_truth, segmentation = (stored(tmp_path / "v.zarr", str(seed), volume(seed)) for seed in (5, 6))
    evaluator = InstanceEvaluator()
    one = evaluator.evaluate(segmentation, ground_truth)
    two = evaluator.evaluate_blockwise(
        segmentation, ground_truth, tmp_path / "work", num_workers=2, block_size=(32, 32, 32)
    )
    assert one == two


def test_a_repeated_evaluation_uses_the_existing_tables(tmp_path, monkeypatch):
    segmentation, ground_truth = in_memory(volume(7)), in_memory(volume(8))
    evaluator, progress = InstanceEvaluator(), Progress("evaluate", 0)
    first = evaluator.evaluate_blockwise(segmentation, ground_truth, tmp_path, key="a", progress=progress)
    assert progress.done == progress.total == 1

    def computed_again(*_):
        raise RuntimeError("computed again")

    monkeypatch.setattr(EvaluateBlocks, "__call__", computed_again)
    assert evaluator.evaluate_blockwise(segmentation, ground_truth, tmp_path, key="a") == first
    with pytest.raises(BlocksFailedError, match="computed again"):
        evaluator.evaluate_blockwise(segmentation, ground_truth, tmp_path, key="b")


def test_only_the_common_region_is_compared():
    data = volume(9, (6, 8, 8))
    segmentation, ground_truth = in_memory(data), in_memory(data[2:5, 1:].copy(), (80 + 16, 40 + 4, 40))
    assert InstanceEvaluator().evaluate(segmentation, ground_truth).voi == 0


def test_masked_voxels_do_not_count(tmp_path):
    segmentation, ground_truth = volume(10), volume(11)
    mask = np.zeros(ground_truth.shape, np.uint8)
    mask[3:, :5] = 1
    expected = scores_from_table(contingency_table(segmentation, ground_truth, mask > 0))
    arrays = [in_memory(data) for data in (segmentation, ground_truth, mask)]
    found = InstanceEvaluator().evaluate_blockwise(*arrays[:2], tmp_path, mask=arrays[2])
    assert found == expected


def test_two_dimensions_and_a_single_channel_are_fine():
    flat = volume(12)[0]
    assert InstanceEvaluator().evaluate(in_memory(flat), in_memory(flat)).average_precision == 1
    array = in_memory(volume(12))
    single = NumpyArray.from_np_array(array.data[None], array.roi, array.voxel_size, ["c", "z", "y", "x"])
    assert InstanceEvaluator().evaluate(single, array).voi == 0


def test_a_block_function_returns_its_table_when_it_has_no_directory():
    segmentation, ground_truth = in_memory(volume(13)), in_memory(volume(14))
    grid = make_comparison_grid(segmentation, ground_truth)
    result = EvaluateBlocks(segmentation, ground_truth)(grid[0])
    assert result is not None and result.table == contingency_table(volume(13), volume(14))


def test_a_missing_block_is_reported(tmp_path):
    segmentation, ground_truth = in_memory(volume(15)), in_memory(volume(16))
    grid = make_comparison_grid(segmentation, ground_truth, (24, 24, 24))
    run_blocks(EvaluateBlocks(segmentation, ground_truth, directory=str(tmp_path)), grid, shard=(0, 2))
    with pytest.raises(MissingInputError, match="evaluate it again"):
        collect_tables(grid, tmp_path)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (in_memory(volume(), voxel_size=(4, 4, 4)), "voxel size"),
        (in_memory(volume(), offset=(8000, 40, 40)), "do not overlap"),
        (in_memory(volume(), offset=(81, 40, 40)), "one grid"),
    ],
)
def test_arrays_that_cannot_be_compared_are_refused(segmentation, message):
    with pytest.raises(VolumeError, match=message):
        InstanceEvaluator().evaluate(segmentation, in_memory(volume()))


def test_arrays_without_one_id_per_voxel_are_refused():
    array = in_memory(volume())
    double = NumpyArray.from_np_array(
        np.stack([array.data] * 2), array.roi, array.voxel_size, ["c", "z", "y", "x"]
    )
    with pytest.raises(VolumeError, match="2 channels"):
        InstanceEvaluator().evaluate(double, array)
    with pytest.raises(VolumeError, match="found float32, expected ids"):
        InstanceEvaluator().evaluate(array, in_memory(array.data.astype(np.float32)))


def test_the_job_after_the_shards_computes_no_block_again(tmp_path, monkeypatch):
    ground_truth, segmentation = (
        stored(tmp_path / "v.zarr", str(seed), volume(seed, (40, 32, 48))) for seed in (5, 6)
    )
    (tmp_path / "work").mkdir()
    evaluator, options = InstanceEvaluator(), {"block_size": (32, 32, 32), "key": "a"}
    expected = evaluator.evaluate(segmentation, ground_truth)
    computed = []
    compute = EvaluateBlocks.__call__

    def count(self, block):
        computed.append(block.index)
        compute(self, block)

    monkeypatch.setattr(EvaluateBlocks, "__call__", count)
    for shard in (2, 0):
        evaluator.compare_shard(segmentation, ground_truth, tmp_path / "work", (shard, 3), **options)
    first = list(computed)
    assert first
    assert evaluator.evaluate_blockwise(segmentation, ground_truth, tmp_path / "work", **options) == expected
    # The middle shard was left to the job after the shards.
    assert len(computed) > len(first) and sorted(computed) == list(range(len(computed)))
