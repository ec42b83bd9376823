"""Blocks on a Dask cluster that runs already: a scheduler and two workers as processes of their own."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from attacca.arrays import LocalArrayIdentifier, ZarrArray
from attacca.blockwise import Ledger, dask_pool, run_blocks
from attacca.errors import ConfigurationError, ResourceError
from attacca.evaluators import GroundTruthRules, InstanceEvaluator
from dask_cluster import count_transitions

SNAKEFILE = Path(__file__).parents[2] / "Snakefile"
JOB = Path(__file__).with_name("block_functions.py")
sys.path.insert(0, str(JOB.parent))
import block_functions  # noqa: E402

sys.path.pop(0)

pytestmark = pytest.mark.slow


def test_blocks_are_computed_by_the_workers_of_a_running_cluster(tmp_path, processes, scheduler):
    address = scheduler("--nthreads", "1", modules=str(JOB.parent))
    one, other = tmp_path / "one", tmp_path / "other"
    assert block_functions.main("well", str(one), "1") == 0
    job = processes.start(JOB, "slow", other, "2", "0", address)
    output = job.communicate(timeout=120)
    assert job.returncode == 0, output
    arrays = [
        ZarrArray.open_from_array_identifier(LocalArrayIdentifier(directory, "a"))
        for directory in (one, other)
    ]
    assert np.array_equal(arrays[0].data[:], arrays[1].data[:])
    assert not (other / "repeated").exists()
    # The cluster does not belong to the job: it still runs, and takes the next job, whose failing block ends
    # nothing.
    assert len(processes.alive()) >= 3
    job = processes.start(JOB, "hangs", tmp_path / "third", "2", "2", address)
    _, errors = job.communicate(timeout=180)
    assert job.returncode == 1
    assert "block 5, " in errors
    array = ZarrArray.open_from_array_identifier(LocalArrayIdentifier(tmp_path / "third", "a"))
    grid = block_functions.grid_of(array)
    assert Ledger(array.directory, block_functions.KEY, len(grid)).missing().tolist() == [5]


def test_the_jobs_of_a_workflow_and_the_comparison_with_labels_use_the_scheduler(
    tmp_path, processes, scheduler
):
    address = scheduler("--nthreads", "1", modules=str(JOB.parent))
    values = {
        "results": "results",
        "volumes": {
            "cube": {"synthetic": {"shape": [40, 40, 40]}, "voxel_size": [8, 8, 8], "chunk": [20, 20, 20]}
        },
        "runs": {
            "first": {
                "task": {"type": "affinities", "neighborhood": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]},
                "volumes": {"train": ["cube"]},
            }
        },
        "execution": {"scheduler_address": address},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    target = tmp_path / "results" / "volumes" / "cube.json"

    before = count_transitions(address)
    job = processes.start(
        "-m", "snakemake", "--snakefile", SNAKEFILE, "--configfile", "config.yaml", "--cores", "1", "--", target,
        cwd=tmp_path,
    )  # fmt: skip
    _, errors = job.communicate(timeout=400)
    assert job.returncode == 0, errors
    assert json.loads(target.read_text())["stage"] == "volume"
    # Eight blocks went there, each in several steps.
    assert count_transitions(address) >= before + 8
    before = count_transitions(address)
    labels = LocalArrayIdentifier(tmp_path / "results" / "volumes" / "cube.zarr", "labels/ground_truth/s0")
    sizes = {"block_size": (160, 160, 160)}
    run_options = {"retries": 0, "timeout": 60, "scheduler_address": address}
    evaluator = InstanceEvaluator(rules=GroundTruthRules(components=True))
    expected = evaluator.evaluate_blockwise(labels, labels, tmp_path / "here", **sizes)
    (tmp_path / "there").mkdir()
    evaluator.compare_shard(labels, labels, tmp_path / "there", (0, 2), key=1, **sizes, **run_options)
    scores = evaluator.evaluate_blockwise(labels, labels, tmp_path / "there", key=1, **sizes, **run_options)
    assert scores == expected
    assert scores.voi_split == 0
    assert count_transitions(address) >= before + 8


def test_a_time_limit_needs_workers_that_can_keep_it(tmp_path, scheduler):
    address = scheduler("--nthreads", "2", modules=str(JOB.parent))
    array = block_functions.create(tmp_path)
    with pytest.raises(ConfigurationError, match="has 2 threads and a nanny"):
        run_blocks(print, block_functions.grid_of(array), timeout=5, scheduler_address=address)


def test_an_unreachable_scheduler_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_pool, "_ANSWER_SECONDS", 2)
    array = block_functions.create(tmp_path)
    with pytest.raises(ResourceError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9 "):
        run_blocks(print, block_functions.grid_of(array), scheduler_address="tcp://127.0.0.1:9")
