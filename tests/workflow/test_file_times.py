"""Times of finished results agree with their digests."""

import os
import random
from pathlib import Path

import pytest

from attacca.jobs.seals import write_seal
from attacca.workflow.damage import all_instances
from attacca.workflow.file_times import align_times

SECOND = 10**9


@pytest.fixture
def copied(project):
    """A finished project with all seals, whose files have times in any order."""
    project.finish(*project.workflow.instances())
    for instance in project.workflow.instances():
        mark = instance.shard(project.workflow.layout, 0, 1)
        if instance.stage.is_blockwise:
            mark.write_text("{}")
        write_seal(instance, project.workflow.layout, read_files(project, instance))
    draws = random.Random(2)
    for path in sorted(project.results.rglob("*.json")):
        set_time(path, draws.randrange(100))
    return project


def read_files(project, instance) -> list[Path]:
    return [path for _, path in project.workflow.read_files(instance.stage, instance.run, instance.volume)]


def set_time(path: Path, seconds: int) -> None:
    os.utime(path, ns=(seconds * SECOND, seconds * SECOND))


def align(project, damaged=()) -> int:
    return align_times(project.workflow, project.workflow.instances(), damaged)


def is_in_order(project, instance) -> bool:
    """Return True if no file that Snakemake reads for a job of a stage is newer than what the job writes."""
    layout = project.workflow.layout
    steps = [instance.plan(layout), instance.shard(layout, 0, 1), instance.manifest(layout)]
    times = [path.stat().st_mtime_ns for path in steps if path.exists()]
    inputs = [path.stat().st_mtime_ns for path in read_files(project, instance)]
    return times == sorted(times) and max(inputs, default=0) <= times[0]


def test_files_of_current_stages_are_not_older_than_what_they_read(copied):
    instances = copied.workflow.instances()
    assert not all(is_in_order(copied, instance) for instance in instances)
    assert align(copied) > 0
    assert all(is_in_order(copied, instance) for instance in instances)
    assert align(copied) == 0


def test_times_in_order_are_unchanged(copied):
    align(copied)
    before = {path: path.stat().st_mtime_ns for path in copied.results.rglob("*.json")}
    align(copied)
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("reason", ["another input", "other inputs", "damage"])
def test_a_stage_that_may_have_to_run_keeps_its_times(copied, reason):
    layout = copied.workflow.layout
    train, tune = copied.instance("train", "first"), copied.instance("tune", "first")
    prediction = copied.instance("predict", "first", "cube-b").manifest(layout)
    set_time(tune.manifest(layout), 1)
    if reason == "another input":
        prediction.write_text(prediction.read_text() + " ")
    elif reason == "other inputs":
        write_seal(tune, layout, [train.manifest(layout)])
    set_time(prediction, 200)
    align(copied, {tune} if reason == "damage" else ())
    assert tune.manifest(layout).stat().st_mtime_ns == SECOND


def test_pages_that_describe_results_have_seals_with_the_results_that_they_read(finished_pages):
    project, page = finished_pages
    assert align_times(project.workflow, all_instances(project.workflow), ()) > 0
    newest = max(path.stat().st_mtime_ns for path in read_files(project, page))
    assert page.manifest(project.workflow.layout).stat().st_mtime_ns >= newest


@pytest.fixture
def finished_pages(copied):
    """The project with a provenance and a report that are older than the results, and the instance of the report."""
    *_, provenance, page = all_instances(copied.workflow)
    for instance in (provenance, page):
        path = instance.manifest(copied.workflow.layout)
        path.write_text("{}")
        write_seal(instance, copied.workflow.layout, read_files(copied, instance))
        set_time(path, 1)
    return copied, page
