import math
import signal
import subprocess
import sys

import numpy as np
import pytest
from funlib.geometry import Coordinate, Roi

from attacca.arrays import LocalArrayIdentifier, NumpyArray, ZarrArray
from attacca.errors import VolumeError
from attacca.evaluators import (
    BinarySegmentationEvaluator,
    GroundTruthRules,
    binary_table,
    scores_from_binary_table,
)
from attacca.evaluators import binary_blocks as module
from attacca.evaluators.binary_blocks import BinarySides, LastPass, Pencils, sum_binary_table

VOXEL = (50, 46, 46)


def sides(seed=0, channels=1, shape=(20, 26, 33)):
    return np.random.default_rng(seed).random((2, channels, *shape)) < 0.01


def in_memory(data, offset=(100, 46, 92)):
    spatial = data.shape[-3:]
    roi = Roi(offset, Coordinate(spatial) * Coordinate(VOXEL))
    axes = ["c", "z", "y", "x"][4 - data.ndim :]
    return NumpyArray.from_np_array(data.astype(np.uint8), roi, Coordinate(VOXEL), axes)


def stored(path, name, data):
    array = in_memory(data)
    identifier = LocalArrayIdentifier(path, name)
    ZarrArray.create_from_array_identifier(
        identifier, array.axes, array.roi, data.shape[0], array.voxel_size, np.uint8
    )[array.roi] = array.data
    return identifier


def test_out_of_core_gives_the_same_numbers_as_in_memory(tmp_path):
    prediction, ground_truth = sides(1, channels=2)
    evaluator = BinarySegmentationEvaluator(200, 60, ["a", "b"])
    arrays = in_memory(prediction), in_memory(ground_truth)
    whole = evaluator.evaluate(*arrays)
    parts = evaluator.evaluate_blockwise(*arrays, tmp_path, pencil_voxels=2000)
    assert parts.to_dict() == whole.to_dict()
    for number, channel in enumerate("ab"):
        table = binary_table(prediction[number], ground_truth[number], VOXEL, 200, 60)
        for name, value in scores_from_binary_table(table, 200, 60).to_dict().items():
            assert getattr(whole, f"{channel}__{name}") == value
    assert not list(tmp_path.rglob("*.zarr"))


