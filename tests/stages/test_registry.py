"""Declarations of the stages: one per module; no other code depends on the name of a stage."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

from attacca.jobs.stage import ProductSizes, Stage
from attacca.workflow.workflow import ALL_STAGES

SOURCE = Path(__file__).parents[2] / "src" / "attacca"


@pytest.mark.parametrize("stage", ALL_STAGES, ids=lambda stage: stage.name)
def test_a_stage_is_declared_in_the_module_of_its_name(stage: Stage) -> None:
    assert getattr(import_module(f"attacca.stages.{stage.name}"), stage.name.upper()) is stage


def test_every_module_of_the_room_is_a_stage_or_their_registry() -> None:
    modules = {path.stem for path in (SOURCE / "stages").glob("*.py")} - {"__init__", "registry"}
    assert modules == {stage.name for stage in ALL_STAGES}


@pytest.mark.parametrize("room", ["provenance", "report", "jobs", "stages", "workflow", "costs", "cli"])
def test_no_decision_compares_the_name_of_a_stage(room: str) -> None:
    names = {stage.name for stage in ALL_STAGES}
    for path in (SOURCE / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                spelled = {item.value for item in ast.walk(node) if isinstance(item, ast.Constant)}
                assert not spelled & names, f"{path.name}:{node.lineno}: {ast.unparse(node)}"


def test_the_disk_space_of_a_stage_is_estimated_by_its_declaration(project) -> None:
    sizes = ProductSizes(project.workflow.configuration, "first", voxels=1000, chunks=8, blocks=4)
    for stage in ALL_STAGES:
        size, files = stage.disk(sizes)
        assert size >= 0 and files > 0
