"""Memory and time that jobs ask for."""

import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest

from attacca.atomic import write_json
from attacca.config.execution import BlockwiseStage, Job, NetworkStage, Stage
from attacca.config.run import Configuration
from attacca.costs import planned_shapes
from attacca.costs.planned_shapes import PlannedShapes
from attacca.costs.resources import EXTENSIONS_MB, JobResources, job_megabytes
from attacca.jobs.block_shape import ASSUMED, BlockShape, block_shape
from attacca.jobs.extents import Extent
from attacca.jobs.stage import StageInstance
from attacca.layout import Layout
from attacca.stages.fragments import FRAGMENTS
from attacca.stages.registry import STAGES
from attacca.stages.relabel import RELABEL
from attacca.stages.targets import TARGETS
from attacca.stages.volume import VOLUME
from attacca.workflow.workflow import PREPARED, Workflow


def configuration(tmp_path, **execution):
    return Configuration.model_validate(
        {
            "results": str(tmp_path),
            "volumes": {name: {"synthetic": {"shape": [64, 64, 64]}} for name in ("a", "t")},
            "runs": {
                "r": {
                    "task": {"type": "affinities", "neighborhood": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]},
                    "volumes": {"train": ["t"], "test": ["a"]},
                }
            },
            "execution": execution,
        }
    )


def wildcards(**names):
    return SimpleNamespace(**names)


def memory(settings, rule):
    """Return the function of a job's memory with the name of its rule."""
    return partial(JobResources(Workflow(settings)).mem_mb, rulename=rule)


def runtime(settings, rule):
    """Return the function of a job's time limit with the name of its rule."""
    return partial(JobResources(Workflow(settings)).runtime, rulename=rule)


def write_plan(tmp_path, blocks, edge):
    path = StageInstance(FRAGMENTS, "r", "a").plan(Layout(tmp_path))
    grid = {
        "offset": [0, 0, 0],
        "origin": [0, 0, 0],
        "voxel_size": [10, 10, 10],
        "block_size": [10 * edge] * 3,
        "shape": [10 * edge * blocks, 10 * edge, 10 * edge],
        "context": [[80, 80, 80], [80, 80, 80]],
    }
    write_json(path, {"blocks": blocks, "grid": grid})
    return block_shape({"blocks": blocks, "grid": grid})


def test_a_plan_contains_the_voxels_that_a_block_reads_and_writes(tmp_path):
    assert write_plan(tmp_path, 5, 32) == BlockShape(5, 32**3, 48**3)


def test_the_configuration_knows_the_jobs_that_rules_ask_for_and_no_others():
    blockwise = {stage.name for stage in STAGES if stage.is_blockwise}
    assert set(get_args(BlockwiseStage)) == blockwise
    assert set(get_args(Stage)) == {stage.name for stage in STAGES} | {"provenance"}
    assert set(get_args(Job)) == {*get_args(Stage), *(f"{name}_finish" for name in blockwise)}
    assert set(get_args(NetworkStage)) == {stage.name for stage in STAGES if stage.runs_network}


def test_every_rule_has_resources_and_only_network_stages_have_gpus(tmp_path):
    rules = "".join(path.read_text() for path in (Path(__file__).parents[2] / "rules").glob("*.smk"))
    names = re.findall(r"^use rule \w+ as (\w+) with:", rules, flags=re.MULTILINE)
    parts = [
        f"{stage.name}_{part}"
        for stage in STAGES
        if stage.is_blockwise
        for part in ("plan", "shard", "finish")
    ]
    whole = [stage.name for stage in STAGES if not stage.is_blockwise]
    prepared = [f"{stage}_shard" for stage in PREPARED]
    assert sorted(names) == sorted([*parts, *whole, *prepared, "provenance", "report"])
    resources = JobResources(Workflow(configuration(tmp_path, gpus=1)))
    job = wildcards(run="r", volume="a")
    for name in names:
        threads = resources.threads(job, name)
        assert threads >= 1 and resources.mem_mb(job, 1, threads, name) > 0
        assert resources.runtime(job, 1, threads, name) >= 1
        assert resources.mem_mb(job, 1, threads, f"segmentation_{name}") == resources.mem_mb(
            job, 1, threads, name
        )
    with_gpus = {name for name in names if resources.gpu(job, name)}
    assert with_gpus == {"train", "predict_shard"}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_memory_grows_with_blocks_and_workers_and_is_never_too_small_for_the_jobs_own_processes(
    stage, tmp_path
):
    settings = configuration(tmp_path)
    small = job_megabytes(settings, stage, "r", BlockShape(8, 32**3, 48**3), 1)
    large = job_megabytes(settings, stage, "r", BlockShape(8, 256**3, 300**3), 1)
    assert 500 <= small <= large
    if stage.is_blockwise:
        assert large < job_megabytes(settings, stage, "r", BlockShape(8, 256**3, 300**3), 4)
        # Workers without a block hold nothing.
        many = job_megabytes(settings, stage, "r", BlockShape(2, 64**3, 80**3), 64)
        assert many == job_megabytes(settings, stage, "r", BlockShape(2, 64**3, 80**3), 2)


