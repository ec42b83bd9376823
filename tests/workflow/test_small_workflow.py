"""The whole workflow on small tissue: results, reruns, and stages that changes make stale."""

import json
import re
from pathlib import Path

import pytest

from attacca.config.load import load_configuration
from attacca.workflow.workflow import Workflow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def jobs(result):
    """Names of the rules that ran."""
    return set(re.findall(r"^\s*(?:local)?rule (\w+):", result.stderr + result.stdout, flags=re.MULTILINE))


def planned(checkout, *arguments):
    """Names of the rules that would run."""
    return jobs(checkout.snakemake("-n", *arguments)) - {"all"}


def test_it_ends_with_scores_a_table_and_a_report(finished):
    scores = json.loads((finished.results / "small" / "tested" / "scores.json").read_text())["scores"]
    by_name = {score["name"]: score for score in scores}
    assert by_name["voi"]["value"] == pytest.approx(
        by_name["voi_split"]["value"] + by_name["voi_merge"]["value"]
    )
    assert all(score["convention"] for score in scores if score["name"].startswith("voi"))
    assert (finished.results / "report.html").stat().st_size > 50_000
    assert "VOI" in finished.first.stdout + finished.first.stderr
    assert str(finished.results / "report.html") in finished.first.stdout + finished.first.stderr


def test_each_job_leaves_a_log(finished):
    logs = {path.name for path in (finished.results / "logs").rglob("*.log")}
    assert {"train.log", "predict_shard_0_of_1.log", "fragments_finish.log", "report.log"} <= logs
    assert all(path.stat().st_size > 0 for path in (finished.results / "logs").rglob("*.log"))


def test_the_machines_of_training_and_prediction_are_recorded_beside_that_of_the_provenance(finished):
    hardware = json.loads((finished.results / "small" / "provenance.json").read_text())["hardware"]
    assert set(hardware) == {"train", "predict chosen", "predict tested", "provenance"}
    (machine,) = hardware["train"]
    assert machine["processor"] == hardware["provenance"][0]["processor"]
    assert machine["device"].startswith(("cpu", "cuda"))


def test_each_stage_shows_its_progress(finished):
    progress = finished.first.stderr
    assert "Select jobs to execute" not in progress
    for name in (
        "synthesize taught",
        "make targets small/taught",
        "train small",
        "predict small/tested",
        "relabel small/tested",
    ):
        assert re.search(rf"{re.escape(name)}: \d+/\d+ \w+ \(100 %\)", progress), name


def test_the_same_command_again_has_nothing_to_do(finished):
    assert jobs(finished.snakemake()) == set()


@pytest.mark.parametrize(
    ("old", "new", "expected", "forbidden"),
    [
        pytest.param(
            "bias: [0.3, 0.5]", "bias: [0.4, 0.5]",
            {"tune", "fragments_shard", "relabel_finish", "evaluate", "report"},
            {"volume_shard", "targets_shard", "train", "predict_shard"},
            id="watershed bias",
        ),
        pytest.param(
            "iterations: 6", "iterations: 9",
            {"train", "predict_shard", "tune", "evaluate", "report"},
            {"volume_shard", "targets_shard"},
            id="iterations",
        ),
        pytest.param("execution: {threads: 1}", "execution: {threads: 2, log_level: debug}", set(), {"train", "predict_shard", "report"}, id="threads and log level"),
        pytest.param("iterations: 6, ", "loader_workers: 0, iterations: 6, ", set(), {"train", "report"}, id="loader"),
        pytest.param(
            "seed: 3}", "seed: 4}",
            {"volume_shard", "predict_shard", "evaluate"},
            {"train", "targets_shard", "tune"},
            id="test volume",
        ),
    ],
)  # fmt: skip
def test_a_change_computes_what_depends_on_it_and_nothing_else(finished, old, new, expected, forbidden):
    finished.change(old, new)
    try:
        again = planned(finished)
    finally:
        finished.change(new, old)
    assert expected <= again
    assert not forbidden & again


def test_another_number_of_shards_computes_no_block_and_no_iteration_again(finished):
    array = finished.results / "small" / "tested.zarr" / "prediction" / "s0"
    checkpoints = finished.results / "small" / "training" / "checkpoints"
    files = [p for p in array.rglob("*") if p.is_file() and p.name.isdigit()] + list(checkpoints.glob("*.pt"))
    files += (finished.results / "small" / "tested" / "evaluation").rglob("*.npz")
    files.append(finished.results / "small" / "tested" / "look_up_table.npy")
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
    assert len(before) > 2
    finished.change("execution: {threads: 1}", "execution: {threads: 1, shards: 3}")
    try:
        # Each stage has one block, and no stage has more shards than blocks.
        assert jobs(finished.snakemake()) == set()
    finally:
        finished.change("execution: {threads: 1, shards: 3}", "execution: {threads: 1}")
        finished.snakemake()
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files} == before


def test_a_deleted_array_is_named_with_the_way_to_mend_it(finished):
    import shutil

    place = finished.results / "small" / "tested.zarr" / "prediction"
    aside = place.with_name("aside")
    shutil.move(place, aside)
    try:
        result = finished.snakemake("-R", "fragments_plan", "--until", "fragments_plan", check=False)
        assert result.returncode != 0
        assert "-R predict_plan" in result.stderr
        assert "Traceback" not in result.stderr
    finally:
        shutil.move(aside, place)
        finished.snakemake()


def test_two_results_can_be_asked_for_before_anything_has_run(checkout_of):
    checkout = checkout_of("asked")
    scores = [str(checkout.results / "small" / volume / "scores.json") for volume in ("tested", "chosen")]
    assert {"evaluate", "train"} <= planned(checkout, "--", *scores)


def test_each_array_has_one_file_for_each_block_of_its_stage(segmented):
    workflow = Workflow(load_configuration(segmented.configuration))
    found = {}
    for instance in workflow.instances():
        plan = instance.plan(workflow.layout)
        for array in map(Path, instance.arrays(workflow.layout) if plan.is_file() else ()):
            if (array / "zarr.json").is_file():
                blocks = json.loads(plan.read_text())["blocks"]
                files = [path for path in (array / "c").rglob("*") if path.is_file()]
                assert len(files) == blocks, array
                found[instance.stage.name] = max(blocks, found.get(instance.stage.name, 0))
    assert found["predict"] == 125 and found["fragments"] == found["relabel"] == 27
    assert set(found) >= {"volume", "targets"}