@pytest.mark.parametrize(("predicted", "true"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_out_of_core_of_empty_and_full_sides(tmp_path, predicted, true):
    prediction, ground_truth = (np.full((9, 10, 11), side, np.uint8) for side in (predicted, true))
    arrays = in_memory(prediction), in_memory(ground_truth)
    table = sum_binary_table(BinarySides(*arrays), arrays[0].roi, tmp_path, 200, 60, pencil_voxels=100)
    assert table == binary_table(prediction, ground_truth, VOXEL, 200, 60)


def test_two_dimensions_out_of_core(tmp_path):
    prediction, ground_truth = np.random.default_rng(3).random((2, 40, 50)) < 0.05
    roi = Roi((0, 0), Coordinate(ground_truth.shape) * Coordinate((4, 6)))
    volumes = [data.astype(np.uint8) for data in (prediction, ground_truth)]
    arrays = [NumpyArray.from_np_array(data, roi, Coordinate((4, 6)), ["y", "x"]) for data in volumes]
    table = sum_binary_table(BinarySides(*arrays), roi, tmp_path, 200, 60, pencil_voxels=500)
    assert table == binary_table(prediction, ground_truth, (4, 6), 200, 60)


def test_a_pencil_never_holds_more_than_it_may():
    roi = Roi((0, 0, 0), (2_000, 20_000, 100_000))
    pencils = Pencils.over(roi, Coordinate((1, 1, 1)), 1 << 24)
    for axis in range(3):
        assert math.prod(pencils.grid(axis)[0].write_roi.shape) <= 1 << 24
    assert pencils.dtype == np.uint64
    assert Pencils.over(Roi((0, 0, 0), (500_000,) * 3), Coordinate((50, 50, 50))).dtype == np.uint32


def test_a_killed_evaluation_resumes(tmp_path, monkeypatch):
    arrays = [in_memory(side[0]) for side in sides(4)]
    roi, arguments = arrays[0].roi, (200, 60)
    whole = sum_binary_table(BinarySides(*arrays), roi, tmp_path / "whole", *arguments)

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    done, first = [], module.FirstPass.__call__

    def noted(self, block):
        done.append(block.index)
        first(self, block)

    def again():
        sides = BinarySides(*arrays)
        return sum_binary_table(sides, roi, tmp_path, *arguments, key="a", pencil_voxels=3000)

    monkeypatch.setattr(module.FirstPass, "__call__", noted)
    with monkeypatch.context() as patch:
        patch.setattr(LastPass, "__call__", killed)
        with pytest.raises(Killed):
            again()
    before = len(done)
    table = again()
    assert table == whole
    assert before and len(done) == before, "the first pass was not repeated"


def test_another_key_or_tolerance_does_not_use_old_tables(tmp_path):
    arrays = [in_memory(side[0]) for side in sides(5)]
    others = [in_memory(side[0]) for side in sides(6)]
    for key, pair, tolerance in (("a", arrays, 60), ("b", others, 60), ("b", others, 100)):
        table = sum_binary_table(
            BinarySides(*pair), pair[0].roi, tmp_path, 200, tolerance, key=key, pencil_voxels=3000
        )
        assert table == binary_table(pair[0].data, pair[1].data, VOXEL, 200, tolerance)


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tmp_path):
    identifiers = [stored(tmp_path / "v.zarr", name, side) for name, side in zip("pt", sides(7))]
    evaluator = BinarySegmentationEvaluator(200, 60, ["a"])
    two = evaluator.evaluate_blockwise(*identifiers, tmp_path / "work", num_workers=2, pencil_voxels=4000)
    assert two.to_dict() == evaluator.evaluate(*identifiers).to_dict()


@pytest.mark.parametrize("pencil_voxels", [None, 2000])
def test_unlabeled_border_and_masked_voxels_are_on_neither_side(tmp_path, pencil_voxels):
    prediction, _ = sides(8)[:, 0]
    ground_truth = np.zeros(prediction.shape, np.uint8)
    ground_truth[5:15, 6:20, 4:30] = 1
    ground_truth[:, :, :3] = 9
    mask = np.ones_like(ground_truth)
    mask[:4] = 0
    counted = (ground_truth != 9) & (mask > 0)
    for axis in range(3):
        for step in (1, -1):
            # Nearest neighbors only lie within 50, and those in the plane within 46.
            other = np.roll(ground_truth, step, axis) != ground_truth
            edge = 0 if step == 1 else -1
            other[(slice(None),) * axis + (edge,)] = False
            counted &= ~other
    arrays = [in_memory(data) for data in (prediction, ground_truth, mask)]
    evaluator = BinarySegmentationEvaluator(200, 60, ["a"], rules=GroundTruthRules(unlabelled=9, border=50))
    scores = evaluator.evaluate_blockwise(*arrays[:2], tmp_path, mask=arrays[2], pencil_voxels=pencil_voxels)
    expected = scores_from_binary_table(
        binary_table(prediction, ground_truth, VOXEL, 200, 60, counted), 200, 60
    )
    for name, value in expected.to_dict().items():
        assert scores.value(f"a__{name}") == pytest.approx(value, nan_ok=True), name


def test_channels_of_one_volume_of_class_ids():
    classes = np.random.default_rng(9).integers(0, 4, (6, 7, 8))
    evaluator = BinarySegmentationEvaluator(200, 60, ["membrane", "mitochondria"], class_ids=[3, 1])
    scores = evaluator.evaluate(in_memory(np.stack([classes == 3, classes != 1])), in_memory(classes))
    assert scores.membrane__jaccard == 1 and scores.mitochondria__jaccard == 0


def test_instance_ids_are_all_foreground():
    ids = (sides(10)[0, 0] * 2**7).astype(np.uint8)
    scores = BinarySegmentationEvaluator(200, 60, ["a"]).evaluate(in_memory(ids > 0), in_memory(ids))
    assert scores.a__dice == 1 and scores.a__hausdorff == 0


def test_another_number_of_channels_is_refused():
    prediction, ground_truth = sides(11, channels=2)
    evaluator = BinarySegmentationEvaluator(200, 60, ["a", "b"])
    with pytest.raises(VolumeError, match="found 4 channels, expected 2: a, b"):
        evaluator.evaluate(in_memory(np.concatenate([prediction, prediction])), in_memory(ground_truth))
    with pytest.raises(ValueError, match="found 3 ids for 2 channels"):
        BinarySegmentationEvaluator(200, 60, ["a", "b"], class_ids=[1, 2, 3])


@pytest.mark.slow
def test_an_evaluation_whose_process_is_killed_gives_the_same_numbers_when_it_is_run_again(tmp_path):
    identifiers = [stored(tmp_path / "v.zarr", name, side) for name, side in zip("pt", sides(12))]
    script = (
        "import sys, os, signal\n"
        "from attacca.arrays import LocalArrayIdentifier\n"
        "from attacca.evaluators import BinarySegmentationEvaluator\n"
        "from attacca.evaluators import binary_blocks as module\n"
        "call, calls = getattr(module, sys.argv[2]).__call__, []\n"
        "def dying(self, block):\n"
        "    calls.append(block.index)\n"
        "    if len(calls) == 3:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return call(self, block)\n"
        "getattr(module, sys.argv[2]).__call__ = dying\n"
        "arrays = [LocalArrayIdentifier(sys.argv[1] + '/v.zarr', name) for name in 'pt']\n"
        "evaluator = BinarySegmentationEvaluator(200, 60, ['a'])\n"
        "evaluator.evaluate_blockwise(*arrays, sys.argv[1] + '/work', key='k', pencil_voxels=3000)\n"
    )
    for stage in ("FirstPass", "NextPass", "LastPass"):
        killed = subprocess.run([sys.executable, "-c", script, str(tmp_path), stage], capture_output=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    evaluator = BinarySegmentationEvaluator(200, 60, ["a"])
    found = evaluator.evaluate_blockwise(*identifiers, tmp_path / "work", key="k", pencil_voxels=3000)
    assert found.to_dict() == evaluator.evaluate(*identifiers).to_dict()