def test_extensions_enlarge_the_processes_of_snakemake_in_each_job(tmp_path):
    settings = configuration(tmp_path)
    extended = settings.model_copy(update={"extensions": [tmp_path / "loss.py"]})
    names = wildcards(run="r", volume="a")
    for stage in ("volume", "objects", "provenance"):
        without, needed = (memory(each, stage)(names, 1, threads=1) for each in (settings, extended))
        assert needed == without + EXTENSIONS_MB


def test_the_next_attempt_gets_half_as_much_more_memory_and_more_time(tmp_path):
    settings = configuration(tmp_path)
    names = wildcards(run="r", volume="a")
    first, second, third = (memory(settings, "fragments")(names, attempt, threads=2) for attempt in (1, 2, 3))
    assert second == pytest.approx(1.5 * first, abs=1)
    assert third == pytest.approx(2 * first, abs=1)
    times = [runtime(settings, "fragments")(names, attempt, threads=2) for attempt in (1, 2, 3)]
    assert times == [times[0], 2 * times[0], 3 * times[0]]


def test_the_plan_of_a_stage_decides_once_it_is_there(tmp_path):
    settings = configuration(tmp_path)
    names = wildcards(run="r", volume="a")
    assumed = memory(settings, "fragments")(names, 1, threads=1)
    write_plan(tmp_path, 4, 32)
    assert memory(settings, "fragments")(names, 1, threads=1) < assumed
    write_plan(tmp_path, 100_000, 256)
    assert runtime(settings, "fragments")(names, 1, threads=1) > 10_000


def test_shards_divide_the_time(tmp_path):
    write_plan(tmp_path, 100_000, 256)
    names = wildcards(run="r", volume="a")
    one = runtime(configuration(tmp_path), "fragments")(names, 1, threads=1)
    many = runtime(configuration(tmp_path, shards=100), "fragments")(names, 1, threads=1)
    assert one == pytest.approx(100 * many, rel=0.05)


def test_finishing_a_stage_has_a_time_limit_of_its_own_below_that_of_computing_it_in_one_job(tmp_path):
    write_plan(tmp_path, 100_000, 256)
    names = wildcards(run="r", volume="a")
    settings = configuration(tmp_path, shards=100)
    one_job = runtime(configuration(tmp_path), "fragments")(names, 1, threads=1)
    assert 30 == runtime(settings, "fragments_finish")(names, 1, threads=1) < one_job


def test_what_the_configuration_gives_counts(tmp_path):
    settings = configuration(
        tmp_path, memory_mb={"train": 9000, "default": 800}, runtime_minutes={"train": 600}
    )
    names = wildcards(run="r", volume="a")
    assert memory(settings, "train")(names, 1, threads=8) == 9000
    assert memory(settings, "predict_finish")(names, 2, threads=8) == 1200
    assert runtime(settings, "train")(names, 2, threads=8) == 1200
    assert runtime(settings, "predict")(names, 1, threads=8) >= 30


def test_a_plan_decides_from_its_first_moment_and_a_second_plan_replaces_it(tmp_path):
    shapes = PlannedShapes(Workflow(configuration(tmp_path)))
    instance = StageInstance(FRAGMENTS, "r", "a")
    assert shapes.find(instance) == ASSUMED
    for blocks, edge in ((4, 32), (9, 64)):
        planned = write_plan(tmp_path, blocks, edge)
        assert shapes.find(instance) == planned
    assert shapes.find(StageInstance(RELABEL, "r", "a")) == ASSUMED


def test_the_plan_of_thousands_of_shards_is_read_once(tmp_path, monkeypatch):
    shapes = PlannedShapes(Workflow(configuration(tmp_path)))
    instance = StageInstance(FRAGMENTS, "r", "a")
    write_plan(tmp_path, 4, 32)
    first = shapes.find(instance)
    monkeypatch.setattr(planned_shapes, "read_block_shape", None)
    assert all(shapes.find(instance) == first for _ in range(10))


def test_before_anything_is_planned_no_job_asks_for_more_than_a_small_node_has(tmp_path):
    settings = configuration(tmp_path)
    for stage in STAGES:
        asked = memory(settings, stage.name)(wildcards(run="r", volume="a"), 1, threads=2)
        assert asked < 8000, f"{stage.name} asks for {asked} MB"


def test_the_tuner_needs_what_its_volumes_have(tmp_path):
    values = configuration(tmp_path).model_dump(mode="json", by_alias=True)
    values["volumes"]["b"] = values["volumes"]["a"]
    values["runs"]["r"]["volumes"]["validate"] = ["b"]
    settings = Configuration.model_validate(values)
    before = memory(settings, "tune")(wildcards(run="r"), 1, threads=1)
    grid = {
        "offset": [0] * 3,
        "origin": [0] * 3,
        "voxel_size": [1] * 3,
        "block_size": [128] * 3,
        "shape": [1280] * 3,
        "context": [[0] * 3] * 2,
    }
    write_json(StageInstance(VOLUME, "", "b").plan(Layout(tmp_path)), {"blocks": 1000, "grid": grid})
    assert memory(settings, "tune")(wildcards(run="r"), 1, threads=1) > 10 * before


