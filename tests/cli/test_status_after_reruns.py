"""``attacca status`` for results that were finished before: blocks that are computed again, and the report."""

import json
from typing import Any

from attacca.cli.main import main
from attacca.fingerprint import digest
from attacca.jobs.stage import without_paths
from attacca.stages.report import REPORT
from attacca.workflow.read_states import read_states
from attacca.workflow.stage_state import StageState


def states(project: Any) -> dict[str, StageState]:
    return {
        f"{state.instance.stage.name} {state.instance.label}".strip(): state
        for state in read_states(project.workflow)
    }


def test_blocks_that_were_computed_again_count_although_the_old_manifest_remains(project, values):
    predict = project.instance("predict", "first", "cube-b")
    fragments = project.instance("fragments", "first", "cube-b")
    project.finish(*project.workflow.instances())
    with project.ledger(predict).shard_writer(0, 3) as writer:
        writer.record(*range(27))
    changed = values(shards={"predict": 3, "default": 1})
    changed["runs"]["first"]["prediction"]["dtype"] = "float16"
    project.write(changed)
    assert (states(project)["predict first/cube-b"].state, states(project)["predict first/cube-b"].done) == (
        "stale",
        0,
    )
    with project.ledger(predict).shard_writer(0, 3) as writer:
        writer.record(*range(27))
    found = states(project)
    predicted = found["predict first/cube-b"]
    assert (predicted.state, predicted.done, predicted.reason) == ("partly done", 27, "")
    assert [(shard.done, shard.blocks) for shard in predicted.shards] == [(9, 9)] * 3
    with project.ledger(fragments).shard_writer() as writer:
        writer.record(*range(27))
    found = states(project)
    assert (found["fragments first/cube-b"].state, found["fragments first/cube-b"].done) == ("stale", 0)
    assert "predict first/cube-b is partly done" in found["fragments first/cube-b"].reason


def write_summaries(project: Any, provenance: Any) -> None:
    """Write the provenance and the report of the project, whose other stages are finished."""
    layout = project.workflow.layout
    project.finish(*project.workflow.instances())
    layout.provenance("first").write_text(json.dumps(provenance()))
    layout.scores_table().write_text("run\n")
    settings = digest(without_paths(REPORT.section(project.workflow.configuration)))
    layout.report().write_text(f"<!-- {settings} -->")


def test_a_deleted_report_is_missing_and_not_all_stages_are_done(project, provenance, capsys):
    write_summaries(project, provenance)
    assert {state.state for state in states(project).values()} == {"done"}
    project.workflow.layout.report().unlink()
    found = states(project)
    assert {name for name, state in found.items() if state.state != "done"} == {"report"}
    assert found["report"].state == "missing"
    assert main(["status", str(project.results)]) == 0
    assert f"{len(found) - 1} of {len(found)} stages are done" in capsys.readouterr().out


def test_a_report_without_its_table_or_of_results_that_are_stale_is_stale(project, provenance, values):
    write_summaries(project, provenance)
    layout = project.workflow.layout
    layout.scores_table().rename(layout.results / "moved.tsv")
    assert (states(project)["report"].state, states(project)["provenance first"].state) == ("stale", "done")
    assert "scores.tsv was deleted" in states(project)["report"].reason
    (layout.results / "moved.tsv").rename(layout.scores_table())
    changed = values()
    changed["runs"]["first"]["evaluation"] = {"border": 8}
    project.write(changed)
    found = states(project)
    assert found["provenance first"].state == found["report"].state == "stale"
    assert "evaluate first/cube-b is stale" in found["provenance first"].reason


def test_a_report_of_another_setting_is_stale(project, provenance, values):
    write_summaries(project, provenance)
    changed = values()
    changed["runs"]["first"]["about"] = {"description": "Neurites"}
    project.write(changed)
    project.finish(*project.workflow.instances())
    found = states(project)
    assert {name for name, state in found.items() if state.state != "done"} == {"provenance first", "report"}
    assert found["report"].reason == "provenance first is stale"
