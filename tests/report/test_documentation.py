"""The schema and the reference page agree with the models."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest
import yaml
from pydantic import Field

from attacca.config.base import StrictModel
from attacca.config.documentation import (
    build_json_schema,
    build_reference_page,
    find_outdated_files,
    write_documentation,
)

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


class Circle(StrictModel):
    """A round thing."""

    type: Literal["circle"] = "circle"
    radius: Annotated[float, Field(gt=0)]
    """Half of its width."""


class Box(StrictModel):
    """A thing with | corners."""

    type: Literal["box"] = "box"
    edges: list[int] = Field(default=[1, 1], min_length=2, max_length=2)
    """Lengths of its edges."""


class Drawing(StrictModel):
    """A page."""

    title: str = ""
    """Text above it."""
    mode: Literal["ink", "pencil"] = "ink"
    """The tool: ``ink`` is permanent."""
    things: dict[str, Annotated[Circle | Box, Field(discriminator="type")]]
    """Parts of the drawing."""
    paper: Path | None = None
    """Path of the paper."""


def test_every_key_is_on_the_page_with_type_default_and_meaning() -> None:
    page = build_reference_page(Drawing)
    assert "| `title` | text | empty | Text above it. |" in page
    assert "| `mode` | `ink` or `pencil` | `ink` | The tool: `ink` is permanent. |" in page
    assert "| `paper` | path | not set | Path of the paper. |" in page
    assert "| `radius` | number, above 0 | **required** | Half of its width. |" in page
    assert "| `edges` | list of whole numbers, 2 of them | `[1, 1]` | Lengths of its edges. |" in page


def test_members_of_a_union_are_distinguished_by_their_type() -> None:
    page = build_reference_page(Drawing)
    assert "## `things.NAME` with `type: circle`" in page
    assert "## `things.NAME` with `type: box`" in page
    assert "[`type: circle`](#thingsname-with-type-circle)" in page


def test_every_link_of_the_page_leads_to_a_heading() -> None:
    page = build_reference_page(Drawing)
    headings = [line[3:] for line in page.splitlines() if line.startswith("## ")]
    kept = ["".join(c for c in h.lower().replace(" ", "-") if c.isalnum() or c in "-_") for h in headings]
    links = [part.split(")")[0] for part in page.split("](#")[1:]]
    assert links and set(links) <= set(kept)


def test_the_schema_is_valid_json_that_refuses_unknown_keys() -> None:
    schema = json.loads(build_json_schema(Drawing))
    assert schema["additionalProperties"] is False
    assert schema["properties"]["title"]["description"] == "Text above it."


def test_documentation_that_differs_is_found_outdated(tmp_path: Path) -> None:
    assert find_outdated_files(Drawing, tmp_path) == ["config.schema.json", "configuration.md"]
    write_documentation(Drawing, tmp_path)
    assert find_outdated_files(Drawing, tmp_path) == []
    (tmp_path / "configuration.md").write_text("old")
    assert find_outdated_files(Drawing, tmp_path) == ["configuration.md"]


def test_the_committed_pages_say_what_the_models_say() -> None:
    from attacca.config.run import Configuration

    assert find_outdated_files(Configuration, DOCS) == [], "run: python -m attacca.config.documentation docs"


def schema_problems(values: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(json.loads((DOCS / "config.schema.json").read_text()))
    return [error.message for error in validator.iter_errors(values)]


SHIPPED = [ROOT / "config.yaml", *sorted((ROOT / "examples").glob("**/*.yaml"))]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_editors_find_no_problem_in_the_configurations_that_are_shipped(path: Path) -> None:
    assert schema_problems(yaml.safe_load(path.read_text())) == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_configuration_that_names_its_schema_names_it_as_seen_from_there(path: Path) -> None:
    named = re.search(r"^# yaml-language-server: \$schema=(\S+)$", path.read_text(), re.MULTILINE)
    assert named is None or (path.parent / named[1]).resolve() == DOCS / "config.schema.json"


def test_places_for_anchors_are_allowed_at_the_top_alone() -> None:
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert schema_problems(values | {"x-anything": [1, {"a": None}]}) == []
    assert any("'y-anything'" in problem for problem in schema_problems(values | {"y-anything": 1}))
    assert any(
        "'x-inside'" in problem for problem in schema_problems(values | {"execution": {"x-inside": 1}})
    )


@pytest.mark.parametrize("name", ["config.schema.json", "configuration.md"])
def test_the_committed_pages_describe_every_top_level_key(name: str) -> None:
    from attacca.config.run import Configuration

    text = (DOCS / name).read_text()
    assert all(key in text for key in Configuration.model_fields)