def test_time_limits_of_prediction_and_training_grow_with_the_network_on_a_cpu_and_less_on_a_gpu(tmp_path):
    def minutes(stage, num_fmaps, **execution):
        settings = configuration(tmp_path, **execution)
        run = settings.runs["r"]
        network = run.architecture.model_copy(update={"num_fmaps": num_fmaps})
        settings.runs["r"] = run.model_copy(update={"architecture": network})
        return runtime(settings, stage)(wildcards(run="r", volume="a", shard="0"), attempt=1, threads=1)

    for stage in ("predict", "train"):
        assert minutes(stage, 96) > 8 * minutes(stage, 12)
        assert minutes(stage, 96, gpus={stage: 1}) < minutes(stage, 96) / 4


def test_the_job_that_digests_results_asks_by_the_files_that_are_planned(tmp_path):
    settings, names = configuration(tmp_path), wildcards(run="r")

    def asked(attempt=1):
        return [ask(settings, "provenance")(names, attempt, threads=4) for ask in (memory, runtime)]

    write_plan(tmp_path, 8, 32)
    small = asked()
    assert small[0] <= 600
    assert asked(attempt=2) == [pytest.approx(1.5 * small[0]), 2 * small[1]]
    write_plan(tmp_path, 500_000, 256)
    large = asked()
    assert large[0] > 5000
    assert large[1] > 10 * small[1]


def test_the_configuration_decides_what_the_job_that_digests_results_asks_for(tmp_path):
    settings = configuration(tmp_path, memory_mb={"provenance": 7000}, runtime_minutes={"provenance": 90})
    assert memory(settings, "provenance")(wildcards(run="r"), 1, threads=4) == 7000
    assert runtime(settings, "provenance")(wildcards(run="r"), 2, threads=4) == 180


class Limits:
    """Partitions that all have one time limit."""

    def __init__(self, minutes):
        self._minutes = minutes

    def minutes(self, rulename):
        return self._minutes


def test_no_job_asks_for_more_time_than_its_partition_allows(tmp_path):
    write_plan(tmp_path, 100_000, 256)
    workflow = Workflow(configuration(tmp_path, shards=2))
    names = wildcards(run="r", volume="a")
    assert JobResources(workflow).runtime(names, 1, 1, "fragments_shard") > 600
    assert JobResources(workflow, limits=Limits(600)).runtime(names, 3, 1, "fragments_shard") == 600


def test_the_jobs_of_a_group_share_the_time_that_their_partition_allows(tmp_path):
    workflow = Workflow(configuration(tmp_path))
    names = wildcards(run="r", volume="a")
    rules = [
        f"{stage}_{part}"
        for stage in ("fragments", "graph", "relabel")
        for part in ("plan", "shard", "finish")
    ]
    rules += ["agglomerate", "evaluate"]

    def total(**options):
        resources = JobResources(workflow, **options)
        return sum(resources.runtime(names, 1, 1, rule) for rule in rules)

    assert total() >= 30
    write_plan(tmp_path, 100_000, 256)
    assert total() > 600
    assert 0.9 * 600 < total(limits=Limits(600)) <= 600


def test_a_job_asks_for_no_more_cores_than_it_uses(tmp_path):
    resources = JobResources(Workflow(configuration(tmp_path, threads=16)))
    job = wildcards(run="r", volume="a")
    single = ("agglomerate", "fragments_finish", "graph_finish", "export")
    assert {resources.threads(job, name) for name in single} == {1}
    assert resources.threads(job, "fragments_shard") == resources.threads(job, "relabel_finish") == 16


def test_before_a_stage_is_planned_the_size_of_its_volume_decides(tmp_path):
    settings, job = configuration(tmp_path), wildcards(run="r", volume="a")

    def minutes(edge):
        workflow = Workflow(settings, extents={"a": Extent((edge,) * 3, (64,) * 3)})
        return JobResources(workflow).runtime(job, 1, 1, "fragments_shard")

    assert minutes(4096) > 100 * minutes(64)


def test_a_stage_has_no_more_shards_than_blocks(tmp_path):
    settings = configuration(tmp_path, shards=64)
    extent = Extent((64, 64, 128), (64, 64, 64))
    workflow = Workflow(settings, extents={"a": extent, "t": extent})
    assert workflow.shards(VOLUME, "", "a") == 2
    assert workflow.shards(TARGETS, "r", "t") == 2
    large = Workflow(settings, extents={"a": Extent((1024,) * 3, (64,) * 3)})
    assert large.shards(VOLUME, "", "a") == 64 and large.shard_counts == {}
