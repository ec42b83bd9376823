"""Kernels of a stage are compiled once, before its workers start."""

from pathlib import Path

import pytest

from attacca.config.execution import ExecutionConfig
from attacca.jobs.stage_main import StageArguments
from attacca.layout import Layout
from attacca.segmentation import compiled
from attacca.stages import graph


@pytest.mark.parametrize(("scheduler", "parts"), [(None, ["graph"]), ("tcp://scheduler:8786", [])])
def test_the_job_compiles_kernels_for_its_workers_but_not_for_those_of_a_cluster(
    scheduler: str | None, parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled_parts: list[str] = []
    monkeypatch.setattr(compiled, "compile_kernels", compiled_parts.append)
    execution = ExecutionConfig().model_copy(update={"scheduler_address": scheduler})
    output = tmp_path / "graph.json"
    arguments = StageArguments(
        "shard", Layout(tmp_path), "default", "cube", {}, {}, output, execution=execution
    )
    graph.GraphJob(arguments).before_blocks()
    assert compiled_parts == parts
