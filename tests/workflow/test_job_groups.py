"""Groups of jobs that a cluster runs as one job."""

import pytest

from attacca.config.run import Configuration
from attacca.jobs.stage import StageInstance
from attacca.stages.agglomerate import AGGLOMERATE
from attacca.stages.evaluate import EVALUATE
from attacca.stages.fragments import FRAGMENTS
from attacca.stages.predict import PREDICT
from attacca.stages.registry import STAGES
from attacca.stages.targets import TARGETS
from attacca.stages.train import TRAIN
from attacca.stages.tune import TUNE
from attacca.stages.volume import VOLUME
from attacca.workflow.job_groups import JobGroups
from attacca.workflow.workflow import Workflow
from tiny_configuration import tiny_configuration


def groups(shards, **options):
    values = {**tiny_configuration(), "execution": {"shards": shards}}
    return JobGroups(Workflow(Configuration.model_validate(values)), **options)


def test_with_one_shard_a_volume_passes_through_few_jobs_from_its_import_to_its_scores():
    one = groups(1)
    beside = ("classes", "unpack", "bundle", "objects", "export")
    instances = [StageInstance(stage, "tiny", "tested") for stage in STAGES if stage.name not in beside]
    names = [one.name(instance) or instance.stage.name for instance in instances]
    assert list(dict.fromkeys(names)) == [
        "volume_tested",
        "train",
        "predict_tiny_tested",
        "tune",
        "segment_tiny_tested",
    ]


def test_stages_of_a_group_belong_to_one_volume_of_one_run():
    one = groups(1)
    assert one.pattern(VOLUME) == "volume_{volume}"
    assert one.pattern(PREDICT) == "predict_{run}_{volume}"
    assert one.pattern(FRAGMENTS) == one.pattern(EVALUATE) == "segment_{run}_{volume}"
    assert one.pattern(TRAIN) is one.pattern(TUNE) is None


@pytest.mark.parametrize("stage", ["fragments", "graph", "relabel"])
def test_a_segmentation_with_shards_is_not_one_job(stage):
    several = groups({stage: 4})
    assert several.pattern(AGGLOMERATE) is several.pattern(EVALUATE) is None
    by_name = {other.name: several.pattern(other) for other in STAGES}
    assert by_name.pop(stage) is None
    assert by_name["predict"] == "predict_{run}_{volume}" and by_name["volume"] == "volume_{volume}"


def test_a_stage_whose_jobs_need_different_partitions_is_not_one_job():
    special = groups(1, special_rules={"predict_shard", "evaluate"})
    assert special.pattern(PREDICT) is None
    assert special.pattern(FRAGMENTS) == "fragments_{run}_{volume}"
    assert special.pattern(EVALUATE) is None


def test_the_members_of_a_group_are_the_jobs_of_the_stages_that_a_run_has():
    def members(*instance):
        found = groups(1).members(StageInstance(*instance))
        return [f"{other.stage.name}_{action}" for other, action in found]

    parts = ("plan", "shard", "finish")
    assert members(EVALUATE, "tiny", "tested") == [
        *(f"fragments_{part}" for part in parts),
        *(f"graph_{part}" for part in parts),
        "agglomerate_run",
        *(f"relabel_{part}" for part in parts),
        "evaluate_run",
    ]
    assert members(TRAIN, "tiny") == []
    prepared = [f"{stage}_{part}" for stage in ("volume", "targets") for part in parts]
    assert members(TARGETS, "tiny", "taught") == members(VOLUME, "", "taught") == prepared
    assert members(VOLUME, "", "tested") == prepared[:3]


def test_volumes_that_several_runs_share_are_prepared_by_a_job_of_their_own():
    values = tiny_configuration()
    values["runs"]["other"] = values["runs"]["tiny"]
    several = JobGroups(Workflow(Configuration.model_validate(values)))
    assert several.pattern(VOLUME) == "volume_{volume}"
    assert several.pattern(TARGETS) == "targets_{run}_{volume}"
